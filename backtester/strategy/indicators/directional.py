"""Average directional index with both directional indicators, after Wilder."""

from math import nan
from typing import NamedTuple

from backtester.strategy.indicators.parameters import LongWindow, parameters
from backtester.strategy.indicators.ranges import true_range
from backtester.strategy.indicators.recurrence import Constants, Recurrence, State, smooth


def accumulated(total: float, value: float, seen: float, window: float) -> float:
    """Return Wilder's running sum: of the first window − 1 values the plain one, then each time less its window-th."""
    return total + value if seen < window else total - total / window + value


def adx_step(state: State, constants: Constants, high: float, low: float, close: float) -> State:
    """State: the outputs, moves seen (−1 before the first candle), last high, low and close, sums of moves up,
    moves down and ranges, mean.

    Constants: window.
    """
    _, _, _, seen, last_high, last_low, last_close, ups, downs, ranges, adx = state
    window = constants[0]
    seen += 1.0
    if seen < 1.0:
        return (nan, nan, nan, seen, high, low, close, ups, downs, ranges, adx)
    up, down = high - last_high, last_low - low
    ups = accumulated(ups, up if up > down and up > 0.0 else 0.0, seen, window)
    downs = accumulated(downs, down if down > up and down > 0.0 else 0.0, seen, window)
    ranges = accumulated(ranges, true_range(high, low, last_close), seen, window)
    if seen < window:
        return (nan, nan, nan, seen, high, low, close, ups, downs, ranges, adx)
    plus = 100.0 * (ups / ranges) if ranges > 0.0 else 0.0
    minus = 100.0 * (downs / ranges) if ranges > 0.0 else 0.0
    indices = seen - window + 1.0
    if plus + minus > 0.0:  # else there was no move in any direction yet, and the mean is 0
        apart = plus - minus if plus > minus else minus - plus
        adx = smooth(adx, 100.0 * (apart / (plus + minus)), indices, window, window)
    if indices < window:
        return (nan, nan, nan, seen, high, low, close, ups, downs, ranges, adx)
    return (adx, plus, minus, seen, high, low, close, ups, downs, ranges, adx)


class Direction(NamedTuple):
    """adx: strength of a trend. plus_di, minus_di: share of upward and downward moves in the range. All in percent."""

    adx: float
    plus_di: float
    minus_di: float


class Adx(Recurrence):
    """Average directional index: Wilder's mean of how far +DI and −DI lie apart, for the strength of a trend."""

    name = "adx"
    inputs = ("high", "low", "close")
    outputs = Direction._fields
    step = staticmethod(adx_step)

    @parameters
    def __init__(self, window: LongWindow = 14) -> None:
        self._constants = (float(window),)
        self._start = self._state = (nan, nan, nan, -1.0, *(0.0,) * 7)

    def update(self, high: float, low: float, close: float) -> Direction | None:
        """Take the next candle; return ADX, +DI and −DI, or None before the ADX is known."""
        if (total := high + low + close) - total != 0.0:
            return None
        self._state = state = adx_step(self._state, self._constants, high, low, close)
        return Direction(state[0], state[1], state[2]) if state[0] == state[0] else None
