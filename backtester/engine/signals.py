"""Signals in a run: frames from the lake, evaluated one instrument at a time; only targets are kept."""

from pathlib import Path

import numpy as np

from backtester.core.apart import Apart, in_turn
from backtester.core.instruments import InstrumentId
from backtester.data.columns import CandleColumns
from backtester.data.feature_cache import FeatureCache
from backtester.data.lake import Lake
from backtester.data.schemas import KLINES
from backtester.engine.compiled import compile_indicators
from backtester.engine.feed_plan import PlannedFeed
from backtester.engine.feeding import candle_batches
from backtester.engine.prepare import PreparedRun
from backtester.engine.provenance import digest_of, engine_digest, modules_below, versions
from backtester.strategy.features.checking import Leak
from backtester.strategy.features.frame import Frame, Source, Times, candle_frame
from backtester.strategy.signals import SignalStrategy, Targets
from backtester.strategy.signals.checking import check_frame
from backtester.strategy.signals.strategy import Rows

_MB = 1_000_000
_WORTH_COMPILING = 500_000  # rows; below, interpreting indicators takes less time than compiling them
_NONE = np.empty(0)
_NO_CANDLES = CandleColumns(np.empty(0, dtype=np.int64), _NONE, _NONE, _NONE, _NONE, _NONE)


def signal_rows(run: PreparedRun, strategy: SignalStrategy) -> Rows:
    """Return what computes a signal's targets on the candles of an instrument; of its frame only the times stay.

    An instrument of which the run shows no candles (an option) has no rows.
    """
    cache = _cache(run)

    def rows_of(instrument: str) -> tuple[Source, Times, Targets] | None:
        source = Source(instrument, run.config.run.timeframe)
        if source not in _feeds(run):
            return None
        frames = signal_frames(run, strategy, source)
        if sum(frame.rows for frame in frames.values()) >= _WORTH_COMPILING:
            compile_indicators()
        frame, targets = strategy.evaluated(frames, source, cache)
        return source, frame.times, targets

    return rows_of


def signal_leaks(
    run: PreparedRun, strategy: SignalStrategy, *, cuts: int = 5, seed: int = 1, apart: Apart = in_turn
) -> dict[InstrumentId, list[Leak]]:
    """Return by instrument where a signal's features or targets depend on rows after their own; see `check_frame`.

    Raises:
        UsageError, StrategyError: the signal cannot be evaluated at all.
    """
    found: dict[InstrumentId, list[Leak]] = {}
    for instrument in run.instruments:
        source = Source(instrument, run.config.run.timeframe)
        if source not in _feeds(run):
            continue
        frames = signal_frames(run, strategy, source)
        leaks = check_frame(strategy, frames, source, cuts=cuts, seed=seed, apart=apart)
        if leaks:
            found[instrument] = leaks
    return found


def signal_frames(run: PreparedRun, strategy: SignalStrategy, source: Source) -> dict[Source, Frame]:
    """Return the frames that a signal needs for one instrument: the candles that the run shows, and no others."""
    feeds = _feeds(run)
    return {needed: _frame(run, feeds[needed], needed) for needed in strategy.plan_for(source).sources}


def signal_features(run: PreparedRun, strategy: SignalStrategy, instrument: str) -> Frame | None:
    """Return an instrument's frame with the signal's features; None when the run shows no candles of it."""
    source = Source(instrument, run.config.run.timeframe)
    if source not in _feeds(run):
        return None
    return strategy.graph.compute(signal_frames(run, strategy, source), source, _cache(run))


def _feeds(run: PreparedRun) -> dict[Source, PlannedFeed]:
    """Return the candles that the run shows."""
    return {Source(f.name.instrument, f.name.timeframe): f for f in run.feeds if f.name.kind == KLINES.kind}


def _frame(run: PreparedRun, feed: PlannedFeed, source: Source) -> Frame:
    batches = list(candle_batches(run, feed))
    candles = CandleColumns.concat(batches) if batches else _NO_CANDLES
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


def _cache(run: PreparedRun) -> FeatureCache | None:
    """Return the lake's cache of features, for columns that this very code makes.

    None for a lake with made-up rows laid over it: what is computed from those nobody asks for again.
    """
    size = run.config.data.feature_cache_mb * _MB
    if not size or type(run.lake) is not Lake:
        return None
    own = sorted(digest_of(path.read_bytes()) for path in modules_below(Path("/")).values())
    return FeatureCache(run.lake.root, size, code=digest_of(repr((engine_digest(), versions(), own)).encode()))
