"""The clock: merges all feeds into ticks and leads each tick through its phases.

Each distinct time is one tick: MATCH, DUES, DECIDE, OPEN, TAPE, SETTLE, each published and then drained until quiet.
The exchange moves first: it meets a candle before any strategy can see it, and of a candle that begins it is
told the open and nothing else. What happens at the instant itself, trades and quotes, is shown after the open: it may
be what made it.
"""

import asyncio
import heapq
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from backtester.core.board import NEVER, Board
from backtester.core.bus import Bus
from backtester.core.feed import CANDLE_RANK, ExecutionFeed, Feed
from backtester.core.instruments import InstrumentId
from backtester.core.market import (
    ChainRows,
    Dues,
    Expiry,
    MarketEvent,
    MarketOpen,
    Marks,
    OptionChain,
    TickSettled,
    TimerFired,
)
from backtester.core.topics import (
    T_CLOCK,
    T_DUES,
    T_EXPIRIES,
    T_MARKET,
    T_MARKET_CHAIN,
    T_MARKS,
    T_OPENS,
    T_TIMERS,
    Topic,
)

Pulse = Callable[[int], bool]

_TICKS_PER_YIELD = 2048


class _MarkWindow(NamedTuple):
    """The marks of a window: its ticks; per instrument when it was marked, at what (10^-p), and its mark before."""

    ticks: NDArray[np.int64]
    marked: dict[InstrumentId, tuple[NDArray[np.int64], NDArray[np.int64], int]]


class _Window(NamedTuple):
    """A stretch of merged records; row i belongs to feed sources[i], where it is row rows[i]."""

    ticks: list[tuple[int, int, int]]  # time, first record, one past the last
    sources: Sequence[int]
    rows: Sequence[int]
    events: list[MarketEvent | None]
    closes: list[int]
    marked: list[InstrumentId | None]  # the instrument that record i marks


