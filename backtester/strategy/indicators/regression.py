"""The slope of the straight line that fits a window of prices best."""

from backtester.strategy.indicators.base import Column, Indicator, late
from backtester.strategy.indicators.exact import FITS, as_units, divided, largest, scale_of, window_ramps, window_sums
from backtester.strategy.indicators.parameters import Decimals, LongWindow, parameters


class Slope(Indicator):
    """Slope of the least-squares line through the last `window` prices, in price per candle; its sign is exact."""

    name = "slope"
    outputs = ("slope",)

    @parameters
    def __init__(self, window: LongWindow, decimals: Decimals = None) -> None:
        self._window = window
        self._decimals = decimals
        self._scale = float(scale_of(decimals))
        # (n Σxu − Σx Σu) over (n Σx² − (Σx)²) for x = 0 ... n − 1, both times 12 / n, so that all of it is integer
        self._divisor = window * (window * window - 1) * scale_of(decimals)
        self._ring = [0] * window
        self._next = 0
        self._sum = 0
        self._ramp = 0
        self._missing = window

    def update(self, price: float) -> float | None:
        """Take the next price; return the slope, or None before `window` prices have come."""
        if price - price != 0.0:
            return None
        units = round(price * self._scale)
        at, last = self._next, self._window - 1
        kept = self._sum - self._ring[at]
        self._ramp += units * last - kept  # each price that stays moves one place towards the past
        self._sum = kept + units
        self._ring[at] = units
        self._next = at + 1 if at < last else 0
        if self._missing:
            self._missing -= 1
            if self._missing:
                return None
        return (12 * self._ramp - 6 * last * self._sum) / self._divisor

    def _rows(self, *columns: Column) -> tuple[Column, ...]:
        units = as_units(columns[0], self._decimals)
        if units is None or 24 * largest(units) * self._window**2 >= FITS:
            return super()._rows(*columns)
        sums, ramps = window_sums(units, self._window), window_ramps(units, self._window)
        if sums is None or ramps is None:
            return super()._rows(*columns)
        return (late(divided(12 * ramps - 6 * (self._window - 1) * sums, self._divisor), len(columns[0])),)
