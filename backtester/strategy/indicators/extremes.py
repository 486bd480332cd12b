"""Highest and lowest of a window, and what is made of them: Donchian channels, stochastic, Ichimoku."""

from collections import deque
from typing import NamedTuple

import numpy as np

from backtester.strategy.indicators.base import Column, Indicator, late
from backtester.strategy.indicators.means import Sma
from backtester.strategy.indicators.parameters import Flat, Window, parameters

_PERCENT_DECIMALS = 12  # so fine is the unit in which percentages are averaged, exactly


class Peak:
    """The largest of the last `window` values and where it stands; of equals the first. O(1) a value, amortised."""

    __slots__ = ("_queue", "_rows", "_window")

    def __init__(self, window: int) -> None:
        self._window = window
        self._rows = 0
        self._queue: deque[tuple[int, float]] = deque()  # values that may still become the largest, falling

    def push(self, value: float) -> float:
        """Take the next value; return the largest of those seen, at most `window`."""
        queue = self._queue
        while queue and queue[-1][1] < value:
            queue.pop()
        queue.append((self._rows, value))
        self._rows += 1
        if queue[0][0] < self._rows - self._window:
            queue.popleft()
        return queue[0][1]

    @property
    def age(self) -> int:
        """How many values have come since the largest one."""
        return self._rows - 1 - self._queue[0][0]

    @property
    def is_alone(self) -> bool:
        """Whether no later value equals the largest one."""
        queue = self._queue
        return len(queue) < 2 or queue[1][1] < queue[0][1]


def window_peaks(values: Column, window: int) -> Column:
    """Return the largest of each full window, shape (n - window + 1,): of narrower ones, doubled to cover it."""
    if len(values) < window:
        return values[:0]
    peaks, width = values, 1
    while 2 * width <= window:
        peaks, width = np.maximum(peaks[:-width], peaks[width:]), 2 * width
    return np.maximum(peaks[: len(values) - window + 1], peaks[window - width :])


class Max(Indicator):
    """The highest of the last `window` values."""

    name = "max"
    outputs = ("max",)

    @parameters
    def __init__(self, window: Window) -> None:
        self._window = window
        self._missing = window - 1
        self._peak = Peak(window)

    def update(self, value: float) -> float | None:
        """Take the next value; return the highest, or None before `window` values have come."""
        if value - value != 0.0:
            return None
        highest = self._peak.push(value)
        if self._missing:
            self._missing -= 1
            return None
        return highest + 0.0  # never −0.0: of 0.0 and −0.0 either may be "the" highest

    def _rows(self, *columns: Column) -> tuple[Column, ...]:
        return (late(window_peaks(columns[0], self._window) + 0.0, len(columns[0])),)


class Min(Indicator):
    """The lowest of the last `window` values."""

    name = "min"
    outputs = ("min",)

    @parameters
    def __init__(self, window: Window) -> None:
        self._max = Max(window)

    def update(self, value: float) -> float | None:
        """Take the next value; return the lowest, or None before `window` values have come."""
        highest = self._max.update(-value)
        return None if highest is None else 0.0 - highest

    def _rows(self, *columns: Column) -> tuple[Column, ...]:
        (highest,) = self._max._rows(-columns[0])
        return (0.0 - highest,)


class Channel(NamedTuple):
    """A channel around prices."""

    lower: float
    middle: float
    upper: float


class Donchian(Indicator):
    """Lowest low and highest high of the last `window` candles, the newest included, and the middle of the two."""

    name = "donchian"
    inputs = ("high", "low")
    outputs = ("lower", "middle", "upper")

    @parameters
    def __init__(self, window: Window = 20) -> None:
        self._highs = Max(window)
        self._lows = Min(window)

    def update(self, high: float, low: float) -> Channel | None:
        """Take the next high and low; return the channel, or None before `window` candles have come."""
        if (total := high + low) - total != 0.0:
            return None
        upper, lower = self._highs.update(high), self._lows.update(low)
        return None if upper is None or lower is None else Channel(lower, (upper + lower) / 2, upper)

    def _rows(self, *columns: Column) -> tuple[Column, ...]:
        (upper,), (lower,) = self._highs._rows(columns[0]), self._lows._rows(columns[1])
        return lower, (upper + lower) / 2, upper


class Oscillator(NamedTuple):
    """k: where the close lies in its channel, percent, smoothed. d: the mean of k."""

    k: float
    d: float


class Stochastic(Indicator):
    """Where the close lies between lowest low and highest high of `window` candles: %K over `smooth`, %D over `signal`.

    With smooth=1 it is the fast stochastic.
    """

    name = "stochastic"
    inputs = ("high", "low", "close")
    outputs = ("k", "d")

    @parameters
    def __init__(self, window: Window = 14, smooth: Window = 3, signal: Window = 3, flat: Flat = 50.0) -> None:
        self._flat = flat
        self._channel = Donchian(window)
        self._k = Sma(smooth, _PERCENT_DECIMALS)
        self._d = Sma(signal, _PERCENT_DECIMALS)

    def update(self, high: float, low: float, close: float) -> Oscillator | None:
        """Take the next candle; return %K and %D, or None before both are known."""
        if (total := high + low + close) - total != 0.0:
            return None
        channel = self._channel.update(high, low)
        if channel is None:
            return None
        reach = channel.upper - channel.lower
        k = self._k.update(100.0 * (close - channel.lower) / reach if reach else self._flat)
        d = None if k is None else self._d.update(k)
        return None if k is None or d is None else Oscillator(k, d)

    def _rows(self, *columns: Column) -> tuple[Column, ...]:
        high, low, close = columns
        lower, _, upper = self._channel._rows(high, low)
        known = slice(self._channel.warmup - 1, None)
        reach = upper[known] - lower[known]
        raw = np.full(len(reach), self._flat)
        np.divide(100.0 * (close[known] - lower[known]), reach, out=raw, where=reach != 0)
        (k,) = self._k._rows(raw)
        known_k = slice(self._k.warmup - 1, None)
        (d,) = self._d._rows(k[known_k])
        k = np.where(np.isnan(late(d, len(k))), np.nan, k)
        return late(k, len(close)), late(d, len(close))
