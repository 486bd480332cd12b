"""What an archive holds, from its listing: S3's XML page by page, or a folder laid out like it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import quote
from xml.etree import ElementTree

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import DataError
from backtester.core.time import DAY
from backtester.data.downloader.archive_names import read_name
from backtester.data.downloader.patience import Patience
from backtester.data.downloader.planning import archive_folder, frequencies
from backtester.data.downloader.transport import Transport, local_folder, open_transport

_NAMESPACE: Final = "{http://s3.amazonaws.com/doc/2006-03-01/}"
_MOST_PAGES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Published:
    """What is published of one series in one frequency. first, end: the range of its files in UTC µs.

    missing: days between them without a file, for daily files. bytes: of all archives together.
    """

    symbol: str
    timeframe: str
    frequency: str
    files: int
    first: int
    end: int
    missing: int
    bytes: int


def available_symbols(market: str, kind: str, cfg: DownloaderConfig, context: RunContext) -> list[str]:
    """Return the symbols that have a folder for a kind, sorted; empty when there are none.

    Raises:
        DataError: the listing cannot be read. UsageError: its address cannot be used.
    """
    return asyncio.run(_symbols(market, kind, cfg, context))


def available_files(
    market: str, kind: str, symbol: str, timeframe: str | None, cfg: DownloaderConfig, context: RunContext
) -> list[Published]:
    """Return what is published of a symbol, by timeframe and frequency; empty when nothing is.

    Raises:
        DataError: the listing cannot be read. UsageError: its address cannot be used.
    """
    return asyncio.run(_files(market, kind, symbol, timeframe, cfg, context))


async def _symbols(market: str, kind: str, cfg: DownloaderConfig, context: RunContext) -> list[str]:
    found: set[str] = set()
    async with _open(cfg, context) as transport:
        for frequency in frequencies(kind, ""):
            folder = archive_folder(market, frequency, kind)
            async for name, size in _entries(transport, cfg, folder):
                if size is None:
                    found.add(PurePosixPath(name).name)
    return sorted(found)


async def _files(
    market: str, kind: str, symbol: str, timeframe: str | None, cfg: DownloaderConfig, context: RunContext
) -> list[Published]:
    spans: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    async with _open(cfg, context) as transport:
        for frequency in frequencies(kind, timeframe or ""):
            folders = [archive_folder(market, frequency, kind, symbol, timeframe or "")]
            while folders:
                async for name, size in _entries(transport, cfg, folders.pop()):
                    if size is None:
                        folders.append(name)
                        continue
                    facts = read_name(PurePosixPath(name))
                    if name.endswith(".zip") and facts.official and facts.start is not None and facts.end is not None:
                        one = spans.setdefault((facts.timeframe or "", frequency), [])
                        one.append((facts.start, facts.end, size))
    found = []
    for (length, how), files in spans.items():
        first, end = min(start for start, _, _ in files), max(end for _, end, _ in files)
        missing = (end - first) // DAY - len(files) if how == "daily" else 0
        size = sum(size for _, _, size in files)
        found.append(Published(symbol, length, how, len(files), first, end, missing, size))
    return sorted(found, key=lambda one: (one.timeframe, one.frequency))


def _open(cfg: DownloaderConfig, context: RunContext) -> Transport:
    return open_transport(cfg.listing_url, cfg, Patience(cfg, context.seed), allow_net=context.allow_net)


async def _entries(transport: Transport, cfg: DownloaderConfig, folder: str) -> AsyncIterator[tuple[str, int | None]]:
    """Yield the keys directly below a folder with their sizes, and folders with None."""
    local = local_folder(cfg.listing_url)
    if local is not None:
        for path in sorted((local / folder).iterdir()) if (local / folder).is_dir() else ():
            yield folder + path.name + ("/" if path.is_dir() else ""), None if path.is_dir() else path.stat().st_size
        return
    marker = ""
    for _ in range(_MOST_PAGES):
        text = await transport.text(f"?prefix={quote(folder, safe='')}&delimiter=/&marker={quote(marker, safe='')}")
        page = _parsed(text, cfg.listing_url)
        last = ""
        for one in page.iter(f"{_NAMESPACE}CommonPrefixes"):
            last = max(last, name := one.findtext(f"{_NAMESPACE}Prefix", ""))
            yield name, None
        for one in page.iter(f"{_NAMESPACE}Contents"):
            last = max(last, name := one.findtext(f"{_NAMESPACE}Key", ""))
            yield name, int(one.findtext(f"{_NAMESPACE}Size", "0"))
        if page.findtext(f"{_NAMESPACE}IsTruncated") != "true":
            return
        following = page.findtext(f"{_NAMESPACE}NextMarker") or last
        if following <= marker:
            break
        marker = following
    raise DataError(f"the listing of {folder} at {cfg.listing_url} does not end", hint="check the listing's address")


def _parsed(text: str | None, address: str) -> ElementTree.Element:
    try:
        page = ElementTree.fromstring(text or "")
    except ElementTree.ParseError as error:
        raise DataError(f"{address} sent no listing: {error}", hint="check the listing's address") from error
    if page.tag != f"{_NAMESPACE}ListBucketResult":
        raise DataError(f"{address} sent something else than a listing ({page.tag})", hint="check its address")
    return page
