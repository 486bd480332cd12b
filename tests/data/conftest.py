"""Little lakes, and the folder of real files when it is there."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtester.core.time import parse_time, timeframe_us
from backtester.data.downloader.rows import CleanRows, Series, rows_of
from backtester.data.downloader.writing import SeriesWriter
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.partition import Source
from backtester.data.schemas import KLINES

Columns = dict[str, Any]


def _candles(opens: list[float], start: str = "2024-01-01", timeframe: str = "1m") -> Columns:
    """Candles one after the other that open and close at the given price."""
    prices = np.array(opens, dtype=np.float64)
    times = parse_time(start) + np.arange(len(opens), dtype=np.int64) * timeframe_us(timeframe)
    columns: Columns = {column.name: column.unknown(len(opens)) for column in KLINES.columns}
    columns.update(open_time=times, open=prices, high=prices + 1, low=prices - 1, close=prices)
    columns.update(volume=np.arange(1.0, len(opens) + 1.0))
    return columns


def _put(root: Path, columns: Columns, source: str = "test.csv", *, replace: bool = False, **series: str) -> None:
    """Write candles of spot:BTCUSDT 1m, unless told otherwise, to a lake."""
    named = {"market": "spot", "kind": "klines", "symbol": "BTCUSDT", "timeframe": "1m", **series}
    with ManifestWriter(root) as writer:
        one = SeriesWriter(writer, Series(**named), replace=replace)
        one.add(CleanRows(rows_of(KLINES, columns), {}, Source(source)))
        one.stage()
        one.commit()


@pytest.fixture
def candles() -> Callable[..., Columns]:
    return _candles


@pytest.fixture
def put() -> Callable[..., None]:
    return _put


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real exchange files; tests that need it are skipped where it is not."""
    default = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "real"
    folder = Path(os.environ.get("BACKTESTER_REAL_DATA", default))
    if not (folder / "SOURCES.md").is_file():
        pytest.skip(f"no real data at {folder}: set BACKTESTER_REAL_DATA")
    return folder.resolve()
