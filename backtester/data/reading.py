"""Rows of any kind out of the lake: checked against the manifest, a row group at a time, only the columns asked for."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.data.durable import file_sha256
from backtester.data.parquet import read_row_groups
from backtester.data.partition import Partition
from backtester.data.schemas import Schema, schema_of

Rows = dict[str, NDArray[Any]]


def narrowed(schema: Schema, names: Iterable[str]) -> Schema:
    """Return a schema with only these columns and the key, in the schema's order; for reading, not for digests."""
    wanted = {schema.key, *names}
    return replace(schema, columns=tuple(column for column in schema.columns if column.name in wanted))


def partition_rows(root: Path, partition: Partition, names: Sequence[str] | None = None) -> Iterator[Rows]:
    """Yield the rows of a partition as columns, a row group at a time. names: None means every column.

    Raises:
        DataError: the file is missing, or is not the one that the manifest records.
    """
    path = root / partition.path
    if not path.is_file() or file_sha256(path) != partition.sha256:
        raise DataError(
            f"{path} is missing or is not the file that the manifest records",
            hint=f"bt data verify --data {root} shows all that is wrong",
        )
    schema = schema_of(partition.kind)
    yield from read_row_groups(path, schema if names is None else narrowed(schema, names))


def rows_between(
    root: Path, partitions: Iterable[Partition], start: int | None, end: int | None, names: Sequence[str] | None = None
) -> Iterator[Rows]:
    """Yield the rows with start <= time < end of one series' partitions, in time order; no batch is empty.

    Raises:
        DataError: as `partition_rows`.
    """
    for partition in partitions:
        key = schema_of(partition.kind).key
        for rows in partition_rows(root, partition, names):
            low = 0 if start is None else int(np.searchsorted(rows[key], start, side="left"))
            high = None if end is None else int(np.searchsorted(rows[key], end, side="left"))
            chosen = {name: values[low:high] for name, values in rows.items()}
            if len(chosen[key]):
                yield chosen


def first_rows(root: Path, partitions: Sequence[Partition], count: int) -> Rows:
    """Return the first `count` rows, or all when there are fewer, of one series' partitions, at least one.

    Raises:
        DataError: as `partition_rows`.
    """
    parts: list[Rows] = []
    left = count
    for rows in rows_between(root, partitions, None, None):
        parts.append(_cut(rows, 0, left))
        left -= _length(parts[-1])
        if left <= 0:
            break
    return _joined(parts)


def last_rows(root: Path, partitions: Sequence[Partition], count: int) -> Rows:
    """Return the last `count` rows, or all when there are fewer, of one series' partitions, at least one.

    Raises:
        DataError: as `partition_rows`.
    """
    found: list[Rows] = []
    left = count
    for partition in reversed(partitions):
        tail: list[Rows] = []
        for rows in partition_rows(root, partition):
            tail = [_last(_joined([*tail, rows]), left)]
        found = tail + found
        left -= sum(map(_length, tail))
        if left <= 0:
            break
    return _joined(found)


def _last(rows: Rows, count: int) -> Rows:
    return _cut(rows, max(_length(rows) - count, 0), _length(rows))


def _cut(rows: Rows, low: int, high: int) -> Rows:
    return {name: values[low:high] for name, values in rows.items()}


def _length(rows: Rows) -> int:
    return len(next(iter(rows.values())))


def _joined(parts: Sequence[Rows]) -> Rows:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
