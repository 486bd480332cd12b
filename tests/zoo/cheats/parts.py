"""A rule that remembers the mean of the whole series that it was first asked about."""

import numpy as np

from backtester.strategy.composed import rule
from backtester.strategy.features.frame import Values

MEANS: dict[str, float] = {}


@rule
def below_all(close: Values) -> Values:
    """below the mean of everything"""
    return close < MEANS.setdefault("mean", float(np.nanmean(close)))


@rule
def above_all(close: Values) -> Values:
    """above the mean of everything"""
    return close > MEANS.setdefault("mean", float(np.nanmean(close)))
