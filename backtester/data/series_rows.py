"""Rows of one series by its partitions: a range of them, the first, the last."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtester.data.lake import Lake
from backtester.data.partition import Partition

Rows = dict[str, NDArray[Any]]


def rows_of(
    lake: Lake,
    partitions: Iterable[Partition],
    names: Sequence[str] | None = None,
    *,
    start: int | None = None,
    end: int | None = None,
) -> Iterator[Rows]:
    """Yield the rows with start <= time < end of partitions in time order, as columns, a row group at a time.

    Args:
        names: the columns wanted besides the time; None means all.

    Raises:
        DataError: a file is missing or is not the one that the manifest records.
    """
    for partition in partitions:
        low = partition.first_time if start is None else max(start, partition.first_time)
        high = partition.last_time + 1 if end is None else min(end, partition.last_time + 1)
        yield from lake.read(*partition.series, low, high, names=names)


def first_rows(lake: Lake, partitions: Sequence[Partition], count: int) -> Rows:
    """Return the first `count` rows, or all when there are fewer, of one series' partitions, at least one.

    Raises:
        DataError: as `rows_of`.
    """
    parts: list[Rows] = []
    left = count
    for rows in rows_of(lake, partitions):
        parts.append(_cut(rows, 0, left))
        left -= _length(parts[-1])
        if left <= 0:
            break
    return joined(parts)


def last_rows(lake: Lake, partitions: Sequence[Partition], count: int) -> Rows:
    """Return the last `count` rows, or all when there are fewer, of one series' partitions, at least one.

    Raises:
        DataError: as `rows_of`.
    """
    found: list[Rows] = []
    left = count
    for partition in reversed(partitions):
        tail: list[Rows] = []
        for rows in rows_of(lake, [partition]):
            together = joined([*tail, rows])
            tail = [_cut(together, max(_length(together) - left, 0), _length(together))]
        found = tail + found
        left -= sum(map(_length, tail))
        if left <= 0:
            break
    return joined(found)


def joined(parts: Iterable[Rows]) -> Rows:
    """Return the rows of all parts in the order given; at least one part."""
    listed = list(parts)
    return {name: np.concatenate([part[name] for part in listed]) for name in listed[0]}


def _cut(rows: Rows, low: int, high: int) -> Rows:
    return {name: values[low:high] for name, values in rows.items()}


def _length(rows: Rows) -> int:
    return len(next(iter(rows.values())))
