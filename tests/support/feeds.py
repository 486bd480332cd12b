"""Feeds from rows held in memory, cut into batches of any size."""

from collections.abc import Iterator, Sequence

import numpy as np

from backtester.core.instruments import Instrument
from backtester.data.columns import CandleColumns
from backtester.data.feeds.candle_feed import CandleFeed
from tests.support.market import VOLUME, Rows, time_of


def columns(rows: Rows, timeframe: str = "1m") -> CandleColumns:
    """Candles one after the other; None is one that is missing."""
    there = [(number, row) for number, row in enumerate(rows) if row is not None]
    table = np.array([row if len(row) == 5 else (*row, VOLUME) for _, row in there], dtype=np.float64)
    times = np.array([time_of(number, timeframe) for number, _ in there], dtype=np.int64)
    return CandleColumns(times, *(table[:, i].copy() for i in range(5)))


def batches(whole: CandleColumns, sizes: Sequence[int]) -> Iterator[CandleColumns]:
    """The same candles in batches: the sizes are used in turn."""
    at = number = 0
    while at < len(whole):
        size = sizes[number % len(sizes)]
        yield whole.slice(at, min(at + size, len(whole)))
        at, number = at + size, number + 1


def feed(
    spec: Instrument,
    rows: Rows,
    *,
    timeframe: str = "1m",
    sizes: Sequence[int] = (1000,),
    executes: bool = True,
    decides: bool = True,
) -> CandleFeed:
    """A feed of these rows."""
    whole = columns(rows, timeframe)
    exchange = spec if executes else None
    return CandleFeed(spec.id, timeframe, batches(whole, sizes), executes=exchange, decides=decides)
