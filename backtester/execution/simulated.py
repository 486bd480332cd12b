"""The simulated exchange: takes sanitized orders, lets them meet the market, and says what happened.

Its rules are the pure functions of `sim`. Where a candle leaves a choice, the choice is against the trader unless the
run declares another.
"""

from collections.abc import Mapping

from backtester.core.board import NEVER, Board
from backtester.core.bus import Bus
from backtester.core.events import (
    Fill,
    Liquidity,
    OrderUpdate,
    Reason,
    SanitizedOrder,
    Side,
    Status,
)
from backtester.core.folds import Ledger
from backtester.core.funds import remaining
from backtester.core.instruments import Instrument, InstrumentId, for_sides
from backtester.core.market import Expiry, MarketCandle, MarketOpen, MarketTrade
from backtester.core.order_terms import TimeInForce
from backtester.core.topics import (
    T_CASHFLOWS,
    T_EXPIRIES,
    T_FILLS,
    T_MARK,
    T_MARKET,
    T_OPENS,
    T_ORDERS_CHANGED,
    T_ORDERS_UPDATE,
)
from backtester.execution.arrivals import Arrivals
from backtester.execution.brackets import Brackets
from backtester.execution.candles import Candles
from backtester.execution.conditions import MarketMemory
from backtester.execution.crossing import pairs
from backtester.execution.exchange_rules import ExchangeRules
from backtester.execution.exits import brought_by
from backtester.execution.filling import Cashier
from backtester.execution.forced_orders import forced_order
from backtester.execution.liquidation import Liquidator
from backtester.execution.margin_desk import MarginDesk
from backtester.execution.mark_triggers import MarkTriggers
from backtester.execution.option_desk import OptionDesk
from backtester.execution.orders import State, WorkingOrder
from backtester.execution.participation import Participation
from backtester.execution.pool import Pool
from backtester.execution.shown_prices import ShownPrices
from backtester.execution.tape import Tape
from backtester.execution.transfers import TransferDesk
from backtester.execution.waiting import Waiting
from backtester.sim.paths import OPTIMISTIC


