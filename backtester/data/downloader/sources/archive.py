"""Candles from the public archive, one series at a time: monthly files, daily ones, or whichever there are."""

from collections.abc import AsyncIterator, Callable

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.time import DAY
from backtester.data.downloader.download_log import DownloadLog
from backtester.data.downloader.fetching import Fetched, RawBytes, fetch
from backtester.data.downloader.planning import PUBLISHED, ArchiveFile, Frequency, Wanted, files_of, frequencies, plan
from backtester.data.downloader.rows import Series
from backtester.data.downloader.sources.page import Page, UnknownSymbolError
from backtester.data.downloader.unpacking import unpack
from backtester.data.manifest_writer import now_us
from backtester.data.partition import Source


class BinanceArchive:
    """Candles from the archive at `cfg.base_url`; see `CandleSource`. frequency: only these files."""

    name = "binance-archive"
    offers = "; ".join(f"{market}: {' '.join(kinds)}" for market, kinds in PUBLISHED.items())

    def __init__(
        self,
        cfg: DownloaderConfig,
        context: RunContext,
        *,
        frequency: Frequency | None = None,
        log: DownloadLog | None = None,
        now: Callable[[], int] = now_us,
    ) -> None:
        self._cfg, self._context, self._frequency, self._now = cfg, context, frequency, now
        self._log = log or DownloadLog(cfg.log_dir, cfg.download_run_id)

    def serves(self, market: str, kind: str) -> bool:
        """See `CandleSource`."""
        return kind in PUBLISHED.get(market, ())

    def files(self, series: Series, start: int, end: int) -> list[ArchiveFile]:
        """Return which files may hold rows of [start, end), whether or not they are published."""
        today = self._now() // DAY * DAY
        days = start // DAY * DAY, min(-(-end // DAY) * DAY, today)
        if days[0] >= days[1]:
            return []
        request = Wanted(series.market, series.kind, (series.symbol,), series.timeframe, *days)
        if self._frequency is None:
            return plan(request, today)
        if self._frequency not in frequencies(series.kind, series.timeframe):
            return []
        return files_of(request, self._frequency, today)

    async def pages(self, series: Series, start: int, end: int) -> AsyncIterator[Page]:
        """Yield the tables of a range's archives; see `CandleSource`."""
        fetched = await fetch(self.files(series, start, end), self._cfg, self._context, self._log)
        _refuse(fetched, series, self._cfg.base_url, whole=self._frequency is None)
        for blob in fetched.blobs:
            yield page_of_archive(blob, self._cfg.unpacked_bytes)


def page_of_archive(blob: RawBytes, most: int) -> Page:
    """Return the table of an archive.

    Raises:
        DataError: the archive is damaged.
    """
    file = blob.file
    source = Source(file.key, blob.sha256, blob.published_sha256)
    return Page(file.name, unpack(file.name, blob.data, most), source, (file.start, file.end), official=True)


def _refuse(fetched: Fetched, series: Series, base: str, *, whole: bool) -> None:
    if fetched.refused:
        raise fetched.refused[0][1]
    if whole and fetched.absent and not fetched.blobs:
        raise UnknownSymbolError(
            f"{base} has no {series}",
            hint=f"see what there is: bt data available --market {series.market} --kind {series.kind} "
            f"--symbol {series.symbol}",
        )
