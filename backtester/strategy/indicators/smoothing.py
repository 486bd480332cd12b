"""Exponential means and what is made of them: EMA, DEMA, MACD."""

from math import nan
from typing import NamedTuple

from backtester.strategy.indicators.parameters import Window, parameters
from backtester.strategy.indicators.recurrence import Constants, Recurrence, State, smooth


def ema_step(state: State, constants: Constants, close: float) -> State:
    """State: value, prices seen, mean. Constants: window, divisor."""
    _, seen, mean = state
    window, divisor = constants
    seen += 1.0
    mean = smooth(mean, close, seen, window, divisor)
    return (mean if seen >= window else nan, seen, mean)


class Ema(Recurrence):
    """Exponential moving average, weight 2 / (window + 1), seeded with the plain mean of the first `window` prices."""

    name = "ema"
    outputs = ("ema",)
    step = staticmethod(ema_step)

    @parameters
    def __init__(self, window: Window) -> None:
        self._constants = (float(window), (window + 1) / 2)
        self._start = self._state = (nan, 0.0, 0.0)

    def update(self, price: float) -> float | None:
        """Take the next price; return the mean, or None before `window` prices have come."""
        if price - price != 0.0:
            return None
        self._state = state = ema_step(self._state, self._constants, price)
        value = state[0]
        return value if value == value else None


def dema_step(state: State, constants: Constants, close: float) -> State:
    """State: value, prices seen, mean, mean of means. Constants: window, divisor."""
    _, seen, mean, again = state
    window, divisor = constants
    seen += 1.0
    mean = smooth(mean, close, seen, window, divisor)
    means = seen - window + 1.0
    if means < 1.0:
        return (nan, seen, mean, again)
    again = smooth(again, mean, means, window, divisor)
    return (2.0 * mean - again if means >= window else nan, seen, mean, again)


class Dema(Recurrence):
    """Double exponential moving average: twice the EMA less the EMA of the EMA."""

    name = "dema"
    outputs = ("dema",)
    step = staticmethod(dema_step)

    @parameters
    def __init__(self, window: Window) -> None:
        self._constants = (float(window), (window + 1) / 2)
        self._start = self._state = (nan, 0.0, 0.0, 0.0)

    def update(self, price: float) -> float | None:
        """Take the next price; return the mean, or None before both means are known."""
        if price - price != 0.0:
            return None
        self._state = state = dema_step(self._state, self._constants, price)
        value = state[0]
        return value if value == value else None


class Convergence(NamedTuple):
    """macd: fast less slow mean. signal: the mean of macd. histogram: macd less signal."""

    macd: float
    signal: float
    histogram: float


def macd_step(state: State, constants: Constants, close: float) -> State:
    """State: the outputs, prices seen, fast and slow mean, signal. Constants: window and divisor of the three."""
    _, _, _, seen, fast, slow, signal = state
    fast_window, fast_divisor, slow_window, slow_divisor, signal_window, signal_divisor = constants
    seen += 1.0
    slow = smooth(slow, close, seen, slow_window, slow_divisor)
    fast_seen = seen - (slow_window - fast_window)
    if fast_seen >= 1.0:
        fast = smooth(fast, close, fast_seen, fast_window, fast_divisor)
    macds = seen - slow_window + 1.0
    if macds < 1.0:
        return (nan, nan, nan, seen, fast, slow, signal)
    macd = fast - slow
    signal = smooth(signal, macd, macds, signal_window, signal_divisor)
    if macds < signal_window:
        return (nan, nan, nan, seen, fast, slow, signal)
    return (macd, signal, macd - signal, seen, fast, slow, signal)


class Macd(Recurrence):
    """Moving average convergence/divergence. As in TA-Lib, the fast mean is seeded so that both are ready at once."""

    name = "macd"
    outputs = Convergence._fields
    step = staticmethod(macd_step)

    @parameters
    def __init__(self, fast: Window = 12, slow: Window = 26, signal: Window = 9) -> None:
        if fast >= slow:
            raise ValueError(f"fast ({fast}) must be less than slow ({slow})")
        windows = (fast, slow, signal)
        self._constants = tuple(float(each) for window in windows for each in (window, (window + 1) / 2))
        self._start = self._state = (nan, nan, nan, 0.0, 0.0, 0.0, 0.0)

    def update(self, price: float) -> Convergence | None:
        """Take the next price; return line, signal and histogram, or None before the signal is known."""
        if price - price != 0.0:
            return None
        self._state = state = macd_step(self._state, self._constants, price)
        return Convergence(state[0], state[1], state[2]) if state[0] == state[0] else None
