"""Simple moving average, exact: an integer sum of price units, divided once.

On low-priced coins exact ties of two means are common, and sums of floats get the sign of their difference
wrong. The two faces, one value at a time and over an array, agree bit for bit.
"""

import numpy as np
from numpy.typing import NDArray

_EXACT_IN_FLOAT = 2**53


class Sma:
    """The mean of the last `window` prices, O(1) a price."""

    __slots__ = ("_divisor", "_missing", "_next", "_ring", "_scale", "_sum", "_window")

    def __init__(self, window: int, price_decimals: int) -> None:
        """Average `window` >= 1 prices that have at most `price_decimals` decimals."""
        if window < 1:
            raise ValueError(f"window is {window}, it must be at least 1")
        self._window = window
        self._scale = int(10**price_decimals)
        self._divisor = window * self._scale
        self._ring = [0] * window
        self._next = 0
        self._sum = 0
        self._missing = window

    def push(self, price: float) -> float | None:
        """Take the next price; return the mean, or None before `window` prices have come."""
        return self.push_units(round(price * self._scale))

    def push_units(self, units: int) -> float | None:
        """Take the next price as an integer of 10^-price_decimals: several means can share one conversion."""
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


def sma(prices: NDArray[np.float64], window: int, price_decimals: int) -> NDArray[np.float64]:
    """Return the mean of each price and the window - 1 before it.

    Args:
        prices: shape (n,), with at most price_decimals decimals.
        window: how many prices a mean takes, >= 1.
        price_decimals: decimals of the prices.

    Returns:
        Shape (n,); NaN before `window` prices have come.

    Raises:
        ValueError: window < 1, or a sum of units that float64 cannot hold exactly.
    """
    if window < 1:
        raise ValueError(f"window is {window}, it must be at least 1")
    means = np.full(len(prices), np.nan)
    if len(prices) < window:
        return means
    units = np.rint(prices * 10**price_decimals).astype(np.int64)
    if int(np.abs(units).max()) * window >= _EXACT_IN_FLOAT:
        raise ValueError("the sum of a window does not fit float64 exactly; use fewer decimals")
    sums = np.cumsum(np.concatenate(([0], units)))
    means[window - 1 :] = (sums[window:] - sums[:-window]) / (window * 10**price_decimals)
    return means
