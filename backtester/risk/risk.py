"""Risk: turns order intents into sanitized orders with reserved funds, or refuses them with a reason."""

from collections.abc import Mapping, Sequence

from msgspec import structs

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import (
    AnyIntent,
    CancelIntent,
    Cashflow,
    Fill,
    IcebergIntent,
    MultiLegIntent,
    OrderIntent,
    OrderRejected,
    OrderUpdate,
    Reason,
    ReduceOnlyIntent,
    ReplaceIntent,
    SanitizedCancel,
    SanitizedOrder,
    SanitizedReduceOnly,
    TwapIntent,
)
from backtester.core.folds import Ledger, Reservations
from backtester.core.funds import (
    opening_qty,
)
from backtester.core.instruments import InstrumentId
from backtester.core.timeline import Timeline
from backtester.core.topics import (
    T_CASHFLOWS,
    T_CONTROL,
    T_FILLS,
    T_ORDERS_CHANGED,
    T_ORDERS_INTENT,
    T_ORDERS_REJECTED,
    T_ORDERS_SANITIZED,
    T_ORDERS_UPDATE,
    T_RISK_ALERT,
    T_TRANSFERS,
)
from backtester.core.transfer_events import Transfer, TransferIntent
from backtester.risk.limits import OrderLimiter
from backtester.risk.open_orders import OpenOrders
from backtester.risk.option_orders import leg_refusal, singles_of
from backtester.risk.order_funds import OrderFunds
from backtester.risk.order_validation import Refusal, SymbolSpecs
from backtester.risk.parents import parent_order
from backtester.risk.pauses import Pauses
from backtester.risk.position_sides import held_to_its_side, side_refusal
from backtester.risk.replacing import changed_intent
from backtester.risk.sanitizing import Sanitizer
from backtester.risk.sizing import Sizing
from backtester.risk.transfers import judged_transfer
from backtester.sim.brackets import BracketTable


