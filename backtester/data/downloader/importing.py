"""Importing files: find, parse, sanitise, stage; then, when every file is good, put all partitions in place."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from backtester.core.errors import DataError, UsageError
from backtester.core.time import timeframe_us
from backtester.data.decimals import MAX_PRICE_DECIMALS
from backtester.data.downloader.archive_names import is_page
from backtester.data.downloader.big_files import BigReport, write_big_file
from backtester.data.downloader.finding import ImportOptions, SourceFile, find_files
from backtester.data.downloader.hashed_file import HashedFile
from backtester.data.downloader.naming import parse_mapping
from backtester.data.downloader.periods import add_counts
from backtester.data.downloader.reading import as_big, is_big, read_file, table_chunks
from backtester.data.downloader.refusals import RefusedRow, quarantine, refused_rows
from backtester.data.downloader.rows import CleanRows, Series
from backtester.data.downloader.rules import DATE_SLACK
from backtester.data.downloader.sanitising import Repairs
from backtester.data.downloader.workers import Workers
from backtester.data.downloader.writing import SeriesWriter
from backtester.data.gaps import count_missing
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.partition import Partition
from backtester.data.schemas import KLINES, schema_of

_LISTED_REFUSALS = 5


@dataclass(slots=True)
class SeriesReport:
    """What an import did to one series. missing: candles that the touched partitions lack inside and between them.

    refused: rows that were left out, by rule.
    """

    series: Series
    files: int = 0
    rows_read: int = 0
    rows_added: int = 0
    partitions: list[Partition] = field(default_factory=list)
    unchanged: int = 0
    missing: int = 0
    repairs: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class ImportReport:
    """What an import did. skipped: files below the folders that were left out, counted by reason.

    quarantined: files with the rows that were left out, and why.
    """

    series: list[SeriesReport]
    skipped: dict[str, int]
    quarantined: list[str] = field(default_factory=list)


def import_paths(
    paths: Sequence[Path],
    root: Path,
    options: ImportOptions | None = None,
    *,
    columns: str = "",
    repairs: Repairs | None = None,
    replace: bool = False,
    on_file: Callable[[int, int, str], None] | None = None,
) -> ImportReport:
    """Import files and folders of candles into a lake.

    Every file is read and checked first, into temporary files; the lake changes only when all are good, then partition
    by partition. Doing it again changes nothing.

    Args:
        options: what the files do not say themselves.
        columns: `open_time=date,...` for files whose columns have other names.
        replace: rows that differ from the lake's take their place.
        on_file: called with (files done, files in all, name of the next).

    Raises:
        UsageError: an option is wrong, or needed and missing. DataError: a file is bad; the lake is untouched.
        StorageError: the lake cannot be written.
    """
    allowed = repairs or Repairs()
    if allowed.price_decimals is not None and not 0 <= allowed.price_decimals <= MAX_PRICE_DECIMALS:
        raise UsageError(
            f"--price-decimals {allowed.price_decimals} is out of range", hint=f"0 to {MAX_PRICE_DECIMALS}"
        )
    mapping = parse_mapping(columns, schema_of((options or ImportOptions()).kind or KLINES.kind))
    files, skipped = find_files(paths, options or ImportOptions())
    with ManifestWriter(root) as writer, Workers() as workers:
        run = _Import(writer, workers, mapping, allowed, replace=replace)
        for number, (file, ready) in enumerate(workers.in_order(run.read, files)):
            if on_file is not None:
                on_file(number, len(files), file.path.name)
            following = files[number + 1] if number + 1 < len(files) else None
            run.take(file, ready, following)
        run.commit(len(files))
    reports = [run.reports[series] for series in sorted(run.reports, key=str)]
    return ImportReport(reports, dict(skipped), run.put_aside(root))


class _Import:
    """The files of one import: read by threads, taken in order, put in place together."""

    def __init__(
        self, writer: ManifestWriter, workers: Workers, mapping: Mapping[str, str], allowed: Repairs, *, replace: bool
    ) -> None:
        self.reports: dict[Series, SeriesReport] = {}
        self._writer, self._workers, self._replace = writer, workers, replace
        self._mapping, self._allowed = mapping, allowed
        self._writers: dict[Series, SeriesWriter] = {}
        self._refused: list[DataError] = []
        self._left_out: list[tuple[Series, str, tuple[RefusedRow, ...]]] = []

    def read(self, file: SourceFile) -> tuple[Series, CleanRows] | None:
        """Return the clean rows of a file, None when it is too big for that."""
        return None if is_big(file.path) else read_file(file, self._mapping, self._allowed)

    def take(
        self, file: SourceFile, ready: "Future[tuple[Series, CleanRows] | None]", following: SourceFile | None
    ) -> None:
        """Stage a file's rows as far as no more of the same partitions can come; remember why it is refused."""
        try:
            found = ready.result()
            if found is None:
                series, report, sha256 = self._take_big(file)
            else:
                series, clean = found
                sha256 = clean.source.sha256
                self._writer_of(series).add(clean)
                repairs = {name: len(times) for name, times in clean.repairs.items()}
                report = BigReport(clean.read, len(clean.rows), clean.refused, repairs)
            _note(self.reports.setdefault(series, SeriesReport(series)), report)
            if report.refused:
                lines: Iterable[bytes] = table_chunks(HashedFile(file.path, sha256)) if _has_lines(file.path) else ()
                self._left_out.append((series, file.path.name, refused_rows(report.refused, lines)))
            self._writers[series].begin_staging(_complete_until(file, following))
        except DataError as error:
            self._refused.append(error)

    def commit(self, files: int) -> None:
        """Put everything in place, or nothing."""
        for writer in self._writers.values():
            try:
                if not self._refused:
                    writer.stage()
            except DataError as error:
                self._refused.append(error)
        if self._refused:
            raise _all_refusals(self._refused, files)
        for series, writer in self._writers.items():
            writer.commit()
            _finish(self.reports[series], writer)

    def put_aside(self, root: Path) -> list[str]:
        """Write the rows that were left out to files beside the archives, and return these.

        Raises:
            StorageError: the disk refuses.
        """
        return [str(quarantine(series, name, rows, root)) for series, name, rows in self._left_out]

    def _take_big(self, file: SourceFile) -> tuple[Series, BigReport, str | None]:
        big = as_big(file, self._mapping, self._allowed)
        series = Series(file.market, file.kind, file.symbol, big.timeframe)
        return series, write_big_file(big, self._writer_of(series)), big.source.sha256

    def _writer_of(self, series: Series) -> SeriesWriter:
        if series not in self._writers:
            self._writers[series] = SeriesWriter(self._writer, series, replace=self._replace, workers=self._workers)
        return self._writers[series]


