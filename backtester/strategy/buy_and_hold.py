"""buy_and_hold: buy at the first close and hold to the end, as a measure for everything else."""

from typing import Annotated

from backtester.strategy.base import StrategyParams
from backtester.strategy.features import Frame
from backtester.strategy.params import param
from backtester.strategy.signals import SignalStrategy, Targets


class BuyAndHoldParams(StrategyParams):
    """What to hold."""

    exposure: Annotated[
        float, param("of equity to buy of each; 1 leaves the size to [sizing]", unit="share", gt=0, le=1)
    ] = 1.0


class BuyAndHold(SignalStrategy):
    """Buy at the first close and hold: the position is not rebalanced, and what ends it is not bought again."""

    Params = BuyAndHoldParams

    def targets(self, frame: Frame) -> Targets:
        """One target for all rows."""
        return Targets(exposure=frame["close"] * 0 + self.params.exposure, reason="hold")
