"""Which market data a run reads: the candles of what it trades, and every other feed that config or strategy asks for.

A feed is written `[MARKET:SYMBOL/]KIND[:TIMEFRAME]`; a timeframe alone means candles. Without an instrument it is
meant for each that the run trades.
"""

import math
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from backtester.core.errors import DataError, UsageError
from backtester.core.instruments import InstrumentId, parse_instrument, split_id
from backtester.core.time import DAY, TIMEFRAMES, format_time, timeframe_us
from backtester.data.downloader.planning import PUBLISHED
from backtester.data.feeds.records import RECORD_KINDS
from backtester.data.lake import Lake
from backtester.data.partition import SeriesKey
from backtester.data.schemas import KLINES, schema_of

_FEED: Final = re.compile(r"(?:(?P<instrument>[^/]+)/)?(?P<kind>[A-Za-z0-9]+)(?::(?P<timeframe>\w+))?")
_KINDS: Final = (KLINES.kind, *RECORD_KINDS)
_NAMES: Final = {length: name for name, length in TIMEFRAMES.items()}
FEED_HINT: Final = f"write [MARKET:SYMBOL/]KIND[:TIMEFRAME]; kinds: {' '.join(_KINDS)}; for example fundingRate, 1h"


class FeedName(NamedTuple):
    """One feed: an instrument, a kind of the lake, and a timeframe, empty for kinds without one."""

    instrument: InstrumentId
    kind: str
    timeframe: str

    @property
    def series(self) -> SeriesKey:
        """The series of the lake that has this name."""
        market, symbol = split_id(self.instrument)
        return market, self.kind, symbol, self.timeframe

    def __str__(self) -> str:
        return f"{self.instrument}/{self.kind}" + (f":{self.timeframe}" if self.timeframe else "")


class PlannedFeed(NamedTuple):
    """A feed and where its rows come from: stored in this timeframe, read from this time on (UTC µs)."""

    name: FeedName
    stored_timeframe: str
    start: int

    @property
    def stored(self) -> FeedName:
        """What is read of the lake for it."""
        return self.name._replace(timeframe=self.stored_timeframe)


def feed_names(texts: Iterable[str], traded: Sequence[InstrumentId], market: str) -> list[FeedName]:
    """Return the feeds that texts mean, sorted, each once.

    Raises:
        UsageError: a text is no feed, its kind needs a timeframe or has none, or two feeds would tell the same.
    """
    found: set[FeedName] = set()
    for text in texts:
        match = _FEED.fullmatch(f"{KLINES.kind}:{text}" if text in TIMEFRAMES else text.strip())
        if match is None or match["kind"] not in _KINDS:
            raise UsageError(f"{text!r} is not a feed", hint=FEED_HINT)
        kind, timeframe = match["kind"], match["timeframe"] or ""
        if schema_of(kind).gridded and not timeframe:
            raise UsageError(f"the feed {text!r} needs a timeframe", hint=f"for example {text}:1h")
        if timeframe and not schema_of(kind).gridded:
            raise UsageError(f"the feed {text!r}: {kind} has no timeframe", hint=f"write {text.partition(':')[0]}")
        if timeframe:
            timeframe_us(timeframe)
        own = [parse_instrument(match["instrument"], market)] if match["instrument"] else _with_kind(kind, traded)
        found |= {FeedName(instrument, kind, timeframe) for instrument in own}
    check_told_once(found)
    return sorted(found)


def check_told_once(found: Collection[FeedName]) -> None:
    """Refuse two feeds that tell the same.

    Raises:
        UsageError: trades and aggTrades of one instrument.
    """
    for name in found:
        if name.kind == "trades" and name._replace(kind="aggTrades") in found:
            raise UsageError(
                f"trades and aggTrades of {name.instrument} tell the same twice", hint="choose one of the two feeds"
            )


def _with_kind(kind: str, traded: Sequence[InstrumentId]) -> Sequence[InstrumentId]:
    """Return the instruments whose market publishes a kind: spot has no funding. All, when none does."""
    return [i for i in traded if kind in PUBLISHED.get(split_id(i)[0], ())] or traded


