"""Means of a window of prices, equally weighted and linearly weighted: exact sums, divided once."""

from backtester.strategy.indicators.base import Column, Indicator, late
from backtester.strategy.indicators.exact import as_units, divided, scale_of, window_ramps, window_sums
from backtester.strategy.indicators.parameters import Decimals, Window, parameters


class Sma(Indicator):
    """Simple moving average: the mean of the last `window` prices, the nearest float to the exact one."""

    name = "sma"
    outputs = ("sma",)

    @parameters
    def __init__(self, window: Window, decimals: Decimals = None) -> None:
        self._window = window
        self._decimals = decimals
        self._units_of_one = scale_of(decimals)
        self._scale = float(self._units_of_one)
        self._divisor = window * self._units_of_one
        self._ring = [0] * window
        self._next = 0
        self._sum = 0
        self._missing = window

    def update(self, price: float) -> float | None:
        """Take the next price; return the mean, or None before `window` prices have come."""
        if price - price != 0.0:
            return None
        return self.update_units(round(price * self._scale))

    def update_units(self, units: int) -> float | None:
        """Take the next price as an integer of 10^-decimals: several means can share one conversion."""
        at = self._next
        ring = self._ring
        self._sum += units - ring[at]
        ring[at] = units
        self._next = at + 1 if at + 1 < self._window else 0
        if self._missing:
            self._missing -= 1
            if self._missing:
                return None
        return self._sum / self._divisor

    def _rows(self, *columns: Column) -> tuple[Column, ...]:
        units = as_units(columns[0], self._decimals)
        sums = None if units is None else window_sums(units, self._window)
        if sums is None:
            return super()._rows(*columns)
        return (late(divided(sums, self._divisor), len(columns[0])),)


class Wma(Indicator):
    """Weighted moving average: the newest price counts `window` times, the one before once less, the oldest once."""

    name = "wma"
    outputs = ("wma",)

    @parameters
    def __init__(self, window: Window, decimals: Decimals = None) -> None:
        self._window = window
        self._decimals = decimals
        self._scale = float(scale_of(decimals))
        self._divisor = window * (window + 1) // 2 * scale_of(decimals)
        self._ring = [0] * window
        self._next = 0
        self._sum = 0
        self._weighted = 0
        self._missing = window

    def update(self, price: float) -> float | None:
        """Take the next price; return the mean, or None before `window` prices have come."""
        if price - price != 0.0:
            return None
        units = round(price * self._scale)
        at = self._next
        self._weighted += units * self._window - self._sum  # all others lose one weight, the oldest its last
        self._sum += units - self._ring[at]
        self._ring[at] = units
        self._next = at + 1 if at + 1 < self._window else 0
        if self._missing:
            self._missing -= 1
            if self._missing:
                return None
        return self._weighted / self._divisor

    def _rows(self, *columns: Column) -> tuple[Column, ...]:
        units = as_units(columns[0], self._decimals)
        sums = None if units is None else window_sums(units, self._window)
        ramps = None if units is None else window_ramps(units, self._window)
        if sums is None or ramps is None:
            return super()._rows(*columns)
        return (late(divided(ramps + sums, self._divisor), len(columns[0])),)
