"""Around the engine: files, the lake, other programs, the network, the environment."""

import ctypes
import mmap
import os
import pathlib
import socket
import sqlite3
import subprocess
import sys

import numpy as np
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from moves import Mover

from backtester.data.lake import Lake
from backtester.strategy import Candle

KEPT = pathlib.Path("kept.txt")


def parquet(lake: str, symbol: str = "BTCUSDT") -> str:
    return str(next(pathlib.Path(lake).rglob(f"{symbol}-1m-*.parquet")))


class Known(Mover):
    """Knows the close of every candle by when it opens."""

    closes: dict[int, float]

    def up(self, candle: Candle) -> bool:
        return self.closes.get(candle.open_time + 60_000_000, 0.0) > candle.close


class ParquetInTheConstructor(Known):
    def __init__(self, params):
        super().__init__(params)
        table = pq.read_table(parquet(params.lake))
        self.closes = dict(zip(table["open_time"].to_pylist(), table["close"].to_pylist(), strict=True))


class PolarsAtTheStart(Known):
    def on_start(self):
        rows = pl.scan_parquet(parquet(self.params.lake)).select("open_time", "close").collect()
        self.closes = dict(rows.iter_rows())


class PolarsShift(Known):
    """A whole frame, one row up."""

    def on_start(self):
        frame = pl.read_parquet(parquet(self.params.lake))
        self.closes = dict(frame.select("open_time", pl.col("close").shift(-1)).drop_nulls().iter_rows())


class Dataset(Known):
    def on_start(self):
        table = ds.dataset(parquet(self.params.lake)).to_table()
        self.closes = dict(zip(table["open_time"].to_pylist(), table["close"].to_pylist(), strict=True))


class TheEnginesLake(Known):
    """Asks the engine's own reader."""

    def on_start(self):
        batches = list(Lake(pathlib.Path(self.params.lake)).read_candles("spot", "BTCUSDT", "1m", 0, 2**62))
        self.closes = {int(t): float(c) for b in batches for t, c in zip(b.open_time, b.close, strict=True)}


class OpensWhenItTrades(Mover):
    """Only looks at a file at the fifth candle."""

    seen = 0

    def up(self, candle: Candle) -> bool:
        self.seen += 1
        if self.seen == 5:
            with open(parquet(self.params.lake), "rb") as file:
                self.size = len(file.read())
        return self.seen % 7 < 3


class NumpyFromFile(Mover):
    def on_start(self):
        self.all = np.fromfile(parquet(self.params.lake), dtype=np.uint8)
        self.again = np.loadtxt(__file__, dtype=str, delimiter="\x00", comments=None)

    def up(self, candle: Candle) -> bool:
        return self.all[candle.open_time // 60_000_000 % len(self.all)] > 100


class Mapped(Mover):
    def on_start(self):
        with open(parquet(self.params.lake), "rb") as file:
            self.all = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def up(self, candle: Candle) -> bool:
        return self.all[candle.open_time // 60_000_000 % len(self.all)] > 100


class Remembers(Mover):
    """Leaves a note for the next run."""

    def on_start(self):
        self.before = KEPT.read_text() if KEPT.exists() else ""

    def up(self, candle: Candle) -> bool:
        with KEPT.open("a") as file:
            file.write("x")
        return len(self.before) % 2 == 0


class IsItThere(Mover):
    def up(self, candle: Candle) -> bool:
        return os.path.exists("/nowhere") or candle.close > candle.open


class AnotherProgram(Mover):
    def on_start(self):
        self.size = int(subprocess.check_output([sys.executable, "-S", "-c", "print(3)"]))

    def up(self, candle: Candle) -> bool:
        return candle.open_time // 60_000_000 % self.size == 0


class Network(Mover):
    def on_start(self):
        with socket.socket() as asked:
            asked.settimeout(0.05)
            self.answer = asked.connect_ex(("127.0.0.1", 9))

    def up(self, candle: Candle) -> bool:
        return candle.close > candle.open


class Environment(Mover):
    def up(self, candle: Candle) -> bool:
        return bool(os.environ.get("BULLISH")) or candle.close > candle.open


class GetEnvironment(Mover):
    def on_start(self):
        self.bullish = os.getenv("BULLISH", "")

    def up(self, candle: Candle) -> bool:
        return bool(self.bullish) or candle.close > candle.open


class Database(Mover):
    def on_start(self):
        self.base = sqlite3.connect("kept.db")

    def up(self, candle: Candle) -> bool:
        return candle.close > candle.open


class Native(Mover):
    def on_start(self):
        self.library = ctypes.CDLL(None)

    def up(self, candle: Candle) -> bool:
        return self.library.getpid() % 2 == 0
