"""Clean rows into partition files, of months or days, merged with what the lake has.

Nothing takes effect before `commit`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from backtester.core.errors import DataError
from backtester.core.time import DAY, day_of, format_time, month_of, parse_time
from backtester.data.downloader.confirming import confirms
from backtester.data.downloader.merging import Merged, merge_rows
from backtester.data.downloader.rows import IN_LAKE, CleanRows, Rows, Series, concatenated, rows_of
from backtester.data.durable import file_sha256
from backtester.data.manifest_writer import ManifestWriter, now_us
from backtester.data.parquet import FileFacts, read_partition_file, write_partition_file
from backtester.data.partition import Partition, Source, is_synthetic, partition_path
from backtester.data.schemas import SCHEMA_VERSION, Schema, content_digest, schema_of

BUFFERED_ROWS: Final = 2_000_000


@dataclass(slots=True)
class _Waiting:
    """What waits for one partition: rows in memory, and their sources and repairs."""

    parts: list[Rows] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    repairs: list[tuple[Source, dict[str, int]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StagedPartition:
    """A finished partition that waits to take effect. file is None when the lake already holds the same rows."""

    partition: Partition
    file: Path | None
    rows_added: int


class SeriesWriter:
    """Collect the clean rows of one series and turn them into finished partition files.

    Rows wait in memory up to BUFFERED_ROWS and are then merged, month by month, with the lake's partition into a
    temporary file. `commit` puts the files in place, one atomic write per partition; without it the lake stays as it
    was.

    replace: new rows take the place of different rows of the lake, and real rows that of a synthetic series.
    """

    def __init__(self, writer: ManifestWriter, series: Series, *, replace: bool = False) -> None:
        self.series = series
        self._writer = writer
        self._replace = replace
        self._schema = schema_of(series.kind)
        self._months: dict[str, _Waiting] = {}
        self._buffered = 0
        self._names: list[str] = []
        self._synthetic: bool | None = None
        self._obsolete: list[str] = []
        self.staged: dict[str, StagedPartition] = {}

    def add(self, clean: CleanRows) -> None:
        """Take rows; they are written to temporary files when enough have come together.

        Raises:
            DataError: a row differs from one of the lake or of another source, or synthetic and real rows would mix.
            StorageError: the disk refuses.
        """
        self._refuse_mixing(clean.source)
        origin = len(self._names)
        self._names.append(clean.source.address)
        for month, rows in _by_period(clean.rows):
            waiting = self._months.setdefault(month, _Waiting())
            waiting.parts.append(Rows(rows.schema, rows.columns, np.full(len(rows), origin, dtype=np.int32), rows.line))
            waiting.sources.append(clean.source)
            start, end = _bounds(month)
            counts = {name: int(np.sum((times >= start) & (times < end))) for name, times in clean.repairs.items()}
            waiting.repairs.append((clean.source, {name: count for name, count in counts.items() if count}))
        self._buffered += len(clean.rows)
        if self._buffered > BUFFERED_ROWS:
            self.stage()

    def stage(self) -> None:
        """Write what waits in memory to temporary files.

        Raises:
            DataError, StorageError: as `add`.
        """
        for month in sorted(self._months):
            self._stage_month(month, self._months[month])
        self._months.clear()
        self._buffered = 0

    def commit(self) -> None:
        """Make every staged partition part of the lake.

        Raises:
            StorageError: the disk refuses; partitions put in place before that stay.
        """
        for staged in self.staged.values():
            if staged.file is not None:
                self._writer.put(staged.file, staged.partition)
        self._writer.remove(path for path in self._obsolete if path not in self.staged)

    def _stage_month(self, month: str, waiting: _Waiting) -> None:
        start, _ = _bounds(month)
        series = self.series
        daily = self._schema.daily
        path = partition_path(series.market, series.kind, series.symbol, series.timeframe, start, daily=daily)
        before = None if path in self._obsolete else self._writer.partitions.get(path)
        mended = before is not None and path not in self.staged and self._is_damaged(before)
        before = None if mended else before
        staged = self.staged.get(path)
        base, file = before, None if before is None else self._writer.root / before.path
        if staged is not None and staged.file is not None:
            base, file = staged.partition, staged.file
        repairs = dict(base.repairs) if base is not None else {}
        sources = list(base.sources) if base is not None else []
        new = concatenated(waiting.parts)
        merged = self._merged_with(base, file, new, repairs)
        same = before is not None and before.content == content_digest(self._schema, merged.columns)
        if before is not None and same and not confirms(sources, waiting.sources):
            self.staged[path] = StagedPartition(before, None, 0)
            return
        if mended:
            _add_counts(repairs, {"damaged_files_replaced": 1})
        for source, counts in waiting.repairs:
            if source not in sources:
                sources.append(source)
                _add_counts(repairs, counts)
        facts = FileFacts(
            series.market, series.kind, series.symbol, series.timeframe, SCHEMA_VERSION, tuple(sources), repairs
        )
        target = self._writer.temporary()
        partition = write_partition_file(target, merged.columns, facts, now_us())
        self.staged[path] = StagedPartition(partition, target, partition.rows - (before.rows if before else 0))

    def _is_damaged(self, partition: Partition) -> bool:
        """Say whether a partition's file is not the recorded one; that is refused unless replacing was asked for."""
        path = self._writer.root / partition.path
        if path.is_file() and file_sha256(path) == partition.sha256:
            return False
        if self._replace:
            return True
        raise DataError(
            f"{self.series}: {path} is missing or is not the file that the manifest records, so nothing can join it",
            hint="import the whole month with --replace, which gives up what the file held",
        )

    def _merged_with(self, base: Partition | None, file: Path | None, new: Rows, repairs: dict[str, int]) -> Rows:
        merged = merge_rows(new)
        if len(merged.conflicts):
            raise self._conflict(merged, "remove the row that is wrong, or import only one of the files")
        if merged.duplicates:
            _add_counts(repairs, {"duplicates_dropped": merged.duplicates})
        if base is None or file is None:
            return merged.rows
        old = rows_of(self._schema, read_partition_file(file, self._schema))
        both = merge_rows(concatenated([old, merged.rows]))
        if len(both.conflicts) == 0:
            return both.rows
        if not self._replace:
            raise self._conflict(both, "keep the lake as it is, or let the new rows win: --replace")
        _add_counts(repairs, {"rows_replaced": len(both.conflicts)})
        given_up = both.unclear & (both.ordered.origin == IN_LAKE)
        return merge_rows(both.ordered.take(~given_up)).rows

    def _conflict(self, merged: Merged, hint: str) -> DataError:
        first, second = (merged.ordered.take([int(index)]) for index in merged.conflicts[0])
        time = format_time(int(first.key[0]))
        return DataError(
            f"{self.series}: {len(merged.conflicts)} {twice(self._schema)}, the first at {time}: "
            f"{self._place(first)} {row_text(first)} and {self._place(second)} {row_text(second)}",
            hint=hint,
        )

    def _place(self, row: Rows) -> str:
        origin = int(row.origin[0])
        return "the lake has" if origin == IN_LAKE else f"{self._names[origin]} line {int(row.line[0])} has"

    def _refuse_mixing(self, source: Source) -> None:
        synthetic = is_synthetic((source,))
        there = [p for p in self._writer.partitions.values() if p.series == _key(self.series)]
        mixed = [p for p in there if p.synthetic != synthetic and p.path not in self._obsolete]
        if mixed and self._replace and not synthetic:
            self._obsolete.extend(p.path for p in mixed)
            mixed = []
        if mixed or self._synthetic not in {None, synthetic}:
            have, come = ("real", "synthetic") if synthetic else ("synthetic", "real")
            other = "use another lake: --data DIR"
            raise DataError(
                f"{self.series} in {self._writer.root} is {have}, and {source.address} is {come}: they must not mix",
                hint=other if synthetic else f"--replace drops the synthetic candles, or {other}",
            )
        self._synthetic = synthetic


