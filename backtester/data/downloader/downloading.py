"""A download from plan to lake: fetch all files, then month by month parse, sanitise and write them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import DataError, UsageError
from backtester.core.time import DAY
from backtester.data.downloader.batches import (
    LOCK_SECONDS,
    ParseReport,
    SanitizedBatch,
    StrictlyRefused,
    WriteReport,
    groups,
    parse_archive,
    refuse_if_strict,
    write_big,
    write_group,
)
from backtester.data.downloader.download_log import DownloadLog
from backtester.data.downloader.fetching import Fetched, OnProgress, RawBytes, fetch, stored
from backtester.data.downloader.planning import ArchiveFile, Wanted, plan
from backtester.data.downloader.reading import is_big
from backtester.data.downloader.scripting import refuse_nothing, run
from backtester.data.downloader.transport import local_folder
from backtester.data.manifest import read_manifest
from backtester.data.manifest_writer import ManifestWriter


@dataclass(slots=True)
class DownloadReport:
    """What a download did. kept: files of the store that were not fetched again. absent: keys that are not published.

    refused: key and reason of files that are not in the lake. hint: what to do about the last of them.
    """

    files: int
    fetched: int
    kept: int
    bytes: int
    absent: list[str]
    refused: list[tuple[str, str]]
    parsed: ParseReport = field(default_factory=ParseReport)
    written: WriteReport = field(default_factory=WriteReport)
    hint: str = "run the command again: what is there is not fetched again"


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file of a plan. size: bytes, where known. stored: it is in the store and need not be fetched."""

    key: str
    size: int | None
    stored: bool


def planned(requests: list[Wanted], cfg: DownloaderConfig, today: int) -> list[PlannedFile]:
    """Return which files a download would settle, with sizes of those at hand; the network is not used."""
    folder = local_folder(cfg.base_url)
    found = []
    for request in requests:
        for file in plan(request, today):
            have = stored(file, cfg)
            path = have.path if have is not None else None if folder is None else folder / file.key
            size = path.stat().st_size if path is not None and path.is_file() else None
            found.append(PlannedFile(file.key, size, have is not None))
    return found


def continued(request: Wanted, cfg: DownloaderConfig, *, start_given: bool) -> list[Wanted]:
    """Return one request per symbol, each from the day of the last row that the lake has.

    Raises:
        UsageError: the lake has nothing of a symbol and no start was given.
    """
    last: dict[tuple[str, str, str, str], int] = {}
    for partition in read_manifest(cfg.base_dir).values():
        if not partition.synthetic:
            last[partition.series] = max(last.get(partition.series, 0), partition.last_time)
    requests = []
    for symbol in request.symbols:
        known = last.get((request.market, request.kind, symbol, request.timeframe))
        if known is None and not start_given:
            raise UsageError(
                f"{request.market}:{symbol} is not in {cfg.base_dir}, so there is nothing to continue",
                hint="say where to begin: --start 2024-01-01",
            )
        start = request.start if known is None else known // DAY * DAY
        if start < request.end:
            requests.append(replace(request, symbols=(symbol,), start=start))
    return requests


def download(
    requests: list[Wanted],
    cfg: DownloaderConfig,
    context: RunContext,
    today: int,
    *,
    strict: bool = False,
    replace_rows: bool = False,
    on_progress: OnProgress | None = None,
) -> DownloadReport:
    """Fetch what is asked for and write it to the lake at `cfg.base_dir`.

    Every file is checked on its own: one that is refused is not written, the others are, and the report names it. Files
    of a partition that differs from the lake's are refused together.
    Memory holds the rows of the files of two partitions. Doing it again fetches and changes only what is missing.

    Raises:
        DataError: nothing is published of a symbol, or (strict) a row was refused.
        UsageError: the base address cannot be used. StorageError: the lake cannot be written.
    """
    log = DownloadLog(cfg.log_dir, cfg.download_run_id)
    files = [file for request in requests for file in plan(request, today)]
    fetched = run(fetch(files, cfg, context, log, on_progress))
    for request in requests:
        refuse_nothing(request, _of(request, fetched), cfg.base_url)
    refused: Mapping[str, str] = {file.key: error.message for file, error in fetched.refused}
    report = DownloadReport(
        files=len(fetched.blobs) + len(fetched.absent) + len(refused),
        fetched=len(fetched.blobs) - fetched.kept,
        kept=fetched.kept,
        bytes=fetched.received,
        absent=[file.key for file in fetched.absent],
        refused=sorted(refused.items()),
    )
    run(_write_all(fetched.blobs, cfg, log, report, strict=strict, replace_rows=replace_rows))
    return report


