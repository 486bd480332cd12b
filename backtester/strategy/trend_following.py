"""trend_following: with the means where the ADX says that there is a trend, on either side."""

from typing import Annotated

import numpy as np
from pydantic import model_validator

from backtester.strategy.base import StrategyParams
from backtester.strategy.features import Feature, Frame, indicator
from backtester.strategy.indicators.directional import Adx
from backtester.strategy.indicators.means import Sma
from backtester.strategy.indicators.ranges import Atr
from backtester.strategy.params import param
from backtester.strategy.signals import ExitPlan, SignalStrategy, Targets


class TrendFollowingParams(StrategyParams):
    """The means, what makes a trend, and how long a trade may last."""

    fast: Annotated[int, param("of the fast mean", unit="candles", ge=1)] = 20
    slow: Annotated[int, param("of the slow mean", unit="candles", ge=2)] = 50
    adx: Annotated[int, param("of the ADX", unit="candles", ge=2)] = 14
    min_adx: Annotated[float, param("that makes a trend", unit="ADX, 0 to 100", ge=0, lt=100)] = 25.0
    atr: Annotated[int, param("of the ATR", unit="candles", ge=1)] = 14
    atr_mean: Annotated[int, param("of the ATR's own mean", unit="candles", ge=1)] = 20
    max_atr: Annotated[float, param("its mean that the ATR may be", unit="times", gt=0)] = 3.0
    max_candles: Annotated[int, param("after which a trade ends", unit="candles", ge=1)] = 200
    exposure: Annotated[float, param("of equity to hold; 1 leaves the size to [sizing]", unit="share", gt=0, le=1)] = (
        1.0
    )

    @model_validator(mode="after")
    def _consistent(self) -> "TrendFollowingParams":
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be less than slow ({self.slow})")
        return self


class TrendFollowing(SignalStrategy):
    """Long or short beyond both means while the ADX shows a trend; flat without one, when the range is too wide, when
    the means turn, or after its time.
    """

    Params = TrendFollowingParams

    def features(self) -> list[Feature]:
        """Two means, the strength of the trend, and the range against its own mean."""
        p = self.params
        return [
            indicator("fast", Sma, "close", window=p.fast),
            indicator("slow", Sma, "close", window=p.slow),
            indicator("trend", Adx, window=p.adx),
            indicator("atr", Atr, window=p.atr),
            indicator("usual_atr", Sma, "atr", window=p.atr_mean),
        ]

    def targets(self, frame: Frame) -> Targets:
        """What ends a trade comes first; a row without all values enters nothing."""
        p, close, fast, slow, adx = self.params, *(frame[n] for n in ("close", "fast", "slow", "trend.adx"))
        limit = p.max_atr * frame["usual_atr"]
        trending = (adx > p.min_adx) & (frame["atr"] <= limit)
        long = trending & (fast > slow) & (close > fast) & (close > slow)
        short = trending & (fast < slow) & (close < fast) & (close < slow)
        calm, storm = adx < p.min_adx, frame["atr"] > limit
        return Targets(
            exposure=np.select([calm | storm, long, short], [0.0, p.exposure, -p.exposure], np.nan),
            exit_long=fast < slow,
            exit_short=fast > slow,
            reason=np.select([storm, calm, fast > slow], ["range too wide", "no trend", "means up"], "means down"),
            values={"fast": fast, "slow": slow, "adx": adx, "atr": frame["atr"], "atr_limit": limit},
        )

    @property
    def plan(self) -> ExitPlan:
        """A trade has its time."""
        return ExitPlan(max_candles=self.params.max_candles)
