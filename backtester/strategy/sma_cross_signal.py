"""sma_cross_signal: sma_cross as a signal: the same rule over columns, with the same fills."""

from typing import Annotated

import numpy as np
from pydantic import model_validator

from backtester.strategy.base import StrategyParams
from backtester.strategy.features import Feature, Frame, indicator
from backtester.strategy.indicators.means import Sma
from backtester.strategy.params import param
from backtester.strategy.signals import SignalStrategy, Targets


class SmaCrossSignalParams(StrategyParams):
    """Two means, and what to hold while fast is above slow."""

    fast: Annotated[int, param("of the fast mean", unit="candles", ge=1)] = 50
    slow: Annotated[int, param("of the slow mean", unit="candles", ge=2)] = 200
    exposure: Annotated[float, param("of equity to hold; 1 leaves the size to [sizing]", unit="share", gt=0, le=1)] = (
        1.0
    )

    @model_validator(mode="after")
    def _consistent(self) -> "SmaCrossSignalParams":
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be less than slow ({self.slow})")
        return self


class SmaCrossSignal(SignalStrategy):
    """Hold while the fast mean is strictly above the slow one, nothing while it is strictly below."""

    Params = SmaCrossSignalParams

    def features(self) -> list[Feature]:
        """The two means."""
        return [
            indicator("fast", Sma, "close", window=self.params.fast),
            indicator("slow", Sma, "close", window=self.params.slow),
        ]

    def targets(self, frame: Frame) -> Targets:
        """Equal means decide nothing, and neither does a row without means."""
        fast, slow = frame["fast"], frame["slow"]
        exposure = np.select([fast > slow, fast < slow], [self.params.exposure, 0.0], np.nan)
        return Targets(exposure=exposure, reason="fast mean against slow mean", values={"fast": fast, "slow": slow})
