"""Signals in a run: frames from the lake, evaluated one instrument at a time; only targets are kept."""

import numpy as np

from backtester.core.instruments import InstrumentId
from backtester.data.columns import CandleColumns
from backtester.data.schemas import KLINES
from backtester.engine.feed_plan import PlannedFeed
from backtester.engine.feeding import candle_batches
from backtester.engine.prepare import PreparedRun
from backtester.strategy.features.frame import Frame, Source, candle_frame
from backtester.strategy.signals import SignalStrategy


def prime_signals(run: PreparedRun, strategy: SignalStrategy) -> None:
    """Compute the targets of each of the run's instruments and give them to the strategy.

    Raises:
        UsageError: the features make no graph, or one failed.
        StrategyError: the targets failed.
    """
    for instrument in run.instruments:
        source = Source(instrument, run.config.run.timeframe)
        frames = signal_frames(run, strategy, source)
        frame, targets = strategy.evaluated(frames, source)
        strategy.prime(source, frame.times, targets)


def signal_frames(run: PreparedRun, strategy: SignalStrategy, source: Source) -> dict[Source, Frame]:
    """Return the frames that a signal needs for one instrument: the candles that the run shows, and no others."""
    feeds = {Source(f.name.instrument, f.name.timeframe): f for f in run.feeds if f.name.kind == KLINES.kind}
    return {needed: _frame(run, feeds[needed], needed) for needed in strategy.plan_for(source).sources}


def _frame(run: PreparedRun, feed: PlannedFeed, source: Source) -> Frame:
    batches = list(candle_batches(run, feed))
    candles = CandleColumns.concat(batches) if batches else _EMPTY
    if run.config.data.incomplete == "drop" and candles.complete is not None:
        candles = candles.take(np.flatnonzero(candles.complete))
    spec = run.instruments.get(InstrumentId(source.instrument))
    return candle_frame(
        source.instrument,
        source.timeframe,
        candles.open_time,
        candles.open,
        candles.high,
        candles.low,
        candles.close,
        candles.volume,
        decimals=None if spec is None else spec.scale.price,
    )


_NONE = np.empty(0)
_EMPTY = CandleColumns(np.empty(0, dtype=np.int64), _NONE, _NONE, _NONE, _NONE, _NONE)