class SimulatedExchange:
    """Keeps the book: market orders meet opens, the others meet the path of each candle."""

    def __init__(
        self,
        rules: ExchangeRules,
        instruments: Mapping[InstrumentId, Instrument],
        board: Board,
        bus: Bus,
        memory: MarketMemory | None = None,
    ) -> None:
        """Wire the component; memory: what slippage and impact look at, None when they are fixed rates."""
        self._rules = rules
        self._forced = 0
        self._instruments = instruments
        self._board = board
        self._bus = bus
        self._cashier = Cashier(rules, instruments, board, memory)
        self._waiting = Waiting(rules, board)
        self._prices = ShownPrices(instruments, board, triggers_on_mark=rules.triggers_on_mark)
        books: dict[InstrumentId, dict[int, WorkingOrder]] = {s.listed: {} for s in instruments.values()}
        self._books = list(books.values())
        self._book = for_sides(instruments, books)  # one for both sides: they meet one market
        self._participation = Participation(rules.participation, instruments)
        self.candles = Candles(self, rules, self._book, self._participation, self._waiting)
        self._brackets = Brackets(self, self._book, rules, instruments, board, bus)
        self._tape = Tape(
            self,
            board,
            share=rules.participation,
            touch_fills=rules.touch_fills,
            watches=not rules.triggers_on_mark,
            quote_age_us=rules.max_wait_us,
        )
        transfers = TransferDesk(self.ledger, self._cashier.reservations, board, bus)
        bus.subscribe(T_CASHFLOWS, self._cashier.on_cashflow, type(self).__name__)
        bus.subscribe(T_CASHFLOWS, transfers.on_cashflow)
        self.margin_desk = MarginDesk(self.ledger, rules.brackets, self._cashier.free_for, board, bus)
        # before the orders: the worse of a candle comes first
        self.liquidator = Liquidator(self, rules, self.ledger, board, bus) if rules.brackets else None
        self._market = bus.subscribe(T_MARKET, self.on_market)
        self._market.pause()  # until an order works
        self.desk = None
        if rules.options is not None:
            self.desk = OptionDesk(self, rules.options, self.ledger, self._book, board, bus)
        bus.subscribe(T_OPENS, self.on_open)
        bus.subscribe(T_EXPIRIES, self.on_expiry)
        self._arrivals = Arrivals(
            self,
            rules,
            instruments,
            self._book,
            self._prices,
            self._cashier.is_warm,
            self.margin_desk,
            transfers,
            board,
            bus,
        )
        self.mark_triggers = MarkTriggers(self, self._book, instruments, self._prices, path=rules.path)
        if rules.triggers_on_mark:
            bus.subscribe(T_MARK, self.mark_triggers.on_mark)

    @property
    def fills_before_warm(self) -> int:
        """How many fills were priced before slippage and impact knew all that they look at."""
        return self._cashier.fills_before_warm

    @property
    def ledger(self) -> Ledger:
        """The exchange's own view of the account, for those who only read it."""
        return self._cashier.ledger

    def taker_rate(self, instrument: InstrumentId, ts: int) -> int:
        """Return the fee rate (1e-8) of taking liquidity at a time."""
        return self._cashier.taker_rate(instrument, ts)

    def open_orders(self) -> list[SanitizedOrder]:
        """Return the orders that still work or are on their way, by id."""
        orders = [w.order for book in self._books for w in book.values()]
        return sorted(orders + self._arrivals.on_the_way(), key=lambda order: order.order_id)

    # --- orders enter --------------------------------------------------------------------------------------------

    def enter(self, working: WorkingOrder, last: int) -> None:
        """Let an order into the market, between two trades: what takes waits for what trades next, else it rests."""
        order = working.order
        if self.desk is not None and self._instruments[order.instrument].is_option:
            self.desk.join(working)
            return
        self._board.wake(order.listed)
        working.takes_at_open = order.kind.has_limit and self.takes(working, last)
        if order.kind.has_limit and self._prices.open_is_shown(order.listed) and working.takes_at(last, True):
            working.accepted = self._board.now + 1  # nobody takes an open that he knows: it waits for the next one
        if not order.kind.has_limit or order.terms.at_once:
            self._waiting.begin(working)
        elif order.instrument in self._rules.tapes:
            self._tape.join(working, last)

    def takes(self, working: WorkingOrder, last: int) -> bool:
        """Say whether an order would execute at once; last: the last price that was shown."""
        if self.desk is not None and self._instruments[working.order.instrument].is_option:
            return self.desk.takes(working)
        if working.order.instrument in self._rules.tapes:
            return self._tape.takes(working, last)
        return working.takes_at(last, False)

    def accept(self, working: WorkingOrder, price: int, ts: int) -> None:
        """Take an order into the book; price: the last that it knows of, which a trailing stop follows."""
        order = working.order
        working.become(State.WORKING)
        if working.is_trailing:
            working.see(price)
        self._book[order.instrument][order.order_id] = working
        self._cashier.reservations.hold(order.order_id, order.reserved, order.reserve_units, order.oco)
        self._market.resume()
        self._board.wake(order.listed)
        if order.terms.time_in_force is TimeInForce.GTD:
            self._board.set_expiry(order.terms.good_till)
        self._update(order, Status.ACCEPTED, ts=ts)

    # --- the market moves ----------------------------------------------------------------------------------------

    def on_open(self, opened: MarketOpen) -> None:
        """Fill the orders that wait for this open."""
        self._prices.open(opened)
        book = self._book[opened.instrument]
        waiting = [w for w in book.values() if w.waits_for_open and not self._waiting.fills_at_mid(w)]
        pool = self._participation.at_open(opened)
        if self._rules.crosses:
            self._cross([w for w in waiting if opened.ts < w.deadline], opened, pool)
        for working in waiting:
            if working.order.order_id not in book:
                continue  # its oco group ended a moment ago
            if opened.ts >= working.deadline:
                self.expire(working, Reason.MAX_WAIT)
            elif working.order.kind.has_limit and not working.takes_at(opened.price_units, self._rules.touch_fills):
                self.expire(working, Reason.NOT_FILLED_AT_ONCE)
            else:
                self.execute(working, opened.price_units, Liquidity.TAKER, opened.ts, pool)

    def _cross(self, waiting: list[WorkingOrder], opened: MarketOpen, pool: Pool) -> None:
        """Let market orders of different strategies meet each other at an open; what is left goes to the market, unless
        it is less than the venue takes.
        """
        book = self._book[opened.instrument]
        met: dict[int, WorkingOrder] = {}
        for buy, sell in pairs(waiting):
            if buy.order.order_id in book and sell.order.order_id in book:
                fills = self._cashier.crossed(buy, sell, opened.price_units, opened.ts)
                for working, fill in zip((buy, sell), fills or (), strict=False):
                    self._executed(working, fill, pool, waits=False)
                    met[working.order.order_id] = working
        for working in met.values():
            if working.order.order_id in book:
                refused = self._cashier.rest_refused(working.order, opened.price_units, opened.ts)
                if refused is not None:
                    self.expire(working, refused)

    def on_market(self, market: MarketCandle | MarketTrade) -> None:
        """Let the working orders meet a closed candle, or a trade."""
        book = self._book[market.instrument]
        if isinstance(market, MarketTrade):
            self._tape.meet(book, market)
        elif book:
            self.candles.meet(market)

    def on_expiry(self, expiry: Expiry) -> None:
        """Let in what has arrived, and end the orders whose time is over."""
        self._arrivals.let_in(expiry.ts)
        for book in self._books:
            for working in [w for w in book.values() if 0 < w.order.terms.good_till <= expiry.ts]:
                self.expire(working, Reason.GOOD_TILL)

    # --- an order executes ---------------------------------------------------------------------------------------

    def trigger(self, working: WorkingOrder, reason: Reason = Reason.NONE) -> None:
        """Let an order enter the market."""
        working.become(State.TRIGGERED)
        working.waits_for_trigger = False
        self._update(working.order, Status.TRIGGERED, reason)
        self._brackets.end_entry_of(working.order)

    def execute(
        self, working: WorkingOrder, price: int, liquidity: Liquidity, ts: int, pool: Pool
    ) -> list[WorkingOrder]:
        """Fill an order at a reference price as far as the pool reaches, or end it.

        Returns:
            What came to life with the fill and still works.
        """
        fill = self._cashier.fill(working, price, liquidity, ts, pool)
        if fill is None:
            self._waiting.go_on(working)
            return []
        if isinstance(fill, Reason):
            self.expire(working, fill)
            return []
        return self._executed(working, fill, pool)

    def execute_together(self, legs: list[tuple[WorkingOrder, int, Pool]], ts: int) -> Reason | None:
        """Fill all legs of a combination whole at their prices, or none of them; return why none."""
        fills = self._cashier.fill_all(legs, ts)
        if isinstance(fills, Reason):
            return fills
        for (working, _, pool), fill in zip(legs, fills, strict=True):
            self._executed(working, fill, pool)
        return None

    def _executed(self, working: WorkingOrder, fill: Fill, pool: Pool, *, waits: bool = True) -> list[WorkingOrder]:
        """Make known what was filled, and what follows from it; return what came to life and still works.

        waits: what is left waits for what trades next; else it meets more of this very moment.
        """
        order, spec = working.order, self._instruments[fill.instrument]
        before = working.brought
        working.brought += brought_by(fill, spec)
        if fill.leaves_units:
            working.become(State.PARTLY_FILLED)
        else:
            self._forget(working, State.FILLED)
        self._bus.publish(T_FILLS, fill)
        if fill.leaves_units:
            self.change(working, remaining(order, fill, spec))
        self._brackets.executed(order, fill)
        born = []
        if order.attached:
            watched = self._prices.watched(spec.listed, fill.reference_price_units)
            born = self._brackets.bring_to_life(working, fill, before, watched, pool)
        if waits and order.order_id in self._book[order.instrument]:
            self._go_on(working, fill.ts)
        if self.candles.now is not None and self.liquidator is not None and spec.is_margined:
            self._judge_entry(fill)
            born = [w for w in born if w.order.order_id in self._book[order.instrument]]
        return born

    def _judge_entry(self, fill: Fill) -> None:
        """Let a position that grew within a candle be judged by what of it may still have come."""
        assert self.candles.now is not None
        assert self.liquidator is not None
        meeting, candle = self.candles.now
        if self.ledger.position(fill.instrument).qty_units * fill.side.sign > 0:
            at_best = self._rules.path == OPTIMISTIC
            self.liquidator.judge_entry(fill.instrument, candle, meeting.ahead, by_marks=not at_best)

    def _go_on(self, working: WorkingOrder, ts: int) -> None:
        """Let an order that filled in part wait for what trades next, unless it may not or has nothing left to do."""
        order = working.order
        if order.terms.at_once:
            self.expire(working, Reason.NOT_FILLED_AT_ONCE)
        elif order.terms.only_reduces and not self._cashier.reducible(order, ts):
            self.expire(working, Reason.NOTHING_TO_REDUCE)
        elif working.waits_for_open:
            self._waiting.again(working)
        else:
            self._waiting.go_on(working)

    def rest(self, instrument: InstrumentId) -> None:
        """Hear of no trade in an instrument while no order works there."""
        if not self._book[instrument]:
            self._board.sleep(instrument, -1, NEVER)

    def change(self, working: WorkingOrder, order: SanitizedOrder) -> None:
        """Put a changed order in the place of a working one, and say so."""
        working.order = order
        self._cashier.reservations.hold(order.order_id, order.reserved, order.reserve_units, order.oco)
        self._bus.publish(T_ORDERS_CHANGED, order)

    def cancel(self, working: WorkingOrder, reason: Reason = Reason.OCO) -> None:
        """End an order because another of its group, or of its bracket, executed; or for a reason of the trader's."""
        self._end(working, State.CANCELLED, reason)

    # --- the exchange closes a position ---------------------------------------------------------------------------

    def withdraw(self, instrument: InstrumentId, reason: Reason, candle: MarketCandle | None = None) -> None:
        """Take back all working orders of an instrument that is liquidated or settled; candle: along which it is
        liquidated.
        """
        book = self._book[instrument]
        if candle is not None:
            self.candles.liquidated(instrument, candle)
        for working in [w for w in book.values() if w.order.instrument == instrument]:
            if working.order.order_id in book:
                self._end(working, State.CANCELLED, reason)

    def force(self, spec: Instrument, side: Side, qty: int, price: int, fee: int, ts: int, tag: str) -> Fill:
        """Close a part of a position by an order of the exchange's own; such orders count down from -1."""
        self._forced -= 1
        order = forced_order(spec, side, qty, self._forced, tag, ts)
        self._bus.publish(T_ORDERS_CHANGED, order)
        fill = self._cashier.forced(order, qty, price, fee, ts)
        self._bus.publish(T_FILLS, fill)
        return fill

    # --- an order ends -------------------------------------------------------------------------------------------

    def expire(self, working: WorkingOrder, reason: Reason) -> None:
        """End an order for a reason of the exchange's own."""
        self._end(working, State.EXPIRED, reason)

    def _forget(self, working: WorkingOrder, state: State) -> None:
        working.become(state)
        order = working.order
        del self._book[order.instrument][order.order_id]
        self._cashier.reservations.release(order.order_id)
        self._waiting.end(working)
        if not any(self._books):
            self._market.pause()

    def _end(self, working: WorkingOrder, state: State, reason: Reason) -> None:
        self._forget(working, state)
        self._update(working.order, Status.CANCELLED if state is State.CANCELLED else Status.EXPIRED, reason)
        if working.order.combo_id and self.desk is not None:
            for leg in self.desk.legs_of(working.order.combo_id):
                if leg.order.order_id in self._book[leg.order.instrument]:
                    self._end(leg, state, reason)
        if working.order.attached and working.brought:
            self._brackets.end_unborn(working, self._prices.last(working.order.listed))

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