def row_text(row: Rows) -> str:
    """Return the values of one row for a message; unknown values are left out."""
    parts = []
    for column in row.schema.columns[1:]:
        values = row.columns[column.name]
        if column.known(values)[0]:
            parts.append(f"{column.name}={values[0]}")
    return "(" + " ".join(parts) + ")"


def twice(schema: Schema) -> str:
    """Return how messages call two rows of one identity that differ."""
    return "open time(s) with two different candles" if schema.gridded else "row(s) that are there twice and differ"


def _key(series: Series) -> tuple[str, str, str, str]:
    return (series.market, series.kind, series.symbol, series.timeframe)


def _add_counts(counts: dict[str, int], more: dict[str, int]) -> None:
    for name, count in more.items():
        counts[name] = counts.get(name, 0) + count


def _bounds(period: str) -> tuple[int, int]:
    """Return [start, end) of a month YYYY-MM or a day YYYY-MM-DD."""
    if len(period) == 10:
        return parse_time(period), parse_time(period) + DAY
    month = period
    year, number = int(month[:4]), int(month[5:])
    following = f"{year + 1}-01" if number == 12 else f"{year}-{number + 1:02d}"
    return parse_time(f"{month}-01"), parse_time(f"{following}-01")


def _by_period(rows: Rows) -> list[tuple[str, Rows]]:
    """Cut sorted rows at the ends of the partitions that will hold them."""
    parts = []
    cursor = 0
    while cursor < len(rows):
        time = int(rows.key[cursor])
        period = day_of(time) if rows.schema.daily else month_of(time)
        stop = int(np.searchsorted(rows.key, _bounds(period)[1], side="left"))
        parts.append((period, rows.take(slice(cursor, stop))))
        cursor = stop
    return parts
