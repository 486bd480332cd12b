"""Markets drawn by hand: rows of (open, high, low, close[, volume]) become candles of a little lake."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backtester.core.time import parse_time, timeframe_us
from backtester.data.downloader.rows import CleanRows, Series, rows_of
from backtester.data.downloader.writing import SeriesWriter
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.partition import Source
from backtester.data.schemas import KLINES

START = "2024-01-01"
VOLUME = 1000.0

Row = tuple[float, ...]
Rows = Sequence[Row | None]  # None: a candle that is missing


def flat(price: float, candles: int = 1) -> list[Row | None]:
    """Candles that trade and do not move."""
    return [(price, price, price, price)] * candles


def time_of(candle: int, timeframe: str = "1m", start: str = START) -> int:
    """When candle number `candle` opens."""
    return parse_time(start) + candle * timeframe_us(timeframe)


def write_candles(
    lake: Path,
    rows: Rows,
    *,
    symbol: str = "BTCUSDT",
    market: str = "spot",
    timeframe: str = "1m",
    start: str = START,
    replace: bool = False,
) -> None:
    """Write candles to a lake, one after the other from `start`."""
    there = [(number, row) for number, row in enumerate(rows) if row is not None]
    columns: dict[str, Any] = {column.name: column.unknown(len(there)) for column in KLINES.columns}
    columns["open_time"] = np.array([time_of(n, timeframe, start) for n, _ in there], dtype=np.int64)
    table = np.array([row if len(row) == 5 else (*row, VOLUME) for _, row in there], dtype=np.float64)
    for number, name in enumerate(("open", "high", "low", "close", "volume")):
        columns[name] = table[:, number].copy()
    with ManifestWriter(lake) as writer:
        series = SeriesWriter(writer, Series(market, KLINES.kind, symbol, timeframe), replace=replace)
        series.add(CleanRows(rows_of(KLINES, columns), {}, Source(f"{symbol}.csv")))
        series.stage()
        series.commit()
