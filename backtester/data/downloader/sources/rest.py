"""Candles from the exchange's REST interface, page by page; each page's bytes are kept in the lake's store."""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from backtester.config.configs import DownloaderConfig, RestAddresses, RunContext
from backtester.core.errors import DataError, UsageError
from backtester.core.time import first_open, last_open, utc
from backtester.data.downloader.download_log import DownloadLog
from backtester.data.downloader.http_transport import HttpTransport, Reply
from backtester.data.downloader.patience import Patience
from backtester.data.downloader.refusals import STORE_NAME
from backtester.data.downloader.rows import Series
from backtester.data.downloader.sources.endpoints import ENDPOINTS, WEIGHTS, Endpoint
from backtester.data.downloader.sources.json_tables import csv_of_rows, json_rows
from backtester.data.downloader.sources.page import NotServedHereError, Page, UnknownSymbolError
from backtester.data.downloader.sources.weights import WeightWatch, server_time
from backtester.data.downloader.times import NOT_A_TIME, epochs_to_us
from backtester.data.downloader.transport import refuse_closed_network
from backtester.data.durable import make_folder, replace_file, storing, sync_file
from backtester.data.manifest_writer import now_us
from backtester.data.partition import Source

_OK: Final = 200
_NOT_HERE: Final = frozenset({403, 451})
_INVALID_SYMBOL: Final = -1121
MILLISECOND: Final = 1000
_DEFAULT_BASE: Final = DownloaderConfig.model_fields["base_url"].default
OWN_ADDRESSES: Final = RestAddresses()


def rest_address(cfg: DownloaderConfig, market: str) -> str:
    """Return where a market's REST interface answers; empty when none may be asked.

    An archive that was pointed elsewhere (a mirror, a folder) means that nothing else is asked, unless rest_url says
    what.
    """
    if cfg.rest_url:
        return cfg.rest_url
    return str(getattr(cfg.rest_urls, market, "")) if cfg.base_url == _DEFAULT_BASE else ""


def is_own_address(cfg: DownloaderConfig, market: str) -> bool:
    """Say whether a market is asked at the exchange's own address: only there an unknown symbol exists nowhere.

    A test network or another market answers just the same, and does not know what the exchange does.
    """
    return rest_address(cfg, market).rstrip("/") == str(getattr(OWN_ADDRESSES, market, "")).rstrip("/")


@dataclass(frozen=True, slots=True)
class PlannedPages:
    """Requests of a plan: for one series over [start, end) in UTC µs, so many pages when each is full."""

    address: str
    pages: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Asking:
    """What all requests for one series share. public: the address without its user."""

    endpoint: Endpoint
    series: Series
    transport: HttpTransport
    watch: WeightWatch
    public: str

    @property
    def step(self) -> int:
        """How far after a row the next one may be, in µs."""
        return self.endpoint.row_us(self.series.timeframe) if self.series.timeframe else MILLISECOND


@dataclass(frozen=True, slots=True)
class _Answer:
    """One reply. times: of all its rows, UTC µs, 0 for what is no time; inside: of those in the range asked for.

    page: its closed rows, None without any.
    """

    url: str
    times: NDArray[np.int64]
    inside: NDArray[np.int64]
    page: Page | None


