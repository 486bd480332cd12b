"""Bytes and answers from a server over HTTP: what may pass is tried again, what may not is an error with a hint."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

from backtester.config.configs import DownloaderConfig
from backtester.core.errors import DataError
from backtester.data.downloader.bodies import Body, Head, OnBytes, Sink, too_large
from backtester.data.downloader.patience import Again, Patience

if TYPE_CHECKING:
    import ssl

    import httpx

_TEXT_BYTES: Final = 32 << 20  # no checksum, no page of a listing and no page of candles is larger
_OK: Final = 200
_NOT_FOUND: Final = 404
_TIMED_OUT: Final = 408
_SLOW_DOWN: Final = frozenset({418, 429})
_SERVER_ERROR: Final = 500
_NO_SUCH_METHOD: Final = frozenset({405, 501})


@cache
def _certificates() -> "ssl.SSLContext":
    """Read the certificates once: it takes longer than a request, and clients come and go."""
    import httpx

    return httpx.create_ssl_context()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a question, in memory. headers: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpTransport:
    """Archives on a server."""

    def __init__(self, base: str, cfg: DownloaderConfig, patience: Patience) -> None:
        import httpx

        self._base = base.rstrip("/")
        self._cfg = cfg
        self._patience = patience
        self._httpx = httpx
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(cfg.read_seconds, connect=cfg.connect_seconds, pool=None),
            limits=httpx.Limits(max_connections=cfg.connections),
            follow_redirects=True,
            max_redirects=cfg.redirects,
            headers={"accept-encoding": "identity", "user-agent": "backtester"},
            verify=_certificates(),
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def save(self, key: str, target: Path, on_bytes: OnBytes) -> Body | None:
        """Fetch a file, again from its start after a failure; see `Transport`."""

        async def once() -> Body | None:
            with target.open("wb") as file:
                return await self._receive(key, Sink(key, file, self._cfg.file_bytes, on_bytes))

        return await self._patience.attempt(key, once)

    async def text(self, key: str) -> str | None:
        """Fetch a text; see `Transport`."""

        async def once() -> str | None:
            sink = Sink(key, None, _TEXT_BYTES, lambda _: None)
            if await self._receive(key, sink) is None:
                return None
            return b"".join(sink.kept).decode("utf-8", errors="replace")

        return await self._patience.attempt(key, once)

    async def head(self, key: str) -> Head | None:
        """Ask for the headers alone, of servers that refuse that by hanging up on the body; see `Transport`."""

        async def once() -> Head | None:
            try:
                async with self._answering(key, "HEAD") as response:
                    return None if response is None else _said(response)
            except _MethodRefused:
                async with self._answering(key, "GET") as response:
                    return None if response is None else _said(response)

        return await self._patience.attempt(key, once)

    async def size(self, key: str) -> int | None:
        """Ask once for the length of a file in bytes: -1 when the server does not say it, None when there is no file.

        Raises:
            Again: the server does not answer such questions, or not now.
        """
        try:
            async with self._answering(key, "HEAD") as response:
                return None if response is None else _said(response).size or -1
        except (_MethodRefused, DataError) as error:
            raise Again(f"{self._base} does not tell lengths") from error

    async def ask(self, key: str) -> Reply:
        """Return the answer to a question, whatever its status, unless that says to ask again: then it is asked again.

        Raises:
            DataError: it cannot be asked, or the answer is too long.
        """

        async def once() -> Reply:
            sink = Sink(key, None, _TEXT_BYTES, lambda _: None)
            with self._failures(self._url(key)):
                async with self._client.stream("GET", self._url(key)) as response:
                    refuse_passing(response.status_code, response.headers)
                    async for chunk in response.aiter_raw():
                        sink.write(chunk)
            return Reply(response.status_code, dict(response.headers), b"".join(sink.kept))

        return await self._patience.attempt(key, once)

    async def _receive(self, key: str, sink: Sink) -> Body | None:
        async with self._answering(key, "GET") as response:
            if response is None:
                return None
            said = _said(response)
            if said.size is not None and said.size > self._cfg.file_bytes:
                raise too_large(key, self._cfg.file_bytes)
            async for chunk in response.aiter_raw():
                sink.write(chunk)
            return replace(sink.finish(), said=said)

    @asynccontextmanager
    async def _answering(self, key: str, method: str) -> "AsyncIterator[httpx.Response | None]":
        """Yield the answer to a request, None for 404; failures while it is read are ours too."""
        url = self._url(key)
        with self._failures(url):
            async with self._client.stream(method, url) as response:
                if response.status_code == _NOT_FOUND:
                    yield None
                    return
                if method == "HEAD" and response.status_code in _NO_SUCH_METHOD:
                    raise _MethodRefused
                _refuse_status(url, response)
                yield response

    def _url(self, key: str) -> str:
        path, mark, query = key.partition("?")
        return f"{self._base}/{quote(path)}{mark}{query}" if path else f"{self._base}{mark}{query}"

    @contextmanager
    def _failures(self, url: str) -> Iterator[None]:
        """Turn what can go wrong with a connection into `Again` where another attempt may help, else into an error."""
        httpx = self._httpx
        try:
            yield
        except httpx.TooManyRedirects as error:
            raise DataError(
                f"{url} redirects more than {self._cfg.redirects} times", hint="check the base address"
            ) from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise DataError(f"{url} leads to an address that cannot be used: {error}") from error
        except httpx.TimeoutException as error:
            raise Again(f"{self._base} did not answer in time ({type(error).__name__})") from error
        except httpx.TransportError as error:
            raise Again(f"the connection to {self._base} failed ({error or type(error).__name__})") from error


class _MethodRefused(Exception):
    """The server does not answer requests of this method."""


def _said(response: "httpx.Response") -> Head:
    headers = response.headers
    length = headers.get("content-length", "")
    etag = headers.get("etag", "").removeprefix("W/").strip('"')
    return Head(int(length) if length.isdecimal() else None, etag or None, headers.get("last-modified") or None)


def refuse_passing(status: int, headers: Mapping[str, str]) -> None:
    """Raise when a status says that the same request may succeed later.

    Raises:
        Again: with the seconds that a Retry-After asks for.
    """
    after = _seconds(headers.get("retry-after", ""))
    if status in _SLOW_DOWN:
        raise Again(f"the server asks to slow down ({status})", after=after, everyone=True)
    if status >= _SERVER_ERROR or status == _TIMED_OUT:
        raise Again(f"the server answered {status}", after=after)


def _refuse_status(url: str, response: "httpx.Response") -> None:
    if response.status_code == _OK:
        return
    refuse_passing(response.status_code, response.headers)
    raise DataError(
        f"{url} answered {response.status_code} {response.reason_phrase}",
        hint="check the base address, and whether the server may be reached from here",
    )


def _seconds(text: str) -> float | None:
    """Return the seconds that a Retry-After asks for, written as a number or a date."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
