"""Trades that execute and quotes that are asked for: the same through any windows, in the instrument's integers."""

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.clock import Clock
from backtester.core.errors import DataError
from backtester.core.market import MarketQuote, Marks
from backtester.core.time import SECOND
from backtester.core.topics import T_CLOCK, T_MARKET, T_MARKS
from backtester.data.feeds.tape_feed import QuoteFeed, TradeFeed
from backtester.data.feeds.units import quantity_units
from tests.support.market import time_of
from tests.support.specs import instrument

BTC = instrument("BTCUSDT", "um")  # cents, thousandths


def cut(rows: dict[str, list[Any]], sizes: list[int]) -> Iterator[dict[str, Any]]:
    columns = {name: np.array(values) for name, values in rows.items()}
    at = number = 0
    while at < len(columns["time"]):
        size = sizes[number % len(sizes)]
        yield {name: values[at : at + size] for name, values in columns.items()}
        at, number = at + size, number + 1


def trades(seconds: list[int], sizes: list[int]) -> TradeFeed:
    count = len(seconds)
    rows = {
        "time": [time_of(0) + second * SECOND for second in seconds],
        "trade_id": list(range(count)),
        "price": [100 + n / 100 for n in range(count)],
        "quantity": [0.001 * (n + 1) for n in range(count)],
        "is_buyer_maker": [n % 2 == 0 for n in range(count)],
    }
    return TradeFeed(BTC, "trades", cut(rows, sizes), decides=False)


def quotes(seconds: list[int], sizes: list[int]) -> QuoteFeed:
    count = len(seconds)
    rows = {
        "time": [time_of(0) + second * SECOND for second in seconds],
        "bid_price": [100 + n / 100 for n in range(count)],
        "bid_quantity": [1.0] * count,
        "ask_price": [101 + n / 100 for n in range(count)],
        "ask_quantity": [2.0] * count,
    }
    return QuoteFeed(BTC, cut(rows, sizes), decides=False)


moments = st.lists(st.integers(1, 30), min_size=1, max_size=40).map(sorted)
sizes_ = st.lists(st.integers(1, 7), min_size=1, max_size=4)


@given(seconds=moments, sizes=sizes_)
def test_every_trade_reaches_the_exchange_once_in_order_whatever_the_batches(
    seconds: list[int], sizes: list[int]
) -> None:
    bus, board, seen, marked = Bus(), Board(), [], []
    bus.subscribe(T_MARKET, lambda t: seen.append((t.ts, t.trade_id, t.price_units, t.qty_units, t.is_buyer_maker)))
    bus.subscribe(T_CLOCK, lambda tick: marked.append((tick.ts, board.price_units[BTC.id])))
    asyncio.run(Clock(bus, board, [trades(seconds, sizes)], start=0).run(lambda _: True))
    times = [time_of(0) + second * SECOND for second in seconds]
    assert seen == [(time, n, 10_000 + n, n + 1, n % 2 == 0) for n, time in enumerate(times)]
    last = {time: 10_000 + n for n, time in enumerate(times)}
    assert marked == sorted(last.items())  # marked by the last trade of each instant


@given(seconds=moments, told=moments, trade_sizes=sizes_, quote_sizes=sizes_)
def test_the_quote_at_a_time_is_the_last_one_until_then_whatever_the_batches(
    seconds: list[int], told: list[int], trade_sizes: list[int], quote_sizes: list[int]
) -> None:
    bus, board = Bus(), Board()
    feed = quotes(told, quote_sizes)
    board.quote_at[BTC.id] = feed.at
    seen: list[tuple[int, MarketQuote | None, MarketQuote | None]] = []
    bus.subscribe(T_MARKET, lambda t: seen.append((t.ts, board.quote(BTC.id, t.ts - 1), board.quote(BTC.id, t.ts))))
    asyncio.run(Clock(bus, board, [trades(seconds, trade_sizes), feed], start=0).run(lambda _: True))
    times = [time_of(0) + second * SECOND for second in told]

    def expected(until: int) -> MarketQuote | None:
        before = [n for n, time in enumerate(times) if time <= until]
        return MarketQuote(times[before[-1]], 10_000 + before[-1], 1000, 10_100 + before[-1], 2000) if before else None

    assert len(seen) == len(seconds)
    for ts, strictly_before, now in seen:
        assert (strictly_before, now) == (expected(ts - 1), expected(ts))


def test_a_window_of_quotes_alone_keeps_the_mark() -> None:
    bus, seen = Bus(), []
    bus.subscribe(T_MARKS, seen.append)
    feeds = [trades([1, 40], [1]), quotes([2, *range(3, 30)], [5])]
    asyncio.run(Clock(bus, Board(), feeds, start=0).run(lambda _: True))
    assert all(isinstance(marks, Marks) and len(marks.closes[BTC.id]) == len(marks.ticks) for marks in seen)
    assert {int(close) for marks in seen for close in marks.closes[BTC.id]} == {10_000, 10_001}


def test_the_exchange_sleeps_through_prices_that_matter_to_nobody() -> None:
    bus, board, seen = Bus(), Board(), []

    def tell(trade: Any) -> None:
        seen.append(trade.price_units)
        board.sleep(BTC.id, 10_000, 10_004)

    bus.subscribe(T_MARKET, tell)
    asyncio.run(Clock(bus, board, [trades([1, 2, 3, 4, 5, 5, 5], [3])], start=0).run(lambda _: True))
    assert seen == [10_000, 10_004, 10_005, 10_006]


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20))
def test_quantities_of_the_scale_come_back_exactly_and_others_are_cut(thousandths: list[int]) -> None:
    exact = np.array([n / 1000 for n in thousandths])
    assert quantity_units(exact, BTC).tolist() == thousandths
    assert quantity_units(exact + 0.0004, BTC).tolist() == thousandths


def test_a_quote_finer_than_the_instrument_is_refused_with_what_mends_it() -> None:
    rows = {"time": [time_of(1)], "bid_price": [100.001], "bid_quantity": [1.0], "ask_price": [101.0]}
    feed = QuoteFeed(BTC, cut(rows | {"ask_quantity": [1.0]}, [1]), decides=False)
    feed.load()
    feed.take(1)
    with pytest.raises(DataError, match=r"100\.001 .* more than 2 decimals") as caught:
        feed.at(time_of(1))
    assert "price_decimals" in caught.value.hint
