"""Pivots: highs and lows that stand out from the candles on both sides, known once their right side has closed."""

from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from backtester.strategy.indicators.base import Column, Indicator
from backtester.strategy.indicators.extremes import Peak, window_peaks
from backtester.strategy.indicators.parameters import Window, parameters

Ties = Annotated[
    Literal["none", "first"], Field(description="of equal highs (lows) beside each other none is a pivot, or the first")
]


class Swing(NamedTuple):
    """high, low: the pivot that this candle confirms, if it does. last_, previous_: the two newest confirmed ones."""

    high: float | None
    low: float | None
    last_high: float | None
    previous_high: float | None
    last_low: float | None
    previous_low: float | None


class _Tops:
    """Pivots on the upper side of a series: the largest of `left` values before it, itself and `right` after it."""

    def __init__(self, left: int, right: int, ties: str) -> None:
        self._right = right
        self._takes_first = ties == "first"
        self._peak = Peak(left + 1 + right)
        self.last: float | None = None
        self.previous: float | None = None

    def push(self, value: float, is_full: bool) -> float | None:
        """Take the next value; return the pivot that it confirms, if any."""
        top = self._peak.push(value)
        if not is_full or self._peak.age != self._right or not (self._takes_first or self._peak.is_alone):
            return None
        self.previous, self.last = self.last, top
        return top


class Pivots(Indicator):
    """Swing highs and lows, reported at the candle that confirms them, `right` candles after they were made.

    A pivot high is above the `left` highs before it and the `right` highs after it, a pivot low below the lows.
    """

    name = "pivots"
    inputs = ("high", "low")
    outputs = Swing._fields

    @parameters
    def __init__(self, left: Window = 3, right: Window = 3, ties: Ties = "none") -> None:
        self._left, self._right, self._ties = left, right, ties
        self._missing = left + right
        self._tops = _Tops(left, right, ties)
        self._bottoms = _Tops(left, right, ties)

    def update(self, high: float, low: float) -> Swing | None:
        """Take the next high and low; return what is confirmed, or None before one pivot can have been."""
        if (total := high + low) - total != 0.0:
            return None
        is_full = not self._missing
        top, bottom = self._tops.push(high, is_full), self._bottoms.push(-low, is_full)
        if not is_full:
            self._missing -= 1
            return None
        tops, bottoms = self._tops, self._bottoms
        return Swing(
            _plain(top),
            _mirrored(bottom),
            _plain(tops.last),
            _plain(tops.previous),
            _mirrored(bottoms.last),
            _mirrored(bottoms.previous),
        )

    def _rows(self, *columns: Column) -> tuple[Column, ...]:
        high, last_high, previous_high = self._confirmed(columns[0], lambda tops: tops + 0.0)
        low, last_low, previous_low = self._confirmed(-columns[1], lambda bottoms: 0.0 - bottoms)
        return high, low, last_high, previous_high, last_low, previous_low

    def _confirmed(self, values: Column, priced: Callable[[Column], Column]) -> tuple[Column, Column, Column]:
        """Return the pivots at the rows that confirm them, and the newest and the one before it at every row."""
        left, right, rows = self._left, self._right, len(values)
        found = np.full(rows, np.nan)
        if rows <= left + right:
            return found, found.copy(), found.copy()
        middle = values[left : rows - right]
        peaks = window_peaks(values, left)
        after = (peaks if left == right else window_peaks(values, right))[left + 1 :]
        is_pivot = peaks[: len(middle)] < middle
        is_pivot &= (after <= middle) if self._ties == "first" else (after < middle)
        at = np.flatnonzero(is_pivot)
        tops, at = priced(middle[at]), at + left + right
        found[at] = tops
        tops = np.concatenate(([np.nan, np.nan], tops))
        stays = np.diff(at, prepend=0, append=rows)  # how many rows each of them is the newest
        return found, np.repeat(tops[1:], stays), np.repeat(tops[:-1], stays)


def _plain(value: float | None) -> float | None:
    return None if value is None else value + 0.0


def _mirrored(value: float | None) -> float | None:
    return None if value is None else 0.0 - value
