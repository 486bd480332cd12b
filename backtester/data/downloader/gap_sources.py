"""Asking for the rows of gaps: the archive's days and months, then REST, each with what it answered."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import BacktesterError, DataError, StorageError
from backtester.core.time import timeframe_us
from backtester.data.downloader.download_log import DownloadLog
from backtester.data.downloader.fetching import fetch
from backtester.data.downloader.planning import PUBLISHED, ArchiveFile, Frequency
from backtester.data.downloader.rows import CleanRows, Series
from backtester.data.downloader.sources.archive import BinanceArchive, page_of_archive
from backtester.data.downloader.sources.collecting import CleanPage, clean_page
from backtester.data.downloader.sources.page import CandleSource, UnknownSymbolError
from backtester.data.downloader.sources.registry import sources_beside
from backtester.data.downloader.sources.rest import BinanceRest, is_own_address
from backtester.data.downloader.times import NOT_A_TIME
from backtester.data.gaps import Gap, gaps_inside, without

HAS_NOT: Final = "has not these rows"
WINDOW_ROWS: Final = 1000  # so many rows come in one page, wanted or not


@dataclass(slots=True)
class Asked:
    """What became of one gap: rows that were found, what is left of it, and what each source answered.

    answered: every source that could have it was reached and answered.
    """

    gap: Gap
    left: list[Gap]
    found: list[CleanRows] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    answered: bool = True

    def take(self, clean: CleanRows, length: int) -> None:
        """Keep the rows of a page that the gap still lacks."""
        times = clean.rows.key
        wanted = _inside(times, self.left)
        if not wanted.any():
            return
        repairs = {name: at[_inside(at, self.left)] for name, at in clean.repairs.items()}
        repairs = {name: at for name, at in repairs.items() if len(at)}
        rows = clean.rows.take(wanted)
        self.found.append(CleanRows(rows, repairs, clean.source, clean.refused, clean.read))
        self.left = without(self.left, _covered(rows.key, length))

    def judge(self, name: str, pages: list[CleanPage]) -> bool:
        """Note when rows that a source sent for what is left were refused, and return whether there were any.

        A row without a time to be trusted may be one of the gap's.
        """
        there: Counter[str] = Counter()
        for page in pages:
            for rule, times in page.refused_times.items():
                there[rule] += int((_inside(times, self.left) | (times == NOT_A_TIME)).sum())
        rules = ", ".join(rule for rule, count in there.items() if count)
        if rules:
            self.say(f"{name} sent {there.total()} row(s) there that were refused ({rules})", answered=False)
        return bool(rules)

    def say(self, answer: str, *, answered: bool) -> None:
        """Note what a source answered."""
        if answer not in self.answers:
            self.answers.append(answer)
        self.answered &= answered


class GapSources:
    """The sources of a market, asked one after the other until a gap is filled."""

    def __init__(self, cfg: DownloaderConfig, context: RunContext, log: DownloadLog, now: Callable[[], int]) -> None:
        self._cfg, self._context, self._log, self._now = cfg, context, log, now
        self._rest = BinanceRest(cfg, context, log=log, now=now)

    def names(self, series: Series) -> list[str]:
        """Return who would be asked for a series, in order."""
        if series.market in PUBLISHED:
            return [f"archive {self._cfg.base_url}", "REST"]
        return [source.name for source in self._others(series)]

    async def ask(self, series: Series, gaps: list[Gap]) -> list[Asked]:
        """Return what the sources have of gaps, and what they answered. Errors of a source are answers."""
        asked = [Asked(gap, [gap]) for gap in gaps]
        if series.market in PUBLISHED:
            await self._ask_archive(series, asked)
            await self._ask_rest(series, asked)
        else:
            for source in self._others(series):
                await self._ask_source(source, series, asked, reaches_back=False)
        for one in asked:
            if one.left and not one.answers:
                one.say(f"no source of {series.market} {series.kind} is known here", answered=False)
        return asked

    async def _ask_archive(self, series: Series, asked: list[Asked]) -> None:
        """Ask for the files that a download takes, then for days, then for months: each may have what others lack."""
        seen: set[ArchiveFile] = set()
        rounds: tuple[Frequency | None, ...] = (None, "daily", "monthly")
        for frequency in rounds:
            archive = BinanceArchive(self._cfg, self._context, frequency=frequency, log=self._log, now=self._now)
            if not archive.serves(series.market, series.kind):
                return
            by_file: dict[ArchiveFile, list[Asked]] = {}
            for one in asked:
                for start, end in one.left:
                    for file in archive.files(series, start, end):
                        by_file.setdefault(file, []).append(one)
            files = [file for file in by_file if file not in seen]
            seen.update(files)
            if files:
                await self._ask_files(series, files, asked)

    async def _ask_files(self, series: Series, files: list[ArchiveFile], asked: list[Asked]) -> None:
        try:
            fetched = await fetch(files, self._cfg, self._context, self._log)
        except StorageError:
            raise
        except BacktesterError as error:
            for one in asked:
                one.say(f"archive: {error.message}", answered=False)
            return
        for file, refused in fetched.refused:
            _say(asked, file, f"archive: {refused.message}", answered=False)
        for file in fetched.absent:
            _say(asked, file, f"archive: {file.name} is not published", answered=True)
        length = timeframe_us(series.timeframe)
        for blob in fetched.blobs:
            own = [one for one in asked if _overlaps(one, blob.file.start, blob.file.end)]
            if not own:
                continue
            try:
                page = page_of_archive(blob, self._cfg.unpacked_bytes)
                cleaned = clean_page(page, series, [gap for one in own for gap in one.left])
            except DataError as error:
                _say(asked, blob.file, f"archive: {error.message}", answered=False)
                continue
            name = f"archive: {blob.file.name}"
            for one in own:
                one.take(cleaned.good, length)
                if _overlaps(one, blob.file.start, blob.file.end) and not one.judge(name, [cleaned]):
                    one.say(f"{name} {HAS_NOT}", answered=True)

    async def _ask_rest(self, series: Series, asked: list[Asked]) -> None:
        if not self._rest.serves(series.market, series.kind):
            return
        why_not = self._rest.why_not(series.market)
        if not why_not:
            await self._ask_source(self._rest, series, asked)
            return
        for one in asked:
            if one.left:
                one.say(f"REST was not asked: {why_not}", answered=False)

    async def _ask_source(
        self, source: CandleSource, series: Series, asked: list[Asked], *, reaches_back: bool = True
    ) -> None:
        """Ask a source for what is left, gaps that fit into one page together.

        reaches_back: it has all of its past. Of others only who has a candle from before a gap can say that it has none
        within.
        """
        length = timeframe_us(series.timeframe)
        for start, end in _windows([gap for one in asked for gap in one.left], length):
            own = [one for one in asked if _overlaps(one, start, end)]
            first = start if reaches_back else start - length
            seen, failed = end, None
            cleaned: list[CleanPage] = []
            try:
                async for page in source.pages(series, first, end):
                    cleaned.append(clean_page(page, series, [(first, end)]))
                    good = cleaned[-1].good
                    seen = min([seen, *good.rows.key[:1].tolist()])
                    for one in own:
                        one.take(good, length)
            except StorageError:
                raise
            except BacktesterError as error:
                failed = error
            for one in own:
                if not _overlaps(one, start, end):
                    continue
                if failed is not None:
                    one.say(f"{source.name}: {failed.message}", answered=self._denies(source, series, failed))
                elif one.judge(source.name, cleaned):
                    continue
                elif reaches_back or seen < one.left[0][0]:
                    one.say(f"{source.name} {HAS_NOT}", answered=True)
                else:
                    one.say(f"{source.name} has nothing from before it either, and may not reach back", answered=False)

    def _denies(self, source: CandleSource, series: Series, failed: BacktesterError) -> bool:
        """Say whether an error means that there is no such symbol, and so none of its rows."""
        own = source is not self._rest or is_own_address(self._cfg, series.market)
        return own and isinstance(failed, UnknownSymbolError)

    def _others(self, series: Series) -> list[CandleSource]:
        return sources_beside(series.market, series.kind, self._cfg, self._context)


def _say(asked: list[Asked], file: ArchiveFile, answer: str, *, answered: bool) -> None:
    for one in asked:
        if _overlaps(one, file.start, file.end):
            one.say(answer, answered=answered)


def _overlaps(one: Asked, start: int, end: int) -> bool:
    return any(low < end and high > start for low, high in one.left)


def _windows(gaps: list[Gap], length: int) -> list[Gap]:
    """Return ranges that hold all gaps, several in one where they fit into WINDOW_ROWS rows."""
    windows: list[Gap] = []
    for start, end in sorted(gaps):
        if windows and end - windows[-1][0] <= WINDOW_ROWS * length:
            windows[-1] = (windows[-1][0], max(windows[-1][1], end))
        else:
            windows.append((start, end))
    return windows


def _inside(times: NDArray[np.int64], ranges: list[Gap]) -> NDArray[np.bool_]:
    inside = np.zeros(len(times), dtype=np.bool_)
    for start, end in ranges:
        inside |= (times >= start) & (times < end)
    return inside


def _covered(times: NDArray[np.int64], length: int) -> list[Gap]:
    """Return the ranges that sorted open times cover."""
    first, end = int(times[0]), int(times[-1]) + length
    return without([(first, end)], gaps_inside(times, length))
