"""A sealed run's folder made larger than a test could run: its tables and its lake are made up, the rest is real."""

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w

from backtester.core.time import format_time
from backtester.data.downloader.rows import CleanRows, Series, rows_of
from backtester.data.downloader.writing import SeriesWriter
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.partition import Source
from backtester.data.schemas import KLINES
from tests.support.market import time_of

MINUTE = 60_000_000


def year_of_minutes(lake: Path, candles: int, seed: int = 5) -> np.ndarray[Any, Any]:
    """Write BTCUSDT candles of a minute that wander by tenths of a per mille; return their closes."""
    rng = np.random.default_rng(seed)
    close = np.round(30_000 * np.exp(np.cumsum(rng.normal(0, 4e-4, candles))), 2)
    open_ = np.concatenate([[30_000.0], close[:-1]])
    wick = np.round(np.abs(rng.normal(0, 6, (2, candles))), 2)
    columns: dict[str, Any] = {column.name: column.unknown(candles) for column in KLINES.columns}
    columns |= {
        "open_time": time_of(0) + np.arange(candles, dtype=np.int64) * MINUTE,
        "open": open_,
        "high": np.round(np.maximum(open_, close) + wick[0], 2),
        "low": np.round(np.minimum(open_, close) - wick[1], 2),
        "close": close,
        "volume": np.round(rng.exponential(20, candles), 3),
    }
    with ManifestWriter(lake) as writer:
        series = SeriesWriter(writer, Series("spot", KLINES.kind, "BTCUSDT", "1m"))
        series.add(CleanRows(rows_of(KLINES, columns), {}, Source("made-up.csv")))
        series.stage()
        series.commit()
    return close


def enlarged(small: Path, folder: Path, lake: Path, close: np.ndarray[Any, Any], *, trades: int, equity: int) -> Path:
    """Copy a run of BTCUSDT to `folder` with so many trades and equity points, over the candles of another lake."""
    shutil.copytree(small, folder)
    end = time_of(len(close))
    details = json.loads((folder / "run.json").read_text())
    details["range"] = {"start": format_time(time_of(0)), "end": format_time(end), "last_tick": format_time(end)}
    (folder / "run.json").write_text(json.dumps(details))
    config = tomllib.loads((folder / "config.toml").read_text())
    config["data"]["dir"] = str(lake)
    (folder / "config.toml").write_text(tomli_w.dumps(config))
    rng = np.random.default_rng(7)
    _replace(folder / "equity.parquet", _equity(rng, equity, end))
    _replace(folder / "trades.parquet", _trades(rng, trades, close))
    return folder


def _equity(rng: np.random.Generator, rows: int, end: int) -> dict[str, Any]:
    ts = np.linspace(time_of(0), end, rows).astype(np.int64)
    equity = np.round(10_000 * np.exp(np.cumsum(rng.normal(0, 0.3 / np.sqrt(rows), rows))), 2)
    held = rng.random(rows) < 0.4
    return {
        "ts": ts,
        "equity": equity,
        "cash": np.where(held, 0.0, equity),
        "unrealised": np.zeros(rows),
        "exposure": np.where(held, equity, 0.0),
        "drawdown": equity / np.maximum.accumulate(equity) - 1,
    }


def _trades(rng: np.random.Generator, rows: int, close: np.ndarray[Any, Any]) -> dict[str, Any]:
    step = len(close) // rows
    entry = np.arange(rows) * step
    exit_ = entry + rng.integers(1, max(2, step - 1), rows)
    long = rng.random(rows) < 0.6
    qty = np.round(rng.uniform(0.01, 0.2, rows), 5)
    gross = np.round(np.where(long, 1, -1) * (close[exit_] - close[entry]) * qty, 4)
    fees = np.round((close[exit_] + close[entry]) * qty * 1e-3, 4)
    return {
        "instrument": ["spot:BTCUSDT"] * rows,
        "side": np.where(long, "long", "short").tolist(),
        "entry_time": time_of(0) + entry * MINUTE,
        "exit_time": time_of(0) + exit_ * MINUTE,
        "qty": qty,
        "entry_price": close[entry],
        "exit_price": close[exit_],
        "entry_notional": np.round(close[entry] * qty, 6),
        "exit_notional": np.round(close[exit_] * qty, 6),
        "gross_pnl": gross,
        "fees": fees,
        "net_pnl": np.round(gross - fees, 4),
        "fills": np.full(rows, 2),
        "entry_tag": [("breakout", "pullback", "")[k] for k in rng.integers(0, 3, rows)],
        "exit_tag": [("stop", "target", "signal")[k] for k in rng.integers(0, 3, rows)],
        "exit_reason": [("stop", "target", "signal")[k] for k in rng.integers(0, 3, rows)],
        "initial_stop": np.round(close[entry] * np.where(long, 0.98, 1.02), 2),
        "r": np.round((gross - fees) / (close[entry] * 0.02 * qty), 4),
        "equity_at_entry": np.full(rows, 10_000.0),
    }


def _replace(path: Path, columns: dict[str, Any]) -> None:
    """Write a table with the types that the run's own has, where it has the column."""
    types = {field.name: field.type for field in pq.read_schema(path)}
    arrays = {}
    for name, values in columns.items():
        array = pa.array(values)
        kind = types.get(name, array.type)
        if pa.types.is_timestamp(kind) or not pa.types.is_decimal(kind):
            arrays[name] = array.cast(kind)
        else:
            units = pa.array(np.rint(np.asarray(values, dtype=np.float64) * 10**8).astype(np.int64))
            arrays[name] = units.cast(pa.decimal128(19, 0)).cast(pa.decimal128(38, 0))
            arrays[name] = _scaled(arrays[name], kind)
    pq.write_table(pa.table(arrays), path, row_group_size=1 << 18)


def _scaled(units: pa.Array, kind: pa.DataType) -> pa.Array:
    """Read whole numbers as decimals of eight places, then as what the column wants."""
    eight = pa.Array.from_buffers(pa.decimal128(38, 8), len(units), units.buffers())
    return eight if kind == eight.type else eight.cast(kind)
