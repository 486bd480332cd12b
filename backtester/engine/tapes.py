"""Whose trades execute: which instruments have a tape, from when to when, and whether trades are missing."""

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from backtester.core.errors import DataError
from backtester.core.instruments import InstrumentId, split_id
from backtester.core.time import DAY, format_time, timeframe_us
from backtester.data.feeds.tape_feed import TRADE_IDS
from backtester.data.gaps import without
from backtester.data.lake import Lake
from backtester.data.partition import Partition
from backtester.data.schemas import BOOK_TICKER
from backtester.engine.feed_plan import FeedName, download_hint

AUTO, CANDLES, TRADES = "auto", "candles", "trades"
_KINDS: Final = tuple(TRADE_IDS)  # single trades before aggregated ones

Span = tuple[int, int]


def tapes_of(lake: Lake, mode: str, names: Iterable[FeedName], ids: Iterable[InstrumentId]) -> dict[InstrumentId, str]:
    """Return the kind of the trades that execute, per traded instrument that has some.

    Args:
        mode: `auto`: trades that the run reads anyway; `trades`: those of the lake; `candles`: none.
        names: the feeds that the run reads.

    Raises:
        DataError: the mode is `trades`, and the lake has none of an instrument.
    """
    if mode == CANDLES:
        return {}
    asked = {(name.instrument, name.kind) for name in names}
    found = {i: kind for i in ids for kind in _KINDS if (i, kind) in asked}
    if mode == TRADES:
        for i in ids:
            market, symbol = split_id(i)
            stored = [kind for kind in _KINDS if symbol in lake.symbols(market, kind)]
            if i not in found and not stored:
                raise DataError(
                    f"{i}: trades should execute (execution.data), and the lake {lake.root} has none of it",
                    hint=f"{_download(i, 'aggTrades')}; or --set execution.data=candles",
                )
            found.setdefault(i, stored[0] if stored else "")
    return found


def _download(instrument: InstrumentId, kind: str) -> str:
    market, symbol = split_id(instrument)
    return f"bt download --market {market} --kind {kind} --symbols {symbol} --start ... --end ..."


def tape_name(instrument: InstrumentId, kind: str) -> FeedName:
    """Return the feed of an instrument's trades."""
    return FeedName(instrument, kind, "")


def quotes_name(instrument: InstrumentId) -> FeedName:
    """Return the feed of an instrument's best bid and ask."""
    return FeedName(instrument, BOOK_TICKER.kind, "")


def tape_partitions(lake: Lake, tapes: Mapping[InstrumentId, str]) -> dict[InstrumentId, list[Partition]]:
    """Return all partitions of trades of each instrument that has a tape.

    Raises:
        DataError: the lake has none.
    """
    found = {}
    for instrument, kind in tapes.items():
        name = tape_name(instrument, kind)
        try:
            found[instrument] = lake.partitions(*name.series)
        except DataError as error:
            raise DataError(f"the feed {name}: {error.message}", hint=_download(instrument, kind)) from None
    return found


def common_span(candles: Span, trades: list[Partition], length: int) -> Span:
    """Return the part of a span of candles, each of `length`, in which trades are stored too."""
    first, last = trades[0].first_time, trades[-1].last_time
    return max(candles[0], first // length * length), min(candles[1], last // length * length + length)


def check_tapes(
    lake: Lake, tapes: Mapping[InstrumentId, str], candles: Mapping[InstrumentId, str], start: int, end: int
) -> None:
    """Refuse a run over candles that traded and of which no trades are stored.

    Args:
        candles: the stored timeframe by which that is seen.

    Raises:
        DataError: names the first such span, and the command that brings its trades.
    """
    for instrument, kind in tapes.items():
        name, timeframe = tape_name(instrument, kind), candles[instrument]
        for span in _uncovered(lake.partitions(*name.series, start, end), start, end):
            traded = _traded(lake, instrument, timeframe, *span)
            if traded is not None:
                raise DataError(
                    f"{name}: no trades are stored from {format_time(traded[0])} to {format_time(traded[1])}, "
                    "where the candles have volume",
                    hint=f"{download_hint(name, *traded)}; or choose --start and --end inside of what is stored; "
                    "or let candles execute: --set execution.data=candles",
                )


def check_quotes(
    lake: Lake, quoted: Iterable[InstrumentId], start: int, end: int, *, longest_us: int, strict: bool
) -> list[str]:
    """Return what to warn of: the longer spans of a run of which no quotes are stored, where trades say the price.

    Args:
        quoted: the instruments whose trades execute by their quotes.
        longest_us: what may be missing: as long as a quote is good.

    Raises:
        DataError: there is such a span, and the run is strict.
    """
    found = []
    for instrument in quoted:
        name = quotes_name(instrument)
        spans = [
            s for s in _uncovered(lake.partitions(*name.series, start, end), start, end) if s[1] - s[0] > longest_us
        ]
        if not spans:
            continue
        first, last = spans[0]
        said = f"{name}: no quotes are stored from {format_time(first)} to {format_time(last)}"
        said += f", nor in {len(spans) - 1} other spans" if spans[1:] else ""
        if strict:
            raise DataError(
                f"{said}, and the run is strict",
                hint=f"{download_hint(name, first, last)}; or let trades say the price: --set execution.strict=false",
            )
        found.append(f"{said}: what takes there takes at the price of trades")
    return found


def _uncovered(partitions: list[Partition], start: int, end: int) -> list[Span]:
    """Return the spans before the first stored record, after the last, and the days between that have none."""
    days = [p.first_time // DAY * DAY for p in partitions]
    covered = [(day, day + DAY) for day in days]
    if partitions:
        covered[0] = (partitions[0].first_time, covered[0][1])
        covered[-1] = (covered[-1][0], partitions[-1].last_time + 1)
    return without([(start, end)], covered)


def _traded(lake: Lake, instrument: InstrumentId, timeframe: str, start: int, end: int) -> Span | None:
    """Return from the first to the last candle within a span that traded, or None when none did."""
    length = timeframe_us(timeframe)
    first = last = None
    for batch in lake.read_candles(*split_id(instrument), timeframe, start, end - length + 1):
        times = batch.open_time[np.asarray(batch.volume) > 0]
        if len(times):
            first = int(times[0]) if first is None else first
            last = int(times[-1]) + length
    return None if first is None or last is None else (first, last)
