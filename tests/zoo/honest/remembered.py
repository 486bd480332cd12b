"""Keeping what hangs on parameters alone, or is what a pure function says, is nobody's look ahead."""

from functools import lru_cache

import numpy as np

from backtester.strategy.signals import SignalStrategy, Targets

WEIGHTS: dict[int, np.ndarray] = {}


class WeightsByParameter(SignalStrategy):
    """A table that is worked out once for each length."""

    def targets(self, frame):
        weights = WEIGHTS.setdefault(5, np.arange(1.0, 6.0) / 15)
        close = frame["close"]
        mean = np.full(len(close), np.nan)
        if len(close) >= 5:
            mean[4:] = np.lib.stride_tricks.sliding_window_view(close, 5) @ weights
        return Targets(exposure=np.where(close < mean, 0.4, 0.0))


@lru_cache
def rounded(price: float) -> float:
    """A pure function: what it remembers is what it would say."""
    return round(price, 0)


class PureFunctionRemembered(SignalStrategy):
    def targets(self, frame):
        even = np.array([rounded(price) % 2 == 0 for price in frame["close"].tolist()])
        return Targets(exposure=np.where(even, 0.4, 0.0))
