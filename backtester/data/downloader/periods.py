"""The periods of partitions: months, and days for kinds with many rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtester.core.time import DAY, day_of, month_of, parse_time
from backtester.data.downloader.rows import Rows
from backtester.data.schemas import Schema


def period_of(schema: Schema, time: int) -> str:
    """Return the period of a time: YYYY-MM, or YYYY-MM-DD for kinds with a partition a day."""
    return day_of(time) if schema.daily else month_of(time)


def period_bounds(period: str) -> tuple[int, int]:
    """Return [start, end) of a period, UTC µs."""
    if len(period) == 10:
        return parse_time(period), parse_time(period) + DAY
    year, month = int(period[:4]), int(period[5:])
    following = f"{year + 1}-01" if month == 12 else f"{year}-{month + 1:02d}"
    return parse_time(f"{period}-01"), parse_time(f"{following}-01")


def by_period(rows: Rows) -> list[tuple[str, Rows]]:
    """Cut rows, sorted by time, at the ends of the partitions that will hold them."""
    parts = []
    cursor = 0
    while cursor < len(rows):
        period = period_of(rows.schema, int(rows.key[cursor]))
        stop = int(np.searchsorted(rows.key, period_bounds(period)[1], side="left"))
        parts.append((period, rows.take(slice(cursor, stop))))
        cursor = stop
    return parts


def among_periods(
    repaired: dict[str, NDArray[Any]], periods: list[str], key: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """Return times of repairs so that all lie in one of the periods that hold rows: those of others, all of whose rows
    were left out, count at the row before them, or the first.

    Args:
        key: the times of the rows, sorted, at least one.
    """
    bounds = [period_bounds(period) for period in periods]
    moved = {}
    for name, times in repaired.items():
        inside = np.zeros(len(times), dtype=np.bool_)
        for start, end in bounds:
            inside |= (times >= start) & (times < end)
        near = key[np.maximum(np.searchsorted(key, times, side="right") - 1, 0)]
        moved[name] = np.where(inside, times, near)
    return moved


def counts_within(repaired: dict[str, NDArray[Any]], period: str) -> dict[str, int]:
    """Return how many of the times lie in a period, by name, without those of which none does."""
    start, end = period_bounds(period)
    counts = {name: int(np.count_nonzero((times >= start) & (times < end))) for name, times in repaired.items()}
    return {name: count for name, count in counts.items() if count}


def add_counts(counts: dict[str, int], more: dict[str, int]) -> None:
    """Add counts by name to others, in place."""
    for name, count in more.items():
        counts[name] = counts.get(name, 0) + count
