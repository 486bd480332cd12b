"""Frames made up for a test: candles on a grid, and longer ones folded from them."""

import numpy as np

from backtester.core.market import Candle
from backtester.core.time import MINUTE, timeframe_us
from backtester.data.columns import CandleColumns
from backtester.data.resample import derive_candles
from backtester.strategy.features import Frame, Source, candle_frame

BTC, ETH = "spot:BTCUSDT", "spot:ETHUSDT"


def columns(rows: int, *, seed: int = 1, first: int = 0, low_priced: bool = False) -> CandleColumns:
    """A random walk of 5-minute candles; `first`: number of the first candle on the grid."""
    luck = np.random.default_rng(seed)
    step = luck.integers(-2, 3, rows) if low_priced else luck.integers(-300, 301, rows)
    close = np.maximum(np.cumsum(step) + (20 if low_priced else 50_000), 1)
    open_ = np.concatenate(([close[0]], close[:-1]))
    high = np.maximum(open_, close) + luck.integers(0, 3, rows)
    low = np.maximum(np.minimum(open_, close) - luck.integers(0, 3, rows), 1)
    times = (np.arange(rows) + first) * 5 * MINUTE
    prices = [array / 100 for array in (open_, high, low, close)]
    return CandleColumns(times.astype(np.int64), *prices, luck.integers(1, 500, rows) / 10)


def frame_of(candles: CandleColumns, instrument: str = BTC, timeframe: str = "5m") -> Frame:
    c = candles
    return candle_frame(instrument, timeframe, c.open_time, c.open, c.high, c.low, c.close, c.volume, decimals=2)


def longer(candles: CandleColumns, timeframe: str) -> CandleColumns:
    """The longer candles that are whole."""
    found = [
        batch.take(np.flatnonzero(batch.complete))
        for batch in derive_candles(iter([candles]), 5 * MINUTE, timeframe_us(timeframe))
        if batch.complete is not None
    ]
    return CandleColumns.concat(found) if found else candles.slice(0, 0)


def frames_of(candles: CandleColumns, *timeframes: str) -> dict[Source, Frame]:
    """The frames of one instrument in 5m and the timeframes named."""
    found = {Source(BTC, "5m"): frame_of(candles)}
    return found | {Source(BTC, tf): frame_of(longer(candles, tf), timeframe=tf) for tf in timeframes}


def events(*frames: Frame) -> list[Candle]:
    """All candles in the order of the engine: by close, longer first, instruments by name."""
    made = [
        (
            time,
            -timeframe_us(frame.source.timeframe),
            frame.source.instrument,
            Candle(time, frame.source.instrument, frame.source.timeframe, int(row[0]), *row[1:]),
        )
        for frame in frames
        for time, row in zip(
            frame.times.tolist(), zip(*(frame[name].tolist() for name in frame), strict=True), strict=True
        )
    ]
    return [candle for *_, candle in sorted(made, key=lambda item: item[:3])]
