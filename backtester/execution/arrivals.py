"""Orders, cancels, wishes and transfers arrive at the exchange: it takes them in, or says why not."""

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import structs

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import (
    OrderRejected,
    Reason,
    SanitizedCancel,
    SanitizedOrder,
    SanitizedReduceOnly,
)
from backtester.core.funds import left_to_replace
from backtester.core.instruments import Instrument, InstrumentId, is_one_strategy
from backtester.core.topics import (
    T_MARGIN_SANITIZED,
    T_ORDERS_CHANGED,
    T_ORDERS_REJECTED,
    T_ORDERS_SANITIZED,
    T_TRANSFERS,
)
from backtester.core.transfer_events import Transfer
from backtester.execution.exchange_rules import ExchangeRules
from backtester.execution.latency import InFlight, Sent
from backtester.execution.margin_desk import MarginDesk
from backtester.execution.orders import WorkingOrder
from backtester.execution.shown_prices import ShownPrices
from backtester.execution.transfers import TransferDesk
from backtester.sim.matching import stop_is_through


class Exchange(Protocol):
    """What becomes of an order that is taken in, and of the one that another names."""

    def open_orders(self) -> list[SanitizedOrder]:
        """Return the orders that still work or are on their way."""

    def accept(self, working: WorkingOrder, price: int, ts: int) -> None:
        """Take an order into the book."""

    def trigger(self, working: WorkingOrder, reason: Reason = Reason.NONE) -> None:
        """Let an order enter the market."""

    def enter(self, working: WorkingOrder, last: int) -> None:
        """Let an order take at what trades next, or rest."""

    def takes(self, working: WorkingOrder, last: int) -> bool:
        """Say whether an order would execute at once."""

    def change(self, working: WorkingOrder, order: SanitizedOrder) -> None:
        """Put a changed order in the place of a working one."""

    def cancel(self, working: WorkingOrder, reason: Reason) -> None:
        """End an order."""


