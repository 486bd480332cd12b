"""The simulated exchange: takes sanitized orders, lets them meet the market, and says what happened.

Its rules are the pure functions of `sim`. Where a candle leaves a choice, the choice is against the trader unless the
run declares another.
"""

from collections import Counter
from collections.abc import Mapping

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import (
    AnyOrder,
    Fill,
    Liquidity,
    OrderKind,
    OrderRejected,
    OrderUpdate,
    Reason,
    SanitizedCancel,
    SanitizedOrder,
    Status,
)
from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.market import Expiry, MarketCandle, MarketOpen
from backtester.core.order_terms import TimeInForce
from backtester.core.topics import (
    T_CASHFLOWS,
    T_EXPIRIES,
    T_FILLS,
    T_MARKET,
    T_OPENS,
    T_ORDERS_CHANGED,
    T_ORDERS_REJECTED,
    T_ORDERS_SANITIZED,
    T_ORDERS_UPDATE,
)
from backtester.execution.exits import cut_stop, exits_of, too_small
from backtester.execution.filling import Cashier, ExchangeRules
from backtester.execution.meeting import Meeting
from backtester.execution.orders import State, WorkingOrder
from backtester.sim.matching import stop_is_through
from backtester.sim.paths import middle


class SimulatedExchange:
    """Keeps the book: market orders meet opens, the others meet the path of each candle."""

    def __init__(
        self, rules: ExchangeRules, instruments: Mapping[InstrumentId, Instrument], board: Board, bus: Bus
    ) -> None:
        self.candles_met: Counter[InstrumentId] = Counter()  # by an order that worked since their open
        self.ambiguous_candles: Counter[InstrumentId] = Counter()
        self._rules = rules
        self._instruments = instruments
        self._board = board
        self._bus = bus
        self._cashier = Cashier(rules, instruments, board)
        self._book: dict[InstrumentId, dict[int, WorkingOrder]] = {i: {} for i in instruments}
        self._opens: dict[InstrumentId, MarketOpen] = {}
        self._market = bus.subscribe(T_MARKET, self.on_market)
        self._market.pause()  # until an order works
        bus.subscribe(T_OPENS, self.on_open)
        bus.subscribe(T_EXPIRIES, self.on_expiry)
        bus.subscribe(T_ORDERS_SANITIZED, self.on_order)
        bus.subscribe(T_CASHFLOWS, self._cashier.on_cashflow, type(self).__name__)

    def open_orders(self) -> list[SanitizedOrder]:
        """Return the orders that still work, by id."""
        orders = [w.order for book in self._book.values() for w in book.values()]
        return sorted(orders, key=lambda order: order.order_id)

    # --- orders arrive -------------------------------------------------------------------------------------------

    def on_order(self, order: AnyOrder) -> None:
        """Accept, reject, replace, or take back."""
        if isinstance(order, SanitizedCancel):
            self._on_cancel(order)
            return
        last = self._last_price(order.instrument)
        working = WorkingOrder.of(order, self._board.now + (1 if self._board.after_open else 0))
        replaced = self._book[order.instrument].get(order.replaces)
        if order.replaces and replaced is None:
            self._reject(order, Reason.BAD_REPLACE, {"order_id": str(order.replaces)})
            return
        through = (
            working.waits_for_trigger
            and not working.is_trailing
            and stop_is_through(working.direction, order.stop_price_units, last)
        )
        if through and not self._rules.stop_through_fills:
            self._reject(order, Reason.WOULD_TRIGGER, {"stop": str(order.stop_price)})
            return
        if order.terms.post_only and working.takes_at(last, False):
            self._reject(order, Reason.WOULD_TAKE, {"limit": str(order.limit_price)})
            return
        if replaced is not None:
            self._end(replaced, State.CANCELLED, Reason.REPLACED)
        self._accept(working, last, self._board.now)
        if through:
            self.trigger(working, Reason.WOULD_TRIGGER)
        if not working.waits_for_trigger:
            working.takes_at_open = order.kind.has_limit and working.takes_at(last, False)
            if not order.kind.has_limit or order.terms.at_once:
                self._wait_for_open(working)

    def _accept(self, working: WorkingOrder, price: int, ts: int) -> None:
        """Take an order into the book; price: the last that it knows of, which a trailing stop follows."""
        order = working.order
        working.become(State.WORKING)
        if working.is_trailing:
            working.see(price)
        self._book[order.instrument][order.order_id] = working
        self._cashier.reservations.hold(order.order_id, order.reserve_asset, order.reserve_units, order.oco)
        self._market.resume()
        if order.terms.time_in_force is TimeInForce.GTD:
            self._board.set_expiry(order.terms.good_till)
        self._update(order, Status.ACCEPTED, ts=ts)

    def _wait_for_open(self, working: WorkingOrder) -> None:
        """Let an order execute at the next open; or with its candle, when market orders fill in the middle of it."""
        working.waits_for_open = True
        working.deadline = self._board.now + self._rules.max_wait_us[working.order.instrument]
        if not self._fills_at_mid(working):
            self._board.want_open(working.order.instrument)

    def _fills_at_mid(self, working: WorkingOrder) -> bool:
        return self._rules.market_at_mid and not working.order.kind.has_limit

    def _last_price(self, instrument: InstrumentId) -> int:
        """Return the last price that the exchange has shown: an open of this very tick, else the last close."""
        shown = self._opens.get(instrument)
        if shown is not None and shown.ts == self._board.now:
            return shown.price_units
        return self._board.price_units[instrument]

    def _on_cancel(self, cancel: SanitizedCancel) -> None:
        working = self._book[cancel.instrument].get(cancel.order_id)
        if working is None:
            self._bus.publish(
                T_ORDERS_REJECTED,
                OrderRejected(
                    ts=self._board.now,
                    who="execution",
                    reason=Reason.UNKNOWN_ORDER,
                    instrument=cancel.instrument,
                    order_id=cancel.order_id,
                    tag="",
                    client_id="",
                    numbers={},
                ),
            )
            return
        self._end(working, State.CANCELLED, Reason.REQUESTED)

    # --- the market moves ----------------------------------------------------------------------------------------

    def on_open(self, opened: MarketOpen) -> None:
        """Fill the orders that wait for this open."""
        self._opens[opened.instrument] = opened
        book = self._book[opened.instrument]
        for working in [w for w in book.values() if w.waits_for_open and not self._fills_at_mid(w)]:
            if working.order.order_id not in book:
                continue  # its oco group ended a moment ago
            if opened.ts >= working.deadline:
                self.expire(working, Reason.MAX_WAIT)
            elif working.order.kind.has_limit and not working.takes_at(opened.price_units, self._rules.touch_fills):
                self.expire(working, Reason.NOT_FILLED_AT_ONCE)
            else:
                self.execute(working, opened.price_units, Liquidity.TAKER, opened.ts)

    def on_market(self, candle: MarketCandle) -> None:
        """Let the working orders meet a closed candle."""
        book = self._book[candle.instrument]
        if not book:
            return
        for working in [w for w in book.values() if w.waits_for_open and candle.ts >= w.deadline]:
            if candle.volume <= 0 or not self._fills_at_mid(working):
                self.expire(working, Reason.MAX_WAIT)
        if candle.volume <= 0:
            return
        meeting = Meeting(self, book, candle, path=self._rules.path, touch_fills=self._rules.touch_fills)
        meeting.run()
        self.candles_met[candle.instrument] += meeting.met
        self.ambiguous_candles[candle.instrument] += meeting.ambiguous
        if self._rules.market_at_mid:
            self._fill_at_mid(candle)

    def _fill_at_mid(self, candle: MarketCandle) -> None:
        """Fill the market orders that waited for the middle of this candle, which only its close tells."""
        book = self._book[candle.instrument]
        waiting = [w for w in book.values() if self._fills_at_mid(w) and w.waits_for_open]
        for working in [w for w in waiting if w.accepted <= candle.open_time]:
            if working.order.order_id not in book:
                continue  # its oco group ended a moment ago
            if candle.open_time >= working.deadline:
                self.expire(working, Reason.MAX_WAIT)
            else:
                price = middle(working.sign, candle.high_units, candle.low_units)
                self.execute(working, price, Liquidity.TAKER, candle.ts)

    def on_expiry(self, expiry: Expiry) -> None:
        """End the orders whose time is over."""
        for book in self._book.values():
            for working in [w for w in book.values() if 0 < w.order.terms.good_till <= expiry.ts]:
                self.expire(working, Reason.GOOD_TILL)

    # --- an order executes ---------------------------------------------------------------------------------------

    def trigger(self, working: WorkingOrder, reason: Reason = Reason.NONE) -> None:
        """Let an order enter the market."""
        working.become(State.TRIGGERED)
        working.waits_for_trigger = False
        self._update(working.order, Status.TRIGGERED, reason)

    def execute(self, working: WorkingOrder, price: int, liquidity: Liquidity, ts: int) -> list[WorkingOrder]:
        """Fill an order at a reference price, or end it; return what came to life with the fill and still works."""
        fill = self._cashier.fill(working, price, liquidity, ts)
        if isinstance(fill, Reason):
            self.expire(working, fill)
            return []
        order, book = working.order, self._book[working.order.instrument]
        working.leaves = fill.leaves_units
        if fill.leaves_units:
            working.become(State.PARTLY_FILLED)
            self._bus.publish(T_FILLS, fill)
            self.expire(working, Reason.NOTHING_TO_REDUCE)
        else:
            self._forget(working, State.FILLED)
            self._bus.publish(T_FILLS, fill)
        if order.parent_id and order.kind is OrderKind.LIMIT:
            self._cut_stop(order, fill)
        elif order.oco:
            for sibling in [w for w in book.values() if w.order.oco == order.oco]:
                self._end(sibling, State.CANCELLED, Reason.OCO)
        return self._bring_to_life(order, fill) if order.attached else []

    def _bring_to_life(self, parent: SanitizedOrder, fill: Fill) -> list[WorkingOrder]:
        """Make the exits of an entry that filled; what its price already fills or triggers executes there."""
        spec, price = self._instruments[parent.instrument], fill.reference_price_units
        rules = self._rules.rules[parent.instrument].at(fill.ts)
        exits = [WorkingOrder.of(order, self._board.now) for order in exits_of(parent, fill, spec, rules)]
        for exit_ in exits:
            self._bus.publish(T_ORDERS_CHANGED, exit_.order)
            self._accept(exit_, price, fill.ts)
            refused = too_small(exit_.order, spec, rules, price)
            if refused is not None:
                self.expire(exit_, refused)
        book = self._book[parent.instrument]
        for exit_ in exits:
            if exit_.order.order_id not in book or exit_.is_trailing:
                continue
            if not exit_.waits_for_trigger:
                fires = exit_.takes_at(price, False)
            elif fires := stop_is_through(exit_.direction, exit_.order.stop_price_units, price):
                self.trigger(exit_)
            if fires:
                self.execute(exit_, price, Liquidity.TAKER, fill.ts)
        return [exit_ for exit_ in exits if exit_.order.order_id in book]

    def _cut_stop(self, target: SanitizedOrder, fill: Fill) -> None:
        """Let the stop beside a target protect only what the target left."""
        spec, book = self._instruments[target.instrument], self._book[target.instrument]
        lot = self._rules.rules[target.instrument].at(fill.ts).at_market.lot_units
        for working in [w for w in book.values() if target.oco and w.order.oco == target.oco]:
            if working.order.kind is OrderKind.LIMIT:
                continue
            left = cut_stop(working.order, fill.qty_units, fill.ts, spec, lot)
            if left is None:
                self._end(working, State.CANCELLED, Reason.OCO)
                continue
            working.order, working.leaves = left, left.qty_units
            self._cashier.reservations.hold(left.order_id, left.reserve_asset, left.reserve_units, left.oco)
            self._bus.publish(T_ORDERS_CHANGED, left)

    # --- an order ends -------------------------------------------------------------------------------------------

    def expire(self, working: WorkingOrder, reason: Reason) -> None:
        """End an order for a reason of the exchange's own."""
        self._end(working, State.EXPIRED, reason)

    def _forget(self, working: WorkingOrder, state: State) -> None:
        working.become(state)
        order = working.order
        del self._book[order.instrument][order.order_id]
        self._cashier.reservations.release(order.order_id)
        if working.waits_for_open and not self._fills_at_mid(working):
            self._board.unwant_open(order.instrument)
        if not any(self._book.values()):
            self._market.pause()

    def _end(self, working: WorkingOrder, state: State, reason: Reason) -> None:
        self._forget(working, state)
        self._update(working.order, Status.CANCELLED if state is State.CANCELLED else Status.EXPIRED, reason)

    def _reject(self, order: SanitizedOrder, reason: Reason, numbers: dict[str, str]) -> None:
        self._bus.publish(
            T_ORDERS_REJECTED,
            OrderRejected(
                ts=self._board.now,
                who="execution",
                reason=reason,
                instrument=order.instrument,
                order_id=order.order_id,
                tag=order.tag,
                client_id=order.client_id,
                numbers=numbers,
            ),
        )

    def _update(self, order: SanitizedOrder, status: Status, reason: Reason = Reason.NONE, ts: int = 0) -> None:
        self._bus.publish(
            T_ORDERS_UPDATE,
            OrderUpdate(
                ts=ts or self._board.now,
                order_id=order.order_id,
                instrument=order.instrument,
                status=status,
                reason=reason,
                tag=order.tag,
                client_id=order.client_id,
            ),
        )
