"""What closed trades are told when a run is over: equity before them, their extremes, the market they began in."""

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.core.instruments import InstrumentId
from backtester.core.time import timeframe_us
from backtester.data.schemas import KLINES
from backtester.engine.market_history import MarketHistory
from backtester.engine.prepare import PreparedRun, Series
from backtester.engine.trade_table import Lookups, TradeTable, steps_of
from backtester.report.excursions import Excursions
from backtester.report.regimes import regimes

Extremes = dict[InstrumentId, tuple[NDArray[np.float64], NDArray[np.float64]]]


def look_up(
    run: PreparedRun, table: TradeTable, history: MarketHistory, times: NDArray[np.int64], equity: NDArray[np.int64]
) -> Lookups:
    """Return what the table of trades still lacks.

    times, equity: the rows of equity.parquet (µs, 1e-8), shape (n,).
    """
    closed = table.closed
    entries = np.array([one.trip.entry_time for one in closed], dtype=np.int64)
    before = np.maximum(np.searchsorted(times, entries, side="left") - 1, 0)
    extremes = _extremes(run, table)
    mae, mfe = (
        [
            round(float(extremes[one.trip.instrument][side][one.number])) if one.trip.instrument in extremes else None
            for one in closed
        ]
        for side in (0, 1)
    )
    trend, volatility = [""] * len(closed), [""] * len(closed)
    for instrument in sorted({one.trip.instrument for one in closed}):
        rows = [n for n, one in enumerate(closed) if one.trip.instrument == instrument]
        days, closes = history.daily_closes(run.instruments[instrument].listed)
        for row, up, third in zip(rows, *regimes(days, closes, entries[rows]), strict=True):
            trend[row], volatility[row] = up, third
    return Lookups(equity[before] if len(closed) else equity[:0], mae, mfe, trend, volatility)


def _extremes(run: PreparedRun, table: TradeTable) -> Extremes:
    """Return the worst and best profit of each trade, by instrument and number, where there are candles."""
    series = {item.instrument: item for item in run.series}
    counts: dict[InstrumentId, int] = {}
    for one in table.closed:
        counts[one.trip.instrument] = max(counts.get(one.trip.instrument, 0), one.number + 1)
    found: Extremes = {}
    for spec, contract, times, numbers in table.walks():
        if spec.id not in counts or spec.listed not in series:
            continue
        item = series[spec.listed]
        timeframe = timeframe_us(item.stored_timeframe)
        walk = Excursions(steps_of(times, numbers, timeframe), contract, timeframe)
        if _read(run, item, walk, int(times[0, 1]) - timeframe, int(times[-1, 1])):
            found[spec.id] = walk.extremes(counts[spec.id])
    return found


def _read(run: PreparedRun, item: Series, walk: Excursions, start: int, end: int) -> bool:
    """Show the candles of a span to who looks for extremes; false when the lake has lost them since the run began."""
    try:
        for rows in run.lake.read(
            item.market, KLINES.kind, item.symbol, item.stored_timeframe, start, end, names=["high", "low"]
        ):
            walk.add(rows[KLINES.key], rows["high"], rows["low"])
    except DataError:
        return False
    return True
