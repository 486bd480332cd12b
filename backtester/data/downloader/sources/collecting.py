"""Pages of a source into the lake: parsed and sanitised as archives are, and written partition by partition."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backtester.config.configs import DownloaderConfig
from backtester.core.errors import DataError
from backtester.core.time import day_of, grid_offset_us, month_of, timeframe_us
from backtester.data.downloader.batches import (
    LOCK_SECONDS,
    ParseReport,
    WriteReport,
    count_written,
    refuse_rows_if_strict,
)
from backtester.data.downloader.download_log import DownloadLog
from backtester.data.downloader.parsing import Parsed, parse_table
from backtester.data.downloader.problems import Problem
from backtester.data.downloader.refusals import RefusedRow, quarantine, refused_rows
from backtester.data.downloader.rows import CleanRows, Series
from backtester.data.downloader.sanitising import Repairs, sanitise
from backtester.data.downloader.sources.page import Page
from backtester.data.downloader.times import NOT_A_TIME
from backtester.data.downloader.writing import SeriesWriter
from backtester.data.gaps import Gap
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.schemas import schema_of


@dataclass(frozen=True, slots=True)
class CleanPage:
    """What cleaning made of a page. good: rows in the ranges that were asked for. refused: bad rows as text.

    refused_times: by rule, the times of the bad rows, shape (n,), UTC µs; NOT_A_TIME for one that cannot be trusted.
    """

    good: CleanRows
    refused: tuple[RefusedRow, ...]
    refused_times: dict[str, NDArray[np.int64]]


class PageWriter:
    """Takes the pages of one series in order of time and writes them whenever a partition is complete.

    Memory holds the rows of one partition and one page. Each write changes a partition as a whole or not at all.
    """

    def __init__(
        self,
        series: Series,
        cfg: DownloaderConfig,
        log: DownloadLog,
        *,
        parsed: ParseReport,
        written: WriteReport,
        strict: bool = False,
        replace: bool = False,
    ) -> None:
        self._series, self._cfg, self._log = series, cfg, log
        self._parsed, self._written = parsed, written
        self._strict, self._replace = strict, replace
        self._period = ""
        self._waiting: list[CleanRows] = []
        self._refused: list[tuple[str, tuple[RefusedRow, ...]]] = []

    def add(self, page: Page, start: int, end: int) -> int:
        """Take the rows of a page that lie in [start, end), and return how many these are.

        Raises:
            DataError: no row of the page is good, (strict) one is bad, or rows differ from the lake's.
            StorageError: the lake cannot be written.
        """
        cleaned = clean_page(page, self._series, [(start, end)])
        clean, refused = cleaned.good, cleaned.refused
        refuse_rows_if_strict(page.name, refused, clean.read, strict=self._strict)
        repairs = {name: len(times) for name, times in clean.repairs.items()}
        self._parsed.count(clean.read, len(clean.rows), refused, repairs)
        if refused:
            self._refused.append((page.name, refused))
        if not len(clean.rows):
            return 0
        period = self._period_of(int(clean.rows.key[0]))
        if period != self._period:
            self.flush()
        self._period = self._period_of(int(clean.rows.key[-1]))
        self._waiting.append(clean)
        return len(clean.rows)

    def flush(self) -> None:
        """Write what waits.

        Raises:
            DataError: rows differ from the lake's. StorageError: the lake cannot be written.
        """
        waiting, self._waiting = self._waiting, []
        if waiting:
            with ManifestWriter(self._cfg.base_dir, wait_seconds=LOCK_SECONDS) as writer:
                put(writer, self._series, waiting, self._log, self._written, replace=self._replace)
        refused, self._refused = self._refused, []
        for name, rows in refused:
            self._written.quarantined.append(str(quarantine(self._series, name, rows, self._cfg.base_dir)))

    def _period_of(self, time: int) -> str:
        return day_of(time) if schema_of(self._series.kind).daily else month_of(time)


def clean_page(page: Page, series: Series, ranges: list[Gap]) -> CleanPage:
    """Return the good rows of a page that lie in any of the ranges, and its bad rows, wherever they lie.

    Raises:
        DataError: it cannot be read, or no row of it is good.
    """
    parsed = parse_table(page.name, page.table, schema_of(series.kind), {}, official=page.official)
    allowed = Repairs(drop_bad=True)
    clean = sanitise(page.name, parsed, page.source, series.timeframe, allowed, page.dates, sparse=True)
    refused = () if page.name.lower().endswith(".parquet") else refused_rows(clean.refused, [page.table])
    wanted = _inside(clean.rows.key, ranges)
    repairs = {name: times[_inside(times, ranges)] for name, times in clean.repairs.items()}
    repairs = {name: times for name, times in repairs.items() if len(times)}
    good = CleanRows(clean.rows.take(wanted), repairs, clean.source, clean.refused, clean.read)
    return CleanPage(good, refused, _refused_times(clean.refused, parsed, series, page.dates))


def _refused_times(
    problems: tuple[Problem, ...], parsed: Parsed, series: Series, dates: Gap | None
) -> dict[str, NDArray[np.int64]]:
    """Return the times of refused rows by rule. One off the grid or outside the page's dates is no time to be trusted:
    the row may be any of the page's.
    """
    if not problems:
        return {}
    order = np.argsort(parsed.rows.line)
    lines, times = parsed.rows.line[order], parsed.rows.key[order]
    wrong = times == NOT_A_TIME
    if dates is not None:
        wrong |= (times < dates[0]) | (times >= dates[1])
    if series.timeframe:
        length = timeframe_us(series.timeframe)
        wrong |= (times - grid_offset_us(length)) % length != 0
    times = np.where(wrong, NOT_A_TIME, times)
    found: dict[str, list[NDArray[np.int64]]] = {}
    for problem in problems:
        at = np.minimum(np.searchsorted(lines, problem.lines), len(lines) - 1)
        is_row = lines[at] == problem.lines  # a line that does not even split is none
        found.setdefault(problem.name, []).append(np.where(is_row, times[at], NOT_A_TIME))
    return {rule: np.concatenate(parts) for rule, parts in found.items()}


def put(
    writer: ManifestWriter,
    series: Series,
    parts: list[CleanRows],
    log: DownloadLog,
    report: WriteReport,
    *,
    replace: bool = False,
) -> None:
    """Write rows of one series to the locked lake, each partition as a whole or not at all.

    Raises:
        DataError: rows differ from the lake's or from each other.
        StorageError: the lake cannot be written.
    """
    one = SeriesWriter(writer, series, replace=replace)
    try:
        for part in parts:
            one.add(part)
        one.stage()
        one.commit()
    except DataError as error:
        log.note("unwritten", series=str(series), reason=error.message)
        raise
    count_written(one, log, report)


def _inside(times: NDArray[np.int64], ranges: list[Gap]) -> NDArray[np.bool_]:
    inside = np.zeros(len(times), dtype=np.bool_)
    for start, end in ranges:
        inside |= (times >= start) & (times < end)
    return inside
