"""From archives to clean rows, and from clean rows to partitions; refused rows are put aside with the reason."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final, TypeVar

from backtester.config.configs import DownloaderConfig
from backtester.core.errors import DataError
from backtester.core.time import day_of, month_of
from backtester.data.downloader.download_log import DownloadLog
from backtester.data.downloader.fetching import STORE_NAME, RawBytes
from backtester.data.downloader.parsing import parse_table
from backtester.data.downloader.planning import ArchiveFile
from backtester.data.downloader.problems import Problem
from backtester.data.downloader.rows import CleanRows, Series
from backtester.data.downloader.sanitising import Repairs, sanitise
from backtester.data.downloader.unpacking import MOST_BYTES, unpack
from backtester.data.downloader.writing import SeriesWriter
from backtester.data.durable import make_folder, storing
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.partition import Source
from backtester.data.schemas import schema_of

LOCK_SECONDS: Final = 600.0
T = TypeVar("T", "RawBytes", "SanitizedBatch")


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A line of an archive that did not enter the lake, and the rule that it broke."""

    line: int
    rule: str
    text: str


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
        self.count(batch.clean, batch.refused)

    def count(self, clean: CleanRows, refused: Sequence[RefusedRow]) -> None:
        """Count one file or page."""
        self.files += 1
        self.rows += clean.read
        self.kept += len(clean.rows)
        for row in refused:
            self.refused[row.rule] = self.refused.get(row.rule, 0) + 1
        for name, times in clean.repairs.items():
            if not name.startswith(("bad_rows", "dropped_", "conflicting")):
                self.repaired[name] = self.repaired.get(name, 0) + len(times)


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
        DataError: it is damaged, is not the archive that its name says, or no row of it is good.
    """
    file = blob.file
    table = unpack(file.name, blob.data, most)
    parsed = parse_table(file.name, table, schema_of(file.kind), {}, official=True)
    source = Source(file.key, blob.sha256, blob.published_sha256)
    series = Series(file.market, file.kind, file.symbol, file.timeframe)
    clean = sanitise(file.name, parsed, source, file.timeframe, Repairs(drop_bad=True), (file.start, file.end))
    batch = SanitizedBatch(series, file, clean, refused_rows(clean.refused, table))
    log.note("parsed", key=file.key, rows=clean.read, kept=len(batch), refused=len(batch.refused))
    return batch


def write_group(
    batches: Sequence[SanitizedBatch], cfg: DownloaderConfig, log: DownloadLog, report: WriteReport, *, replace: bool
) -> None:
    """Write the batches of one series to the lake; every partition changes as a whole or not at all.

    Raises:
        DataError: a row differs from one of the lake.
        StorageError: the lake cannot be written.
    """
    with ManifestWriter(cfg.base_dir, wait_seconds=LOCK_SECONDS) as writer:
        one = SeriesWriter(writer, batches[0].series, replace=replace)
        for batch in batches:
            one.add(batch.clean)
        one.stage()
        one.commit()
    for staged in one.staged.values():
        if staged.file is None:
            report.unchanged += 1
            continue
        report.partitions.append(staged.partition.path)
        report.rows_added += staged.rows_added
        log.note("written", path=staged.partition.path, rows=staged.partition.rows, content=staged.partition.content)
    for batch in batches:
        if batch.refused:
            report.quarantined.append(str(quarantine(batch.series, batch.file.name, batch.refused, cfg)))


def refuse_if_strict(batch: SanitizedBatch, *, strict: bool) -> None:
    """Raise when rows of a batch were refused and none may be.

    Raises:
        DataError: names the first row.
    """
    if strict:
        refuse_any(batch.file.name, batch.clean, batch.refused)


def refuse_any(name: str, clean: CleanRows, refused: Sequence[RefusedRow]) -> None:
    """Raise when rows were refused.

    Raises:
        DataError: names the first row.
    """
    if refused:
        first = refused[0]
        raise DataError(
            f"{name}: {len(refused)} of {clean.read} rows are bad, "
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


def refused_rows(problems: Sequence[Problem], table: bytes) -> tuple[RefusedRow, ...]:
    """Return the lines of a CSV that broke a rule, in order."""
    if not problems:
        return ()
    lines = table.split(b"\n")
    found = [
        RefusedRow(line, problem.name, lines[line - 1].decode("utf-8", errors="replace").rstrip("\r"))
        for problem in problems
        for line in problem.lines.tolist()
    ]
    return tuple(sorted(found, key=lambda row: row.line))


def quarantine(series: Series, name: str, refused: Sequence[RefusedRow], cfg: DownloaderConfig) -> Path:
    """Write the refused rows of a file beside the archives, and return where they are."""
    folder = cfg.base_dir / STORE_NAME / "quarantine"
    path = folder / f"{'-'.join((series.market, series.kind, name))}.refused.csv"
    with storing(path):
        make_folder(folder)
        with path.open("w", encoding="utf-8", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(("line", "rule", "row"))
            out.writerows((row.line, row.rule, row.text) for row in refused)
    return path
