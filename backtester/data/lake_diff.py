"""Two lakes compared: series and partitions that only one has, and row by row those whose content differs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backtester.data.choosing import SeriesFilter
from backtester.data.lake import Lake
from backtester.data.ordering import changes
from backtester.data.partition import Partition, SeriesKey
from backtester.data.schemas import Schema, schema_of
from backtester.data.series_rows import Rows, joined, rows_of

EXAMPLES: Final = 5


@dataclass(frozen=True, slots=True)
class RowDifference:
    """A row that both lakes have, with the columns that differ: name to the values in A and in B, None for unknown."""

    time: int
    values: dict[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class PartitionDiff:
    """A partition of both lakes whose rows differ. only_a, only_b, differing: rows. examples: the first differing."""

    path: str
    only_a: int
    only_b: int
    differing: int
    examples: list[RowDifference]


@dataclass(slots=True)
class LakeDiff:
    """What two lakes do not share. only_a, only_b: paths of partitions by series. equal: partitions with equal content.

    series_a, series_b: series that only one lake has at all; their partitions are in only_a and only_b too.
    """

    series_a: list[SeriesKey] = field(default_factory=list)
    series_b: list[SeriesKey] = field(default_factory=list)
    only_a: list[str] = field(default_factory=list)
    only_b: list[str] = field(default_factory=list)
    equal: int = 0
    partitions: list[PartitionDiff] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether both lakes hold the same rows."""
        return not (self.only_a or self.only_b or self.partitions)


def diff_lakes(a: Lake, b: Lake, chosen: SeriesFilter | None = None, *, examples: int = EXAMPLES) -> LakeDiff:
    """Compare two lakes by content digest, and the rows of partitions whose digests differ.

    Memory holds the rows of two partitions.

    Raises:
        DataError: a file whose rows are needed is missing or is not the one that its manifest records.
    """
    chosen = chosen or SeriesFilter()
    in_a, in_b = ({p.path: p for p in lake.all_partitions() if chosen.takes(p)} for lake in (a, b))
    series_a, series_b = ({p.series for p in own.values()} for own in (in_a, in_b))
    found = LakeDiff(
        series_a=sorted(series_a - series_b),
        series_b=sorted(series_b - series_a),
        only_a=[path for path in in_a if path not in in_b],
        only_b=[path for path in in_b if path not in in_a],
    )
    for path in in_a.keys() & in_b.keys():
        if in_a[path].content == in_b[path].content:
            found.equal += 1
        else:
            found.partitions.append(_diff_partition(a, in_a[path], b, in_b[path], examples))
    found.partitions.sort(key=lambda one: one.path)
    return found


def _diff_partition(a: Lake, in_a: Partition, b: Lake, in_b: Partition, examples: int) -> PartitionDiff:
    schema = schema_of(in_a.kind)
    rows_a, rows_b = joined(rows_of(a, [in_a])), joined(rows_of(b, [in_b]))
    pairs = _pairs(schema, rows_a, rows_b)
    differs = np.zeros(len(pairs), dtype=np.bool_)
    by_column: dict[str, NDArray[np.bool_]] = {}
    for column in schema.columns:
        one, other = rows_a[column.name][pairs[:, 0]], rows_b[column.name][pairs[:, 1]]
        both_unknown = ~column.known(one) & ~column.known(other)
        by_column[column.name] = (one != other) & ~both_unknown
        differs |= by_column[column.name]
    shown = [
        _row_difference(schema, rows_a, rows_b, pairs[at], {n: bool(d[at]) for n, d in by_column.items()})
        for at in np.flatnonzero(differs)[:examples].tolist()
    ]
    lengths = len(rows_a[schema.key]), len(rows_b[schema.key])
    return PartitionDiff(
        in_a.path, lengths[0] - len(pairs), lengths[1] - len(pairs), int(np.count_nonzero(differs)), shown
    )


def _pairs(schema: Schema, rows_a: Rows, rows_b: Rows) -> NDArray[np.int64]:
    """Return the rows of one identity as index pairs (in A, in B), in order, shape (n, 2)."""
    from_a = len(rows_a[schema.key])
    identity = [np.concatenate([rows_a[name], rows_b[name]]) for name in schema.keys]
    order = np.lexsort(tuple(reversed(identity)))  # stable: of two equal ones that of A comes first
    seconds = np.flatnonzero(~changes([column[order] for column in identity]))
    return np.stack([order[seconds - 1], order[seconds] - from_a], axis=1).astype(np.int64)


def _row_difference(
    schema: Schema, rows_a: Rows, rows_b: Rows, pair: NDArray[np.int64], differs: Mapping[str, bool]
) -> RowDifference:
    values = {}
    for column in schema.columns:
        if differs[column.name]:
            sides = (rows_a[column.name][pair[:1]], rows_b[column.name][pair[1:]])
            values[column.name] = tuple(side[0].item() if column.known(side)[0] else None for side in sides)
    return RowDifference(int(rows_a[schema.key][pair[0]]), values)  # type: ignore[arg-type]
