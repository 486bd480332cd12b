"""From archives to clean rows, and from clean rows to partitions; refused rows are put aside with the reason."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, TypeVar

from backtester.config.configs import DownloaderConfig
from backtester.core.errors import DataError
from backtester.core.time import day_of, month_of
from backtester.data.downloader.big_files import BigFile, write_big_file
from backtester.data.downloader.download_log import DownloadLog
from backtester.data.downloader.fetching import RawBytes
from backtester.data.downloader.hashed_file import HashedFile
from backtester.data.downloader.parsing import Parsed, joined
from backtester.data.downloader.periods import add_counts
from backtester.data.downloader.planning import ArchiveFile
from backtester.data.downloader.reading import table_blocks, table_chunks
from backtester.data.downloader.refusals import RefusedRow, quarantine, refused_rows
from backtester.data.downloader.rows import CleanRows, Series
from backtester.data.downloader.sanitising import Repairs, sanitise
from backtester.data.downloader.unpacking import MOST_BYTES
from backtester.data.downloader.writing import SeriesWriter
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.partition import Source
from backtester.data.schemas import schema_of

LOCK_SECONDS: Final = 600.0
_ALLOWED: Final = Repairs(drop_bad=True)
T = TypeVar("T", "RawBytes", "SanitizedBatch")


class StrictlyRefused(DataError):
    """Rows of an archive were refused and none may be: nothing more is written."""


@dataclass(frozen=True, slots=True)
class SanitizedBatch:
    """The clean rows of one archive, with what was repaired and refused on the way."""

    series: Series
    file: ArchiveFile
    clean: CleanRows
    refused: tuple[RefusedRow, ...]

    def __len__(self) -> int:
        return len(self.clean.rows)


@dataclass(slots=True)
class ParseReport:
    """What parsing made of archives. rows: read; refused, repaired: rows by rule. unreadable: file name and reason."""

    files: int = 0
    rows: int = 0
    kept: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    repaired: dict[str, int] = field(default_factory=dict)
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def add(self, batch: SanitizedBatch) -> None:
        """Count one archive."""
        repairs = {name: len(times) for name, times in batch.clean.repairs.items()}
        self.count(batch.clean.read, len(batch), batch.refused, repairs)

    def join(self, other: "ParseReport") -> None:
        """Add the counts of another report."""
        self.files, self.rows, self.kept = self.files + other.files, self.rows + other.rows, self.kept + other.kept
        add_counts(self.refused, other.refused)
        add_counts(self.repaired, other.repaired)
        self.unreadable += other.unreadable

    def count(self, read: int, kept: int, refused: Sequence[RefusedRow], repairs: Mapping[str, int]) -> None:
        """Count one archive by its figures."""
        self.files += 1
        self.rows += read
        self.kept += kept
        add_counts(self.refused, Counter(row.rule for row in refused))
        left_out = ("bad_rows", "dropped_", "conflicting")
        add_counts(self.repaired, {name: count for name, count in repairs.items() if not name.startswith(left_out)})


@dataclass(slots=True)
class WriteReport:
    """What writing did to the lake. quarantined: files with refused rows, below the lake's store."""

    partitions: list[str] = field(default_factory=list)
    unchanged: int = 0
    rows_added: int = 0
    quarantined: list[str] = field(default_factory=list)


def parse_archive(blob: RawBytes, log: DownloadLog, *, most: int = MOST_BYTES) -> SanitizedBatch:
    """Return the clean rows of an archive.

    Raises:
        DataError: it is damaged, is not the archive that its name says or was fetched, or no row of it is good.
    """
    file, source, hashed = blob.file, _source(blob), HashedFile(blob.path, blob.sha256)
    blocks = table_blocks(hashed, schema_of(file.kind), {}, official=True, most=most)
    parsed = joined(file.name, blocks)
    clean = sanitise(file.name, parsed, source, file.timeframe, _ALLOWED, (file.start, file.end))
    batch = SanitizedBatch(_series(file), file, clean, refused_rows(clean.refused, table_chunks(hashed, most)))
    log.note("parsed", key=file.key, rows=clean.read, kept=len(batch), refused=len(batch.refused))
    return batch


