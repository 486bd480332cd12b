"""Partitions whose file is damaged or missing, made anew from the sources that the manifest names."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import numpy as np

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import BacktesterError, DataError, StorageError
from backtester.data.downloader.archive_names import read_name
from backtester.data.downloader.batches import LOCK_SECONDS
from backtester.data.downloader.download_log import DownloadLog
from backtester.data.downloader.fetching import RawBytes, fetch, superseded_path
from backtester.data.downloader.planning import PUBLISHED, ArchiveFile, Frequency
from backtester.data.downloader.rows import CleanRows, Series
from backtester.data.downloader.sources.archive import BinanceArchive, page_of_archive
from backtester.data.downloader.sources.collecting import clean_page
from backtester.data.downloader.sources.endpoints import asked_range
from backtester.data.downloader.sources.page import Page
from backtester.data.downloader.sources.registry import sources_beside
from backtester.data.downloader.sources.rest import BinanceRest, kept_page, page_of_json
from backtester.data.downloader.writing import SeriesWriter
from backtester.data.durable import is_file_with
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.partition import Partition, Source
from backtester.data.schemas import schema_of
from backtester.data.verifying import Discrepancy


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What became of a damaged partition. problem: what was wrong. reason: how it was mended, or why it was not."""

    path: str
    problem: str
    outcome: Literal["mended", "left", "planned"]
    reason: str


async def rebuild_partition(
    damage: Discrepancy, cfg: DownloaderConfig, context: RunContext, log: DownloadLog, now: Callable[[], int]
) -> Rebuilt:
    """Write a partition anew, unless it would hold fewer rows than the manifest promises.

    Raises:
        StorageError: the lake cannot be written.
    """
    partition = damage.partition
    sources = _Sources(partition, cfg, context, log, now)
    try:
        pages = await sources.recorded()
        how = "from the sources that the manifest names"
        if sources.lost:
            pages = await sources.elsewhere() + pages  # the later ones win
            how = f"in part from elsewhere, for {', '.join(sources.lost)} is not at hand"
        if not pages:
            raise DataError(f"nobody is known who has {', '.join(sources.lost) or 'its rows'}")
        series = Series(*partition.series)
        span = [(partition.first_time, partition.last_time + 1)]
        parts = _later_first([clean_page(page, series, span).good for page in pages])
        return _write(damage, parts, how, cfg, log, changed=sources.changed)
    except StorageError:
        raise
    except BacktesterError as error:
        hint = "import its files again with --replace, or take it out with bt data rm"
        return Rebuilt(partition.path, damage.text, "left", f"{error.message}; {hint}")


class _Sources:
    """Where the rows of a partition can be had again. lost: sources that are not at hand; changed: those that are not
    what they were.
    """

    def __init__(
        self,
        partition: Partition,
        cfg: DownloaderConfig,
        context: RunContext,
        log: DownloadLog,
        now: Callable[[], int],
    ) -> None:
        self._partition, self._cfg, self._context, self._log, self._now = partition, cfg, context, log, now
        self._series = Series(*partition.series)
        self.lost: list[str] = []
        self.changed: list[str] = []

    async def recorded(self) -> list[Page]:
        """Return the pages of the recorded sources, in their order: archives of the store or fetched, pages of REST."""
        pages = []
        for source in self._partition.sources:
            page = self._kept(source) or await self._archive(source)
            if page is None:
                self.lost.append(source.address.partition("?")[0])
            else:
                pages.append(page)
        return pages

    async def elsewhere(self) -> list[Page]:
        """Return the pages of whoever may have the partition's whole range, the most trusted last."""
        span = self._partition.first_time, self._partition.last_time + 1
        if self._partition.market not in PUBLISHED:
            others = sources_beside(self._series.market, self._series.kind, self._cfg, self._context)
            return [page for source in others async for page in source.pages(self._series, *span)]
        archive = BinanceArchive(self._cfg, self._context, log=self._log, now=self._now)
        rest = BinanceRest(self._cfg, self._context, log=self._log, now=self._now)
        fetched = await fetch(archive.files(self._series, *span), self._cfg, self._context, self._log)
        pages = [page_of_archive(blob, self._cfg.unpacked_bytes) for blob in fetched.blobs]
        if rest.serves(self._series.market, self._series.kind) and rest.reachable(self._series.market):
            pages = [page async for page in rest.pages(self._series, *span)] + pages
        return pages

    def _kept(self, source: Source) -> Page | None:
        asked = asked_range(source.address)
        body = kept_page(self._cfg.base_dir, self._series, source.sha256 or "") if asked is not None else None
        if asked is None or body is None:
            return None
        return page_of_json(source.address, body, self._series, asked)

    async def _archive(self, source: Source) -> Page | None:
        facts = read_name(PurePosixPath(source.address))
        if facts.archive_key is None or facts.start is None or facts.end is None:
            return None
        frequency: Frequency = "monthly" if "/monthly/" in source.address else "daily"
        file = ArchiveFile(*self._partition.series, frequency, facts.start, facts.end)
        fetched = await fetch([file], self._cfg, self._context, self._log)
        if fetched.refused:
            raise fetched.refused[0][1]
        if not fetched.blobs:
            return None
        blob = fetched.blobs[0]
        if source.sha256 is not None and blob.sha256 != source.sha256:
            older = superseded_path(self._cfg, file.key, source.sha256)
            if is_file_with(older, source.sha256):
                blob = RawBytes(file, older, source.sha256, source.published_sha256)
            else:
                self.changed.append(source.address)
        return page_of_archive(blob, self._cfg.unpacked_bytes)


def _later_first(parts: list[CleanRows]) -> list[CleanRows]:
    """Return the rows of candles so that of each time only the last source's counts: it once took the others' place."""
    if not parts or not schema_of(parts[0].rows.schema.kind).gridded:
        return parts
    seen = np.empty(0, dtype=np.int64)
    kept = []
    for part in reversed(parts):
        fresh = ~np.isin(part.rows.key, seen)
        seen = np.union1d(seen, part.rows.key)
        kept.append(CleanRows(part.rows.take(fresh), part.repairs, part.source, part.refused, part.read))
    return kept[::-1]


def _write(
    damage: Discrepancy,
    parts: list[CleanRows],
    how: str,
    cfg: DownloaderConfig,
    log: DownloadLog,
    *,
    changed: list[str],
) -> Rebuilt:
    partition = damage.partition
    with ManifestWriter(cfg.base_dir, wait_seconds=LOCK_SECONDS) as writer:
        one = SeriesWriter(writer, Series(*partition.series), replace=True)
        for part in parts:
            one.add(part)
        one.stage()
        staged = one.staged.get(partition.path)
        if staged is None or staged.partition.rows < partition.rows:
            rows = 0 if staged is None else staged.partition.rows
            raise DataError(f"only {rows} of its {partition.rows} rows could be had again")
        same = staged.partition.content == partition.content
        if changed and not same:
            raise DataError(f"{', '.join(changed)} was published anew, with other rows than the recorded ones")
        one.commit()
    log.note("rebuilt", path=partition.path, rows=staged.partition.rows, same=same)
    what = "the recorded rows" if same else f"{staged.partition.rows} rows that are not all as recorded"
    return Rebuilt(partition.path, damage.text, "mended", f"{how}, with {what}")
