"""The path of a mark price, as far as candles show it: what positions are liquidated by."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Path(NamedTuple):
    """Where a price was over some time, in 10^-p."""

    open: int
    low: int
    high: int
    close: int


class MarkPath:
    """Mark candles of one instrument in its price units: lows rounded down, highs up, so that nothing is missed."""

    def __init__(self, times: NDArray[np.int64], columns: NDArray[np.int64], length: int) -> None:
        """times: open times, ascending, shape (n,). columns: open, low, high, close, shape (4, n). length: in µs."""
        self._times = times
        self._columns = columns
        self._length = length

    def highs(self, starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """Return the highest mark over [start, start + length) for each start, ascending; 0 where none is known."""
        found = np.zeros(len(starts), dtype=np.int64)
        at = np.searchsorted(starts, self._times, side="right") - 1
        inside = (at >= 0) & (self._times < starts[np.maximum(at, 0)] + length)
        np.maximum.at(found, at[inside], self._columns[2][inside])
        return found

    def over(self, start: int, end: int) -> Path | None:
        """Return the path over [start, end); None when a mark candle of that span is missing."""
        first, last = np.searchsorted(self._times, (start, end))
        if last - first != (end - start) // self._length or last == first:
            return None
        opens, lows, highs, closes = self._columns[:, first:last]
        return Path(int(opens[0]), int(lows.min()), int(highs.max()), int(closes[-1]))
