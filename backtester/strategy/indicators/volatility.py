"""Realised volatility: deviation of logarithmic returns, over a year."""

from math import sqrt
from typing import Annotated

from pydantic import Field

from backtester.core.time import DAY, timeframe_us
from backtester.strategy.indicators.base import Indicator
from backtester.strategy.indicators.dispersion import Std
from backtester.strategy.indicators.parameters import Freedom, LongWindow, parameters

Timeframe = Annotated[str, Field(description="timeframe of the candles, for the year: 5m has 105120 candles in it")]
YEAR = 365 * DAY
_TERMS = tuple(1.0 / odd for odd in range(23, 2, -2))
_SMALLEST = 1e-300
_NEAR = 0.2  # for a smaller argument the terms above say all that float64 can hold


def log_ratio(value: float, base: float) -> float:
    """Return ln(value / base) of two numbers >= 1e-300 by + − × ÷ and sqrt: logs of libraries differ in bits."""
    slope, times = (value - base) / (value + base), 2.0
    if not -_NEAR < slope < _NEAR:
        ratio, times = sqrt(value) / sqrt(base), 4.0  # which no two numbers can drive to zero or infinity
        while not -_NEAR < (slope := (ratio - 1.0) / (ratio + 1.0)) < _NEAR:
            ratio, times = sqrt(ratio), times * 2.0
    square, series = slope * slope, 0.0
    for term in _TERMS:
        series = (series + term) * square
    return times * (slope + slope * series)


class RealisedVolatility(Indicator):
    """Deviation of the last `window` logarithmic returns, annualised by the square root of the candles in a year.

    A price that is not positive has no return; it is passed over like a NaN.
    """

    name = "realised_volatility"
    outputs = ("realised_volatility",)

    @parameters
    def __init__(self, window: LongWindow, timeframe: Timeframe, ddof: Freedom = 1) -> None:
        self._year = sqrt(YEAR / timeframe_us(timeframe))
        self._std = Std(window, ddof=ddof)
        self._last = 0.0

    def update(self, price: float) -> float | None:
        """Take the next price; return the volatility, or None before `window` returns have come."""
        if price - price != 0.0 or price < _SMALLEST:
            return None
        last, self._last = self._last, price
        deviation = self._std.update(log_ratio(price, last)) if last else None
        return None if deviation is None else deviation * self._year
