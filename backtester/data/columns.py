"""Candles as columns: what readers of the lake receive, one batch at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class CandleColumns:
    """A batch of candles of one instrument and timeframe, as arrays of equal length, shape (n,).

    open_time: int64 µs UTC, strictly rising. open, high, low, close: float64, quote per base.
    volume: float64, base units.
    complete: bool, false where a derived candle misses part of its interval; None when every candle is complete.
    """

    open_time: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    complete: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.open_time)

    def slice(self, start: int, stop: int) -> "CandleColumns":
        """Return the rows start <= i < stop as views, without copying."""
        return CandleColumns(
            self.open_time[start:stop],
            self.open[start:stop],
            self.high[start:stop],
            self.low[start:stop],
            self.close[start:stop],
            self.volume[start:stop],
            None if self.complete is None else self.complete[start:stop],
        )

    def take(self, rows: NDArray[Any]) -> "CandleColumns":
        """Return the chosen rows, an index or a boolean array, copied."""
        return CandleColumns(
            self.open_time[rows],
            self.open[rows],
            self.high[rows],
            self.low[rows],
            self.close[rows],
            self.volume[rows],
            None if self.complete is None else self.complete[rows],
        )

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of all parts in the order given; at least one part."""
        if len(parts) == 1:
            return parts[0]
        complete = None
        if any(part.complete is not None for part in parts):
            complete = np.concatenate(
                [np.ones(len(p), dtype=np.bool_) if p.complete is None else p.complete for p in parts]
            )
        return cls(
            np.concatenate([part.open_time for part in parts]),
            np.concatenate([part.open for part in parts]),
            np.concatenate([part.high for part in parts]),
            np.concatenate([part.low for part in parts]),
            np.concatenate([part.close for part in parts]),
            np.concatenate([part.volume for part in parts]),
            complete,
        )

    def between(self, start: int, end: int) -> "CandleColumns":
        """Return the rows whose open time lies in [start, end), as views."""
        first, last = np.searchsorted(self.open_time, [start, end], side="left")
        return self.slice(int(first), int(last))
