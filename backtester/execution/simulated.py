"""The simulated exchange: takes sanitized orders, lets them meet the market, and says what happened.

Its rules are the pure functions of `sim`. Where a candle leaves a choice, the choice is against the trader unless the
run declares another.
"""

from collections import Counter
from collections.abc import Mapping

from msgspec import structs

from backtester.core.board import NEVER, Board
from backtester.core.bus import Bus
from backtester.core.events import (
    Fill,
    Liquidity,
    OrderKind,
    OrderRejected,
    OrderUpdate,
    Reason,
    SanitizedCancel,
    SanitizedOrder,
    SanitizedReduceOnly,
    Side,
    Status,
)
from backtester.core.folds import Ledger
from backtester.core.funds import left_to_replace, remaining
from backtester.core.instruments import Instrument, InstrumentId, for_sides, is_one_strategy
from backtester.core.market import Expiry, MarketCandle, MarketOpen, MarketTrade, MarkPrice
from backtester.core.order_terms import Terms, TimeInForce
from backtester.core.time import timeframe_us
from backtester.core.topics import (
    T_CASHFLOWS,
    T_EXPIRIES,
    T_FILLS,
    T_MARGIN_SANITIZED,
    T_MARK,
    T_MARKET,
    T_OPENS,
    T_ORDERS_CHANGED,
    T_ORDERS_REJECTED,
    T_ORDERS_SANITIZED,
    T_ORDERS_UPDATE,
    T_TRANSFERS,
)
from backtester.core.transfer_events import Transfer
from backtester.execution.brackets import Brackets
from backtester.execution.conditions import MarketMemory
from backtester.execution.crossing import pairs
from backtester.execution.exits import brought_by
from backtester.execution.filling import Cashier, ExchangeRules
from backtester.execution.latency import InFlight, Sent
from backtester.execution.liquidation import Liquidator
from backtester.execution.margin_desk import MarginDesk
from backtester.execution.meeting import Meeting
from backtester.execution.option_desk import OptionDesk
from backtester.execution.orders import State, WorkingOrder
from backtester.execution.participation import Participation
from backtester.execution.pool import Pool
from backtester.execution.tape import Tape
from backtester.execution.transfers import TransferDesk
from backtester.sim.matching import NO_FILL, stop_is_through
from backtester.sim.paths import OPTIMISTIC, PESSIMISTIC, middle


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
        self.candles_met: Counter[InstrumentId] = Counter()  # by an order that worked since their open
        self.ambiguous_candles: Counter[InstrumentId] = Counter()
        self.ambiguous_marks = 0  # mark candles that may or may not have triggered an order that came within them
        self._rules = rules
        self._meeting: tuple[Meeting, MarketCandle] | None = None  # while orders meet a candle
        self._forced = 0
        self._instruments = instruments
        self._board = board
        self._bus = bus
        self._cashier = Cashier(rules, instruments, board, memory)
        self._in_flight = InFlight(rules.delays, rules.seed)
        self._replaced: dict[int, SanitizedOrder] = {}  # by id of a replacement on its way: the order as it was then
        self._marks: dict[InstrumentId, int] = {}
        books: dict[InstrumentId, dict[int, WorkingOrder]] = {s.listed: {} for s in instruments.values()}
        self._books = list(books.values())
        self._book = for_sides(instruments, books)  # one for both sides: they meet one market
        self._opens: dict[InstrumentId, MarketOpen] = {}
        self._participation = Participation(rules.participation, instruments)
        self._brackets = Brackets(self, self._book, rules, instruments, board, bus)
        self._tape = Tape(
            self,
            board,
            share=rules.participation,
            touch_fills=rules.touch_fills,
            watches=not rules.triggers_on_mark,
            quote_age_us=rules.max_wait_us,
        )
        self._transfers = TransferDesk(self.ledger, self._cashier.reservations, board, bus)
        bus.subscribe(T_CASHFLOWS, self._cashier.on_cashflow, type(self).__name__)
        bus.subscribe(T_CASHFLOWS, self._transfers.on_cashflow)
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
        bus.subscribe(T_ORDERS_SANITIZED, self.on_order)
        bus.subscribe(T_MARGIN_SANITIZED, self.on_order)
        bus.subscribe(T_TRANSFERS, self.on_order)
        if rules.triggers_on_mark:
            bus.subscribe(T_MARK, self.on_mark)

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
        orders += [order for order in self._in_flight.orders() if isinstance(order, SanitizedOrder)]
        return sorted(orders, key=lambda order: order.order_id)

    # --- orders arrive -------------------------------------------------------------------------------------------

    def on_order(self, order: Sent) -> None:
        """Let an order, a cancel, a wish or a transfer travel, or arrive at once."""
        arrives = self._in_flight.send(order, self._board.now)
        if arrives > self._board.now:
            self._board.set_expiry(arrives)
            if isinstance(order, SanitizedOrder) and order.replaces:
                found = [o for o in self.open_orders() if o.order_id == order.replaces]
                self._replaced.update((order.order_id, old) for old in found)
        else:
            self._arrive(order)

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
            self.margin_desk.judge(order, len(own))

    def _admit(self, order: SanitizedOrder) -> None:
        """Accept an order, reject it, or put it in the place of another."""
        decided, asked = self._replaced.pop(order.order_id, None), order
        last, watched = self._last_price(order.listed), self._watched_price(order.listed)
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
        if order.terms.post_only and self._takes(working, last):
            self._reject(order, Reason.WOULD_TAKE, {"limit": str(order.limit_price)})
            return
        if (unready := self._unready(order)) is not None:
            self._reject(order, unready, {})
            return
        if replaced is not None:
            self._end(replaced, State.CANCELLED, Reason.REPLACED)
        self.accept(working, watched, self._board.now)
        if order is not asked:
            self._bus.publish(T_ORDERS_CHANGED, order)
        if through:
            self.trigger(working, Reason.WOULD_TRIGGER)
        if not working.waits_for_trigger:
            self.enter(working, last)

    def _unready(self, order: SanitizedOrder) -> Reason | None:
        """Return why an order comes too early, or too late."""
        spec = self._instruments[order.instrument]
        if 0 < spec.expiry <= self._board.now:
            return Reason.CONTRACT_EXPIRED
        if self._rules.strict and not spec.is_option and not self._cashier.is_warm(order.instrument):
            return Reason.MODEL_NOT_READY
        return None

    def enter(self, working: WorkingOrder, last: int) -> None:
        """Let an order into the market, between two trades: what takes waits for what trades next, else it rests."""
        order = working.order
        if self.desk is not None and self._instruments[order.instrument].is_option:
            self.desk.join(working)
            return
        self._board.wake(order.listed)
        working.takes_at_open = order.kind.has_limit and self._takes(working, last)
        if order.kind.has_limit and self._open_is_shown(order.listed) and working.takes_at(last, True):
            working.accepted = self._board.now + 1  # nobody takes an open that he knows: it waits for the next one
        if not order.kind.has_limit or order.terms.at_once:
            self._wait_for_open(working)
        elif order.instrument in self._rules.tapes:
            self._tape.join(working, last)

    def _takes(self, working: WorkingOrder, last: int) -> bool:
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

    def _wait_for_open(self, working: WorkingOrder) -> None:
        """Let an order execute at the next open; or with its candle, when market orders fill in the middle of it."""
        working.waits_for_open = True
        working.deadline = self._board.now + self._rules.max_wait_us[working.order.instrument]
        if self._wants_open(working):
            self._board.want_open(working.order.listed)

    def _wants_open(self, working: WorkingOrder) -> bool:
        return not self._fills_at_mid(working) and working.order.instrument not in self._rules.tapes

    def _fills_at_mid(self, working: WorkingOrder) -> bool:
        on_tape = working.order.instrument in self._rules.tapes
        return self._rules.market_at_mid and not working.order.kind.has_limit and not on_tape

    def _last_price(self, instrument: InstrumentId) -> int:
        """Return the last price that the exchange has shown: an open of this very tick, else the last close."""
        if self._open_is_shown(instrument):
            return self._opens[instrument].price_units
        if self._instruments[instrument].is_option:
            return 0  # an option has quotes, and no last price
        return self._board.price_units[instrument]

    def _open_is_shown(self, instrument: InstrumentId) -> bool:
        shown = self._opens.get(instrument)
        return shown is not None and shown.ts == self._board.now

    def _watched_price(self, instrument: InstrumentId) -> int:
        """Return the last price that triggers look at; before the first mark, the last that was traded."""
        last = self._last_price(instrument)
        return self._marks.get(instrument, last) if self._rules.triggers_on_mark else last

    def _on_cancel(self, cancel: SanitizedCancel) -> None:
        working = self._book[cancel.instrument].get(cancel.order_id)
        if working is None:
            self._reject(cancel, Reason.UNKNOWN_ORDER, {})
            return
        self._end(working, State.CANCELLED, cancel.reason or Reason.REQUESTED)

    def _on_reduce_only(self, wanted: SanitizedReduceOnly) -> None:
        """Let an order only reduce from now on, unless it ended on the way; on futures it binds nothing any more."""
        working = self._book[wanted.instrument].get(wanted.order_id)
        if working is not None:
            order, spot = working.order, self._instruments[wanted.instrument].is_spot
            terms = structs.replace(order.terms, reduce_only=True)
            reserve = order.reserve_units if spot else 0
            self.change(working, structs.replace(order, ts=self._board.now, terms=terms, reserve_units=reserve))

    # --- the market moves ----------------------------------------------------------------------------------------

    def on_open(self, opened: MarketOpen) -> None:
        """Fill the orders that wait for this open."""
        self._opens[opened.instrument] = opened
        book = self._book[opened.instrument]
        waiting = [w for w in book.values() if w.waits_for_open and not self._fills_at_mid(w)]
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
        """Let market orders of different strategies meet each other at an open; what is left goes to the market."""
        book = self._book[opened.instrument]
        for buy, sell in pairs(waiting):
            if buy.order.order_id in book and sell.order.order_id in book:
                fills = self._cashier.crossed(buy, sell, opened.price_units, opened.ts)
                for working, fill in zip((buy, sell), fills or (), strict=False):
                    self._executed(working, fill, pool, waits=False)

    def on_market(self, market: MarketCandle | MarketTrade) -> None:
        """Let the working orders meet a closed candle, or a trade."""
        book = self._book[market.instrument]
        if isinstance(market, MarketTrade):
            self._tape.meet(book, market)
        elif book:
            self._meet_candle(book, market)

    def _meet_candle(self, book: dict[int, WorkingOrder], candle: MarketCandle) -> None:
        for working in [w for w in book.values() if w.waits_for_open and candle.ts >= w.deadline]:
            if candle.volume <= 0 or not self._fills_at_mid(working):
                self.expire(working, Reason.MAX_WAIT)
        if candle.volume <= 0:
            return
        pool = self._participation.along(candle)
        rules = self._rules
        meeting = Meeting(
            self,
            book,
            candle,
            pool,
            path=rules.path,
            touch_fills=rules.touch_fills,
            watches=not rules.triggers_on_mark,
        )
        self._meeting = meeting, candle
        meeting.run()
        if rules.market_at_mid:
            self._fill_at_mid(candle, pool, meeting)
        self._meeting = None
        self.candles_met[candle.instrument] += meeting.met
        self.ambiguous_candles[candle.instrument] += meeting.ambiguous

    def _fill_at_mid(self, candle: MarketCandle, pool: Pool, meeting: Meeting) -> None:
        """Fill the market orders that waited for the middle of this candle, which only its close tells."""
        at_best = self._rules.path == OPTIMISTIC
        meeting.ahead = (candle.close_units,) * 2 if at_best else (candle.low_units, candle.high_units)
        book = self._book[candle.instrument]
        waiting = [w for w in book.values() if self._fills_at_mid(w) and w.waits_for_open]
        for working in [w for w in waiting if w.accepted <= candle.open_time]:
            if working.order.order_id not in book:
                continue  # its oco group ended a moment ago
            if candle.open_time >= working.deadline:
                self.expire(working, Reason.MAX_WAIT)
            else:
                price = middle(working.sign, candle.high_units, candle.low_units)
                meeting.live_from(self.execute(working, price, Liquidity.TAKER, candle.ts, pool), price)

    def on_mark(self, mark: MarkPrice) -> None:
        """Trigger what the mark price reached; it executes at what trades next, for which price was traded within the
        span of a mark nobody knows.
        """
        spec = self._instruments.get(mark.instrument)
        if spec is None:
            return
        open_, high, low, price = (
            round(p * 10**spec.scale.price) for p in (mark.open, mark.high, mark.low, mark.price)
        )
        self._marks[spec.id] = price
        began, book = mark.ts - timeframe_us(mark.timeframe), self._book[spec.id]
        for working in [w for w in book.values() if w.waits_for_trigger]:
            if working.order.order_id not in book:
                continue  # its oco group ended a moment ago
            late = working.accepted > began
            if late:
                fires = self._mark_fires_late(working, high, low, price)
            else:
                fires = working.met_at(open_, high, low, True) != NO_FILL
            if fires:
                self.trigger(working)
                self.enter(working, self._last_price(spec.id))
            elif working.is_trailing:
                working.see(price if late else high if working.sign < 0 else low)

    def _mark_fires_late(self, working: WorkingOrder, high: int, low: int, close: int) -> bool:
        """Say whether a mark candle triggers an order that came within it: its close does; what lies between only on
        the pessimistic path, and only against the trader.
        """
        surely = working.met_at(close, close, close, True) != NO_FILL
        reached = surely or working.met_at(working.peak or close, high, low, True) != NO_FILL
        self.ambiguous_marks += reached != surely
        harmful = self._rules.path == PESSIMISTIC and not working.favours_trader
        return reached if harmful else surely

    def on_expiry(self, expiry: Expiry) -> None:
        """Let in what has arrived, and end the orders whose time is over."""
        for order in self._in_flight.arrived(expiry.ts):
            self._arrive(order)
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
            self._keep_in_market(working)
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
            price = fill.reference_price_units
            watched = self._marks.get(spec.listed, price) if self._rules.triggers_on_mark else price
            born = self._brackets.bring_to_life(working, fill, before, watched, pool)
        if waits and order.order_id in self._book[order.instrument]:
            self._go_on(working, fill.ts)
        if self._meeting is not None and self.liquidator is not None and spec.is_margined:
            self._judge_entry(fill)
            born = [w for w in born if w.order.order_id in self._book[order.instrument]]
        return born

    def _judge_entry(self, fill: Fill) -> None:
        """Let a position that grew within a candle be judged by what of it may still have come."""
        assert self._meeting is not None
        assert self.liquidator is not None
        meeting, candle = self._meeting
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
            self._wait_anew(working)
        else:
            self._keep_in_market(working)

    def rest(self, instrument: InstrumentId) -> None:
        """Hear of no trade in an instrument while no order works there."""
        if not self._book[instrument]:
            self._board.sleep(instrument, -1, NEVER)

    def _keep_in_market(self, working: WorkingOrder) -> None:
        """Let what triggered and found too little go on as what it is now: a market order, unless it has a limit."""
        if not working.order.limit_price_units and not working.waits_for_open:
            self._wait_for_open(working)
            self._wait_anew(working)

    def _wait_anew(self, working: WorkingOrder) -> None:
        """Begin the wait again after a part: the next open is the first that counts, or the middle of its candle."""
        working.deadline = self._board.now + self._rules.max_wait_us[working.order.instrument]
        if not self._fills_at_mid(working):
            working.deadline += 1

    def change(self, working: WorkingOrder, order: SanitizedOrder) -> None:
        """Put a changed order in the place of a working one, and say so."""
        working.order = order
        self._cashier.reservations.hold(order.order_id, order.reserved, order.reserve_units, order.oco)
        self._bus.publish(T_ORDERS_CHANGED, order)

    def cancel(self, working: WorkingOrder) -> None:
        """End an order because another of its group, or of its bracket, executed."""
        self._end(working, State.CANCELLED, Reason.OCO)

    # --- the exchange closes a position ---------------------------------------------------------------------------

    def withdraw(self, instrument: InstrumentId, reason: Reason, candle: MarketCandle | None = None) -> None:
        """Take back all working orders of an instrument that is liquidated or settled; candle: along which it is
        liquidated. Whether a stop that it reaches as well would have come first nobody knows.
        """
        book = self._book[instrument]
        if candle is not None:
            path = (candle.open_units, candle.high_units, candle.low_units)
            own = [w for w in book.values() if w.order.instrument == instrument]
            there = [w for w in own if w.waits_for_trigger and w.accepted <= candle.open_time]
            if self._meeting is not None:
                self._meeting[0].ambiguous = True
            elif any(w.met_at(*path, True) != NO_FILL for w in there):
                self.candles_met[instrument] += 1
                self.ambiguous_candles[instrument] += 1
        for working in [w for w in book.values() if w.order.instrument == instrument]:
            if working.order.order_id in book:
                self._end(working, State.CANCELLED, reason)

    def force(self, spec: Instrument, side: Side, qty: int, price: int, fee: int, ts: int, tag: str) -> Fill:
        """Close a part of a position by an order of the exchange's own; such orders count down from -1."""
        self._forced -= 1
        order = SanitizedOrder(
            ts=ts,
            order_id=self._forced,
            instrument=spec.id,
            kind=OrderKind.MARKET,
            side=side,
            qty_units=qty,
            budget_units=0,
            limit_price_units=0,
            stop_price_units=0,
            reserve_asset=spec.settle,
            reserve_units=0,
            tag=tag,
            oco="",
            terms=Terms(reduce_only=True),
            scale=spec.scale,
        )
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
        if working.waits_for_open and self._wants_open(working):
            self._board.unwant_open(order.listed)
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
            self._brackets.end_unborn(working, self._last_price(working.order.listed))

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
