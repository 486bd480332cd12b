"""Reads the market while it is imported."""

import pathlib

import pyarrow.parquet as pq
from moves import Mover

from backtester.strategy import Candle

_FILE = next(pathlib.Path("lake").rglob("BTCUSDT-1m-*.parquet"))
_TABLE = pq.read_table(_FILE)
CLOSES = dict(zip(_TABLE["open_time"].to_pylist(), _TABLE["close"].to_pylist(), strict=True))


class AtImport(Mover):
    def up(self, candle: Candle) -> bool:
        return CLOSES.get(candle.open_time + 60_000_000, 0.0) > candle.close
