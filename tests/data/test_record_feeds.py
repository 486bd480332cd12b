"""Records of every kind through the clock: in one order, each once, whatever the batches they are read in."""

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.clock import Clock
from backtester.core.instruments import InstrumentId
from backtester.core.time import HOUR, MINUTE
from backtester.core.topics import T_CANDLES, T_CHAIN, T_CLOCK, T_FUNDING, T_TRADES
from backtester.data.feeds.record_feed import RecordFeed
from backtester.data.schemas import schema_of
from tests.support.feeds import feed
from tests.support.market import flat, time_of
from tests.support.specs import instrument

BTC = instrument("BTCUSDT")
NAME = InstrumentId("spot:BTCUSDT")


def batches(kind: str, rows: dict[str, list[Any]], sizes: list[int]) -> Iterator[dict[str, Any]]:
    schema = schema_of(kind)
    length = len(rows[schema.key])
    full = {
        c.name: np.array(rows[c.name], dtype=c.dtype) if c.name in rows else c.unknown(length) for c in schema.columns
    }
    at = number = 0
    while at < length:
        size = sizes[number % len(sizes)]
        yield {name: values[at : at + size] for name, values in full.items()}
        at, number = at + size, number + 1


def delivered(feeds: list[Any]) -> list[tuple[int, str, Any]]:
    """What subscribers saw: the tick, the kind, and which record; `settled` closes a tick."""
    bus, board, seen = Bus(), Board(), []
    for topic, name in ((T_CANDLES, "candle"), (T_TRADES, "trade"), (T_FUNDING, "funding"), (T_CHAIN, "chain")):
        bus.subscribe(
            topic, lambda event, name=name: seen.append((board.now, name, getattr(event, "trade_id", event.ts)))
        )
    bus.subscribe(T_CLOCK, lambda event: seen.append((event.ts, "settled", 0)))
    asyncio.run(Clock(bus, board, feeds, start=0).run(lambda now: True))
    return seen


offsets = st.lists(st.integers(0, 12), min_size=1, max_size=40).map(sorted)  # half minutes, many of them equal
sizes = st.lists(st.integers(1, 7), min_size=1, max_size=4)


@given(trades=offsets, trade_sizes=sizes, candle_sizes=sizes)
def test_each_instant_is_one_tick_whatever_the_batches(
    trades: list[int], trade_sizes: list[int], candle_sizes: list[int]
) -> None:
    times = [time_of(0) + half * MINUTE // 2 for half in trades]
    count = len(times)
    rows = {"time": times, "trade_id": list(range(count)), "price": [1.0] * count, "quantity": [1.0] * count}
    rows["is_buyer_maker"] = [True] * count
    rows["quote_quantity"] = [1.0] * count
    seen = delivered(
        [
            feed(BTC, flat(100, 5), sizes=candle_sizes),
            RecordFeed(NAME, "trades", "", batches("trades", rows, trade_sizes)),
        ]
    )
    expected: list[tuple[int, str, Any]] = []
    closes = {time_of(minute) for minute in range(1, 6)}
    for instant in sorted(closes | set(times)):
        expected += [(instant, "candle", instant)] if instant in closes else []
        expected += [(instant, "trade", number) for number, time in enumerate(times) if time == instant]
        expected.append((instant, "settled", 0))
    assert seen == expected


@given(contracts=st.lists(st.integers(1, 5), min_size=1, max_size=6), cuts=sizes)
def test_all_contracts_of_an_hour_are_one_chain_whatever_the_batches(contracts: list[int], cuts: list[int]) -> None:
    times = [time_of(0) + hour * HOUR for hour, count in enumerate(contracts) for _ in range(count)]
    strikes = [float(1000 + n) for count in contracts for n in range(count)]
    rows = {"time": times, "expiry": [time_of(0)] * len(times), "strike": strikes, "is_call": [True] * len(times)}
    rows |= {name: [1.0] * len(times) for name in ("open", "high", "low", "close", "volume")}
    bus, board, seen = Bus(), Board(), []
    bus.subscribe(T_CHAIN, lambda chain: seen.append((board.now, chain.ts, [q.strike for q in chain.quotes])))
    chains = RecordFeed(NAME, "EOHSummary", "", batches("EOHSummary", rows, cuts))
    asyncio.run(Clock(bus, board, [chains], start=0).run(lambda now: True))
    known = [time_of(0) + (hour + 1) * HOUR for hour in range(len(contracts))]
    assert seen == [
        (at, at, [float(1000 + n) for n in range(count)]) for at, count in zip(known, contracts, strict=True)
    ]
