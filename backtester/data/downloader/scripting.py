"""The three steps for scripts: fetch archives, parse and sanitise them, write them to the lake."""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import DataError, UsageError
from backtester.core.time import format_time
from backtester.data.downloader.batches import (
    ParseReport,
    SanitizedBatch,
    WriteReport,
    groups,
    parse_archive,
    refuse_if_strict,
    write_group,
)
from backtester.data.downloader.download_log import DownloadLog
from backtester.data.downloader.fetching import Fetched, RawBytes, fetch
from backtester.data.downloader.planning import Wanted, plan, wanted
from backtester.data.downloader.planning import time_of as _time_of
from backtester.data.manifest_writer import now_us

T = TypeVar("T")
TimeLike = str | date | datetime | int


class DownloaderFiles:
    """Fetch archives into the lake's store, each compared with its published checksum.

    `run_ctx.allow_net` false refuses every base address but folders and `file://`; its seed decides the jitter.
    """

    def __init__(self, run_ctx: RunContext, cfg: DownloaderConfig) -> None:
        self._context = run_ctx
        self._cfg = cfg
        self._audit = DownloadLog(cfg.log_dir, cfg.download_run_id)

    def download_files(
        self,
        symbol: str,
        market: str,
        interval: str | None,
        start: TimeLike,
        end: TimeLike,
        *,
        kind: str | None = None,
    ) -> list[RawBytes]:
        """Return the archives of one series over [start, end), widened to whole days, in order of time.

        Args:
            market: spot, futures (or um), cm, option.
            interval: the timeframe of candles; None for kinds without one.
            start, end: dates, datetimes, ISO text, or UTC µs.
            kind: klines, or for options EOHSummary, when not given.

        Raises:
            UsageError: the request cannot be, or needs a network that it may not use.
            DataError: nothing of it is published, or a file could not be fetched or is not what its checksum says.
            StorageError: the store cannot be written.
        """
        return run(self.adownload_files(symbol, market, interval, start, end, kind=kind))

    async def adownload_files(
        self,
        symbol: str,
        market: str,
        interval: str | None,
        start: TimeLike,
        end: TimeLike,
        *,
        kind: str | None = None,
    ) -> list[RawBytes]:
        """Return what `download_files` returns, for callers with an event loop."""
        today = now_us()
        request = wanted(market, kind, (symbol,), interval, _time_of(start), _time_of(end), today)
        fetched = await fetch(plan(request, today), self._cfg, self._context, self._audit)
        refuse_failures(fetched)
        refuse_nothing(request, fetched, self._cfg.base_url)
        return fetched.blobs


class ParsingSanitizing:
    """Turn archives into clean rows; rows that break a rule are left out and counted by rule."""

    def __init__(self, audit: DownloadLog) -> None:
        self._audit = audit

    def parse_archives(self, blobs: Sequence[RawBytes]) -> tuple[list[SanitizedBatch], ParseReport]:
        """Return a batch per archive that could be read, and a report of all.

        An archive that cannot be read at all is named in the report's `unreadable`.
        """
        report = ParseReport()
        batches = []
        for blob in blobs:
            try:
                batch = parse_archive(blob, self._audit)
            except DataError as error:
                self._audit.note("unreadable", key=blob.file.key, reason=error.message)
                report.unreadable.append((blob.file.name, error.message))
                continue
            report.add(batch)
            batches.append(batch)
        return batches, report

    async def aparse_archives(self, blobs: Sequence[RawBytes]) -> tuple[list[SanitizedBatch], ParseReport]:
        """Return what `parse_archives` returns, from a thread."""
        return await asyncio.to_thread(self.parse_archives, blobs)


class WritingParquet:
    """Write clean rows into the lake at `cfg.base_dir`, with refused rows in a file beside the archives."""

    def __init__(self, cfg: DownloaderConfig, audit: DownloadLog) -> None:
        self._cfg = cfg
        self._audit = audit

    def write_batches(
        self, batches: Sequence[SanitizedBatch], strict: bool = False, *, replace: bool = False
    ) -> WriteReport:
        """Write batches partition by partition; writing the same again changes nothing.

        Args:
            strict: refuse everything when a row of any batch was refused.
            replace: rows that differ from the lake's take their place.

        Raises:
            DataError: strict and a row was refused, or a row differs from the lake's.
            StorageError: the lake cannot be written.
        """
        for batch in batches:
            refuse_if_strict(batch, strict=strict)
        report = WriteReport()
        for group in groups(batches):
            write_group(group, self._cfg, self._audit, report, replace=replace)
        return report

    async def awrite_batches(
        self, batches: Sequence[SanitizedBatch], strict: bool = False, *, replace: bool = False
    ) -> WriteReport:
        """Return what `write_batches` returns, from a thread."""
        return await asyncio.to_thread(self.write_batches, batches, strict, replace=replace)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end from code without an event loop.

    Raises:
        UsageError: there is an event loop already.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    work.close()
    raise UsageError("an event loop is running here", hint="await the async form: its name begins with an a")


def refuse_failures(fetched: Fetched) -> None:
    """Raise when files could not be fetched or are not what they should be.

    Raises:
        DataError: names the first few.
    """
    if not fetched.refused:
        return
    listed = "\n  ".join(error.message for _, error in fetched.refused[:5])
    more = f"\n  and {len(fetched.refused) - 5} more" if len(fetched.refused) > 5 else ""
    raise DataError(
        f"{len(fetched.refused)} files could not be fetched:\n  {listed}{more}", hint=fetched.refused[0][1].hint
    )


def refuse_nothing(request: Wanted, fetched: Fetched, base_url: str) -> None:
    """Raise when nothing at all of a request is published.

    Raises:
        DataError: says which symbol, kind or dates are probably wrong.
    """
    there = {blob.file.symbol for blob in fetched.blobs} | {file.symbol for file, _ in fetched.refused}
    missing = [symbol for symbol in request.symbols if symbol not in there]
    if not missing:
        return
    what = " ".join(filter(None, [request.market, request.kind, request.timeframe]))
    span = f"{format_time(request.start)} .. {format_time(request.end)}"
    guess = "the kind, the market or the dates are" if there or len(missing) > 1 else "the symbol or the dates are"
    if there:
        guess = f"the symbol{'s are' if len(missing) > 1 else ' is'}"
    raise DataError(
        f"{base_url} has no {what} of {', '.join(missing)} in {span}: probably {guess} wrong",
        hint=f"see what there is: bt data available --market {request.market} --kind {request.kind} "
        f"--symbol {missing[0]}",
    )
