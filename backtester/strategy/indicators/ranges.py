"""The range of candles, and bands that are made of it: ATR, Keltner channels, Supertrend."""

from math import nan
from typing import NamedTuple

from backtester.strategy.indicators.extremes import Channel
from backtester.strategy.indicators.parameters import Multiple, Window, parameters
from backtester.strategy.indicators.recurrence import Constants, Recurrence, State, smooth


def true_range(high: float, low: float, last_close: float) -> float:
    """Return how far a candle went, the gap since the last close included."""
    top = high if high > last_close else last_close
    bottom = low if low < last_close else last_close
    return top - bottom


def atr_step(state: State, constants: Constants, high: float, low: float, close: float) -> State:
    """State: value, ranges seen (−1 before the first candle), last close, mean range. Constants: window."""
    _, seen, last, mean = state
    window = constants[0]
    seen += 1.0
    if seen < 1.0:
        return (nan, seen, close, mean)
    mean = smooth(mean, true_range(high, low, last), seen, window, window)
    return (mean if seen >= window else nan, seen, close, mean)


class Atr(Recurrence):
    """Average true range: Wilder's mean of true ranges, seeded with the plain mean of the first `window` of them.

    The first candle has no close before it, and so no true range.
    """

    name = "atr"
    inputs = ("high", "low", "close")
    outputs = ("atr",)
    step = staticmethod(atr_step)

    @parameters
    def __init__(self, window: Window = 14) -> None:
        self._constants = (float(window),)
        self._start = self._state = (nan, -1.0, 0.0, 0.0)

    def update(self, high: float, low: float, close: float) -> float | None:
        """Take the next candle; return the mean range, or None before `window` ranges have come."""
        if (total := high + low + close) - total != 0.0:
            return None
        self._state = state = atr_step(self._state, self._constants, high, low, close)
        value = state[0]
        return value if value == value else None


def keltner_step(state: State, constants: Constants, high: float, low: float, close: float) -> State:
    """State: the outputs, prices seen (below 1: not begun), mean, ranges seen, last close, mean range.

    Constants: window, divisor, atr_window, multiple.
    """
    _, _, _, seen, mean, ranges, last, reach = state
    window, divisor, atr_window, multiple = constants
    seen += 1.0
    if seen >= 1.0:
        typical = close + ((high - close) + (low - close)) / 3.0  # of equal prices exactly that price
        mean = smooth(mean, typical, seen, window, divisor)
    ranges += 1.0
    if ranges >= 1.0:
        reach = smooth(reach, true_range(high, low, last), ranges, atr_window, atr_window)
    if seen < window:
        return (nan, nan, nan, seen, mean, ranges, close, reach)
    half = multiple * reach
    return (mean - half, mean, mean + half, seen, mean, ranges, close, reach)


class Keltner(Recurrence):
    """Keltner channel: the EMA of the typical price, and `multiple` average true ranges to each side of it.

    As in TA-Lib, mean and range are seeded so that both are ready at once.
    """

    name = "keltner"
    inputs = ("high", "low", "close")
    outputs = Channel._fields
    step = staticmethod(keltner_step)

    @parameters
    def __init__(self, window: Window = 20, atr_window: Window = 10, multiple: Multiple = 2.0) -> None:
        self._constants = (float(window), (window + 1) / 2, float(atr_window), multiple)
        rows = max(window, atr_window + 1)
        unused = float(window - rows), float(atr_window - rows)
        self._start = self._state = (nan, nan, nan, unused[0], 0.0, unused[1], 0.0, 0.0)

    def update(self, high: float, low: float, close: float) -> Channel | None:
        """Take the next candle; return the channel, or None before mean and range are known."""
        if (total := high + low + close) - total != 0.0:
            return None
        self._state = state = keltner_step(self._state, self._constants, high, low, close)
        return Channel(state[0], state[1], state[2]) if state[0] == state[0] else None


class Trend(NamedTuple):
    """line: the stop of the trend. direction: 1.0 up (the line is below), −1.0 down (above)."""

    line: float
    direction: float


def supertrend_step(state: State, constants: Constants, high: float, low: float, close: float) -> State:
    """State: line, direction, way it went last, ranges seen, last close, mean range, lower, upper.

    Constants: window, multiple.
    """
    _, _, way, seen, last, reach, lower, upper = state
    window, multiple = constants
    atr, seen, _, reach = atr_step((nan, seen, last, reach), (window,), high, low, close)
    if seen < window:
        return (nan, nan, way, seen, close, reach, lower, upper)
    middle = (high + low) / 2.0
    floor, ceiling = middle - multiple * atr, middle + multiple * atr
    if seen > window:  # a band only comes nearer, until a close has passed it
        floor = floor if floor > lower or last < lower else lower
        ceiling = ceiling if ceiling < upper or last > upper else upper
    has_turned = close < floor if way > 0.0 else close > ceiling
    way = -way if has_turned else way
    return (floor if way > 0.0 else ceiling, way, way, seen, close, reach, floor, ceiling)


class Supertrend(Recurrence):
    """Supertrend: a stop `multiple` average true ranges from the middle of the candle that never moves away.

    It begins as an uptrend.
    """

    name = "supertrend"
    inputs = ("high", "low", "close")
    outputs = Trend._fields
    step = staticmethod(supertrend_step)

    @parameters
    def __init__(self, window: Window = 10, multiple: Multiple = 3.0) -> None:
        self._constants = (float(window), multiple)
        self._start = self._state = (nan, nan, 1.0, -1.0, 0.0, 0.0, 0.0, 0.0)

    def update(self, high: float, low: float, close: float) -> Trend | None:
        """Take the next candle; return line and direction, or None before the range is known."""
        if (total := high + low + close) - total != 0.0:
            return None
        self._state = state = supertrend_step(self._state, self._constants, high, low, close)
        return Trend(state[0], state[1]) if state[0] == state[0] else None
