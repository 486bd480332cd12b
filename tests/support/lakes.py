"""Lakes that many tests share: a made-up market, and real files."""

import random
from pathlib import Path
from typing import Any

import numpy as np

from backtester.data.downloader.rows import CleanRows, Series, rows_of
from backtester.data.downloader.writing import SeriesWriter
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.partition import Source
from backtester.data.schemas import schema_of
from tests.support.market import Row, write_candles


def wandering(candles: int, seed: int, *, price: int = 10_000, step: int = 40, quiet: float = 0.0) -> list[Row | None]:
    """A random walk in cents with wicks; a share of its candles is quiet (no volume)."""
    rng = random.Random(seed)
    rows: list[Row | None] = []
    close = price
    for _ in range(candles):
        open_ = max(10 * step, close + rng.randint(-step // 4, step // 4))
        close = max(10 * step, open_ + rng.randint(-step, step))
        high = max(open_, close) + rng.randint(0, step)
        low = min(open_, close) - rng.randint(0, step)
        volume = 0.0 if rng.random() < quiet else float(rng.randint(1, 500))
        if volume == 0.0:
            high = low = close = open_
        rows.append((open_ / 100, high / 100, low / 100, close / 100, volume))
    return rows


def two_coins(lake: Path, candles: int, seed: int = 1, *, market: str = "spot", quiet: float = 0.03) -> None:
    """Write BTCUSDT and ETHUSDT, which wander about."""
    for number, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        rows = wandering(candles, seed * 100 + number, price=10_000 // (number + 1), quiet=quiet)
        write_candles(lake, rows, symbol=symbol, market=market)


def write_rows(
    lake: Path, kind: str, symbol: str, columns: dict[str, list[Any]], *, market: str = "um", timeframe: str = ""
) -> None:
    """Write rows of any kind; a column that is left out is unknown."""
    schema = schema_of(kind)
    length = len(columns[schema.key])
    full = {
        c.name: np.array(columns[c.name], dtype=c.dtype) if c.name in columns else c.unknown(length)
        for c in schema.columns
    }
    with ManifestWriter(lake) as writer:
        series = SeriesWriter(writer, Series(market, kind, symbol, timeframe))
        series.add(CleanRows(rows_of(schema, full), {}, Source(f"{symbol}-{kind}.csv")))
        series.stage()
        series.commit()
