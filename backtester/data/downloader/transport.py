"""Bytes of an archive by key: from a server over HTTP, or from a folder laid out like it. Streamed, hashed, bounded."""

from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self
from urllib.parse import unquote, urlsplit

from backtester.config.configs import DownloaderConfig
from backtester.core.errors import UsageError
from backtester.data.downloader.bodies import Body, Head, OnBytes, Sink
from backtester.data.downloader.http_transport import HttpTransport
from backtester.data.downloader.patience import Patience
from backtester.data.durable import file_sha256

_CHUNK: Final = 1 << 18


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
    refuse_closed_network(base, allow_net=allow_net)
    return HttpTransport(base, cfg, patience)


def refuse_closed_network(address: str, *, allow_net: bool) -> None:
    """Raise when an address needs the network and the network may not be used.

    Raises:
        UsageError: it may not.
    """
    if not allow_net:
        raise UsageError(
            f"{address} needs the network, and this run may not use it (allow_net is false)",
            hint="allow it, or use a folder or a file:// address laid out as the archive",
        )


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
            sink = Sink(key, file, self._cfg.file_bytes, on_bytes)
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