class Clock:
    """Runs the ticks of all feeds in the total order (time, kind, larger timeframe first, instrument)."""

    def __init__(self, bus: Bus, board: Board, feeds: Sequence[Feed], start: int, end: int = 0) -> None:
        """Merge feeds; ticks at or before `start` are warm-up: strategies see them, the exchange stands still.

        end: until when what was asked for still comes, after the last record.
        """
        self._bus = bus
        self._board = board
        self._feeds = sorted(feeds, key=lambda feed: feed.rank)
        self._executing = {f.instrument: cast(ExecutionFeed, f) for f in self._feeds if f.executes}
        self._start = start
        self._end = end
        self._pulse: Pulse = lambda _: True
        self._stopped = False
        self._window: _MarkWindow | None = None
        self._finished = [False] * len(self._feeds)

    async def run(self, pulse: Pulse) -> bool:  # noqa: PLR0912, PLR0915 - one loop, so that the order of a tick can be read
        """Run every tick; every few thousand, yield to asyncio and ask `pulse(now)` whether to go on.

        Returns:
            True when all records have been delivered, False when pulse stopped the run between two ticks.
        """
        self._pulse = pulse
        # The hot path: names are bound once, and a phase that interests nobody costs one look.
        bus, board, start = self._bus, self._board, self._start
        publish, drain, deliver, handlers = bus.publish, bus.drain, bus.deliver, bus.handlers
        opens_wanted, timers, expiries = board.opens_wanted, board.timers, board.expiries
        price_units, price_time, asleep = board.price_units, board.price_time, board.asleep
        topics = [cast(Topic[Any] | None, feed.topic) for feed in self._feeds]
        late = [feed.rank[0] > CANDLE_RANK for feed in self._feeds]
        chains = {i for i, feed in enumerate(self._feeds) if feed.is_chain}
        asynchronous = bus.has_async_handlers
        plain = None if asynchronous or chains or any(late) else _only(topics)
        deliver_all = bus.deliver_all
        until_yield = _TICKS_PER_YIELD
        while (window := self._next_window()) is not None:
            ticks, sources, rows, events, closes, marked = window
            for now, first, end in ticks:
                # Where nobody waits for MATCH, a moment or DUES, and all records are shown on one topic before the open,
                # all that is left of the phases up to there is to note the marks and show the records.
                quiet = not (opens_wanted or timers or expiries or handlers[T_MARKET])
                if plain is not None and quiet and start < now < board.next_dues:
                    board.now = board.dues_time = now
                    if end - first == 1:
                        if (instrument := marked[first]) is not None:
                            price_units[instrument] = closes[first]
                            price_time[instrument] = now
                        if (event := events[first]) is not None:
                            deliver(plain, event)
                    else:
                        for i in range(first, end):
                            if (instrument := marked[i]) is not None:
                                price_units[instrument] = closes[i]
                                price_time[instrument] = now
                        deliver_all(plain, [event for event in events[first:end] if event is not None])
                    tape = end
                else:
                    if opens_wanted or timers or (expiries and expiries[0] < now):
                        await self._between(now)
                        if self._stopped:
                            return False
                    board.now = now
                    if (instrument := marked[first]) is not None:
                        price_units[instrument] = closes[first]
                        price_time[instrument] = now
                    for i in range(first + 1, end):
                        if (instrument := marked[i]) is not None:
                            price_units[instrument] = closes[i]
                            price_time[instrument] = now
                    if now > start and handlers[T_MARKET]:
                        told = False
                        for i in range(first, end):
                            if (instrument := marked[i]) is not None:
                                if (band := asleep.get(instrument)) is not None:
                                    if band[0] < closes[i] < band[1]:
                                        continue
                                    del asleep[instrument]  # from here on every trade of the tick, in order
                                publish(T_MARKET, self._executing[instrument].market(rows[i]))
                                told = True
                        if told:
                            await bus.drain_async() if asynchronous else drain()
                    if chains and now >= start and not chains.isdisjoint(sources[first:end]):
                        shown = tuple(cast(OptionChain, events[i]) for i in range(first, end) if sources[i] in chains)
                        publish(T_MARKET_CHAIN, ChainRows(now, shown))
                        await bus.drain_async() if asynchronous else drain()
                    if now > start:
                        if expiries and expiries[0] <= now:
                            await self._expire(now)
                        board.dues_time = now
                        if now >= board.next_dues:
                            board.next_dues = NEVER
                            if asynchronous:
                                publish(T_DUES, Dues(now))
                                await bus.drain_async()
                            else:
                                deliver(T_DUES, Dues(now))
                    tape = first  # records stand in rank order: those of the tape come last
                    if end - first == 1 and not timers and not asynchronous:
                        if not late[sources[first]]:
                            tape = end
                            if (topic := topics[sources[first]]) is not None:
                                deliver(topic, events[first])
                    else:
                        while tape < end and not late[sources[tape]]:
                            if (topic := topics[sources[tape]]) is not None:
                                publish(topic, events[tape])
                            tape += 1
                        self._fire_timers(now)
                        await bus.drain_async() if asynchronous else drain()
                if opens_wanted:
                    await self._open(now)
                if tape < end:
                    board.after_open = True
                    if end - tape == 1 and not asynchronous:
                        if (topic := topics[sources[tape]]) is not None:
                            deliver(topic, events[tape])
                    else:
                        for i in range(tape, end):
                            if (topic := topics[sources[i]]) is not None:
                                publish(topic, events[i])
                        await bus.drain_async() if asynchronous else drain()
                    board.after_open = False
                if handlers[T_CLOCK]:
                    publish(T_CLOCK, TickSettled(now))
                    await bus.drain_async() if asynchronous else drain()
                until_yield -= 1
                if not until_yield:
                    until_yield = _TICKS_PER_YIELD
                    await asyncio.sleep(0)
                    if not pulse(now):
                        return False
            self.hand_on_marks()
            await self._bus.settle()
        if board.now < self._end:
            await self._between(self._end + 1)
        return not self._stopped

    def hand_on_marks(self) -> None:
        """Publish the marks of the current window as far as its ticks have settled; once per window."""
        window, self._window = self._window, None
        if window is None:
            return
        ticks = window.ticks[: np.searchsorted(window.ticks, self._board.dues_time, side="right")]
        closes = {}
        for instrument, (times, units, before) in window.marked.items():
            at = np.searchsorted(times, ticks, side="right")
            closes[instrument] = np.concatenate(([before], units))[at]
        for option, (marked, values) in self._board.take_marks().items():
            at = np.searchsorted(marked, ticks, side="right")
            closes[option] = np.array(values, dtype=np.int64)[np.maximum(at, 1) - 1]
        if len(ticks):
            self._bus.publish(T_MARKS, Marks(self._board.now, ticks, closes))

    async def _between(self, until: int) -> None:
        """Run the ticks that only a waiting order or a timer needs, after the last tick and before `until`."""
        board = self._board
        until_yield = _TICKS_PER_YIELD
        while True:
            until_yield -= 1
            if not until_yield:
                until_yield = _TICKS_PER_YIELD
                await asyncio.sleep(0)
                if not self._pulse(board.now):
                    self._stopped = True
                    return
            times = [heap[0] for heap in (board.timers, board.expiries) if heap and board.now < heap[0]]
            for instrument in board.opens_wanted:
                found = self._executing[instrument].next_open(board.now + 1)
                if found is not None:
                    times.append(found[0])
            now = min(times, default=until)
            if now >= until:
                return
            board.now = now
            if board.expiries:
                await self._expire(now)
            if board.timers:
                self._fire_timers(now)
                await self._bus.settle()
            if board.opens_wanted:
                await self._open(now)
            if self._bus.handlers[T_CLOCK]:
                self._bus.publish(T_CLOCK, TickSettled(now))
                await self._bus.settle()

    async def _expire(self, now: int) -> None:
        """Say that a time has come at which orders end or commands are given."""
        expiries = self._board.expiries
        if expiries[0] > now:
            return
        while expiries and expiries[0] <= now:
            heapq.heappop(expiries)
        self._bus.publish(T_EXPIRIES, Expiry(now))
        await self._bus.settle()

    async def _open(self, now: int) -> None:
        for instrument in sorted(self._board.opens_wanted):
            found = self._executing[instrument].next_open(now)
            if found is not None and found[0] == now:
                self._bus.publish(T_OPENS, MarketOpen(now, instrument, found[1], found[2]))
        await self._bus.settle()

    def _fire_timers(self, now: int) -> None:
        timers = self._board.timers
        due = False
        while timers and timers[0] <= now:
            heapq.heappop(timers)
            due = True
        if due:
            self._bus.publish(T_TIMERS, TimerFired(now))

    def _next_window(self) -> _Window | None:
        """Merge what all feeds hold up to the time at which the first of them must load again.

        The last record of a buffer waits for the next window: others of its time may follow, and the open after a
        candle must be in sight.
        """
        while True:
            horizon: int | None = None
            for index, feed in enumerate(self._feeds):
                while not self._finished[index] and len(feed.times) < 2:
                    self._finished[index] = not feed.load()
                if not self._finished[index]:
                    before_last = int(feed.times[-1]) - 1
                    horizon = before_last if horizon is None else min(horizon, before_last)
            counts = [
                len(feed.times) if horizon is None else int(np.searchsorted(feed.times, horizon, side="right"))
                for feed in self._feeds
            ]
            if any(counts):
                return self._merge(counts)
            if horizon is None:
                return None
            for index, feed in enumerate(self._feeds):  # all that is buffered may be of one instant: see more of it
                if not self._finished[index] and int(feed.times[-1]) - 1 == horizon:
                    self._finished[index] = not feed.load()

    def _merge(self, counts: list[int]) -> _Window:
        times = np.concatenate([feed.times[:count] for feed, count in zip(self._feeds, counts, strict=True)])
        events: list[MarketEvent | None] = []
        units = np.zeros(len(times), dtype=np.int64)
        marked: list[InstrumentId | None] = []
        marks: dict[InstrumentId, tuple[NDArray[np.int64], NDArray[np.int64], int]] = {}
        at = 0
        for feed, count in zip(self._feeds, counts, strict=True):
            seen, close_units = feed.take(count)
            events.extend(seen if seen is not None else [None] * count)
            marked.extend([feed.instrument if feed.executes else None] * count)
            if close_units is not None:
                units[at : at + count] = close_units
                before = self._board.price_units.get(feed.instrument, 0)
                marks[feed.instrument] = (times[at : at + count], close_units, before)
            at += count
        busy = [index for index, count in enumerate(counts) if count]
        sources: Sequence[int] = busy[:1] * len(times)
        rows: Sequence[int] = range(len(times))
        if len(busy) > 1:  # feeds stand in rank order, so a stable sort by time is the total order
            order = np.argsort(times, kind="stable")
            times, units = times[order], units[order]
            sources = np.repeat(np.arange(len(counts)), counts)[order].tolist()
            rows = np.concatenate([np.arange(count) for count in counts])[order].tolist()
            places = order.tolist()
            events = [events[i] for i in places]
            marked = [marked[i] for i in places]
        starts = np.flatnonzero(np.diff(times, prepend=times[0] - 1))
        moments = times[starts]
        self._window = _MarkWindow(moments, marks)
        if len(moments) == len(times):  # nothing else came at the time of any record
            ticks = list(zip(moments.tolist(), range(len(times)), range(1, len(times) + 1), strict=True))
        else:
            ends = np.append(starts[1:], len(times))
            ticks = list(zip(moments.tolist(), starts.tolist(), ends.tolist(), strict=True))
        return _Window(ticks, sources, rows, events, units.tolist(), marked)


def _only(topics: Sequence[Topic[Any] | None]) -> Topic[Any] | None:
    """Return the topic on which all records are shown that are shown at all; None when there are several or none."""
    shown = {topic for topic in topics if topic is not None}
    return shown.pop() if len(shown) == 1 else None


def merged_topics(feeds: Sequence[Feed]) -> set[Topic[Any]]:
    """Return the topics on which these feeds reach strategies."""
    return {feed.topic for feed in feeds if feed.topic is not None}
