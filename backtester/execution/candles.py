"""Working orders and closed candles: which of them meet, and in how many the run assumed what came first."""

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from backtester.core.events import Liquidity, Reason
from backtester.core.instruments import InstrumentId
from backtester.core.market import MarketCandle
from backtester.execution.exchange_rules import ExchangeRules
from backtester.execution.meeting import Meeting
from backtester.execution.orders import WorkingOrder
from backtester.execution.participation import Participation
from backtester.execution.pool import Pool
from backtester.execution.waiting import Waiting
from backtester.sim.matching import NO_FILL
from backtester.sim.paths import OPTIMISTIC, middle


class Exchange(Protocol):
    """What a candle does to orders."""

    def trigger(self, working: WorkingOrder) -> None:
        """Let an order enter the market."""

    def execute(
        self, working: WorkingOrder, price: int, liquidity: Liquidity, ts: int, pool: Pool
    ) -> list[WorkingOrder]:
        """Fill an order as far as the pool reaches, or end it; return what came to life and still works."""

    def expire(self, working: WorkingOrder, reason: Reason) -> None:
        """End an order."""


class Candles:
    """Lets orders meet candles: along the path, then in the middle where market orders fill there.

    met: candles by an order that worked since their open. ambiguous: of those, where another path might have ended
    otherwise. now: the meeting that goes on, with its candle.
    """

    def __init__(
        self,
        exchange: Exchange,
        rules: ExchangeRules,
        book: Mapping[InstrumentId, Mapping[int, WorkingOrder]],
        participation: Participation,
        waiting: Waiting,
    ) -> None:
        self.met: Counter[InstrumentId] = Counter()
        self.ambiguous: Counter[InstrumentId] = Counter()
        self.now: tuple[Meeting, MarketCandle] | None = None
        self._exchange = exchange
        self._rules = rules
        self._book = book
        self._participation = participation
        self._waiting = waiting

    def meet(self, candle: MarketCandle) -> None:
        """Let the orders of an instrument meet a candle of it; some work."""
        book = self._book[candle.instrument]
        for working in [w for w in book.values() if w.waits_for_open and candle.ts >= w.deadline]:
            if candle.volume <= 0 or not self._waiting.fills_at_mid(working):
                self._exchange.expire(working, Reason.MAX_WAIT)
        if candle.volume <= 0:
            return
        pool = self._participation.along(candle)
        rules = self._rules
        meeting = Meeting(
            self._exchange,
            book,
            candle,
            pool,
            path=rules.path,
            touch_fills=rules.touch_fills,
            watches=not rules.triggers_on_mark,
        )
        self.now = meeting, candle
        meeting.run()
        if rules.market_at_mid:
            self._fill_at_mid(candle, pool, meeting)
        self.now = None
        self.met[candle.instrument] += meeting.met
        self.ambiguous[candle.instrument] += meeting.ambiguous

    def _fill_at_mid(self, candle: MarketCandle, pool: Pool, meeting: Meeting) -> None:
        """Fill the market orders that waited for the middle of this candle, which only its close tells."""
        at_best = self._rules.path == OPTIMISTIC
        meeting.ahead = (candle.close_units,) * 2 if at_best else (candle.low_units, candle.high_units)
        book = self._book[candle.instrument]
        waiting = [w for w in book.values() if self._waiting.fills_at_mid(w) and w.waits_for_open]
        for working in [w for w in waiting if w.accepted <= candle.open_time]:
            if working.order.order_id not in book:
                continue  # its oco group ended a moment ago
            if candle.open_time >= working.deadline:
                self._exchange.expire(working, Reason.MAX_WAIT)
            else:
                price = middle(working.sign, candle.high_units, candle.low_units)
                meeting.live_from(self._exchange.execute(working, price, Liquidity.TAKER, candle.ts, pool), price)

    def liquidated(self, instrument: InstrumentId, candle: MarketCandle) -> None:
        """Note that a candle liquidates a position with working orders: whether a stop that it reaches, too, would have
        come first nobody knows.
        """
        if self.now is not None:
            self.now[0].ambiguous = True
            return
        path = (candle.open_units, candle.high_units, candle.low_units)
        own = [w for w in self._book[instrument].values() if w.order.instrument == instrument]
        there = [w for w in own if w.waits_for_trigger and w.accepted <= candle.open_time]
        if any(w.met_at(*path, True) != NO_FILL for w in there):
            self.met[instrument] += 1
            self.ambiguous[instrument] += 1
