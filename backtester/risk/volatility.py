"""How much prices move, folded from closed candles: average true range, or the deviation of returns."""

from collections import deque
from collections.abc import Mapping

from backtester.core.instruments import InstrumentId
from backtester.core.market import Candle
from backtester.sim.position_sizing import realised, true_range, wilder_mean


class _Measure:
    """One instrument. closes: the last window + 1, of which there are `window` returns."""

    __slots__ = ("atr", "closes", "is_atr", "seen", "window")

    def __init__(self, measure: str, window: int) -> None:
        self.is_atr = measure == "atr"
        self.window = window
        self.closes: deque[float] = deque(maxlen=2 if self.is_atr else window + 1)
        self.atr = 0.0  # until it is warm, the sum of the true ranges
        self.seen = 0

    def push(self, candle: Candle) -> None:
        """Take the next candle; the first only gives the close before."""
        if self.is_atr and self.seen:
            moved = true_range(candle.high, candle.low, self.closes[-1])
            if self.seen <= self.window:
                self.atr += moved
                if self.seen == self.window:
                    self.atr /= self.window
            else:
                self.atr = wilder_mean(self.atr, moved, self.window)
        self.closes.append(candle.close)
        self.seen += 1


class Volatility:
    """Measures some instruments over candles of the run's timeframe."""

    def __init__(self, wanted: Mapping[InstrumentId, tuple[str, int]], timeframe: str) -> None:
        """Take (measure, window) by instrument; a measure is "atr" or "realised"."""
        self._timeframe = timeframe
        self._measures = {i: _Measure(measure, window) for i, (measure, window) in wanted.items()}

    def on_candle(self, candle: Candle) -> None:
        """Fold a closed candle."""
        measure = self._measures.get(candle.instrument)
        if measure is not None and candle.timeframe == self._timeframe:
            measure.push(candle)

    def seen(self, instrument: InstrumentId) -> int:
        """Return how many candles of an instrument there were."""
        return self._measures[instrument].seen

    def value(self, instrument: InstrumentId) -> float | None:
        """Return the volatility per candle, or None before window + 1 of them.

        The average true range is in quote per base; the deviation of returns is a fraction.
        """
        measure = self._measures[instrument]
        if measure.seen <= measure.window:
            return None
        return measure.atr if measure.is_atr else realised(tuple(measure.closes))
