"""The clock: one tick per time, its phases, and an order that nothing but time, timeframe and name decides."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, lists, none, one_of, sampled_from

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.clock import Clock
from backtester.core.time import MINUTE, SECOND, timeframe_us
from backtester.core.topics import T_CANDLES, T_CLOCK, T_DUES, T_MARKET, T_OPENS, T_TIMERS
from backtester.data.feeds.candle_feed import CandleFeed
from tests.support.feeds import feed
from tests.support.market import Row, Rows, time_of
from tests.support.profiles import examples
from tests.support.specs import instrument

BTC, ETH = instrument("BTCUSDT"), instrument("ETHUSDT")
LONG_AGO = 0  # no warm-up


class Watch:
    """A bus whose every phase is written down as (seconds since the first candle, what, of whom)."""

    def __init__(self, feeds: Sequence[CandleFeed], start: int = LONG_AGO) -> None:
        self.bus, self.board = Bus(), Board()
        self.seen: list[tuple[float, str, str]] = []
        for name, topic in (
            ("market", T_MARKET),
            ("dues", T_DUES),
            ("candle", T_CANDLES),
            ("timer", T_TIMERS),
            ("open", T_OPENS),
            ("settled", T_CLOCK),
        ):
            self.bus.subscribe(topic, self._writer(name))
        self.clock = Clock(self.bus, self.board, feeds, start)

    def _writer(self, name: str) -> Any:
        def write(event: Any) -> None:
            of = getattr(event, "symbol", "")
            if name == "candle":
                of += f" {event.timeframe}"
            if name == "dues":
                self.board.want_dues(0)  # at every tick
            if name == "open":
                of += f" {event.price_units}"
                self.board.unwant_open(event.instrument)
            assert event.ts == self.board.now
            self.seen.append(((event.ts - time_of(0)) / SECOND, name, of))

        return write

    def run(self) -> list[tuple[float, str, str]]:
        assert asyncio.run(self.clock.run(lambda now: True))
        return self.seen

    def want(self, spec: Any, after: int) -> None:
        """Ask for the next open of an instrument once candle `after` has been shown."""

        def on_candle(candle: Any) -> None:
            if candle.open_time == time_of(after) and candle.instrument == spec.id:
                self.board.want_open(spec.id)

        self.bus.subscribe(T_CANDLES, on_candle)


def rising(candles: int) -> list[Row | None]:
    return [(100 + n, 101 + n, 99 + n, 100.5 + n) for n in range(candles)]


def test_the_phases_of_a_tick_stand_in_their_order() -> None:
    watch = Watch([feed(BTC, rising(2))])
    watch.want(BTC, after=0)
    watch.board.set_timer(time_of(1))
    assert watch.run() == [
        (60, "market", "BTCUSDT"),
        (60, "dues", ""),
        (60, "candle", "BTCUSDT 1m"),
        (60, "timer", ""),
        (60, "open", "BTCUSDT 10100"),
        (60, "settled", ""),
        (120, "market", "BTCUSDT"),
        (120, "dues", ""),
        (120, "candle", "BTCUSDT 1m"),
        (120, "settled", ""),
    ]


def test_every_instrument_is_marked_before_anyone_is_told_anything() -> None:
    watch = Watch([feed(BTC, rising(3)), feed(ETH, [(50, 50, 50, 50), (60, 60, 60, 60), (70, 70, 70, 70)])])
    marks: list[tuple[int, int]] = []
    prices = watch.board.price_units
    watch.bus.subscribe(T_MARKET, lambda _: marks.append((prices[BTC.id], prices[ETH.id])))
    watch.run()
    assert marks == [pair for n in range(3) for pair in [(10050 + 100 * n, 5000 + 1000 * n)] * 2]


def test_longer_timeframes_come_first_and_then_names() -> None:
    five = [(100, 110, 90, 100)]
    watch = Watch(
        [
            feed(ETH, rising(5)),
            feed(BTC, rising(5)),
            feed(ETH, five, timeframe="5m", executes=False),
            feed(BTC, five, timeframe="5m", executes=False),
        ]
    )
    at_five = [(what, of) for at, what, of in watch.run() if at == 300]
    assert at_five == [
        ("market", "BTCUSDT"),
        ("market", "ETHUSDT"),
        ("dues", ""),
        ("candle", "BTCUSDT 5m"),
        ("candle", "ETHUSDT 5m"),
        ("candle", "BTCUSDT 1m"),
        ("candle", "ETHUSDT 1m"),
        ("settled", ""),
    ]


def test_ticks_at_or_before_the_start_are_shown_to_strategies_alone() -> None:
    watch = Watch([feed(BTC, rising(3))], start=time_of(2))
    phases = watch.run()
    assert [(at, what) for at, what, _ in phases if what in ("market", "dues")] == [(180, "market"), (180, "dues")]
    assert [at for at, what, _ in phases if what == "candle"] == [60, 120, 180]


def test_opens_are_published_only_when_somebody_waits() -> None:
    rows = rising(6)
    watch = Watch([feed(BTC, rows), feed(ETH, rows)])
    watch.want(ETH, after=2)
    assert [(at, of) for at, what, of in watch.run() if what == "open"] == [(180, "ETHUSDT 10300")]


def test_an_open_after_a_gap_comes_at_its_own_time() -> None:
    rows = [*rising(2), None, None, None, (200, 200, 200, 200), (201, 201, 201, 201)]
    watch = Watch([feed(BTC, rows)])
    watch.want(BTC, after=1)
    assert [step for step in watch.run() if step[0] > 120] == [
        (300, "open", "BTCUSDT 20000"),
        (300, "settled", ""),
        (360, "market", "BTCUSDT"),
        (360, "dues", ""),
        (360, "candle", "BTCUSDT 1m"),
        (360, "settled", ""),
        (420, "market", "BTCUSDT"),
        (420, "dues", ""),
        (420, "candle", "BTCUSDT 1m"),
        (420, "settled", ""),
    ]


def test_a_candle_without_volume_has_no_open() -> None:
    rows = [(100, 100, 100, 100), (90, 90, 90, 90, 0), (95, 95, 95, 95, 0), (97, 97, 97, 97)]
    watch = Watch([feed(BTC, rows)])
    watch.want(BTC, after=0)
    assert [(at, of) for at, what, of in watch.run() if what == "open"] == [(180, "BTCUSDT 9700")]


def test_a_gap_in_one_feed_does_not_stop_the_others() -> None:
    watch = Watch([feed(BTC, [*rising(1), None, None, *rising(1)]), feed(ETH, rising(4))])
    candles = [(at, of) for at, what, of in watch.run() if what == "candle"]
    assert candles == [
        (60, "BTCUSDT 1m"),
        (60, "ETHUSDT 1m"),
        (120, "ETHUSDT 1m"),
        (180, "ETHUSDT 1m"),
        (240, "BTCUSDT 1m"),
        (240, "ETHUSDT 1m"),
    ]


def test_timers_fire_once_in_time_order_between_ticks_and_in_them() -> None:
    watch = Watch([feed(BTC, rising(3))])
    for at in (90, 70, 120, 70, 119.5):
        watch.board.set_timer(time_of(0) + int(at * SECOND))
    assert [at for at, what, _ in watch.run() if what == "timer"] == [70, 90, 119.5, 120]


def test_a_timer_of_the_past_fires_at_the_next_tick() -> None:
    watch = Watch([feed(BTC, rising(3))])
    watch.bus.subscribe(
        T_CANDLES, lambda c: watch.board.set_timer(c.ts - MINUTE) if c.open_time == time_of(0) else None
    )
    timers = [at for at, what, _ in watch.run() if what == "timer"]
    assert len(timers) == 1
    assert timers[0] in (60, 120)


def test_no_timer_fires_after_the_last_record() -> None:
    watch = Watch([feed(BTC, rising(2))])
    watch.board.set_timer(time_of(2) + 1)
    assert "timer" not in {what for _, what, _ in watch.run()}


def test_nothing_at_all_is_a_run_without_ticks() -> None:
    watch = Watch([])
    assert watch.run() == []


@pytest.mark.parametrize("sizes", [(1,), (2,), (3, 1), (7,), (1000,)])
def test_a_pulse_that_says_no_ends_the_run_between_two_ticks(sizes: tuple[int, ...]) -> None:
    watch = Watch([feed(BTC, rising(5000), sizes=sizes)])
    assert not asyncio.run(watch.clock.run(lambda now: False))
    assert watch.seen[-1][1] == "settled"
    assert len([1 for _, what, _ in watch.seen if what == "settled"]) < 5000


async def test_other_tasks_get_their_turn_during_a_run() -> None:
    turns, done = 0, False

    async def observer() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await asyncio.sleep(0)

    watching = asyncio.create_task(observer())
    await Watch([feed(BTC, rising(12_000))]).clock.run(lambda now: True)
    done = True
    await watching
    assert turns >= 3


prices = integers(1, 1000).map(lambda p: (p, p + 1, p, p + 1, 5))
quiet = integers(1, 1000).map(lambda p: (p, p, p, p, 0))
markets = lists(one_of(prices, prices, quiet, none()), min_size=1, max_size=25).filter(any)


@settings(max_examples=examples(60))
@given(
    btc=markets,
    eth=markets,
    sizes=lists(integers(1, 9), min_size=1, max_size=4),
    others=lists(integers(1, 9), min_size=1, max_size=4),
    asked=lists(integers(0, 24), max_size=6),
    timers=lists(integers(1, 1500), max_size=4),
    shuffle=integers(0, 1000),
)
def test_neither_batches_nor_the_order_of_registration_change_what_happens(
    btc: Rows, eth: Rows, sizes: list[int], others: list[int], asked: list[int], timers: list[int], shuffle: int
) -> None:
    def seen(first: Sequence[int], second: Sequence[int], *, shuffled: bool) -> list[tuple[float, str, str]]:
        feeds = [
            feed(BTC, btc, sizes=first),
            feed(ETH, eth, sizes=second),
            feed(ETH, [(100, 100, 100, 100)] * 3, timeframe="5m", sizes=first, executes=False),
        ]
        if shuffled:
            random.Random(shuffle).shuffle(feeds)
        watch = Watch(feeds)
        for number in asked:
            watch.want(BTC if number % 2 else ETH, after=number)
        for at in timers:
            watch.board.set_timer(time_of(0) + at * SECOND)
        return watch.run()

    assert seen(sizes, others, shuffled=True) == seen([1000], [1000], shuffled=False)


@settings(max_examples=examples(40))
@given(rows=markets, timeframe=sampled_from(["1m", "15m", "1h"]), sizes=lists(integers(1, 5), min_size=1, max_size=3))
def test_every_record_is_one_candle_at_its_close(rows: Rows, timeframe: str, sizes: list[int]) -> None:
    watch = Watch([feed(BTC, rows, timeframe=timeframe, sizes=sizes)])
    length = timeframe_us(timeframe) / SECOND
    expected = [(number + 1) * length for number, row in enumerate(rows) if row is not None]
    assert [at for at, what, _ in watch.run() if what == "candle"] == expected
