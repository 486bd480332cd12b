"""What the market did while a run went on: benchmark.parquet, and the daily closes that say which regime it was."""

from array import array
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from backtester.core.bus import Bus
from backtester.core.instruments import InstrumentId
from backtester.core.market import Marks
from backtester.core.numbers import RATE_SCALE
from backtester.core.time import DAY, grid_offset_us
from backtester.core.topics import T_MARKS
from backtester.engine.columns import MONEY_TYPE, TIME_TYPE, StreamedTable, int64_as_decimal, plain_column

BENCHMARK = pa.schema([("ts", TIME_TYPE), ("equity", MONEY_TYPE)])
_LARGEST = 9.2e18


class MarketHistory:
    """Holds the run's symbols with equal shares of its money, each from its first close on, less the fee of buying it.

    A future is held without leverage and without funding; a share whose symbol has no price yet stays money.
    """

    def __init__(self, path: Path, fees: dict[InstrumentId, int], start: int, timeframe: int, bus: Bus) -> None:
        """fees: what buying each symbol costs, 1e-8 of what is bought. timeframe: µs, of the boundaries."""
        self._path = path
        self._fees = fees
        self._start = start
        self._timeframe = timeframe
        self._bought: dict[InstrumentId, float] = {}  # first closes
        self._ts: list[NDArray[np.int64]] = []
        self._growth: list[NDArray[np.float64]] = []
        self._days: dict[InstrumentId, tuple[array[int], array[int]]] = {i: (array("q"), array("q")) for i in fees}
        bus.subscribe(T_MARKS, self.on_marks)

    def on_marks(self, marks: Marks) -> None:
        """Take a window of closes."""
        ticks = marks.ticks
        kept = (ticks > self._start) & ((ticks - grid_offset_us(self._timeframe)) % self._timeframe == 0)
        midnights = np.flatnonzero((ticks > self._start) & (ticks % DAY == 0))
        whole = np.zeros(int(kept.sum()))
        for instrument, rate in self._fees.items():
            closes = marks.closes.get(instrument)
            if closes is None:
                whole += 1.0
                continue
            whole += self._held(instrument, closes[kept].astype(np.float64), rate)
            days, prices = self._days[instrument]
            known = midnights[closes[midnights] > 0]
            days.extend(ticks[known].tolist())
            prices.extend(closes[known].tolist())
        if len(whole) and self._fees:
            self._ts.append(ticks[kept])
            self._growth.append(whole / len(self._fees))

    def _held(self, instrument: InstrumentId, closes: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
        """Return what a share of 1 is worth at each boundary."""
        first = self._bought.get(instrument)
        if first is None:
            known = np.flatnonzero(closes > 0)
            if not len(known):
                return np.ones(len(closes))
            first = self._bought[instrument] = float(closes[known[0]])
        return np.where(closes > 0, closes / first * (1 - rate / RATE_SCALE), 1.0)

    def daily_closes(self, instrument: InstrumentId) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the midnights (µs) that an instrument had a price at, and its prices, in its own units."""
        days, prices = self._days.get(instrument, (array("q"), array("q")))
        return np.array(days, dtype=np.int64), np.array(prices, dtype=np.float64)

    def write(self, initial_units: int) -> str:
        """Write benchmark.parquet for an account that starts with so much (1e-8); return the table's digest.

        It is empty where nothing that the run names has a price of its own, and where it would grow beyond 92 billion.
        """
        table = StreamedTable(self._path, BENCHMARK)
        if self._bought and initial_units > 0:
            growth = np.concatenate([np.ones(1), *self._growth]) * initial_units
            if growth.max() < _LARGEST:
                table.append(
                    [
                        plain_column(np.concatenate([np.array([self._start]), *self._ts]), TIME_TYPE),
                        int64_as_decimal(np.rint(growth).astype(np.int64), MONEY_TYPE),
                    ]
                )
        return table.close()
