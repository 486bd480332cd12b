"""Missing candles: half-open ranges [from, to) of open times that must exist and do not."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtester.core.time import timeframe_us

Gap = tuple[int, int]


def gaps_inside(open_time: NDArray[Any], timeframe: int) -> list[Gap]:
    """Return the gaps between the first and the last of sorted, unique open times, shape (n,)."""
    holes = np.flatnonzero(np.diff(open_time) > timeframe)
    return [(int(open_time[i]) + timeframe, int(open_time[i + 1])) for i in holes]


def gaps_of(open_time: NDArray[Any], timeframe: str) -> tuple[Gap, ...]:
    """Return `gaps_inside` of candles; rows without a timeframe have no grid, so no gaps can be known."""
    return tuple(gaps_inside(open_time, timeframe_us(timeframe))) if timeframe else ()


def count_missing(gaps: Iterable[Gap], timeframe: int) -> int:
    """Return how many candles the gaps lack."""
    return sum(-((start - end) // timeframe) for start, end in gaps)


def clipped(gaps: Iterable[Gap], start: int, end: int) -> list[Gap]:
    """Return the parts of the gaps within [start, end), neighbours joined, in time order."""
    joined: list[Gap] = []
    for gap_start, gap_end in sorted(gaps):
        low, high = max(gap_start, start), min(gap_end, end)
        if low >= high:
            continue
        if joined and joined[-1][1] >= low:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    return joined


def without(gaps: Iterable[Gap], known: Iterable[Gap]) -> list[Gap]:
    """Return the parts of the gaps that lie in none of the known ranges, in time order; both may overlap."""
    left: list[Gap] = []
    ranges = _joined(known)
    at = 0
    for start, end in _joined(gaps):
        cursor = start
        while at < len(ranges) and ranges[at][1] <= start:
            at += 1
        following = at
        while following < len(ranges) and ranges[following][0] < end:
            low, high = ranges[following]
            if cursor < low:
                left.append((cursor, low))
            cursor = max(cursor, high)
            following += 1
        if cursor < end:
            left.append((cursor, end))
        at = max(at, following - 1)
    return left


def within(gaps: Iterable[Gap], known: Iterable[Gap]) -> list[Gap]:
    """Return the parts of the gaps that lie in a known range, in time order."""
    every = list(gaps)
    return without(every, without(every, known))


def _joined(ranges: Iterable[Gap]) -> list[Gap]:
    """Return ranges in time order, those that overlap as one; neighbours that only touch stay apart."""
    joined: list[Gap] = []
    for start, end in sorted(ranges):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        elif start < end:
            joined.append((start, end))
    return joined