async def _write_all(
    blobs: list[RawBytes],
    cfg: DownloaderConfig,
    log: DownloadLog,
    report: DownloadReport,
    *,
    strict: bool,
    replace_rows: bool,
) -> None:
    """Write archives partition by partition; the next ones are parsed in a thread while these are written."""
    ahead: asyncio.Task[_ParsedGroup] | None = None
    lake = ManifestWriter(cfg.base_dir, wait_seconds=LOCK_SECONDS, reusable=True)
    try:
        for group in [*groups(blobs), None]:
            ready = None if ahead is None else await ahead
            ahead = None if group is None else asyncio.create_task(asyncio.to_thread(_parse_group, group, cfg, log))
            if ready is not None:
                await _write_parsed(ready, cfg, log, report, lake, strict=strict, replace_rows=replace_rows)
    finally:
        lake.close()


async def _write_parsed(
    ready: "_ParsedGroup",
    cfg: DownloaderConfig,
    log: DownloadLog,
    report: DownloadReport,
    lake: ManifestWriter,
    *,
    strict: bool,
    replace_rows: bool,
) -> None:
    report.refused += ready.unreadable
    for batch in ready.batches:
        refuse_if_strict(batch, strict=strict)
        report.parsed.add(batch)
    keys = [batch.file.key for batch in ready.batches]
    try:
        if ready.batches:
            await asyncio.to_thread(
                write_group, ready.batches, cfg, log, report.written, replace=replace_rows, lake=lake
            )
        for blob in ready.big:
            keys = [blob.file.key]
            parsed = await asyncio.to_thread(
                write_big, blob, cfg, log, report.written, replace=replace_rows, strict=strict, lake=lake
            )
            report.parsed.join(parsed)
    except StrictlyRefused:
        raise
    except DataError as error:
        log.note("unwritten", keys=keys, reason=error.message)
        report.refused += [(key, error.message) for key in keys]
        report.hint = error.hint


@dataclass(frozen=True, slots=True)
class _ParsedGroup:
    """The files of one partition: read, to be read while they are written because they are big, and not readable."""

    batches: list[SanitizedBatch]
    big: list[RawBytes]
    unreadable: list[tuple[str, str]]


def _parse_group(group: list[RawBytes], cfg: DownloaderConfig, log: DownloadLog) -> _ParsedGroup:
    parsed = _ParsedGroup([], [], [])
    for blob in group:
        if is_big(blob.path):
            parsed.big.append(blob)
            continue
        try:
            parsed.batches.append(parse_archive(blob, log, most=cfg.unpacked_bytes))
        except DataError as error:
            log.note("unreadable", key=blob.file.key, reason=error.message)
            parsed.unreadable.append((blob.file.key, error.message))
    return parsed


def _of(request: Wanted, fetched: Fetched) -> Fetched:
    def belongs(file: ArchiveFile) -> bool:
        return (file.market, file.kind, file.timeframe) == (request.market, request.kind, request.timeframe)

    return Fetched(
        [blob for blob in fetched.blobs if belongs(blob.file)],
        refused=[pair for pair in fetched.refused if belongs(pair[0])],
    )
