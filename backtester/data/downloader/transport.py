"""Bytes of an archive by key: from a server over HTTP, or from a folder laid out like it. Streamed, hashed, bounded."""

import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, Protocol, Self
from urllib.parse import quote, unquote, urlsplit

from backtester.config.configs import DownloaderConfig
from backtester.core.errors import DataError, UsageError
from backtester.data.downloader.patience import Again, Patience
from backtester.data.durable import file_sha256

if TYPE_CHECKING:
    import httpx

_CHUNK: Final = 1 << 18
_TEXT_BYTES: Final = 32 << 20  # no checksum and no page of a listing is larger
_OK: Final = 200
_NOT_FOUND: Final = 404
_TIMED_OUT: Final = 408
_SLOW_DOWN: Final = frozenset({418, 429})
_SERVER_ERROR: Final = 500
_NO_SUCH_METHOD: Final = frozenset({405, 501})

OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Head:
    """What a source says of a key without sending it; None where it does not say.

    etag: as sent, without quotes. last_modified: as sent. sha256: only of local files, which are read for it.
    """

    size: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """What was received: its SHA-256, its length, its first bytes, and what the source said of it."""

    sha256: str
    size: int
    head: bytes
    said: Head = Head()


class Transport(Protocol):
    """Where archives come from. Each method returns None for a key that is not there."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    async def save(self, key: str, target: Path, on_bytes: OnBytes) -> Body | None:
        """Write the bytes of a key to a new file."""

    async def text(self, key: str) -> str | None:
        """Return the text of a small key; what follows a `?` in it is a query."""

    async def head(self, key: str) -> Head | None:
        """Return what the source says of a key, without its bytes."""


def open_transport(base: str, cfg: DownloaderConfig, patience: Patience, *, allow_net: bool) -> Transport:
    """Return what serves a base address: http(s), `file://`, or a folder.

    Raises:
        UsageError: the address is none of these, or needs the network and may not use it.
    """
    folder = local_folder(base)
    if folder is not None:
        return FolderTransport(folder, cfg)
    if urlsplit(base).scheme not in {"http", "https"}:
        raise UsageError(f"{base!r} is no base address", hint="http://..., https://..., file:///... or a folder")
    if not allow_net:
        raise UsageError(
            f"{base} needs the network, and this run may not use it (allow_net is false)",
            hint="allow it, or use a folder or a file:// address laid out as the archive",
        )
    return HttpTransport(base, cfg, patience)


def local_folder(base: str) -> Path | None:
    """Return the folder that a base address means, or None when it is not local."""
    parts = urlsplit(base)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(base) if "://" not in base else None


class FolderTransport:
    """Archives in a folder; `data/...` is below it."""

    def __init__(self, folder: Path, cfg: DownloaderConfig) -> None:
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder", hint="a base address that is a folder holds data/spot/...")
        self._folder = folder
        self._cfg = cfg

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def save(self, key: str, target: Path, on_bytes: OnBytes) -> Body | None:
        """Copy a file; see `Transport`."""
        path = self._folder / key
        if not path.is_file():
            return None
        with path.open("rb") as source, target.open("wb") as file:
            sink = _Sink(key, file, self._cfg.file_bytes, on_bytes)
            while chunk := source.read(_CHUNK):
                sink.write(chunk)
            return sink.finish()

    async def text(self, key: str) -> str | None:
        """Read a file; see `Transport`."""
        path = self._folder / key
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None

    async def head(self, key: str) -> Head | None:
        """Hash a file; see `Transport`."""
        path = self._folder / key
        return Head(size=path.stat().st_size, sha256=file_sha256(path)) if path.is_file() else None


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
                return await self._receive(key, _Sink(key, file, self._cfg.file_bytes, on_bytes))

        return await self._patience.attempt(key, once)

    async def text(self, key: str) -> str | None:
        """Fetch a text; see `Transport`."""

        async def once() -> str | None:
            sink = _Sink(key, None, _TEXT_BYTES, lambda _: None)
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

    async def _receive(self, key: str, sink: "_Sink") -> Body | None:
        async with self._answering(key, "GET") as response:
            if response is None:
                return None
            said = _said(response)
            if said.size is not None and said.size > self._cfg.file_bytes:
                raise _too_large(key, self._cfg.file_bytes)
            async for chunk in response.aiter_raw():
                sink.write(chunk)
            return replace(sink.finish(), said=said)

    @asynccontextmanager
    async def _answering(self, key: str, method: str) -> "AsyncIterator[httpx.Response | None]":
        """Yield the answer to a request, None for 404; failures while it is read are ours too."""
        path, mark, query = key.partition("?")
        url = f"{self._base}/{quote(path)}{mark}{query}" if path else f"{self._base}{mark}{query}"
        httpx = self._httpx
        try:
            async with self._client.stream(method, url) as response:
                if response.status_code == _NOT_FOUND:
                    yield None
                    return
                if method == "HEAD" and response.status_code in _NO_SUCH_METHOD:
                    raise _MethodRefused
                _refuse_status(url, response)
                yield response
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


class _Sink:
    """Takes a body chunk by chunk, to a file or to memory, and refuses one that is too large."""

    def __init__(self, key: str, file: IO[bytes] | None, most: int, on_bytes: OnBytes) -> None:
        self._key, self._file, self._most, self._on_bytes = key, file, most, on_bytes
        self._hash = hashlib.sha256()
        self._size = 0
        self._head = b""
        self.kept: list[bytes] = []

    def write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._most:
            raise _too_large(self._key, self._most)
        if len(self._head) < 16:
            self._head += chunk[:16]
        self._hash.update(chunk)
        if self._file is None:
            self.kept.append(chunk)
        else:
            self._file.write(chunk)
        self._on_bytes(len(chunk))

    def finish(self) -> Body:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
        return Body(self._hash.hexdigest(), self._size, self._head)


def _too_large(key: str, most: int) -> DataError:
    return DataError(f"{key} has more than {most} bytes", hint="raise the downloader's file_bytes if that is right")


def _refuse_status(url: str, response: "httpx.Response") -> None:
    status = response.status_code
    if status == _OK:
        return
    if status in _SLOW_DOWN:
        after = _seconds(response.headers.get("retry-after", ""))
        raise Again(f"the server asks to slow down ({status})", after=after, everyone=True)
    if status >= _SERVER_ERROR or status == _TIMED_OUT:
        after = _seconds(response.headers.get("retry-after", ""))
        raise Again(f"the server answered {status}", after=after)
    raise DataError(
        f"{url} answered {status} {response.reason_phrase}",
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
