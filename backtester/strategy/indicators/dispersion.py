"""How far prices scatter around their mean: deviation, z-score, Bollinger Bands, from exact sums of squares."""

from math import sqrt
from typing import NamedTuple

import numpy as np

from backtester.strategy.indicators.base import Column, Indicator, late
from backtester.strategy.indicators.exact import (
    FITS,
    Units,
    as_units,
    divided,
    largest,
    scale_of,
    window_spreads,
    window_sums,
)
from backtester.strategy.indicators.parameters import Decimals, Freedom, LongWindow, Multiple, parameters


class _Scatter:
    """The last `window` values in units: their sum, and spread = n Σu² − (Σu)², n² times the variance."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._ring = [0] * window
        self._next = 0
        self._squares = 0
        self._missing = window
        self.sum = 0

    def push(self, units: int) -> int | None:
        """Take the next value; return the spread, or None before the window is full."""
        at = self._next
        old = self._ring[at]
        self.sum += units - old
        self._squares += units * units - old * old
        self._ring[at] = units
        self._next = at + 1 if at + 1 < self._window else 0
        if self._missing:
            self._missing -= 1
            if self._missing:
                return None
        return self._window * self._squares - self.sum * self.sum


class Std(Indicator):
    """Standard deviation of the last `window` values; exactly 0 where they are equal."""

    name = "std"
    outputs = ("std",)

    @parameters
    def __init__(self, window: LongWindow, decimals: Decimals = None, ddof: Freedom = 0) -> None:
        self._window = window
        self._decimals = decimals
        self._scale = float(scale_of(decimals))
        self._divisor = sqrt(window * (window - ddof)) * self._scale
        self._scatter = _Scatter(window)

    def update(self, value: float) -> float | None:
        """Take the next value; return the deviation, or None before `window` values have come."""
        if value - value != 0.0:
            return None
        spread = self._scatter.push(round(value * self._scale))
        return None if spread is None else sqrt(spread) / self._divisor

    def _rows(self, *columns: Column) -> tuple[Column, ...]:
        units = as_units(columns[0], self._decimals)
        spreads = None if units is None else window_spreads(units, self._window)
        if spreads is None:
            return super()._rows(*columns)
        return (late(np.sqrt(spreads.astype(np.float64)) / self._divisor, len(columns[0])),)


class ZScore(Indicator):
    """How many standard deviations a price lies above the mean of its window; 0 where all prices are equal."""

    name = "zscore"
    outputs = ("zscore",)

    @parameters
    def __init__(self, window: LongWindow, decimals: Decimals = None, ddof: Freedom = 0) -> None:
        self._window = window
        self._decimals = decimals
        self._scale = float(scale_of(decimals))
        self._factor = sqrt((window - ddof) / window)
        self._scatter = _Scatter(window)

    def update(self, price: float) -> float | None:
        """Take the next price; return its score, or None before `window` prices have come."""
        if price - price != 0.0:
            return None
        units = round(price * self._scale)
        spread = self._scatter.push(units)
        if spread is None:
            return None
        return (self._window * units - self._scatter.sum) / sqrt(spread) * self._factor if spread else 0.0

    def _rows(self, *columns: Column) -> tuple[Column, ...]:
        found = _exact_window(columns[0], self._window, self._decimals)
        if found is None:
            return super()._rows(*columns)
        units, sums, spreads = found
        distances = (self._window * units[len(units) - len(sums) :] - sums).astype(np.float64)
        deviations = np.sqrt(np.where(spreads == 0, 1, spreads).astype(np.float64))
        scores = np.where(spreads == 0, 0.0, distances / deviations * self._factor)
        return (late(scores, len(columns[0])),)


class Bands(NamedTuple):
    """width: (upper − lower) / middle, NaN where the middle is 0."""

    lower: float
    middle: float
    upper: float
    width: float


class Bollinger(Indicator):
    """Bollinger Bands: the mean of the last `window` prices, and `multiple` deviations to each side of it."""

    name = "bollinger"
    outputs = ("lower", "middle", "upper", "width")

    @parameters
    def __init__(
        self, window: LongWindow = 20, multiple: Multiple = 2.0, decimals: Decimals = None, ddof: Freedom = 0
    ) -> None:
        self._window = window
        self._multiple = multiple
        self._decimals = decimals
        self._scale = float(scale_of(decimals))
        self._mean_divisor = window * scale_of(decimals)
        self._divisor = sqrt(window * (window - ddof)) * self._scale
        self._scatter = _Scatter(window)

    def update(self, price: float) -> Bands | None:
        """Take the next price; return the bands, or None before `window` prices have come."""
        if price - price != 0.0:
            return None
        spread = self._scatter.push(round(price * self._scale))
        if spread is None:
            return None
        middle = self._scatter.sum / self._mean_divisor
        reach = self._multiple * (sqrt(spread) / self._divisor)
        lower, upper = middle - reach, middle + reach
        return Bands(lower, middle, upper, (upper - lower) / middle if middle else float("nan"))

    def _rows(self, *columns: Column) -> tuple[Column, ...]:
        found = _exact_window(columns[0], self._window, self._decimals)
        if found is None:
            return super()._rows(*columns)
        _, sums, spreads = found
        middle = divided(sums, self._mean_divisor)
        reach = self._multiple * (np.sqrt(spreads.astype(np.float64)) / self._divisor)
        lower, upper = middle - reach, middle + reach
        width = np.full(len(middle), np.nan)
        np.divide(upper - lower, middle, out=width, where=middle != 0)
        rows = len(columns[0])
        return late(lower, rows), late(middle, rows), late(upper, rows), late(width, rows)


def _exact_window(values: Column, window: int, decimals: int | None) -> tuple[Units, Units, Units] | None:
    """Return units, sums and spreads of each full window; None where int64 cannot hold them."""
    units = as_units(values, decimals)
    if units is None or 2 * window * largest(units) >= FITS:
        return None
    sums, spreads = window_sums(units, window), window_spreads(units, window)
    return None if sums is None or spreads is None else (units, sums, spreads)
