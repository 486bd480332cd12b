"""Importing files: find, parse, sanitise, stage; then, when every file is good, put all partitions in place."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backtester.core.errors import DataError, UsageError
from backtester.core.time import timeframe_us
from backtester.data.decimals import MAX_PRICE_DECIMALS
from backtester.data.downloader.finding import ImportOptions, SourceFile, find_files
from backtester.data.downloader.naming import parse_mapping
from backtester.data.downloader.parsing import parse_table
from backtester.data.downloader.rows import CleanRows, Series
from backtester.data.downloader.sanitising import Repairs, infer_timeframe, refusal, sanitise
from backtester.data.downloader.sources.json_tables import table_of
from backtester.data.downloader.unpacking import read_source
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
    """What an import did. skipped: files below the folders that were left out, counted by reason."""

    series: list[SeriesReport]
    skipped: dict[str, int]


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
    with ManifestWriter(root) as writer:
        writers: dict[Series, SeriesWriter] = {}
        reports: dict[Series, SeriesReport] = {}
        refused: list[DataError] = []
        current: SeriesWriter | None = None
        for number, file in enumerate(files):
            if on_file is not None:
                on_file(number, len(files), file.path.name)
            try:
                series, clean = read_file(file, mapping, allowed)
                report = reports.setdefault(series, SeriesReport(series))
                _note(report, clean)
                if series not in writers:
                    writers[series] = SeriesWriter(writer, series, replace=replace)
                if current is not None and current is not writers[series]:
                    current.stage()
                current = writers[series]
                current.add(clean)
            except DataError as error:
                refused.append(error)
        if current is not None and not refused:
            current.stage()
        if refused:
            raise _all_refusals(refused, len(files))
        for series, series_writer in writers.items():
            series_writer.commit()
            _finish(reports[series], series_writer)
    return ImportReport([reports[series] for series in sorted(reports, key=str)], dict(skipped))


def read_file(file: SourceFile, mapping: Mapping[str, str], allowed: Repairs) -> tuple[Series, CleanRows]:
    """Parse and sanitise one file.

    Raises:
        DataError: the file is damaged or its rows are bad.
    """
    schema = schema_of(file.kind)
    data, source = read_source(file.path, file.address)
    name = file.path.name
    parsed = parse_table(name, table_of(name, data, file.kind), schema, mapping, official=file.official)
    good = ~parsed.problems.bad
    if not good.any():
        raise refusal(name, parsed.problems, len(parsed.rows))
    timeframe = (file.timeframe or infer_timeframe(name, parsed.rows.key[good])) if schema.gridded else ""
    clean = sanitise(name, parsed, source, timeframe, allowed, file.dates)
    return Series(file.market, file.kind, file.symbol, timeframe), clean


def _note(report: SeriesReport, clean: CleanRows) -> None:
    report.files += 1
    report.rows_read += len(clean.rows)
    for problem in clean.refused:
        report.refused[problem.name] = report.refused.get(problem.name, 0) + len(problem.lines)
    for name, times in clean.repairs.items():
        report.repairs[name] = report.repairs.get(name, 0) + len(times)


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
