"""Exact sums over a window: prices as integers of 10^-decimals, divided once.

Running sums of floats drift, and on low-priced coins, where exact ties of two means are common, they get the sign of
the difference wrong. Integers do neither. Without decimals the unit is 2^-100, in which every float of ordinary size
is an integer, too: one that Python holds and int64 does not.

A function over arrays returns None where int64 cannot hold what it sums; the caller then goes row by row.
"""

import numpy as np
from numpy.typing import NDArray

from backtester.strategy.indicators.base import Column

Units = NDArray[np.int64]

_BINARY = 2**100
_EXACT_IN_FLOAT = 2**53
FITS = 2**62  # int64 holds what stays below, with room for one addition
_CHUNK = 8192


def scale_of(decimals: int | None) -> int:
    """Return how many units one is."""
    return _BINARY if decimals is None else int(10**decimals)


def as_units(values: Column, decimals: int | None) -> Units | None:
    """Return values as integers of 10^-decimals; None when there are no decimals, or a value is too large."""
    if decimals is None:
        return None
    scaled = np.rint(values * float(scale_of(decimals)))
    return scaled.astype(np.int64) if largest(scaled) < FITS else None


def largest(values: Column | Units) -> int:
    """Return the largest magnitude among integers, 0 of none."""
    return int(np.abs(values).max()) if len(values) else 0


def window_sums(units: Units, window: int) -> Units | None:
    """Return the sum of each full window, shape (n - window + 1,)."""
    if largest(units) * window >= FITS:
        return None
    running = np.cumsum(np.concatenate(([0], units)))  # may wrap around; differences are right all the same
    return running[window:] - running[:-window] if len(units) >= window else running[:0]


def window_ramps(units: Units, window: int) -> Units | None:
    """Return the sum of each full window weighted by 0 (oldest) to window - 1 (newest), shape (n - window + 1,)."""
    sums = window_sums(units, window)
    if sums is None or largest(units) * window * window >= FITS:
        return None
    places = np.arange(len(units), dtype=np.int64)
    running = np.cumsum(np.concatenate(([0], units * places)))
    weighted = running[window:] - running[:-window] if len(units) >= window else running[:0]
    ramps: Units = weighted - places[: len(sums)] * sums
    return ramps


def window_spreads(units: Units, window: int) -> Units | None:
    """Return n Σu² − (Σu)² of each full window of n, which is n² times the variance, shape (n_rows - n + 1,).

    It does not depend on where the origin lies, so each stretch of rows gets one of its own, near its values.
    """
    if len(units) < window:
        return units[:0]
    rows = len(units) - window + 1
    step = max(_CHUNK, 2 * window)
    found = np.empty(rows, dtype=np.int64)
    for start in range(0, rows, step):
        part = units[start : min(start + step, rows) + window - 1]
        part = part - (int(part.max()) + int(part.min())) // 2
        if largest(part) ** 2 * window * window >= FITS:
            return None
        running, squared = (np.cumsum(np.concatenate(([0], each))) for each in (part, part * part))
        sums = running[window:] - running[:-window]
        found[start : start + step] = window * (squared[window:] - squared[:-window]) - sums * sums
    return found


def divided(numerators: Units, divisors: int | Units) -> Column:
    """Return numerators / divisors, each the nearest float to the exact quotient, as Python divides integers.

    A divisor of 0 gives NaN.
    """
    if isinstance(divisors, int):
        if divisors >= _EXACT_IN_FLOAT:
            return np.array([each / divisors for each in numerators.tolist()], dtype=np.float64)
        divisors = np.full(len(numerators), divisors, dtype=np.int64)
    quotients = np.full(len(numerators), np.nan)
    np.divide(numerators, divisors, out=quotients, where=divisors != 0)
    is_large = (np.abs(numerators) >= _EXACT_IN_FLOAT) | (np.abs(divisors) >= _EXACT_IN_FLOAT)
    at = np.flatnonzero(is_large & (divisors != 0))
    pairs = zip(numerators[at].tolist(), divisors[at].tolist(), strict=True)
    quotients[at] = [numerator / divisor for numerator, divisor in pairs]
    return quotients
