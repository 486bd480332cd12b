"""Whether the data of a run are fine enough for what its config asks the exchange to show."""

from collections.abc import Mapping

from backtester.config.configs import BacktestConfig
from backtester.core.errors import DataError, UsageError
from backtester.core.instruments import CM, UM, InstrumentId, split_id
from backtester.core.time import timeframe_us
from backtester.data.lake import Lake
from backtester.data.schemas import KLINES
from backtester.engine.feed_plan import FeedName


def mark_feeds(config: BacktestConfig, ids: list[InstrumentId]) -> list[str]:
    """Return the feeds that triggers on mark prices need, unless the config names one of its own.

    Raises:
        UsageError: no market of the run has a mark price.
    """
    if config.execution.trigger_price != "mark":
        return []
    futures = [i for i in ids if split_id(i)[0] in (UM, CM)]
    if not futures:
        raise UsageError(
            "execution.trigger_price is mark, and spot has no mark price", hint="--set execution.trigger_price=last"
        )
    named = any(feed.split("/")[-1].startswith("markPriceKlines") for feed in config.data.feeds)
    return [] if named else [f"{i}/markPriceKlines:{config.run.timeframe}" for i in futures]


def check_resolution(config: BacktestConfig, sources: Mapping[InstrumentId, str]) -> None:
    """Refuse, where the run is strict, what the execution data are too coarse to show.

    Raises:
        DataError: the latency is shorter than a candle.
    """
    execution = config.execution
    delay = (execution.latency_ms + execution.latency_jitter_ms) * 1000
    coarse = sorted(f"{i} ({tf})" for i, tf in sources.items() if 0 < delay < timeframe_us(tf))
    if execution.strict and coarse:
        raise DataError(
            f"a latency of {delay / 1000:f} ms cannot be seen on the candles that execute: {', '.join(coarse)}",
            hint="read finer data, or say that it moves no fill: --set execution.strict=false",
        )


def check_mark_feeds(
    config: BacktestConfig, names: list[FeedName], sources: Mapping[InstrumentId, str], warnings: list[str]
) -> None:
    """Warn of mark prices, where they trigger, that are coarser than the candles; refuse them where the run is strict.

    Raises:
        DataError: the run is strict.
    """
    if config.execution.trigger_price != "mark":
        return
    for i, source in sources.items():
        own = [name.timeframe for name in names if (name.instrument, name.kind) == (i, "markPriceKlines")]
        finest = min(own, key=timeframe_us, default=source)
        if timeframe_us(finest) <= timeframe_us(source):
            continue
        said = f"{i}: triggers watch mark prices of {finest}, coarser than the candles of {source}: they fire late"
        if config.execution.strict:
            raise DataError(said, hint=f"--feeds markPriceKlines:{source}, or --set execution.strict=false")
        warnings.append(said)


def finer_candles(lake: Lake, sources: Mapping[InstrumentId, str], start: int, end: int) -> list[str]:
    """Return a warning per instrument of which the lake has finer candles than those that execute, without a gap."""
    found = []
    for instrument, timeframe in sources.items():
        market, symbol = split_id(instrument)
        finer = [
            name
            for name in lake.timeframes(market, KLINES.kind, symbol)
            if timeframe_us(name) < timeframe_us(timeframe)
            and timeframe_us(timeframe) % timeframe_us(name) == 0
            and not lake.gaps(market, KLINES.kind, symbol, name, start, end)
        ]
        if finer:
            finest = min(finer, key=timeframe_us)
            found.append(
                f"{instrument}: candles of {timeframe} execute, and finer ones are stored: "
                f"--set execution.timeframe={finest} fills along them"
            )
    return found
