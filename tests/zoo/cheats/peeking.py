"""Through the frames of the engine, at what it has read ahead: every way in which a frame of all data betrays."""

import sys

import numpy as np
from moves import Mover

from backtester.strategy import Candle


def whole(instrument):
    """All candles that the engine holds: open time, high, low, close, volume."""
    frame = sys._getframe()
    while frame is not None:
        feeds = getattr(frame.f_locals.get("self"), "_feeds", None)
        if feeds:
            feed = next(f for f in feeds if f.instrument == instrument and f.executes)
            parts = [part for part in (feed._window, feed._buffer) if part is not None]
            return [
                np.concatenate([getattr(p, n) for p in parts]) for n in ("open_time", "high", "low", "close", "volume")
            ]
        frame = frame.f_back
    raise LookupError


class Peeker(Mover):
    def up(self, candle: Candle) -> bool:
        times, *columns = whole(candle.instrument)
        return bool(self.told(int(np.searchsorted(times, candle.open_time)), *columns))

    def told(self, i, high, low, close, volume) -> bool:
        raise NotImplementedError


class NextClose(Peeker):
    """shift(-1)."""

    def told(self, i, high, low, close, volume):
        return i + 1 < len(close) and close[i + 1] > close[i]


class WholeSeriesScaling(Peeker):
    """A z-score by mean and deviation of all that will ever be."""

    def told(self, i, high, low, close, volume):
        return (close[i] - close.mean()) / close.std() < 0


class MinMaxScaling(Peeker):
    def told(self, i, high, low, close, volume):
        return (close[i] - close.min()) / (close.max() - close.min()) < 0.4


class CentredWindow(Peeker):
    def told(self, i, high, low, close, volume):
        return close[i] < close[max(0, i - 3) : i + 4].mean()


class UnclosedHigherCandle(Peeker):
    """The close of the quarter of an hour that is under way."""

    def told(self, i, high, low, close, volume):
        return close[min(len(close) - 1, i // 15 * 15 + 14)] > close[i]


class BackwardFill(Peeker):
    """What is known every tenth candle, filled back over those before it."""

    def told(self, i, high, low, close, volume):
        return close[min(len(close) - 1, -(-i // 10) * 10)] > close[i]


class AsOfOpenTime(Peeker):
    """Joins an hour by when it opens: its high is there from its first minute on."""

    def told(self, i, high, low, close, volume):
        hour = slice(i // 60 * 60, i // 60 * 60 + 60)
        return close[i] < (high[hour].max() + low[hour].min()) / 2


class SortedByFutureVolume(Peeker):
    def told(self, i, high, low, close, volume):
        return i in set(np.argsort(volume)[-len(volume) // 2 :].tolist())


class FittedOnAllData(Peeker):
    """The length that would have won, used from the beginning."""

    def told(self, i, high, low, close, volume):
        def gain(n):
            moved = np.sign(close[n:-1] - close[: -n - 1]) * np.diff(close[n:])
            return moved.sum()

        best = max((2, 3, 5, 8, 13), key=gain)
        sign = np.sign(gain(best))
        return (close[i] - close[max(0, i - best)]) * sign > 0


class UnconfirmedPivot(Peeker):
    """A low that is called one before its right side has closed."""

    def told(self, i, high, low, close, volume):
        return low[i] == low[max(0, i - 2) : i + 3].min()


class MaximumToCome(Peeker):
    def told(self, i, high, low, close, volume):
        return high[i:].argmax() > 0 and high[i + 1 : i + 20].max(initial=0) > close[i] * 1.005