def execution_timeframe(
    lake: Lake, instrument: InstrumentId, shown: Iterable[str], start: int | None, end: int | None, declared: str = ""
) -> str:
    """Return the stored timeframe that executes: one from which every candle that a strategy sees can be made, so
    that no decision is finer than its execution; the declared one, else see `Lake.source_timeframe`.

    Raises:
        UsageError: what a strategy sees cannot be made from the declared one.
        DataError: the lake does not have it.
    """
    finest = math.gcd(*(timeframe_us(timeframe) for timeframe in shown))
    if declared:
        if finest % timeframe_us(declared):
            raise UsageError(
                f"execution.timeframe is {declared}, and {instrument} is decided on {_NAMES[finest]}",
                hint=f"choose one that divides {_NAMES[finest]}, or leave it empty",
            )
        market, symbol = split_id(instrument)
        stored = lake.timeframes(market, KLINES.kind, symbol)
        if declared not in stored:
            raise DataError(
                f"execution.timeframe is {declared}, and {instrument} is stored in {', '.join(stored)}",
                hint=f"bt download --market {market} --symbols {symbol} --timeframe {declared}, or another timeframe",
            )
        return declared
    return lake.source_timeframe(*split_id(instrument), _NAMES[finest], start, end)


def planned_feeds(
    lake: Lake, names: Iterable[FeedName], executing: dict[InstrumentId, str], starts: dict[InstrumentId, int], end: int
) -> list[PlannedFeed]:
    """Return where the rows of each feed come from.

    Args:
        executing: the stored timeframe that executes, per traded instrument; its candles derive from it.
        starts: from when on each traded instrument is read; others are read from the earliest of these.

    Raises:
        DataError: the lake has no rows of a feed in the range.
    """
    earliest = min(starts.values())
    planned = []
    for name in names:
        start = starts.get(name.instrument, earliest)
        stored = name.timeframe
        if name.kind == KLINES.kind and name.instrument in executing:
            stored = executing[name.instrument]
        elif name.kind == KLINES.kind:
            stored = _stored_candles(lake, name, start, end)
        try:
            there = lake.partitions(*name._replace(timeframe=stored).series, start, end)
        except DataError as error:
            raise DataError(f"the feed {name}: {error.message}", hint=download_hint(name, start, end)) from None
        if not there:
            raise DataError(
                f"the feed {name} has no rows from {format_time(start)} to {format_time(end)} in {lake.root}",
                hint=download_hint(name, start, end),
            )
        planned.append(PlannedFeed(name, stored, start))
    return planned


def download_hint(name: FeedName, start: int, end: int) -> str:
    """Return what would bring the rows of a feed: a command, or the feed's right name."""
    market, symbol = split_id(name.instrument)
    other = next((m for m in ("um", "option") if name.kind in PUBLISHED[m]), None)
    if other is not None and name.kind not in PUBLISHED.get(market, (name.kind,)):
        return f"{name.kind} is published of {other}: write the feed as {other}:{symbol}/{name.kind}"
    timeframe = f" --timeframe {name.timeframe}" if name.timeframe else ""
    first, last = format_time(start // DAY * DAY), format_time(-(-end // DAY) * DAY)
    return (
        f"bt download --market {market} --kind {name.kind} --symbols {symbol}{timeframe} --start {first} --end {last}"
    )


def _stored_candles(lake: Lake, name: FeedName, start: int, end: int) -> str:
    try:
        return lake.source_timeframe(*split_id(name.instrument), name.timeframe, start, end)
    except DataError as error:
        raise DataError(f"the feed {name}: {error.message}", hint=download_hint(name, start, end)) from None


def traded_candles(ids: Iterable[InstrumentId], timeframe: str) -> list[FeedName]:
    """Return the feeds that every run has: the candles of its own timeframe."""
    return [FeedName(i, KLINES.kind, timeframe) for i in ids]
