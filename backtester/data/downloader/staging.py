"""One partition: new rows merged with what the lake has, in a finished temporary file."""

from dataclasses import dataclass, field
from pathlib import Path

from backtester.core.errors import DataError
from backtester.core.time import format_time
from backtester.data.describing import FileFacts
from backtester.data.downloader.confirming import confirms
from backtester.data.downloader.merging import Merged, merge_rows
from backtester.data.downloader.periods import add_counts
from backtester.data.downloader.rows import IN_LAKE, Rows, Series, concatenated, row_text, rows_of, twice
from backtester.data.durable import file_sha256
from backtester.data.manifest_writer import ManifestWriter, now_us
from backtester.data.parquet import read_partition_file, write_partition_file
from backtester.data.partition import Partition, Source
from backtester.data.schemas import SCHEMA_VERSION, content_digest, schema_of

UNKNOWN_LINE = 0


@dataclass(slots=True)
class Waiting:
    """What waits for one partition: rows in memory, and their sources and repairs."""

    parts: list[Rows] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    repairs: list[tuple[Source, dict[str, int]]] = field(default_factory=list)

    def add(self, rows: Rows, source: Source, repairs: dict[str, int]) -> None:
        """Take the rows of one source."""
        self.parts.append(rows)
        self.sources.append(source)
        self.repairs.append((source, repairs))

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.parts)


@dataclass(frozen=True, slots=True)
class StagedPartition:
    """A finished partition that waits to take effect. file is None when the lake already holds the same rows."""

    partition: Partition
    file: Path | None
    rows_added: int


class Stager:
    """Makes finished partition files of one series; changes nothing that others see, so threads may share it.

    names: addresses of sources, by the origin of rows; it grows while files come.
    """

    def __init__(self, writer: ManifestWriter, series: Series, names: list[str], *, replace: bool) -> None:
        self._writer = writer
        self._series = series
        self._schema = schema_of(series.kind)
        self._names = names
        self._replace = replace

    def stage(self, waiting: Waiting, before: Partition | None, staged: StagedPartition | None) -> StagedPartition:
        """Merge rows with the lake's partition, or with what was staged of it already, into a temporary file.

        Raises:
            DataError: rows differ and may not be replaced. StorageError: the disk refuses.
        """
        mended = before is not None and staged is None and self.is_damaged(before)
        before = None if mended else before
        base, file = before, None if before is None else self._writer.root / before.path
        if staged is not None and staged.file is not None:
            base, file = staged.partition, staged.file
        repairs = dict(base.repairs) if base is not None else {}
        sources = list(base.sources) if base is not None else []
        merged = self._merged_with(file, concatenated(waiting.parts), repairs)
        same = before is not None and before.content == content_digest(self._schema, merged.columns)
        if before is not None and same and not confirms(sources, waiting.sources):
            return StagedPartition(before, None, 0)
        if mended:
            add_counts(repairs, {"damaged_files_replaced": 1})
        for source, counts in waiting.repairs:
            if source not in sources:
                sources.append(source)
                add_counts(repairs, counts)
        target = self._writer.temporary()
        partition = write_partition_file(target, merged.columns, self.facts(tuple(sources), repairs), now_us())
        return StagedPartition(partition, target, partition.rows - (before.rows if before else 0))

    def facts(self, sources: tuple[Source, ...], repairs: dict[str, int]) -> FileFacts:
        """Return what a file of this series says about itself."""
        one = self._series
        return FileFacts(
            one.market, one.kind, one.symbol, one.timeframe, SCHEMA_VERSION, sources, dict(sorted(repairs.items()))
        )

    def is_damaged(self, partition: Partition) -> bool:
        """Say whether a partition's file is not the recorded one; that is refused unless replacing was asked for."""
        path = self._writer.root / partition.path
        if path.is_file() and file_sha256(path) == partition.sha256:
            return False
        if self._replace:
            return True
        raise DataError(
            f"{self._series}: {path} is missing or is not the file that the manifest records, so nothing can join it",
            hint=f"bt data repair --data {self._writer.root} makes it anew from its sources; else import the whole "
            "month with --replace, which gives up what the file held",
        )

    def _merged_with(self, file: Path | None, new: Rows, repairs: dict[str, int]) -> Rows:
        merged = merge_rows(new)
        if len(merged.conflicts):
            raise self._conflict(merged, "remove the row that is wrong, or import only one of the files")
        if merged.duplicates:
            add_counts(repairs, {"duplicates_dropped": merged.duplicates})
        if file is None:
            return merged.rows
        old = rows_of(self._schema, read_partition_file(file, self._schema))
        both = merge_rows(concatenated([old, merged.rows]))
        if len(both.conflicts) == 0:
            return both.rows
        if not self._replace:
            raise self._conflict(both, "keep the lake as it is, or let the new rows win: --replace")
        add_counts(repairs, {"rows_replaced": len(both.conflicts)})
        given_up = both.unclear & (both.ordered.origin == IN_LAKE)
        return merge_rows(both.ordered.take(~given_up)).rows

    def _conflict(self, merged: Merged, hint: str) -> DataError:
        first, second = (merged.ordered.take([int(index)]) for index in merged.conflicts[0])
        time = format_time(int(first.key[0]))
        return DataError(
            f"{self._series}: {len(merged.conflicts)} {twice(self._schema)}, the first at {time}: "
            f"{self._place(first)} {row_text(first)} and {self._place(second)} {row_text(second)}",
            hint=hint,
        )

    def _place(self, row: Rows) -> str:
        origin, line = int(row.origin[0]), int(row.line[0])
        if origin == IN_LAKE:
            return "the lake has"
        return f"{self._names[origin]} has" if line == UNKNOWN_LINE else f"{self._names[origin]} line {line} has"