class Arrivals:
    """Lets what was sent travel, and judges it where it arrives; by then much may have changed."""

    def __init__(
        self,
        exchange: Exchange,
        rules: ExchangeRules,
        instruments: Mapping[InstrumentId, Instrument],
        book: Mapping[InstrumentId, Mapping[int, WorkingOrder]],
        prices: ShownPrices,
        is_warm: Callable[[InstrumentId], bool],
        margin_desk: MarginDesk,
        transfers: TransferDesk,
        board: Board,
        bus: Bus,
    ) -> None:
        """Wire the component; is_warm: whether the models of an instrument know what they look at."""
        self._exchange = exchange
        self._rules = rules
        self._instruments = instruments
        self._book = book
        self._prices = prices
        self._is_warm = is_warm
        self._margin_desk = margin_desk
        self._transfers = transfers
        self._board = board
        self._bus = bus
        self._in_flight = InFlight(rules.delays, rules.seed)
        self._replaced: dict[int, SanitizedOrder] = {}  # by id of a replacement on its way: the order as it was then
        bus.subscribe(T_ORDERS_SANITIZED, self.on_order)
        bus.subscribe(T_MARGIN_SANITIZED, self.on_order)
        bus.subscribe(T_TRANSFERS, self.on_order)

    def on_order(self, order: Sent) -> None:
        """Let an order, a cancel, a wish or a transfer travel, or arrive at once."""
        arrives = self._in_flight.send(order, self._board.now)
        if arrives > self._board.now:
            self._board.set_expiry(arrives)
            if isinstance(order, SanitizedOrder) and order.replaces:
                found = [o for o in self._exchange.open_orders() if o.order_id == order.replaces]
                self._replaced.update((order.order_id, old) for old in found)
        else:
            self._arrive(order)

    def let_in(self, ts: int) -> None:
        """Let in what has arrived by a time (UTC µs)."""
        for order in self._in_flight.arrived(ts):
            self._arrive(order)

    def on_the_way(self) -> list[SanitizedOrder]:
        """Return the orders that still travel."""
        return [order for order in self._in_flight.orders() if isinstance(order, SanitizedOrder)]

    def _arrive(self, order: Sent) -> None:
        """Do with what arrived what it asks for."""
        if isinstance(order, SanitizedOrder):
            if 0 < self._instruments[order.instrument].expiry <= self._board.now:
                self._reject(order, Reason.CONTRACT_EXPIRED, {})
            else:
                self._admit(order)
        elif isinstance(order, SanitizedCancel):
            self._on_cancel(order)
        elif isinstance(order, SanitizedReduceOnly):
            self._on_reduce_only(order)
        elif isinstance(order, Transfer):
            self._transfers.execute(order)
        else:
            own = [
                w
                for w in self._book[order.instrument].values()
                if is_one_strategy(w.order.instrument, order.instrument)
            ]
            self._margin_desk.judge(order, len(own))

    def _admit(self, order: SanitizedOrder) -> None:
        """Accept an order, reject it, or put it in the place of another."""
        decided, asked = self._replaced.pop(order.order_id, None), order
        last = self._prices.last(order.listed)
        watched = self._prices.watched(order.listed, last)
        replaced = self._book[order.instrument].get(order.replaces)
        why = "it is not working any more" if order.replaces and replaced is None else ""
        if replaced is not None and replaced.brought and order.attached:
            why = "exits of what it filled already live"
        elif replaced is not None and decided is not None:
            left = left_to_replace(order, decided, replaced.order)
            why = "" if left else "it filled on the way what its replacement would have bought or sold"
            order = left or order
        if why:
            self._reject(order, Reason.BAD_REPLACE, {"order_id": str(order.replaces), "why": why})
            return
        after_open = self._board.after_open and order.instrument not in self._rules.tapes
        working = WorkingOrder.of(order, self._board.now + (1 if after_open else 0))
        through = (
            working.waits_for_trigger
            and not working.is_trailing
            and stop_is_through(working.direction, order.stop_price_units, watched)
        )
        if through and not self._rules.stop_through_fills:
            self._reject(order, Reason.WOULD_TRIGGER, {"stop": str(order.stop_price)})
            return
        if order.terms.post_only and self._exchange.takes(working, last):
            self._reject(order, Reason.WOULD_TAKE, {"limit": str(order.limit_price)})
            return
        if (unready := self._unready(order)) is not None:
            self._reject(order, unready, {})
            return
        if replaced is not None:
            self._exchange.cancel(replaced, Reason.REPLACED)
        self._exchange.accept(working, watched, self._board.now)
        if order is not asked:
            self._bus.publish(T_ORDERS_CHANGED, order)
        if through:
            self._exchange.trigger(working, Reason.WOULD_TRIGGER)
        if not working.waits_for_trigger:
            self._exchange.enter(working, last)

    def _unready(self, order: SanitizedOrder) -> Reason | None:
        """Return why an order comes too early, or too late."""
        spec = self._instruments[order.instrument]
        if 0 < spec.expiry <= self._board.now:
            return Reason.CONTRACT_EXPIRED
        if self._rules.strict and not spec.is_option and not self._is_warm(order.instrument):
            return Reason.MODEL_NOT_READY
        return None

    def _on_cancel(self, cancel: SanitizedCancel) -> None:
        working = self._book[cancel.instrument].get(cancel.order_id)
        if working is None:
            self._reject(cancel, Reason.UNKNOWN_ORDER, {})
            return
        self._exchange.cancel(working, cancel.reason or Reason.REQUESTED)

    def _on_reduce_only(self, wanted: SanitizedReduceOnly) -> None:
        """Let an order only reduce from now on, unless it ended on the way; on futures it binds nothing any more."""
        working = self._book[wanted.instrument].get(wanted.order_id)
        if working is not None:
            order, spot = working.order, self._instruments[wanted.instrument].is_spot
            terms = structs.replace(order.terms, reduce_only=True)
            reserve = order.reserve_units if spot else 0
            self._exchange.change(
                working, structs.replace(order, ts=self._board.now, terms=terms, reserve_units=reserve)
            )

    def _reject(self, order: SanitizedOrder | SanitizedCancel, reason: Reason, numbers: dict[str, str]) -> None:
        self._bus.publish(
            T_ORDERS_REJECTED,
            OrderRejected(
                ts=self._board.now,
                who="execution",
                reason=reason,
                instrument=order.instrument,
                order_id=order.order_id,
                tag=order.tag if isinstance(order, SanitizedOrder) else "",
                client_id=order.client_id if isinstance(order, SanitizedOrder) else "",
                numbers=numbers,
            ),
        )
