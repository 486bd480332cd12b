"""Indicators of traded volume: VWAP of a session, on-balance volume. Exact sums of integers, as for means."""

from typing import Annotated

import numpy as np
from pydantic import Field

from backtester.core.time import grid_offset_us, timeframe_us
from backtester.strategy.indicators.base import Column, Indicator
from backtester.strategy.indicators.exact import FITS, as_units, divided, largest, scale_of
from backtester.strategy.indicators.parameters import Decimals, parameters

VolumeDecimals = Annotated[
    int | None,
    Field(ge=0, le=18, description="decimals of the volume, in which sums are exact; none: exact in binary, slower"),
]
Session = Annotated[str, Field(description="length of a session, a timeframe: 1d is the UTC day, 1w begins on Monday")]


class Vwap(Indicator):
    """Mean of the typical prices of a session so far, weighted by volume; null until something is traded in it."""

    name = "vwap"
    inputs = ("high", "low", "close", "volume", "open_time")
    outputs = ("vwap",)

    @parameters
    def __init__(
        self, session: Session = "1d", decimals: Decimals = None, volume_decimals: VolumeDecimals = None
    ) -> None:
        self._length = timeframe_us(session)
        self._offset = grid_offset_us(self._length)
        self._decimals, self._volume_decimals = decimals, volume_decimals
        self._scale, self._volume_scale = float(scale_of(decimals)), float(scale_of(volume_decimals))
        self._divisor = 3 * scale_of(decimals)
        self._session = -1
        self._traded = 0
        self._volume = 0

    def update(self, high: float, low: float, close: float, volume: float, open_time: float) -> float | None:
        """Take the next candle, which opens at open_time in UTC microseconds; return the mean of its session so far."""
        if (total := high + low + close + volume + open_time) - total != 0.0:
            return None
        session = int((open_time - self._offset) // self._length)
        if session != self._session:
            self._session, self._traded, self._volume = session, 0, 0
        scale, units = self._scale, round(volume * self._volume_scale)
        self._traded += (round(high * scale) + round(low * scale) + round(close * scale)) * units
        self._volume += units
        return self._traded / (self._volume * self._divisor) if self._volume else None

    def _rows(self, *columns: Column) -> tuple[Column, ...]:
        *prices, volume, open_time = columns
        high, low, close = (as_units(each, self._decimals) for each in prices)
        units = as_units(volume, self._volume_decimals)
        if high is None or low is None or close is None or units is None or not len(units):
            return super()._rows(*columns)
        typical = high + low + close
        begins = np.diff((open_time - self._offset) // self._length, prepend=-1.0) != 0
        first = np.maximum.accumulate(np.where(begins, np.arange(len(begins)), 0))  # row in which the session began
        longest = int((np.arange(len(begins)) - first).max()) + 1
        if longest * largest(units) * max(3 * max(map(largest, (high, low, close))), self._divisor) >= FITS:
            return super()._rows(*columns)
        traded, volumes = (np.cumsum(np.concatenate(([0], each))) for each in (typical * units, units))
        return (divided(traded[1:] - traded[first], (volumes[1:] - volumes[first]) * self._divisor),)


class Obv(Indicator):
    """On-balance volume: volume is added where the close rises and taken away where it falls.

    It begins with the first volume, as in TA-Lib.
    """

    name = "obv"
    inputs = ("close", "volume")
    outputs = ("obv",)

    @parameters
    def __init__(self, volume_decimals: VolumeDecimals = None) -> None:
        self._decimals = volume_decimals
        self._units_of_one = scale_of(volume_decimals)
        self._scale = float(self._units_of_one)
        self._last = float("-inf")  # the first close is above it
        self._sum = 0

    def update(self, close: float, volume: float) -> float | None:
        """Take the next candle's close and volume; return the sum so far."""
        if (total := close + volume) - total != 0.0:
            return None
        if close > self._last:
            self._sum += round(volume * self._scale)
        elif close < self._last:
            self._sum -= round(volume * self._scale)
        self._last = close
        return self._sum / self._units_of_one

    def _rows(self, *columns: Column) -> tuple[Column, ...]:
        close, volume = columns
        units = as_units(volume, self._decimals)
        if units is None or largest(units) * len(units) >= FITS:
            return super()._rows(*columns)
        signs = np.sign(np.diff(close, prepend=-np.inf)).astype(np.int64)
        return (divided(np.cumsum(signs * units), self._units_of_one),)
