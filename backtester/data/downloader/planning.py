"""Which archive files cover a range of days: monthly ones for months that are over, daily ones else and for ticks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from backtester.core.errors import UsageError
from backtester.core.time import DAY, day_of, format_time, month_of, parse_time, timeframe_us
from backtester.data.downloader.archive_names import MARKETS_OF_FOLDERS, date_bounds
from backtester.data.partition import market_name, symbol_name
from backtester.data.schemas import SCHEMAS, schema_of

Frequency = Literal["daily", "monthly"]

_FOLDERS: Final = {market: "/".join(folders) for folders, market in MARKETS_OF_FOLDERS.items()}
_CANDLES: Final = ("klines", "markPriceKlines", "indexPriceKlines", "premiumIndexKlines")
_FUTURES: Final = (*_CANDLES, "aggTrades", "trades", "bookTicker", "fundingRate", "metrics")
PUBLISHED: Final[dict[str, tuple[str, ...]]] = {
    "spot": ("klines", "aggTrades", "trades"),
    "um": _FUTURES,
    "cm": _FUTURES,
    "option": ("EOHSummary", "BVOLIndex"),
}
_ONLY: Final[dict[str, Frequency]] = {
    "fundingRate": "monthly",
    "metrics": "daily",
    "EOHSummary": "daily",
    "BVOLIndex": "daily",
}
_ONLY_MONTHLY_TIMEFRAMES: Final = frozenset({"1w"})


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One file of the archive: of one series, over the days [start, end) in UTC µs. timeframe is empty without one."""

    market: str
    kind: str
    symbol: str
    timeframe: str
    frequency: Frequency
    start: int
    end: int

    @property
    def name(self) -> str:
        """The file's name."""
        date = day_of(self.start) if self.frequency == "daily" else month_of(self.start)
        return f"{self.symbol}-{self.timeframe or self.kind}-{date}.zip"

    @property
    def folder(self) -> str:
        """The key of its folder, with a slash at the end."""
        return archive_folder(self.market, self.frequency, self.kind, self.symbol, self.timeframe)

    @property
    def key(self) -> str:
        """Its key in the archive."""
        return self.folder + self.name


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks for: series and days. timeframe is empty for kinds without one; [start, end) in UTC µs."""

    market: str
    kind: str
    symbols: tuple[str, ...]
    timeframe: str
    start: int
    end: int


def archive_folder(market: str, frequency: str, kind: str, symbol: str = "", timeframe: str = "") -> str:
    """Return the key of a folder of the archive, with a slash at the end; without a symbol that of all symbols."""
    parts = ["data", _FOLDERS[market], frequency, kind, *filter(None, (symbol, timeframe))]
    return "/".join(parts) + "/"


def frequencies(kind: str, timeframe: str) -> tuple[Frequency, ...]:
    """Return how a kind is published, the files to prefer first.

    These are the longer ones, but for kinds with a partition a day: a month of ticks would not fit in memory.
    """
    if timeframe in _ONLY_MONTHLY_TIMEFRAMES:
        return ("monthly",)
    if kind in _ONLY:
        return (_ONLY[kind],)
    return ("daily", "monthly") if SCHEMAS[kind].daily else ("monthly", "daily")


def asked(
    market: str, kind: str | None, symbols: tuple[str, ...], timeframe: str | None, start: int, end: int
) -> Wanted:
    """Return a checked request over exactly [start, end), whoever may serve it.

    Args:
        kind: None means klines, for options EOHSummary, or BVOLIndex when the symbol says so.

    Raises:
        UsageError: market, kind, symbol, timeframe or range cannot be.
    """
    market = market_name(market)
    if not symbols:
        raise UsageError("no symbols to download", hint="--symbols BTCUSDT ETHUSDT")
    if kind is None:
        kind = _default_kind(market, symbols)
    if schema_of(kind).gridded:
        if timeframe is None:
            raise UsageError(f"{kind} need a timeframe", hint="--timeframe 1m")
        timeframe_us(timeframe)
    elif timeframe is not None:
        raise UsageError(f"{kind} have no timeframe", hint=f"leave out {timeframe}")
    if start >= end:
        raise UsageError(f"start {format_time(start)} is not before end {format_time(end)}", hint="[start, end)")
    names = tuple(dict.fromkeys(symbol_name(symbol.upper()) for symbol in symbols))
    return Wanted(market, kind, names, timeframe or "", start, end)


def refuse_unpublished(request: Wanted) -> None:
    """Raise when the archive has no such market or kind.

    Raises:
        UsageError: it has not.
    """
    if request.market not in PUBLISHED:
        raise UsageError(
            f"the archive has no market {request.market!r}",
            hint=f"markets: {' '.join(PUBLISHED)}; other exchanges: --source ccxt --market kraken.spot",
        )
    if request.kind not in PUBLISHED[request.market]:
        kinds = " ".join(PUBLISHED[request.market])
        raise UsageError(f"the archive has no {request.kind} of {request.market}", hint=f"kinds: {kinds}")


def wanted(
    market: str, kind: str | None, symbols: tuple[str, ...], timeframe: str | None, start: int, end: int, today: int
) -> Wanted:
    """Return a checked request for archives; days that have not ended by `today` are left out, for nothing is published
    of them.

    Args:
        kind: as `asked` has it.
        start, end: UTC µs; widened to whole days.

    Raises:
        UsageError: market, kind, symbol, timeframe or range cannot be.
    """
    request = asked(market, kind, symbols, timeframe, start, end)
    refuse_unpublished(request)
    days = whole_days(request, today)
    if days is None:
        raise UsageError(
            f"{format_time(start)} .. {format_time(end)}: no day of it has ended", hint="files appear a day later"
        )
    return days


def whole_days(request: Wanted, today: int) -> Wanted | None:
    """Return a request widened to whole days that have ended by `today`, or None when there is none."""
    first, last = request.start // DAY * DAY, min(-(-request.end // DAY) * DAY, today // DAY * DAY)
    return replace(request, start=first, end=last) if first < last else None


def plan(request: Wanted, today: int) -> list[ArchiveFile]:
    """Return the files that cover a request, in order of symbol and time."""
    kinds = frequencies(request.kind, request.timeframe)
    files = []
    for symbol in request.symbols:
        cursor = request.start
        while cursor < request.end:
            start, end = month_bounds(cursor)
            whole = cursor == start and end <= min(request.end, today)
            one = ArchiveFile(request.market, request.kind, symbol, request.timeframe, "monthly", start, end)
            if "daily" not in kinds or (whole and kinds[0] == "monthly"):
                if end <= today // DAY * DAY:
                    files.append(one)
            else:
                files += _days(one, cursor, min(end, request.end))
            cursor = end
    return files


def files_of(request: Wanted, frequency: Frequency, today: int) -> list[ArchiveFile]:
    """Return the files of one frequency that cover a request, of periods that have ended by `today`."""
    files = []
    for symbol in request.symbols:
        cursor = request.start
        while cursor < request.end:
            start, end = month_bounds(cursor)
            month = ArchiveFile(request.market, request.kind, symbol, request.timeframe, "monthly", start, end)
            days = _days(month, cursor, min(end, request.end))
            files += [file for file in ([month] if frequency == "monthly" else days) if file.end <= today // DAY * DAY]
            cursor = end
    return files


def instead_of(absent: Sequence[ArchiveFile]) -> dict[ArchiveFile, list[ArchiveFile]]:
    """Return which other files may hold what absent ones would: a month's days, or the month of which no day is there.

    Each file is listed with those that it stands for.
    """
    others: dict[ArchiveFile, list[ArchiveFile]] = {}
    for file in absent:
        if len(frequencies(file.kind, file.timeframe)) == 1:
            continue
        start, end = month_bounds(file.start)
        if file.frequency == "monthly":
            others.update({day: [file] for day in _days(file, start, end)})
        elif frequencies(file.kind, file.timeframe)[0] == "daily":
            others.setdefault(replace(file, frequency="monthly", start=start, end=end), []).append(file)
    return {other: own for other, own in others.items() if other.frequency == "daily" or _whole(other, own)}


def _whole(month: ArchiveFile, days: Sequence[ArchiveFile]) -> bool:
    return len(days) == (month.end - month.start) // DAY


def month_bounds(time: int) -> tuple[int, int]:
    """Return [start, end) of the month of a time."""
    bounds = date_bounds(month_of(time))
    assert bounds is not None
    return bounds


def _days(file: ArchiveFile, start: int, end: int) -> list[ArchiveFile]:
    return [replace(file, frequency="daily", start=day, end=day + DAY) for day in range(start, end, DAY)]


def _default_kind(market: str, symbols: tuple[str, ...]) -> str:
    if market != "option":
        return "klines"
    return "BVOLIndex" if all("BVOL" in symbol.upper() for symbol in symbols) else "EOHSummary"


def time_of(value: object) -> int:
    """Return UTC µs of a date, a datetime, ISO text, or µs themselves.

    Raises:
        UsageError: it is none of these.
    """
    if isinstance(value, int):
        return value
    return parse_time(value.isoformat() if hasattr(value, "isoformat") else str(value))
