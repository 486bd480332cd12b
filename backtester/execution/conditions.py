"""What the exchange remembers of the market for the models that need more than a price."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from backtester.core.bus import Bus
from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.market import Candle
from backtester.core.time import timeframe_us
from backtester.core.topics import T_CANDLES
from backtester.sim.sim_models import range_rate, return_rate


class Conditions(NamedTuple):
    """Of the last candles of the run's timeframe. mean_range: true range per close, 1e-8. variance: the sum of squared
    returns, 1e-16. volume: their sum, 10^-q. candles: how many there are.
    """

    mean_range: int
    variance: int
    volume: int
    candles: int


class _Recent:
    """Rolling sums over the last candles of one instrument."""

    def __init__(self, window: int, price_scale: int, qty_scale: int) -> None:
        self.ranges = self.variance = self.volume = 0
        self.rows: deque[tuple[int, int, int]] = deque()
        self._window = window
        self._price_scale = price_scale
        self._qty_scale = qty_scale
        self._close = 0

    def see(self, candle: Candle) -> None:
        high, low, close = (round(p * self._price_scale) for p in (candle.high, candle.low, candle.close))
        if self._close:
            row = (
                range_rate(high, low, self._close),
                return_rate(close, self._close) ** 2,
                round(candle.volume * self._qty_scale),
            )
            self._add(row, 1)
            self.rows.append(row)
            if len(self.rows) > self._window:
                self._add(self.rows.popleft(), -1)
        self._close = close

    def _add(self, row: tuple[int, int, int], sign: int) -> None:
        self.ranges += sign * row[0]
        self.variance += sign * row[1]
        self.volume += sign * row[2]


class MarketMemory:
    """Folds the closed candles of the run's timeframe, warm-up included; always of earlier ticks than the fill."""

    def __init__(self, instruments: Mapping[InstrumentId, Instrument], timeframe: str, window: int, bus: Bus) -> None:
        self.window = window
        self.candle_us = timeframe_us(timeframe)
        self._timeframe = timeframe
        self._recent = {i: _Recent(window, 10**s.scale.price, 10**s.scale.qty) for i, s in instruments.items()}
        bus.subscribe(T_CANDLES, self.on_candle)

    def on_candle(self, candle: Candle) -> None:
        """Remember a candle."""
        if candle.timeframe == self._timeframe and candle.instrument in self._recent:
            self._recent[candle.instrument].see(candle)

    def of(self, instrument: InstrumentId) -> Conditions:
        """Return what is known of an instrument by now."""
        recent = self._recent[instrument]
        n = len(recent.rows)
        return Conditions(-(-recent.ranges // n) if n else 0, recent.variance, recent.volume, n)
