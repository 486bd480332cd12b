"""A partition: one Parquet file of the lake, and everything the manifest knows about it."""

import re
from typing import Final

import msgspec

from backtester.core.errors import UsageError
from backtester.core.time import day_of, month_of

SYNTHETIC: Final = "synthetic:"
_MARKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
_NOT_IN_SYMBOL: Final = re.compile(r"[\s/\\:*?\"<>|\x00-\x1f]")


class Source(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where rows came from.

    address: an archive key, a file name, or `synthetic:<name>`. sha256: of that file's bytes.
    published_sha256: the checksum its publisher states, present only when it was compared and equal.
    """

    address: str
    sha256: str | None = None
    published_sha256: str | None = None


class Partition(msgspec.Struct, frozen=True, gc=False):
    """One Parquet file as the manifest records it.

    path: relative to the lake, with slashes. first_time, last_time: open times, UTC µs. size: bytes. sha256: of the
    file.
    content: digest of the rows (`schemas.ContentDigest`). gaps: missing open times inside the partition, [from, to).
    repairs: counts by name; `downloader/rules.py` says which there are.
    price_decimals: the fewest decimals, 0..12, that restore every price, 0 for kinds without. volume_decimals: likewise
    up to 8, else None. timeframe: empty for kinds without one.
    created: when it was written, UTC µs.
    """

    path: str
    market: str
    kind: str
    symbol: str
    timeframe: str
    first_time: int
    last_time: int
    rows: int
    size: int
    sha256: str
    content: str
    sources: tuple[Source, ...]
    schema_version: int
    gaps: tuple[tuple[int, int], ...]
    repairs: dict[str, int]
    price_decimals: int
    volume_decimals: int | None
    created: int

    @property
    def series(self) -> tuple[str, str, str, str]:
        """The series it belongs to: market, kind, symbol, timeframe."""
        return (self.market, self.kind, self.symbol, self.timeframe)

    @property
    def synthetic(self) -> bool:
        """Whether any of its rows was made up rather than traded."""
        return is_synthetic(self.sources)


class Outage(msgspec.Struct, frozen=True):
    """A range [start, end) of open times, UTC µs, that no source has: a gap that is known and need not be mended.

    reason: which sources were asked and what they said. recorded: when that was, UTC µs. Rows that arrive later win:
    an outage says nothing of times that the lake has.
    """

    market: str
    kind: str
    symbol: str
    timeframe: str
    start: int
    end: int
    reason: str
    recorded: int

    @property
    def series(self) -> tuple[str, str, str, str]:
        """The series it belongs to: market, kind, symbol, timeframe."""
        return (self.market, self.kind, self.symbol, self.timeframe)


def is_synthetic(sources: tuple[Source, ...]) -> bool:
    """Say whether any source is synthetic."""
    return any(source.address.startswith(SYNTHETIC) for source in sources)


def partition_path(market: str, kind: str, symbol: str, timeframe: str, time: int, *, daily: bool = False) -> str:
    """Return the lake path of the partition that holds a time; kinds without a timeframe have no folder for it."""
    date = day_of(time) if daily else month_of(time)
    folders = [market, kind, symbol, *([timeframe] if timeframe else []), f"year={date[:4]}"]
    name = "-".join([symbol, *([timeframe] if timeframe else []), date])
    return "/".join([*folders, f"{name}.parquet"])


def market_name(text: str) -> str:
    """Return a market's name as the lake spells it; `futures` means `um`.

    Raises:
        UsageError: it cannot be the name of a market.
    """
    name = text.strip().lower()
    if not _MARKET.fullmatch(name):
        raise UsageError(
            f"{text!r} is not a market", hint="spot, um, cm, option, or a venue's own name such as kraken.spot"
        )
    return "um" if name == "futures" else name


def symbol_name(text: str) -> str:
    """Return a symbol as the lake spells it.

    Raises:
        UsageError: it cannot be the name of a folder.
    """
    if not text or text.startswith(".") or _NOT_IN_SYMBOL.search(text):
        raise UsageError(
            f"{text!r} is not a symbol", hint="a symbol has no spaces, slashes or colons: write BTCUSDT for BTC/USDT"
        )
    return text
