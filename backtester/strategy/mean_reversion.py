"""mean_reversion: against an exhausted move, back to the middle band, on either side."""

from typing import Annotated

import numpy as np

from backtester.strategy.base import StrategyParams
from backtester.strategy.features import Feature, Frame, indicator
from backtester.strategy.indicators.dispersion import Bollinger
from backtester.strategy.indicators.means import Sma
from backtester.strategy.indicators.momentum import Rsi
from backtester.strategy.params import param
from backtester.strategy.signals import ExitPlan, SignalStrategy, Targets


class MeanReversionParams(StrategyParams):
    """What is too far, from what, and how long a trade may last."""

    rsi: Annotated[int, param("of the RSI", unit="candles", ge=1)] = 14
    oversold: Annotated[
        float, param("below which to buy; above 100 less it, to sell short", unit="RSI, 0 to 100", gt=0, lt=50)
    ] = 30.0
    bands: Annotated[int, param("of the Bollinger Bands", unit="candles", ge=2)] = 20
    deviations: Annotated[float, param("half width of the bands", unit="standard deviations", gt=0)] = 2.0
    mean: Annotated[int, param("of the mean that the close may not be far from", unit="candles", ge=1)] = 50
    max_distance_pct: Annotated[
        float, param("of that mean that the close may be beyond it", unit="percent", gt=0, lt=100)
    ] = 2.0
    max_candles: Annotated[int, param("after which a trade ends", unit="candles", ge=1)] = 50
    cooldown: Annotated[int, param("after a trade without an entry", unit="candles", ge=0)] = 10
    exposure: Annotated[float, param("of equity to hold; 1 leaves the size to [sizing]", unit="share", gt=0, le=1)] = (
        1.0
    )


class MeanReversion(SignalStrategy):
    """Long below the lower band or short above the upper one, when the RSI is extreme and the mean not far; out at the
    middle, at RSI 50, or after its time.
    """

    Params = MeanReversionParams

    def features(self) -> list[Feature]:
        """The RSI, the bands, and the mean behind them."""
        p = self.params
        return [
            indicator("rsi", Rsi, "close", window=p.rsi),
            indicator("bands", Bollinger, "close", window=p.bands, multiple=p.deviations),
            indicator("mean", Sma, "close", window=p.mean),
        ]

    def targets(self, frame: Frame) -> Targets:
        """Rows say when to enter and when to leave; in between there is no opinion."""
        p, close, rsi, mean = self.params, *(frame[name] for name in ("close", "rsi", "mean"))
        middle, reach = frame["bands.middle"], p.max_distance_pct / 100
        long = (rsi < p.oversold) & (close < frame["bands.lower"]) & (close >= mean * (1 - reach))
        short = (rsi > 100 - p.oversold) & (close > frame["bands.upper"]) & (close <= mean * (1 + reach))
        return Targets(
            exposure=np.select([long, short], [p.exposure, -p.exposure], np.nan),
            exit_long=(close >= middle) | (rsi >= 50),
            exit_short=(close <= middle) | (rsi <= 50),
            reason=np.select([long, short], ["oversold", "overbought"], "back at the middle"),
            values={"rsi": rsi, "middle": middle, "mean": mean},
        )

    @property
    def plan(self) -> ExitPlan:
        """A trade has its time, and rests after it."""
        return ExitPlan(max_candles=self.params.max_candles, cooldown=self.params.cooldown)