def _has_lines(path: Path) -> bool:
    """Say whether the rows of a file are lines of text; of others only the numbers of rows are known."""
    return not is_page(path.name) and not path.name.lower().endswith(".parquet")


def _complete_until(file: SourceFile, following: SourceFile | None) -> int | None:
    """Return until when partitions are complete once a file is taken; None: all are."""
    if following is None or _series_named(file) != _series_named(following):
        return None
    return 0 if following.dates is None else following.dates[0] - DATE_SLACK.get(following.kind, 0)


def _series_named(file: SourceFile) -> tuple[str, str, str, str | None]:
    return (file.market, file.kind, file.symbol, file.timeframe)


def _note(report: SeriesReport, found: BigReport) -> None:
    report.files += 1
    report.rows_read += found.kept
    for problem in found.refused:
        report.refused[problem.name] = report.refused.get(problem.name, 0) + len(problem.lines)
    add_counts(report.repairs, found.repairs)


def _finish(report: SeriesReport, writer: SeriesWriter) -> None:
    staged = sorted(writer.staged.values(), key=lambda one: one.partition.first_time)
    report.partitions = [one.partition for one in staged]
    report.unchanged = sum(one.file is None for one in staged)
    report.rows_added = sum(one.rows_added for one in staged)
    if not report.series.timeframe:
        return
    length = timeframe_us(report.series.timeframe)
    report.missing = sum(count_missing(one.partition.gaps, length) for one in staged)
    for before, after in zip(report.partitions, report.partitions[1:], strict=False):
        report.missing += (after.first_time - before.last_time) // length - 1


def _all_refusals(refused: list[DataError], files: int) -> DataError:
    if len(refused) == 1 and files == 1:
        return refused[0]
    listed = "\n  ".join(error.message for error in refused[:_LISTED_REFUSALS])
    more = f"\n  and {len(refused) - _LISTED_REFUSALS} more" if len(refused) > _LISTED_REFUSALS else ""
    return DataError(
        f"{len(refused)} of {files} files were refused, and nothing was imported:\n  {listed}{more}",
        hint=refused[0].hint,
    )