def write_group(
    batches: Sequence[SanitizedBatch],
    cfg: DownloaderConfig,
    log: DownloadLog,
    report: WriteReport,
    *,
    replace: bool,
    lake: ManifestWriter | None = None,
) -> None:
    """Write the batches of one series to the lake; every partition changes as a whole or not at all.

    lake: not entered, to be used for many groups.

    Raises:
        DataError: a row differs from one of the lake.
        StorageError: the lake cannot be written.
    """
    with lake or ManifestWriter(cfg.base_dir, wait_seconds=LOCK_SECONDS) as writer:
        one = SeriesWriter(writer, batches[0].series, replace=replace)
        for batch in batches:
            one.add(batch.clean)
        one.stage()
        one.commit()
    count_written(one, log, report)
    for batch in batches:
        if batch.refused:
            report.quarantined.append(str(quarantine(batch.series, batch.file.name, batch.refused, cfg.base_dir)))


def write_big(
    blob: RawBytes,
    cfg: DownloaderConfig,
    log: DownloadLog,
    report: WriteReport,
    *,
    replace: bool,
    strict: bool,
    lake: ManifestWriter,
) -> ParseReport:
    """Parse, sanitise and write an archive that is too big for memory, block by block.

    Raises:
        DataError: as `parse_archive`, `refuse_if_strict` and `write_group`; nothing of it is in the lake then.
        StorageError: the lake cannot be written.
    """
    file, most, hashed = blob.file, cfg.unpacked_bytes, HashedFile(blob.path, blob.sha256)
    schema = schema_of(file.kind)

    def blocks() -> Iterator[Parsed]:
        return table_blocks(hashed, schema, {}, official=True, most=most)

    big = BigFile(file.name, schema, blocks, _source(blob), file.timeframe, _ALLOWED, (file.start, file.end))
    with lake as writer:
        one = SeriesWriter(writer, _series(file), replace=replace)
        found = write_big_file(big, one)
        refused = refused_rows(found.refused, table_chunks(hashed, most))
        log.note("parsed", key=file.key, rows=found.read, kept=found.kept, refused=len(refused))
        refuse_rows_if_strict(file.name, refused, found.read, strict=strict)
        one.stage()
        one.commit()
    count_written(one, log, report)
    if refused:
        report.quarantined.append(str(quarantine(_series(file), file.name, refused, cfg.base_dir)))
    parsed = ParseReport()
    parsed.count(found.read, found.kept, refused, found.repairs)
    return parsed


def count_written(one: SeriesWriter, log: DownloadLog, report: WriteReport) -> None:
    """Count what a writer put into the lake."""
    for path in sorted(one.staged):
        staged = one.staged[path]
        if staged.file is None:
            report.unchanged += 1
            continue
        report.partitions.append(path)
        report.rows_added += staged.rows_added
        log.note("written", path=path, rows=staged.partition.rows, content=staged.partition.content)


def refuse_if_strict(batch: SanitizedBatch, *, strict: bool) -> None:
    """Raise when rows of a batch were refused and none may be.

    Raises:
        DataError: names the first row.
    """
    refuse_rows_if_strict(batch.file.name, batch.refused, batch.clean.read, strict=strict)


def refuse_rows_if_strict(name: str, refused: Sequence[RefusedRow], read: int, *, strict: bool) -> None:
    """Raise when rows of a file or page were refused and none may be.

    Raises:
        StrictlyRefused: names the first row.
    """
    if strict and refused:
        first = refused[0]
        raise StrictlyRefused(
            f"{name}: {len(refused)} of {read} rows are bad, "
            f"the first on line {first.line} ({first.rule}): {first.text[:80]}",
            hint="without strict they are put aside in a file, and counted",
        )


def groups(items: Sequence[T]) -> Iterator[list[T]]:
    """Yield items that belong to the same partitions together: one series and month, or day for tick kinds."""
    ordered = sorted(items, key=lambda one: (*_group_key(one.file), f"{one.file.start:020d}", one.file.name))
    for _, group in groupby(ordered, key=lambda one: _group_key(one.file)):
        yield list(group)


def _group_key(file: ArchiveFile) -> tuple[str, ...]:
    period = day_of(file.start) if schema_of(file.kind).daily else month_of(file.start)
    return (file.market, file.kind, file.symbol, file.timeframe, period)


def _source(blob: RawBytes) -> Source:
    return Source(blob.file.key, blob.sha256, blob.published_sha256)


def _series(file: ArchiveFile) -> Series:
    return Series(file.market, file.kind, file.symbol, file.timeframe)
