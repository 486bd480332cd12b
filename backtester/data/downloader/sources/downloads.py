"""`bt download` from any source: one by name, or the archive first and REST for what no archive holds yet."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import BacktesterError, DataError, UsageError
from backtester.core.time import format_time
from backtester.data.downloader.download_log import DownloadLog
from backtester.data.downloader.downloading import DownloadReport, PlannedFile, continued, download, planned
from backtester.data.downloader.fetching import OnProgress, Progress
from backtester.data.downloader.patience import GaveUpError
from backtester.data.downloader.planning import PUBLISHED, Wanted, asked, refuse_unpublished, whole_days
from backtester.data.downloader.rows import Series
from backtester.data.downloader.scripting import run
from backtester.data.downloader.sources.archive import BinanceArchive
from backtester.data.downloader.sources.collecting import PageWriter
from backtester.data.downloader.sources.endpoints import ENDPOINTS
from backtester.data.downloader.sources.exchanges import lake_symbol
from backtester.data.downloader.sources.page import CandleSource, NotServedHereError, Page, UnknownSymbolError
from backtester.data.downloader.sources.provisional import unconfirmed_days
from backtester.data.downloader.sources.registry import OTHER_NAMES, open_source
from backtester.data.downloader.sources.rest import BinanceRest, PlannedPages
from backtester.data.manifest_writer import now_us
from backtester.data.schemas import KLINES

AUTO: Final = "auto"


@dataclass(frozen=True, slots=True)
class Manner:
    """How a download is done, whatever its source. updating: it goes on where the lake ends."""

    cfg: DownloaderConfig
    context: RunContext
    strict: bool = False
    replace: bool = False
    updating: bool = False
    now: Callable[[], int] = now_us


@dataclass(frozen=True, slots=True)
class Plan:
    """What a download would ask for: archive files, and full pages of the REST interface."""

    files: list[PlannedFile] = field(default_factory=list)
    pages: list[PlannedPages] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Download:
    """A download that is ready to be done. source: None means the archive, and REST where `tail` is true."""

    source: CandleSource | None
    tail: bool
    requests: list[Wanted]
    manner: Manner

    @property
    def uses_archive(self) -> bool:
        """Whether the public archive is asked."""
        return self.source is None

    def plan(self) -> Plan:
        """Return what would be asked for; of servers only heads of files are asked, and nothing is written."""
        if self.source is None:
            return _plan_archive(self)
        if not isinstance(self.source, BinanceRest):
            return Plan(notes=[f"what {self.source.name} would be asked is not known before it is asked"])
        rest = self.source
        return Plan(pages=[rest.planned(series, one.start, one.end) for one, series in _series_of(self.requests)])

    def run(self, on_progress: OnProgress | None = None) -> DownloadReport:
        """Fetch and write. A file or series that fails does not stop the others, and the report names it.

        Raises:
            DataError: nothing is published of a symbol, and REST does not have it or may not be asked.
            UsageError: an address cannot be used. StorageError: the lake cannot be written.
        """
        return _from_archive(self, on_progress) if self.source is None else _from_source(self, self.source, on_progress)


def prepare_download(
    name: str,
    series: tuple[str, str | None, tuple[str, ...], str | None],
    start: int | None,
    end: int | None,
    manner: Manner,
) -> Download:
    """Return a checked download.

    Args:
        name: of the source; `auto` is the archive, and REST for what no archive file holds yet.
        series: market, kind, symbols, timeframe; without a kind klines, or what the archive has of options.
        start, end: UTC µs; without an end up to now. Without a start it must be updating.

    Raises:
        UsageError: the source, or what is asked of it, cannot be.
    """
    if start is None and not manner.updating:
        raise UsageError("--start is missing", hint="--start 2024-01-01, or --update to begin where the lake ends")
    market, kind, symbols, timeframe = series
    by_name = OTHER_NAMES.get(name, name)
    archived = by_name in {AUTO, BinanceArchive.name}
    source = None if archived else open_source(name, manner.cfg, manner.context)
    if source is not None:
        kind = kind or KLINES.kind
        symbols = symbols if isinstance(source, BinanceRest) else tuple(lake_symbol(symbol) for symbol in symbols)
    request = asked(market, kind, symbols, timeframe, start or 0, manner.now() if end is None else end)
    if source is not None and not source.serves(request.market, request.kind):
        raise UsageError(
            f"{source.name} does not serve {request.kind} of {request.market}", hint=f"it serves {source.offers}"
        )
    if source is None and not (by_name == AUTO and request.kind in ENDPOINTS.get(request.market, {})):
        refuse_unpublished(request)
    requests = continued(request, manner.cfg, start_given=start is not None) if manner.updating else [request]
    return Download(source, by_name == AUTO, requests, manner)


def _from_source(job: Download, source: CandleSource, on_progress: OnProgress | None) -> DownloadReport:
    report = DownloadReport(0, 0, 0, 0, [], [])
    log = DownloadLog(job.manner.cfg.log_dir, job.manner.cfg.download_run_id)
    gone: dict[str, str] = {}
    for request, series in _series_of(job.requests):
        _add(report, source, series, (request.start, request.end), job.manner, on_progress, log, gone)
    return report


def _from_archive(job: Download, on_progress: OnProgress | None) -> DownloadReport:
    manner, cfg, now = job.manner, job.manner.cfg, job.manner.now()
    rest = BinanceRest(cfg, manner.context, now=manner.now)
    asks_rest = _asks(rest, job)
    days = _archive_days(job, now)
    if not days and not asks_rest and job.requests and not manner.updating:
        raise UsageError(
            f"{format_time(job.requests[0].start)} .. {format_time(job.requests[0].end)}: no day of it has ended",
            hint="archives appear a day later; what is newer comes from REST, where an address is known: --rest-url",
        )
    report = DownloadReport(0, 0, 0, 0, [], [])
    if days:
        report = download(
            days,
            cfg,
            manner.context,
            now,
            strict=manner.strict,
            replace_rows=manner.replace,
            required=not (asks_rest or manner.updating),
            on_progress=on_progress,
        )
    log = DownloadLog(cfg.log_dir, cfg.download_run_id)
    gone: dict[str, str] = {}
    for request, series in _series_of(job.requests if job.tail else []):
        tail = _tail(rest, series, request, report.reached.get(series.symbol, 0))
        if tail is not None and asks_rest:
            _add(report, rest, series, tail, manner, on_progress, log, gone)
        elif tail is not None:
            report.notes.append(
                f"{series}: {format_time(tail[0])} up to {format_time(tail[1])} is not in the archive, and REST was "
                f"not asked: {rest.why_not(series.market)}"
            )
    return report


def _plan_archive(job: Download) -> Plan:
    cfg, now = job.manner.cfg, job.manner.now()
    rest = BinanceRest(cfg, job.manner.context, now=job.manner.now)
    plan = Plan()
    plan.files.extend(planned(_archive_days(job, now), cfg, job.manner.context, now))
    for request, series in _series_of(job.requests):
        files = (file for file in plan.files if file.symbol == series.symbol and file.published is not False)
        reached = max((file.end for file in files), default=0)
        tail = _tail(rest, series, request, reached) if job.tail and _asks(rest, job) else None
        if tail is not None:
            plan.pages.append(rest.planned(series, *tail))
    return plan


def _add(
    report: DownloadReport,
    source: CandleSource,
    series: Series,
    span: tuple[int, int],
    manner: Manner,
    on_progress: OnProgress | None,
    log: DownloadLog,
    gone: dict[str, str],
) -> None:
    """Bring a range of a series from a source into the lake; a failure is the report's.

    Where the archive has files of a symbol, or the lake has rows, there need not be more. gone: why sources that were
    given up are not asked again.
    """
    known = series.symbol in report.reached or manner.updating
    report.files += 1
    if source.name in gone:
        report.refused.append((str(series), gone[source.name]))
        return
    try:
        found = run(_collect(source, series, span, manner, report, on_progress, log))
        if not found and not known:
            raise DataError(
                f"{source.name} has no {series} in {format_time(span[0])} .. {format_time(span[1])}: probably the "
                "symbol or the dates are wrong",
                hint=f"see what there is: bt data available --market {series.market} --kind {series.kind}",
            )
    except DataError as error:
        if known and isinstance(error, UnknownSymbolError | NotServedHereError):
            report.notes.append(f"{error.message}; the lake has {series} as far as the archive goes")
            return
        if isinstance(error, GaveUpError):
            gone[source.name] = error.message
        log.note("refused", series=str(series), reason=error.message)
        report.refused.append((str(series), error.message))
        report.hint = error.hint


async def _collect(
    source: CandleSource,
    series: Series,
    span: tuple[int, int],
    manner: Manner,
    report: DownloadReport,
    on_progress: OnProgress | None,
    log: DownloadLog,
) -> int:
    """Write the pages of a range as they come, and return how many rows these held."""
    start, end = span
    writer = PageWriter(
        series,
        manner.cfg,
        log,
        parsed=report.parsed,
        written=report.written,
        strict=manner.strict,
        replace=manner.replace,
    )
    found = 0
    of_all = source.planned(series, start, end).pages if isinstance(source, BinanceRest) else 0
    progress = Progress(of_all, name=str(series))
    try:
        async for page in _checked(source, series, start, end):
            report.pages += 1
            report.bytes += len(page.table)
            found += writer.add(page, start, end)
            progress.settled, progress.received = progress.settled + 1, progress.received + len(page.table)
            if on_progress is not None:
                on_progress(progress)
    finally:
        writer.flush()  # a failure half way leaves what came before it
    return found


async def _checked(source: CandleSource, series: Series, start: int, end: int) -> AsyncIterator[Page]:
    """Yield what a source yields; whatever else it does is an error of the source, by name."""
    try:
        async for page in source.pages(series, start, end):
            if not isinstance(page, Page):
                raise DataError(f"source {source.name} sent {page!r:.60} and not a page", hint="the source is broken")
            yield page
    except BacktesterError:
        raise
    except Exception as error:
        raise DataError(
            f"source {source.name} failed for {series}: {type(error).__name__}: {error}", hint="the source is broken"
        ) from error


def _asks(rest: BinanceRest, job: Download) -> bool:
    """Say whether REST is to be asked, serves what is asked for, and may be asked."""
    return job.tail and all(rest.serves(one.market, one.kind) and rest.reachable(one.market) for one in job.requests)


def _archive_days(job: Download, now: int) -> list[Wanted]:
    """Return the days to ask the archive for; going on, also those of late that only REST has told of."""
    requests = [one for one in job.requests if one.kind in PUBLISHED[one.market]]
    days = [whole_days(request, now) for request in requests]
    if job.manner.updating:
        days += [late for request in requests for late in unconfirmed_days(job.manner.cfg.base_dir, request, now)]
    return [one for one in days if one is not None]


def _tail(rest: BinanceRest, series: Series, request: Wanted, reached: int) -> tuple[int, int] | None:
    """Return the range after the last archive file, as far as its candles have closed; None when it is empty."""
    if not rest.serves(series.market, series.kind):
        return None
    found = rest.planned(series, max(request.start, reached), request.end)
    return (found.start, found.end) if found.pages else None


def _series_of(requests: list[Wanted]) -> Iterator[tuple[Wanted, Series]]:
    for request in requests:
        for symbol in request.symbols:
            yield request, Series(request.market, request.kind, symbol, request.timeframe)
