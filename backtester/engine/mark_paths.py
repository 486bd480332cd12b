"""Mark candles for liquidation, read before a run: those no longer than the candles that execute."""

from collections.abc import Mapping

import numpy as np

from backtester.core.errors import DataError
from backtester.core.instruments import Instrument, InstrumentId, split_id
from backtester.core.time import timeframe_us
from backtester.data.lake import Lake
from backtester.data.schemas import MARK_KLINES
from backtester.engine.feed_plan import FeedName, download_hint
from backtester.execution.mark_path import MarkPath


def mark_paths(
    lake: Lake,
    instruments: Mapping[InstrumentId, Instrument],
    executing: Mapping[InstrumentId, str],
    start: int,
    end: int,
) -> dict[InstrumentId, MarkPath]:
    """Return the mark prices of the futures of which the lake has fine enough candles; executing: their timeframes."""
    found = {}
    for instrument, spec in instruments.items():
        market, symbol = split_id(instrument)
        if symbol not in lake.symbols(market, MARK_KLINES.kind):
            continue
        longest = timeframe_us(executing[instrument])
        stored = lake.timeframes(market, MARK_KLINES.kind, symbol)
        fitting = [name for name in stored if longest % timeframe_us(name) == 0]
        if not fitting:
            continue
        timeframe, scale = fitting[-1], 10**spec.scale.price
        names = ("open", "low", "high", "close")
        batches = list(lake.read(market, MARK_KLINES.kind, symbol, timeframe, start, end, names=names))
        if not batches:
            continue
        columns = [np.concatenate([batch[name] for batch in batches]) * scale for name in names]
        roundings = (np.rint, np.floor, np.ceil, np.rint)
        units = np.array([rounded(c) for rounded, c in zip(roundings, columns, strict=True)]).astype(np.int64)
        times = np.concatenate([batch[MARK_KLINES.key] for batch in batches])
        found[instrument] = MarkPath(times, units, timeframe_us(timeframe))
    return found


def check_marks(
    unmarked: Mapping[InstrumentId, str], start: int, end: int, *, strict: bool, warnings: list[str]
) -> None:
    """Say of which instruments with leverage no mark candles are known; unmarked: with the timeframes that execute.

    Raises:
        DataError: the run is strict.
    """
    for instrument, timeframe in unmarked.items():
        problem = f"{instrument}: no mark candles of {timeframe} or less are stored: what is traded liquidates instead"
        hint = download_hint(FeedName(instrument, MARK_KLINES.kind, timeframe), start, end)
        if strict:
            raise DataError(f"{problem}; execution.strict refuses that", hint=hint)
        warnings.append(f"{problem} ({hint})")
