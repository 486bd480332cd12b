"""`bt.candles`: candles of the lake as frames: a range, the latest, or several timeframes as known at an instant."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from backtester.api.config_of import When, time_text
from backtester.api.hints import hinted
from backtester.core.errors import DataError, UsageError
from backtester.core.instruments import parse_instrument, split_id
from backtester.core.time import first_open, format_time, last_open, parse_time, timeframe_us
from backtester.data.columns import CandleColumns
from backtester.data.lake import Lake
from backtester.data.resample import derive_candles
from backtester.data.schemas import KLINES

_VALUES = ("open", "high", "low", "close", "volume")
_TIME = pl.Datetime("us", "UTC")
_NO = np.empty(0)
_NONE = CandleColumns(np.empty(0, dtype=np.int64), _NO, _NO, _NO, _NO, _NO)


@hinted
def candles(
    symbol: str,
    timeframe: str | Sequence[str] = "1m",
    start: When | None = None,
    end: When | None = None,
    *,
    last: int | None = None,
    known_at: When | None = None,
    market: str = "spot",
    data: str | Path = "data",
    incomplete: bool = False,
) -> pl.DataFrame:
    """Return candles of the lake in time order; longer timeframes are made from what is stored, as in a run.

    Several timeframes come side by side: a row per candle of the first, and for each other the columns `open_1h`,
    `high_1h`, ... of its last candle that had closed when the row's candle closed; null before there is one. So a row
    holds what was known at its `close_time`, and nothing else.

    Args:
        symbol: "spot:BTCUSDT", or a symbol of `market`.
        timeframe: one, or several; the others are multiples of the first.
        start, end: candles with start <= open_time < end; by default all that the lake has.
        last: the latest so many of them.
        known_at: only candles that had closed at this instant.
        data: the folder of the lake.
        incomplete: keep candles that lack parts; `complete` says which do. A run drops them, unless asked.

    Returns:
        Columns open_time, close_time (UTC), open, high, low, close, volume (base units); floats.

    Raises:
        UsageError: a timeframe, a time or `last` is wrong.
        DataError: the lake does not have the symbol, cannot make the timeframe, or has no candle in the range.
    """
    frames = (timeframe,) if isinstance(timeframe, str) else tuple(timeframe)
    if not frames:
        raise UsageError("no timeframe was named", hint='for example "1h", or ["5m", "1h"]')
    base, *others = frames
    length = timeframe_us(base)
    for other in others:
        if timeframe_us(other) <= length or timeframe_us(other) % length:
            raise UsageError(
                f"{other} is not a multiple of {base}",
                hint="name the shortest first; the others stand beside its candles",
            )
    if last is not None and last < 1:
        raise UsageError(f"last is {last}: ask for one candle or more")
    lake, instrument = Lake(Path(data)), parse_instrument(symbol, market)
    first, until = _bound(start), _bound(end)
    known = _bound(known_at)
    if known is not None:
        until = min(until, known - length + 1) if until is not None else known - length + 1
    rows = _read(lake, *split_id(instrument), base, first, until, last, incomplete=incomplete)
    if not len(rows):
        raise _nothing(lake, instrument, base, first, until)
    for other in others:
        span = timeframe_us(other)
        begin, stop = int(rows["open_time"].to_physical()[0]), int(rows["close_time"].to_physical()[-1])
        longer = _read(
            lake, *split_id(instrument), other, last_open(begin, span) - span, stop - span + 1, None, incomplete=False
        )
        renamed = longer.select("close_time", *(pl.col(name).alias(f"{name}_{other}") for name in _VALUES))
        rows = rows.join_asof(renamed, on="close_time", strategy="backward")
    return rows


def _bound(when: When | None) -> int | None:
    return None if when is None else parse_time(time_text(when))


def _read(
    lake: Lake,
    market: str,
    symbol: str,
    timeframe: str,
    start: int | None,
    end: int | None,
    last: int | None,
    *,
    incomplete: bool,
) -> pl.DataFrame:
    """Return candles with start <= open_time < end, the last so many of them."""
    length = timeframe_us(timeframe)
    stored = lake.source_timeframe(market, symbol, timeframe, start, end)
    there = lake.partitions(market, KLINES.kind, symbol, stored)
    first, stop = last_open(there[0].first_time, length), there[-1].last_time + timeframe_us(stored)
    first = first if start is None else max(first, first_open(start, length))
    stop = stop if end is None else min(stop, end)
    begin = first if last is None else max(first, last_open(stop, length) - last * length)
    while True:
        found = _columns(lake, market, symbol, stored, timeframe, begin, stop, incomplete=incomplete)
        if last is None:
            return _frame(found, length, incomplete=incomplete)
        if len(found) >= last or begin <= first:
            return _frame(found.slice(max(len(found) - last, 0), len(found)), length, incomplete=incomplete)
        begin = max(first, begin - 2 * (stop - begin))  # there are gaps: look further back


def _columns(
    lake: Lake, market: str, symbol: str, stored: str, timeframe: str, start: int, end: int, *, incomplete: bool
) -> CandleColumns:
    length = timeframe_us(timeframe)
    if stored == timeframe:
        return CandleColumns.concat([_NONE, *lake.read_candles(market, symbol, stored, start, end)])
    whole = first_open(end, length)  # a candle that opens before the end is read to its own end
    source = lake.read_candles(market, symbol, stored, start, whole)
    made = derive_candles(source, timeframe_us(stored), length, start=start, end=whole)
    rows = CandleColumns.concat([_NONE, *made])
    return rows if incomplete or rows.complete is None else rows.take(rows.complete.nonzero()[0])


def _frame(rows: CandleColumns, length: int, *, incomplete: bool) -> pl.DataFrame:
    columns = {
        "open_time": pl.Series(rows.open_time).cast(_TIME),
        "close_time": pl.Series(rows.open_time + length).cast(_TIME),
        **{name: pl.Series(getattr(rows, name)) for name in _VALUES},
    }
    frame = pl.DataFrame(columns)
    if not incomplete:
        return frame
    return frame.with_columns(complete=pl.lit(True) if rows.complete is None else pl.Series(rows.complete))


def _nothing(lake: Lake, instrument: str, timeframe: str, start: int | None, end: int | None) -> DataError:
    market, _, symbol = instrument.partition(":")
    stored = lake.source_timeframe(market, symbol, timeframe)
    there = lake.partitions(market, KLINES.kind, symbol, stored)
    span = f"{format_time(there[0].first_time)} .. {format_time(there[-1].last_time + timeframe_us(stored))}"
    asked = (
        f"{'' if start is None else f' from {format_time(start)}'}{'' if end is None else f' to {format_time(end)}'}"
    )
    return DataError(
        f"{instrument} has no {timeframe} candle{asked} in {lake.root}",
        hint=f"candles of {stored} are there for {span}",
    )
