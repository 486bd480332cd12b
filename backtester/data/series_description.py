"""A series at a glance: its main column as a picture, its first and last rows, figures per column.

One pass over the rows, a row group at a time, so memory does not grow with the series.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backtester.core.time import HOUR, TIMEFRAMES
from backtester.data.lake import Lake
from backtester.data.partition import Partition
from backtester.data.schemas import Column, Schema, schema_of
from backtester.data.series_rows import Rows, first_rows, last_rows, rows_of

MAIN_COLUMN: Final[dict[str, str]] = {
    "klines": "close",
    "markPriceKlines": "close",
    "indexPriceKlines": "close",
    "premiumIndexKlines": "close",
    "aggTrades": "price",
    "trades": "price",
    "bookTicker": "bid_price",
    "fundingRate": "funding_rate",
    "metrics": "open_interest",
    "EOHSummary": "mark_iv",
    "BVOLIndex": "index_value",
}
_CHAINS: Final = {"EOHSummary": HOUR}  # many contracts at each of these steps: neighbouring rows are no series


@dataclass(frozen=True, slots=True)
class ColumnStats:
    """Figures of one column. known, unknown, zeros: rows. minimum, maximum, mean: of the known, None without any.

    Of a flag only the mean: the share that is true; of a time no mean.
    """

    name: str
    known: int
    unknown: int
    zeros: int
    minimum: float | None
    maximum: float | None
    mean: float | None


@dataclass(frozen=True, slots=True)
class Jump:
    """The largest change of the main column from one row to the next; of candles only without a gap between them.

    time: of the later row. before, after: the values. change: a fraction of the value before, or the difference for
    columns that may be zero or below.
    """

    time: int
    before: float
    after: float
    change: float
    relative: bool


@dataclass(frozen=True, slots=True)
class Description:
    """A series at a glance. column: the main one.

    picture: the mean of the main column over equal stretches of time, None where a stretch has no value.
    low, high: its extremes. volume: the sum of the kind's volume column, None without one. stats: only when asked for.
    """

    column: str
    picture: list[float | None]
    low: float | None
    high: float | None
    jump: Jump | None
    volume: float | None
    stats: list[ColumnStats] | None
    head: Rows
    tail: Rows


def describe_series(
    lake: Lake, partitions: Sequence[Partition], *, width: int, head: int, tail: int, stats: bool = False
) -> Description:
    """Describe one series by its partitions in time order, at least one.

    Args:
        width: stretches of the picture, >= 1; fewer when there are fewer rows.
        head, tail: so many first and last rows.
        stats: figures of every column, which reads all of them.

    Raises:
        DataError: a file is missing or is not the one that the manifest records.
    """
    schema = schema_of(partitions[0].kind)
    main = MAIN_COLUMN[schema.kind]
    wanted = list(schema.names) if stats else [main, *([schema.volume] if schema.volume else [])]
    rows = sum(partition.rows for partition in partitions)
    first, last = partitions[0].first_time, partitions[-1].last_time
    stretches = min(width, rows, (last - first) // _CHAINS.get(schema.kind, 1) + 1)
    picture = _Picture(first, last, stretches)
    jumps = _Jumps(_column(schema, main), TIMEFRAMES.get(partitions[0].timeframe))
    figures = {name: _Figures(_column(schema, name)) for name in dict.fromkeys([main, *wanted])}
    for part in rows_of(lake, partitions, wanted):
        values = part[main]
        known = _column(schema, main).known(values)
        picture.add(part[schema.key][known], values[known])
        if schema.kind not in _CHAINS:
            jumps.add(part[schema.key][known], values[known])
        for name, figure in figures.items():
            figure.add(part[name])
    return Description(
        column=main,
        picture=picture.means(),
        low=figures[main].lowest,
        high=figures[main].highest,
        jump=jumps.largest,
        volume=figures[schema.volume].total if schema.volume else None,
        stats=[figures[name].stats() for name in schema.names if name != schema.key] if stats else None,
        head=first_rows(lake, partitions, head) if head else {},
        tail=last_rows(lake, partitions, tail) if tail else {},
    )


class _Picture:
    """Means over equal stretches of time."""

    def __init__(self, first: int, last: int, width: int) -> None:
        self._first, self._span, self._width = first, last - first + 1, width
        self._sums = np.zeros(width)
        self._counts = np.zeros(width, dtype=np.int64)

    def add(self, times: NDArray[Any], values: NDArray[Any]) -> None:
        at = ((times - self._first).astype(np.float64) * (self._width / self._span)).astype(np.int64)
        at = np.minimum(at, self._width - 1)
        self._sums += np.bincount(at, weights=values, minlength=self._width)
        self._counts += np.bincount(at, minlength=self._width)

    def means(self) -> list[float | None]:
        pairs = zip(self._sums.tolist(), self._counts.tolist(), strict=True)
        return [total / count if count else None for total, count in pairs]


class _Jumps:
    """The largest change so far, across batches."""

    def __init__(self, column: Column, step: int | None) -> None:
        self._relative, self._step = column.role != "number", step
        self._before: tuple[int, float] | None = None
        self.largest: Jump | None = None

    def add(self, times: NDArray[Any], values: NDArray[Any]) -> None:
        if not len(values):
            return
        if self._before is not None:
            times = np.concatenate([[self._before[0]], times])
            values = np.concatenate([[self._before[1]], values])
        self._before = int(times[-1]), float(values[-1])
        if len(values) < 2:
            return
        change = values[1:] - values[:-1]
        if self._relative:
            with np.errstate(divide="ignore", invalid="ignore"):
                change = np.where(values[:-1] > 0, change / values[:-1], 0.0)
        if self._step is not None:
            change = np.where(np.diff(times) == self._step, change, 0.0)
        at = int(np.argmax(np.abs(change)))
        found = float(change[at])
        if found and (self.largest is None or abs(found) > abs(self.largest.change)):
            self.largest = Jump(int(times[at + 1]), float(values[at]), float(values[at + 1]), found, self._relative)


class _Figures:
    """Counts, extremes and the sum of one column, across batches."""

    def __init__(self, column: Column) -> None:
        self._column = column
        self._known = self._unknown = self._zeros = 0
        self.lowest: float | None = None
        self.highest: float | None = None
        self.total = 0.0

    def add(self, values: NDArray[Any]) -> None:
        known = values[self._column.known(values)]
        self._unknown += len(values) - len(known)
        self._known += len(known)
        if not len(known):
            return
        self._zeros += int(np.count_nonzero(known == 0))
        low, high = known.min().item(), known.max().item()
        self.lowest = low if self.lowest is None else min(self.lowest, low)
        self.highest = high if self.highest is None else max(self.highest, high)
        self.total += float(known.sum(dtype=np.float64))

    def stats(self) -> ColumnStats:
        flag, time = self._column.role == "flag", self._column.role == "time"
        return ColumnStats(
            self._column.name,
            self._known,
            self._unknown,
            self._zeros,
            None if flag else self.lowest,
            None if flag else self.highest,
            None if time or not self._known else self.total / self._known,
        )


def _column(schema: Schema, name: str) -> Column:
    return next(column for column in schema.columns if column.name == name)


def values_of(rows: Rows, kind: str) -> list[dict[str, int | float | bool | None]]:
    """Return rows as one dictionary each, unknown values as None."""
    schema = schema_of(kind)
    lists = []
    for column in schema.columns:
        known = column.known(rows[column.name]).tolist()
        values = rows[column.name].tolist()
        lists.append([value if is_known else None for value, is_known in zip(values, known, strict=True)])
    return [dict(zip(schema.names, row, strict=True)) for row in zip(*lists, strict=True)]
