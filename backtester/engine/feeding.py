"""Fresh feeds for a prepared run: what executes, what strategies see, and all else that was asked for."""

from collections.abc import Iterator

from backtester.core.feed import Feed
from backtester.core.instruments import split_id
from backtester.core.time import HOUR, timeframe_us
from backtester.core.topics import Topic
from backtester.data.columns import CandleColumns
from backtester.data.feeds.candle_feed import CandleFeed
from backtester.data.feeds.chain_feed import ChainFeed
from backtester.data.feeds.record_feed import RecordFeed
from backtester.data.feeds.records import RECORD_KINDS
from backtester.data.feeds.tape_feed import QUOTE_COLUMNS, QuoteFeed, TradeFeed, trade_columns
from backtester.data.resample import derive_candles
from backtester.data.schemas import BOOK_TICKER, KLINES
from backtester.engine.feed_plan import PlannedFeed
from backtester.engine.option_plan import CHAIN_KIND
from backtester.engine.prepare import PreparedRun

BATCH_ROWS = 16_384


def make_feeds(run: PreparedRun, heard: set[Topic[object]]) -> list[Feed]:
    """Return the feeds of a run. Records that nobody hears (their topic is not in `heard`) are not read.

    The trades of each traded instrument that has a tape execute, of others the stored candles; strategies see these
    too when they are in a timeframe that somebody asked for, and longer candles are derived from them.
    """
    candles = [feed for feed in run.feeds if feed.name.kind == KLINES.kind]
    shown = {(feed.name.instrument, feed.name.timeframe) for feed in candles}
    feeds: list[Feed] = []
    for item in run.series:
        decides = (item.instrument, item.stored_timeframe) in shown
        if item.tape and not decides:
            continue
        first = item.warmup_start if decides else run.start
        stored = run.lake.read_candles(item.market, item.symbol, item.stored_timeframe, first, run.end, BATCH_ROWS)
        spec = None if item.tape else run.instruments[item.instrument]
        feeds.append(CandleFeed(item.instrument, item.stored_timeframe, stored, executes=spec, decides=decides))
    executing = {(item.instrument, item.stored_timeframe) for item in run.series}
    feeds += [_candles(run, feed) for feed in candles if (feed.name.instrument, feed.name.timeframe) not in executing]
    tapes = {item.instrument: item for item in run.series if item.tape}
    for feed in run.feeds:
        instrument, kind, _ = feed.name
        if kind == KLINES.kind:
            continue
        decides = RECORD_KINDS[kind].topic in heard
        if instrument in run.chains and kind == CHAIN_KIND:
            rows = run.lake.read(*feed.stored.series, feed.start, run.end - HOUR + 1, batch_rows=BATCH_ROWS)
            feeds.append(ChainFeed(instrument, rows, decides=decides))
            continue
        if instrument in tapes and kind in (tapes[instrument].tape, BOOK_TICKER.kind):
            feeds.append(_tape(run, feed, decides=decides))
        elif decides:
            feeds.append(_records(run, feed))
    return feeds


def _tape(run: PreparedRun, feed: PlannedFeed, *, decides: bool) -> TradeFeed | QuoteFeed:
    """Return the trades or quotes that the exchange goes by; what came before the start is for strategies alone."""
    instrument, kind, _ = feed.name
    quotes = kind == BOOK_TICKER.kind
    start = feed.start if decides or quotes else run.start
    names = QUOTE_COLUMNS if quotes else trade_columns(kind)
    rows = run.lake.read(*feed.stored.series, start, run.end, names=names, batch_rows=BATCH_ROWS)
    spec = run.instruments[instrument]
    return QuoteFeed(spec, rows, decides=decides) if quotes else TradeFeed(spec, kind, rows, decides=decides)


def _candles(run: PreparedRun, feed: PlannedFeed) -> CandleFeed:
    drop = run.config.data.incomplete == "drop"
    return CandleFeed(
        feed.name.instrument,
        feed.name.timeframe,
        candle_batches(run, feed),
        executes=None,
        decides=True,
        drop_incomplete=drop,
    )


def candle_batches(run: PreparedRun, feed: PlannedFeed) -> Iterator[CandleColumns]:
    """Yield the candles of a feed up to the run's end, derived where the lake has shorter ones."""
    instrument, _, timeframe = feed.name
    source = run.lake.read_candles(*split_id(instrument), feed.stored_timeframe, feed.start, run.end)
    if feed.stored_timeframe != timeframe:
        lengths = timeframe_us(feed.stored_timeframe), timeframe_us(timeframe)
        source = derive_candles(source, *lengths, start=feed.start, end=run.end)
    return source


def _records(run: PreparedRun, feed: PlannedFeed) -> RecordFeed:
    """Return a feed of all rows that are known before the end of the run, or at it for what closes then."""
    instrument, kind, timeframe = feed.name
    delay = RECORD_KINDS[kind].delay + (timeframe_us(timeframe) if timeframe else 0)
    end = run.end - delay + 1 if delay else run.end
    rows = run.lake.read(*feed.stored.series, feed.start, end, batch_rows=BATCH_ROWS)
    return RecordFeed(instrument, kind, timeframe, rows)
