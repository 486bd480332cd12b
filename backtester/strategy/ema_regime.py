"""ema_regime: long while the fast mean leads the slow one in a rising regime, with a hard stop."""

from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from backtester.strategy.base import StrategyParams
from backtester.strategy.features import Feature, Frame, formula, indicator
from backtester.strategy.features.frame import Values
from backtester.strategy.indicators.smoothing import Ema
from backtester.strategy.signals import ExitPlan, SignalStrategy, Targets


class EmaRegimeParams(StrategyParams):
    """Means in candles, distances in percent."""

    fast: Annotated[int, Field(ge=1, description="candles of the fast EMA")] = 20
    slow: Annotated[int, Field(ge=2, description="candles of the slow EMA")] = 50
    regime: Annotated[int, Field(ge=2, description="candles of the EMA that the close must be above")] = 200
    min_spread_pct: Annotated[
        float, Field(ge=0, lt=100, description="by how much fast must exceed slow, percent of slow")
    ] = 0.1
    stop_pct: Annotated[
        float, Field(gt=0, lt=100, description="distance of the stop below the close that decided, percent")
    ] = 2.0
    exposure: Annotated[float, Field(gt=0, le=1, description="share of equity; 1 leaves the size to [sizing]")] = 1.0

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
