"""Ichimoku: middles of three channels, and the cloud, each as it is known at a candle."""

from collections import deque
from typing import NamedTuple

import numpy as np

from backtester.strategy.indicators.base import Column, Indicator
from backtester.strategy.indicators.extremes import Channel, Donchian
from backtester.strategy.indicators.parameters import Window, parameters


class Cloud(NamedTuple):
    """conversion, base: middles of two channels. ahead_a, ahead_b: the cloud made now, drawn `displacement` ahead.

    span_a, span_b: the cloud that stands over this candle, made `displacement` candles ago.
    """

    conversion: float
    base: float
    ahead_a: float
    ahead_b: float
    span_a: float
    span_b: float


class Ichimoku(Indicator):
    """Conversion and base line, and the leading spans. Nothing is moved into the past.

    The lagging span is the close, drawn `displacement` candles back: compare the close with the close back there.
    """

    name = "ichimoku"
    inputs = ("high", "low")
    outputs = Cloud._fields

    @parameters
    def __init__(self, conversion: Window = 9, base: Window = 26, span: Window = 52, displacement: Window = 26) -> None:
        self._channels = Donchian(conversion), Donchian(base), Donchian(span)
        self._displacement = displacement
        self._made: deque[tuple[float, float]] = deque(maxlen=displacement + 1)

    def update(self, high: float, low: float) -> Cloud | None:
        """Take the next high and low; return the lines, or None before the first cloud stands over a candle."""
        if (total := high + low) - total != 0.0:
            return None
        quick, slow, long = (channel.update(high, low) for channel in self._channels)
        if quick is None or slow is None or long is None:
            return None
        ahead = _middle(quick, slow), long.middle
        self._made.append(ahead)
        if len(self._made) <= self._displacement:
            return None
        return Cloud(quick.middle, slow.middle, *ahead, *self._made[0])

    def _rows(self, *columns: Column) -> tuple[Column, ...]:
        quick, slow, long = (channel._rows(*columns)[1] for channel in self._channels)
        ahead_a, ahead_b = (quick + slow) / 2, long
        made = ahead_a + ahead_b  # NaN until both are known
        span_a, span_b = np.full((2, len(made)), np.nan)
        span_a[self._displacement :] = np.where(np.isnan(made), np.nan, ahead_a)[: -self._displacement]
        span_b[self._displacement :] = np.where(np.isnan(made), np.nan, ahead_b)[: -self._displacement]
        unknown = np.isnan(span_a)
        lines = quick, slow, ahead_a, ahead_b, span_a, span_b
        return tuple(np.where(unknown, np.nan, line) for line in lines)


def _middle(quick: Channel, slow: Channel) -> float:
    return (quick.middle + slow.middle) / 2
