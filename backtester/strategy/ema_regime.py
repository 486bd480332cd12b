"""ema_regime: long while the fast mean leads the slow one in a rising regime, with a hard stop."""

from typing import Annotated

import numpy as np
from pydantic import model_validator

from backtester.strategy.base import StrategyParams
from backtester.strategy.features import Feature, Frame, formula, indicator
from backtester.strategy.features.frame import Values
from backtester.strategy.indicators.smoothing import Ema
from backtester.strategy.params import param
from backtester.strategy.signals import ExitPlan, SignalStrategy, Targets


class EmaRegimeParams(StrategyParams):
    """Three means, by how much they must differ, and the stop."""

    fast: Annotated[int, param("of the fast EMA", unit="candles", ge=1)] = 20
    slow: Annotated[int, param("of the slow EMA", unit="candles", ge=2)] = 50
    regime: Annotated[int, param("of the EMA that the close must be above", unit="candles", ge=2)] = 200
    min_spread_pct: Annotated[float, param("of slow by which fast must exceed it", unit="percent", ge=0, lt=100)] = 0.1
    stop_pct: Annotated[float, param("from the close that decided down to the stop", unit="percent", gt=0, lt=100)] = (
        2.0
    )
    exposure: Annotated[float, param("of equity to hold; 1 leaves the size to [sizing]", unit="share", gt=0, le=1)] = (
        1.0
    )

    @model_validator(mode="after")
    def _consistent(self) -> "EmaRegimeParams":
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be less than slow ({self.slow})")
        return self


def spread(fast: Values, slow: Values) -> Values:
    """Return by how much fast exceeds slow, percent of slow."""
    return 100 * (fast - slow) / slow


class EmaRegime(SignalStrategy):
    """Long when the fast mean leads the slow one and the price is above the long one; out when slow is over fast, or at
    the stop.
    """

    Params = EmaRegimeParams

    def features(self) -> list[Feature]:
        """Three means, and the spread of two of them."""
        return [
            indicator("fast", Ema, "close", window=self.params.fast),
            indicator("slow", Ema, "close", window=self.params.slow),
            indicator("regime", Ema, "close", window=self.params.regime),
            formula("spread", spread, "fast", "slow"),
        ]

    def targets(self, frame: Frame) -> Targets:
        """Between entry and exit there is no opinion: what is held stays, and what is not is not bought."""
        enter = (frame["spread"] > self.params.min_spread_pct) & (frame["close"] > frame["regime"])
        leave = frame["slow"] > frame["fast"]
        exposure = np.select([leave, enter], [0.0, self.params.exposure], np.nan)
        values = {name: frame[name] for name in ("spread", "regime")}
        return Targets(exposure=exposure, reason=np.where(leave, "slow over fast", "rising regime"), values=values)

    @property
    def plan(self) -> ExitPlan:
        """A hard stop."""
        return ExitPlan(stop_pct=self.params.stop_pct)
