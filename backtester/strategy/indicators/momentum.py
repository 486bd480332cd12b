"""Relative strength index, after Wilder."""

from math import nan

from backtester.strategy.indicators.parameters import Flat, Window, parameters
from backtester.strategy.indicators.recurrence import Constants, Recurrence, State, smooth


def rsi_step(state: State, constants: Constants, close: float) -> State:
    """State: value, changes seen (−1 before the first price), last price, mean gain, mean loss.

    Constants: window, flat.
    """
    _, seen, last, gain, loss = state
    window, flat = constants
    seen += 1.0
    if seen < 1.0:
        return (nan, seen, close, gain, loss)
    change = close - last
    gain = smooth(gain, change if change > 0.0 else 0.0, seen, window, window)
    loss = smooth(loss, -change if change < 0.0 else 0.0, seen, window, window)
    if seen < window:
        return (nan, seen, close, gain, loss)
    moved = gain + loss
    return (100.0 * (gain / moved) if moved > 0.0 else flat, seen, close, gain, loss)


class Rsi(Recurrence):
    """Relative strength index: mean gain over mean gain plus mean loss, percent, with Wilder's means."""

    name = "rsi"
    outputs = ("rsi",)
    step = staticmethod(rsi_step)

    @parameters
    def __init__(self, window: Window = 14, flat: Flat = 50.0) -> None:
        self._constants = (float(window), flat)
        self._start = self._state = (nan, -1.0, 0.0, 0.0, 0.0)

    def update(self, price: float) -> float | None:
        """Take the next price; return the index, or None before `window` changes have come."""
        if price - price != 0.0:
            return None
        self._state = state = rsi_step(self._state, self._constants, price)
        value = state[0]
        return value if value == value else None