class Risk:
    """Rounds, sizes, and reserves funds per open order, first come first served.

    A reservation ends with its order. What a cancel request names counts as free for later intents of the same
    tick, because the exchange hears of the cancel first.
    """

    def __init__(
        self,
        specs: SymbolSpecs,
        ledger: Ledger,
        board: Board,
        bus: Bus,
        *,
        worst_fee_rates: Mapping[InstrumentId, Timeline[int]],
        allow_short: bool,
        sizing: Mapping[str, Sizing],
        candle_us: Mapping[InstrumentId, int],
        paused: Mapping[InstrumentId, Sequence[tuple[int, int]]] | None = None,
        limiter: OrderLimiter | None = None,
        travel: bool = False,
        brackets: Mapping[InstrumentId, Timeline[BracketTable]] | None = None,
    ) -> None:
        """Wire the component.

        sizing: finds sizes, for each strategy of the run; "" for the only one. candle_us: length of the candles that
        execute, µs. paused: the spans [from, to) of ticks in which no
        position may be opened. limiter: the user's own limits. travel: orders take time to reach the exchange.
        brackets: what the leverage of futures may be, by date.
        """
        self._specs = specs
        self._ledger = ledger
        self._board = board
        self._bus = bus
        self._sizing = sizing
        self._candle_us = candle_us
        self._reservations = Reservations()
        self._wallets = {spec.wallet for spec in ledger.instruments.values()}
        self._limiter = limiter
        self.open_orders = OpenOrders(travel=travel)
        self.funds = OrderFunds(ledger, self._reservations, board, worst_fee_rates)
        self._sanitizer = Sanitizer(
            specs,
            ledger,
            self.funds,
            self.open_orders,
            board,
            allow_short=allow_short,
            pauses=Pauses(paused or {}),
            limiter=limiter,
            brackets=brackets or {},
        )
        self._next_id = 1  # of orders and transfers
        if limiter is not None:
            bus.subscribe(T_RISK_ALERT, limiter.restrictions.on_alert, type(self).__name__)
            bus.subscribe(T_CONTROL, limiter.restrictions.on_control, type(self).__name__)
        bus.subscribe(T_ORDERS_INTENT, self.on_intent)
        bus.subscribe(T_ORDERS_CHANGED, self.on_changed)
        bus.subscribe(T_ORDERS_REJECTED, self.on_rejected)
        bus.subscribe(T_ORDERS_UPDATE, self.on_update)
        bus.subscribe(T_FILLS, self.on_fill)
        bus.subscribe(T_CASHFLOWS, self.on_cashflow)

    # --- intents -------------------------------------------------------------------------------------------------

    def on_intent(self, intent: AnyIntent | TransferIntent) -> None:
        """Send an order, a replacement, a cancel or a transfer on, or refuse it."""
        match intent:
            case TransferIntent():
                self._on_transfer(intent)
            case CancelIntent():
                self._on_cancel(intent)
            case ReplaceIntent():
                self._on_replace(intent)
            case ReduceOnlyIntent():
                self._on_reduce_only(intent)
            case MultiLegIntent():
                self._on_combo(intent)
            case _:
                self._on_order(intent)

    def _on_order(self, intent: OrderIntent) -> None:
        refusal = side_refusal(intent, self._specs)
        if refusal is not None:
            self._refuse(intent, refusal)
            return
        if self._sanitizer.known(intent.instrument) is None:
            self._refuse(intent, Refusal(Reason.UNKNOWN_INSTRUMENT, {}))
            return
        intent = held_to_its_side(intent, self._specs)
        if isinstance(intent, TwapIntent | IcebergIntent):
            self._on_sliced(intent)
            return
        order = self._sanitizer.sanitized(intent, self._next_id) if intent.has_size else self._sized(intent)
        if isinstance(order, Refusal):
            self._refuse(intent, order)
        else:
            self._send(order)

    def _on_transfer(self, intent: TransferIntent) -> None:
        """Let money move that nothing binds; a kill holds it where it is."""
        killed = None if self._limiter is None else self._limiter.kill_refusal()
        units = killed or judged_transfer(
            intent, self._wallets, self._ledger, self._reservations, self._board.price_units
        )
        if isinstance(units, Refusal):
            self._refuse(intent, units)
            return
        transfer = Transfer(
            ts=self._board.now,
            order_id=self._next_id,
            asset=intent.asset,
            amount_units=units,
            source=intent.source,
            target=intent.target,
            tag=intent.tag,
        )
        self._next_id += 1
        self._reservations.hold(transfer.order_id, transfer.reserved, units, "")
        self._bus.publish(T_TRANSFERS, transfer)

    def _sized(self, intent: OrderIntent) -> SanitizedOrder | Refusal:
        """Return the order of an intent whose size the run's sizing finds; its instrument is known."""
        spec = self._ledger.instruments[intent.instrument]
        free = self.funds.affordable(spec, self.funds.free(spec, spec.cash))
        refused = self._sanitizer.contract_refusal(intent, spec)
        sized = refused or self._sizing[spec.sleeve].sized(intent, free)
        if isinstance(sized, Refusal):
            return sized
        order = self._sanitizer.sanitized(sized.intent, self._next_id)
        if isinstance(order, Refusal):
            return Refusal(order.reason, order.numbers | {f"sizing.{key}": text for key, text in sized.numbers.items()})
        return structs.replace(order, sizing=sized.numbers)

    def _on_sliced(self, intent: TwapIntent | IcebergIntent) -> None:
        """Let a sliced order begin: its parts are judged when they come. The exchange never hears of it."""
        sliced = self._sanitizer.known(intent.instrument)
        refused = None if sliced is None else self._sanitizer.contract_refusal(intent, sliced)
        order = (
            refused
            or self._sanitizer.conditions_refusal(intent, None)
            or parent_order(intent, self._specs, self._board, self._candle_us, self._next_id)
        )
        if isinstance(order, SanitizedOrder) and self._limiter is not None:
            spec = self._ledger.instruments[order.instrument]
            opening = opening_qty(self._ledger, spec, order.side, order.qty_units)
            ruling = self._limiter.ruling_of_sliced(order, spec, opening)
            if isinstance(ruling, Refusal):
                order = ruling
            elif ruling:
                order = structs.replace(order, terms=structs.replace(order.terms, reduce_only=True))
        if isinstance(order, Refusal):
            self._refuse(intent, order)
            return
        self._next_id = order.order_id + 1
        self.open_orders.put(order)
        self._reserve(order)
        self._bus.publish(T_ORDERS_CHANGED, order)

    def _on_combo(self, intent: MultiLegIntent) -> None:
        """Send all legs of a combination, each funded beside the ones before it; or refuse each of them."""
        singles = singles_of(intent)
        first = next_id = self._next_id
        orders = list[SanitizedOrder]()
        for place, single in enumerate(singles):
            refusal = leg_refusal(self._sanitizer.known(single.instrument), [one.instrument for one in singles[:place]])
            order = refusal or self._sanitizer.sanitized(single, next_id)
            if isinstance(order, Refusal):
                for sent in orders:
                    self._reservations.release(sent.order_id)
                for other in singles:
                    why = Refusal(Reason.COMBO, {"refused": str(single.instrument), "why": order.reason.value})
                    self._refuse(other, order if other is single else why)
                return
            orders.append(structs.replace(order, combo_id=first, combo_legs=len(singles)))
            self._reserve(order)
            next_id = _last_id(order) + 1
        for order in orders:
            self._send(order)

    def _send(self, order: SanitizedOrder) -> None:
        if self._limiter is not None:
            self._limiter.sent()
        self._next_id = _last_id(order) + 1
        self.open_orders.put(order)
        self._reserve(order)
        self._bus.publish(T_ORDERS_SANITIZED, order)

    def _reserve(self, order: SanitizedOrder) -> None:
        self._reservations.hold(order.order_id, order.reserved, order.reserve_units, order.oco)

    def _on_replace(self, intent: ReplaceIntent) -> None:
        """Let the changed order through with the funds of the old one, or leave that as it is."""
        old = self.open_orders.get(intent.order_id)
        if old is None:
            self._refuse(intent, Refusal(Reason.UNKNOWN_ORDER, {"order_id": str(intent.order_id)}))
            return
        if old.combo_id:
            self._refuse(intent, Refusal(Reason.BAD_REPLACE, {"why": "it is a leg of a combination"}))
            return
        changed = changed_intent(old, intent)
        self._reservations.release(old.order_id)
        order = (
            changed if isinstance(changed, Refusal) else self._sanitizer.sanitized(changed, self._next_id, replaces=old)
        )
        if isinstance(order, Refusal):
            self._reserve(old)
            self._refuse(intent, order)
            return
        self.open_orders.going(old.order_id)
        self._send(order)

    def _on_cancel(self, intent: CancelIntent) -> None:
        order = self.open_orders.get(intent.order_id)
        if order is None:
            self._refuse(intent, Refusal(Reason.UNKNOWN_ORDER, {"order_id": str(intent.order_id)}))
            return
        if not order.kind.is_sliced:
            self._cancel(order, intent.reason)
            return
        # no part follows; what slices it hears of this and ends it after its part
        self.open_orders.going(order.order_id)
        for part in [o for o in self.open_orders if o.algo_id == order.order_id]:
            self._cancel(part, intent.reason)

    def _on_reduce_only(self, intent: ReduceOnlyIntent) -> None:
        """Let an open order only reduce; what is over or being taken back needs it no more."""
        order = self.open_orders.get(intent.order_id)
        if order is None or self.open_orders.is_going(order.order_id):
            return
        if order.kind.is_sliced:  # the exchange does not know it
            terms = structs.replace(order.terms, reduce_only=True)
            self._bus.publish(T_ORDERS_CHANGED, structs.replace(order, ts=self._board.now, terms=terms))
        else:
            self._bus.publish(
                T_ORDERS_SANITIZED,
                SanitizedReduceOnly(ts=self._board.now, order_id=order.order_id, instrument=order.instrument),
            )

    def _cancel(self, order: SanitizedOrder, reason: Reason) -> None:
        """Send a cancel on; of a part only one, because its slicer and the trader may cancel it at one instant."""
        if order.algo_id and self.open_orders.is_going(order.order_id):
            return
        self._reservations.release(order.order_id)
        self.open_orders.going(order.order_id)
        self._bus.publish(
            T_ORDERS_SANITIZED,
            SanitizedCancel(ts=self._board.now, order_id=order.order_id, instrument=order.instrument, reason=reason),
        )

    def _refuse(self, intent: AnyIntent | TransferIntent, refusal: Refusal) -> None:
        self._bus.publish(
            T_ORDERS_REJECTED,
            OrderRejected(
                ts=self._board.now,
                who="risk",
                reason=refusal.reason,
                instrument=InstrumentId("") if isinstance(intent, TransferIntent) else intent.instrument,
                order_id=intent.order_id if isinstance(intent, CancelIntent) else None,
                tag=intent.tag if isinstance(intent, OrderIntent | TransferIntent) else "",
                client_id=intent.client_id if isinstance(intent, OrderIntent) else "",
                numbers=refusal.numbers,
                algo_id=intent.algo_id if isinstance(intent, OrderIntent) else 0,
                strategy=intent.strategy if isinstance(intent, TransferIntent) else "",
            ),
        )

    # --- what happened -------------------------------------------------------------------------------------------

    def on_rejected(self, rejected: OrderRejected) -> None:
        """Free what an order held that the exchange refused; the order that it should have replaced holds again."""
        if rejected.who == "risk" or rejected.order_id is None or rejected.reason is Reason.UNKNOWN_ORDER:
            return
        refused = self.open_orders.get(rejected.order_id)
        self._end(rejected.order_id)
        old = None if refused is None else self.open_orders.get(refused.replaces)
        if old is not None:
            self.open_orders.stay(old.order_id)
            self._reserve(old)

    def on_changed(self, order: SanitizedOrder) -> None:
        """Know an exit that came to life, or what is left of an order that was cut."""
        self.open_orders.put(order)
        self._reserve(order)

    def on_update(self, update: OrderUpdate) -> None:
        """Free what an order held that ended without a fill."""
        if update.status.ends:
            self._end(update.order_id)

    def on_fill(self, fill: Fill) -> None:
        """Fold a fill; free what its order held when it is complete."""
        self._ledger.apply_fill(fill)
        self.open_orders.filled(fill)
        if fill.leaves_units == 0:
            self._reservations.release(fill.order_id)

    def on_cashflow(self, flow: Cashflow) -> None:
        """Fold money that moved without a trade; a transfer binds nothing any more."""
        self._ledger.apply_cashflow(flow)
        if flow.order_id:
            self._reservations.release(flow.order_id)

    def _end(self, order_id: int) -> None:
        self.open_orders.end(order_id)
        self._reservations.release(order_id)


def _last_id(order: SanitizedOrder) -> int:
    """Return the last id that an order takes: its exits' follow, unless they are those of one that it replaces."""
    return max(order.order_id, order.attached[-1].order_id) if order.attached else order.order_id