class BinanceRest:
    """Candles and funding rates from Binance's REST interfaces; see `CandleSource`."""

    name = "binance-rest"
    offers = "; ".join(f"{market}: {' '.join(kinds)}" for market, kinds in ENDPOINTS.items())

    def __init__(
        self,
        cfg: DownloaderConfig,
        context: RunContext,
        *,
        log: DownloadLog | None = None,
        now: Callable[[], int] = now_us,
    ) -> None:
        self._cfg, self._context, self._now = cfg, context, now
        self._log = log or DownloadLog(cfg.log_dir, cfg.download_run_id)
        self._patience = Patience(cfg, context.seed)

    def serves(self, market: str, kind: str) -> bool:
        """See `CandleSource`."""
        return kind in ENDPOINTS.get(market, {})

    def reachable(self, market: str) -> bool:
        """Say whether there is an address that may be asked."""
        return not self.why_not(market)

    def why_not(self, market: str) -> str:
        """Return why a market may not be asked here; empty when it may."""
        if not rest_address(self._cfg, market):
            return f"no address is known beside {self._cfg.base_url}; --rest-url says one"
        return "" if self._context.allow_net else "this run may not use the network"

    def planned(self, series: Series, start: int, end: int) -> PlannedPages:
        """Return what `pages` would ask for when no row is missing and the server sends as many as are asked for."""
        endpoint = ENDPOINTS[series.market][series.kind]
        start, end = _grid(endpoint, series, start, end, self._now())
        per_page = _span(endpoint, series)
        query = endpoint.query(series, start, max(end, start + 1), endpoint.most)
        address = _without_user(rest_address(self._cfg, series.market).rstrip("/"))
        return PlannedPages(f"{address}/{query}", -(-max(end - start, 0) // per_page), start, end)

    async def pages(self, series: Series, start: int, end: int) -> AsyncIterator[Page]:
        """Yield the pages of a range up to the last candle that has closed; see `CandleSource`."""
        endpoint = ENDPOINTS[series.market][series.kind]
        address = rest_address(self._cfg, series.market).rstrip("/")
        if not address:
            raise UsageError(
                f"there is no REST address for {series.market} beside {self._cfg.base_url}",
                hint="say one: --rest-url https://...",
            )
        refuse_closed_network(address, allow_net=self._context.allow_net)
        limit = self._cfg.rest_weight or WEIGHTS[series.market]
        watch = WeightWatch(limit, self._patience, self._log)
        span = _span(endpoint, series)
        cursor, end = _grid(endpoint, series, start, end, self._now())
        async with HttpTransport(address, self._cfg, self._patience) as transport:
            asking = _Asking(endpoint, series, transport, watch, _without_user(address))
            while cursor < end:
                if endpoint.windowed:
                    stop = min(cursor + span, end)
                    for page in await self._window(asking, cursor, stop):
                        yield page
                    cursor = stop
                    continue
                answer = await self._ask(asking, cursor, end)
                if answer.page is not None:
                    yield answer.page
                # fewer rows than asked for may be all that this server sends at a time: only an empty page is the end
                if not len(answer.inside):
                    if len(answer.times) and answer.times.max() < cursor:
                        raise DataError(f"{answer.url} answered with rows before its start", hint="check --rest-url")
                    return
                cursor = int(answer.inside.max()) + asking.step

    async def _window(self, asking: _Asking, start: int, end: int) -> list[Page]:
        """Return the pages of a window, whose last rows come first, until nothing is before them."""
        pages: list[Page] = []
        while start < end:
            answer = await self._ask(asking, start, end)
            if answer.page is not None:
                pages.append(answer.page)
            if not len(answer.inside):
                break
            end = int(answer.inside.min())
        return pages[::-1]

    async def _ask(self, asking: _Asking, start: int, end: int) -> _Answer:
        """Ask for the rows of [start, end), as many as may be asked for at a time."""
        endpoint, series = asking.endpoint, asking.series
        row_us = endpoint.row_us(series.timeframe)
        rows = min(endpoint.most, -(-(end - start) // row_us))
        query = endpoint.query(series, start, end, rows)
        url = f"{asking.public}/{query}"
        reply = await asking.transport.ask(query)
        asking.watch.note(reply.headers, endpoint.weight(rows))
        found = self._read(url, reply, series)
        self._log.note("page", address=url, rows=len(found))
        times = _times(found)
        closed = self._closed(reply, series, times, row_us)
        page = self._page(url, reply, series, found, closed, (start, end)) if closed.any() else None
        return _Answer(url, times, times[(times >= start) & (times < end)], page)

    def _read(self, url: str, reply: Reply, series: Series) -> list[list[str]]:
        if reply.status == _OK:
            return json_rows(url, reply.body, series.kind)
        code, text = _error_of(reply.body)
        if code == _INVALID_SYMBOL:
            raise UnknownSymbolError(
                f"{url.partition('?')[0]} does not know {series.market}:{series.symbol} ({code} {text})",
                hint=f"see what there is: bt data available --market {series.market} --kind {series.kind}",
            )
        message = f"{url} answered {reply.status}" + (f": {text} ({code})" if code is not None else "")
        if reply.status in _NOT_HERE:
            raise NotServedHereError(
                f"{message}: it does not serve this address or region",
                hint="say another with --rest-url, such as https://data-api.binance.vision for spot",
            )
        raise DataError(message, hint="check the symbol, the timeframe and --rest-url")

    def _closed(self, reply: Reply, series: Series, times: NDArray[np.int64], row_us: int) -> NDArray[np.bool_]:
        """Return which rows are settled: of candles those whose end the server's clock has passed, and ours."""
        served = server_time(reply.headers)
        now = self._now() if served is None else min(self._now(), served + 999_999)
        return times + (row_us if series.timeframe else 0) <= now

    def _page(
        self,
        url: str,
        reply: Reply,
        series: Series,
        found: list[list[str]],
        closed: NDArray[np.bool_],
        asked: tuple[int, int],
    ) -> Page:
        sha256 = keep_page(self._cfg.base_dir, series, asked[0], reply.body)
        rows = [row for row, whole in zip(found, closed.tolist(), strict=True) if whole]
        return _page_of_rows(url, sha256, rows, series, asked)


def page_of_json(url: str, body: bytes, series: Series, asked: tuple[int, int]) -> Page:
    """Return the page that a kept answer is; rows outside the range that was asked for are left out.

    Raises:
        DataError: it is no page.
    """
    rows = json_rows(url, body, series.kind)
    times = _times(rows)
    inside = (times >= asked[0]) & (times < asked[1])
    rows = [row for row, whole in zip(rows, inside.tolist(), strict=True) if whole]
    return _page_of_rows(url, hashlib.sha256(body).hexdigest(), rows, series, asked)


def _page_of_rows(url: str, sha256: str, rows: list[list[str]], series: Series, asked: tuple[int, int]) -> Page:
    name = "-".join(filter(None, (series.symbol, series.timeframe or series.kind, "rest", _stamp(asked[0]))))
    return Page(name, csv_of_rows(rows), Source(url, sha256), asked, official=True)


def keep_page(root: Path, series: Series, start: int, body: bytes) -> str:
    """Put a page's bytes into the lake's store, compressed, and return their SHA-256.

    Raises:
        StorageError: the store cannot be written.
    """
    sha256 = hashlib.sha256(body).hexdigest()
    path = page_folder(root, series) / f"{_stamp(start)}-{sha256[:16]}.json.gz"
    if _body_of(path, sha256) is not None:
        return sha256
    with storing(path):
        make_folder(path.parent)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.write_bytes(gzip.compress(body, mtime=0))
            sync_file(part)
            replace_file(part, path)
        finally:
            part.unlink(missing_ok=True)
    return sha256


def kept_page(root: Path, series: Series, sha256: str) -> bytes | None:
    """Return the bytes of a page of the store by their SHA-256, or None when it is not there whole."""
    for path in page_folder(root, series).glob(f"*-{sha256[:16]}.json.gz"):
        body = _body_of(path, sha256)
        if body is not None:
            return body
    return None


def _body_of(path: Path, sha256: str) -> bytes | None:
    """Return a kept page's bytes, or None when the file is missing, damaged or another one's."""
    try:
        body = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error):
        return None
    return body if hashlib.sha256(body).hexdigest() == sha256 else None


def page_folder(root: Path, series: Series) -> Path:
    """Return where the pages of a series are kept."""
    parts = filter(None, (series.market, series.kind, series.symbol, series.timeframe))
    return root.joinpath(STORE_NAME, "rest", *parts)


def _span(endpoint: Endpoint, series: Series) -> int:
    span = endpoint.most * endpoint.row_us(series.timeframe)
    return min(span, endpoint.widest) if endpoint.widest else span


def _grid(endpoint: Endpoint, series: Series, start: int, end: int, now: int) -> tuple[int, int]:
    """Return the range of open times from `start` on, before `end`, of candles that have closed by `now`."""
    if not series.timeframe:
        return start, min(end, now)
    length = endpoint.row_us(series.timeframe)
    return first_open(start, length), min(first_open(end, length), last_open(now, length))


def _times(rows: list[list[str]]) -> NDArray[np.int64]:
    epochs = [int(row[0]) if row and row[0].isdecimal() and len(row[0]) < 19 else 0 for row in rows]
    times = epochs_to_us(np.array(epochs, dtype=np.int64))
    return np.where(times == NOT_A_TIME, 0, times)


def _without_user(address: str) -> str:
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _error_of(body: bytes) -> tuple[int | None, str]:
    try:
        error = json.loads(body)
        return int(error["code"]), str(error["msg"])
    except (ValueError, TypeError, KeyError):
        return None, ""


def _stamp(time: int) -> str:
    return utc(time).strftime("%Y%m%dT%H%M%S")
