"""structure_mtf: breakouts of short swings in the direction of the structure of longer candles, on either side."""

from typing import Annotated

import numpy as np
from pydantic import model_validator

from backtester.strategy.base import StrategyParams
from backtester.strategy.features import Feature, Frame, formula, indicator
from backtester.strategy.features.frame import Values
from backtester.strategy.indicators.pivots import Pivots
from backtester.strategy.params import param
from backtester.strategy.signals import ExitPlan, SignalStrategy, Targets

THIRD = 1 / 3


class StructureMtfParams(StrategyParams):
    """The structure of longer candles, the swings, and where parts of a trade end."""

    trend_timeframe: Annotated[str, param("candles whose pivots make the trend: a timeframe", unit="")] = "30m"
    pivot_candles: Annotated[int, param("on each side of a pivot, in both timeframes", unit="candles", ge=1)] = 3
    first_r: Annotated[
        float, param("where a third is taken off and the stop moves to what was paid", unit="R", gt=0)
    ] = 1.0
    second_r: Annotated[float, param("where another third is taken off and the trail begins", unit="R", gt=0)] = 2.0
    exposure: Annotated[float, param("of equity to hold; 1 leaves the size to [sizing]", unit="share", gt=0, le=1)] = (
        1.0
    )

    @model_validator(mode="after")
    def _consistent(self) -> "StructureMtfParams":
        if self.first_r >= self.second_r:
            raise ValueError(f"first_r ({self.first_r}) must be less than second_r ({self.second_r})")
        return self


def before(values: Values) -> Values:
    """Return the value of the row before."""
    return np.append(np.nan, values[:-1])


def direction(high: Values, high_before: Values, low: Values, low_before: Values) -> Values:
    """Return 1 where the two newest highs and the two newest lows rise, -1 where all fall, else 0."""
    rising = (high > high_before) & (low > low_before)
    falling = (high < high_before) & (low < low_before)
    return np.where(rising, 1.0, np.where(falling, -1.0, 0.0))


class StructureMtf(SignalStrategy):
    """Long or short when a close crosses the last pivot with the trend of longer candles; stop at the pivot behind,
    out in thirds.
    """

    Params = StructureMtfParams

    def features(self) -> list[Feature]:
        """The swings of both timeframes, and what the longer ones make of theirs."""
        side = self.params.pivot_candles
        swings = [f"swing.{name}" for name in ("last_high", "previous_high", "last_low", "previous_low")]
        return [
            indicator("swing", Pivots, left=side, right=side),
            formula("trend", direction, *swings),
            formula("close_before", before, "close", rows=2),
        ]

    def outputs(self) -> list[str]:
        """The trend is that of the longer candles."""
        longer = [f"{self.params.trend_timeframe}/{name}" for name in ("trend", "swing.last_high", "swing.last_low")]
        return ["swing.last_high", "swing.last_low", "close_before", *longer]

    def targets(self, frame: Frame) -> Targets:
        """An entry is tagged with the leg it belongs to: the pivot of the longer candles where that began."""
        p, close, last = self.params, frame["close"], frame["close_before"]
        high, low = frame["swing.last_high"], frame["swing.last_low"]
        trend, top, bottom = (frame[f"{p.trend_timeframe}/{n}"] for n in ("trend", "swing.last_high", "swing.last_low"))
        long = (trend == 1) & (close > high) & (last <= high)
        short = (trend == -1) & (close < low) & (last >= low)
        tags = np.full(frame.rows, "", dtype=object)
        for word, rows, leg in (("up", long, bottom), ("down", short, top)):
            tags[rows] = [f"{word}-{price!r}" for price in leg[rows].tolist()]
        return Targets(
            exposure=np.select([long, short], [p.exposure, -p.exposure], np.nan),
            tag=tags,
            reason=np.where(long, "above the last high", "below the last low"),
            stop=np.where(short, high, low),
            trail=low,
            trail_short=high,
            values={"trend": trend, "high": high, "low": low},
        )

    @property
    def plan(self) -> ExitPlan:
        """A third at each of two distances, the rest at what was paid, then trailed."""
        return ExitPlan(
            ladder=((self.params.first_r, THIRD), (self.params.second_r, THIRD)),
            break_even_r=self.params.first_r,
            trail_after_r=self.params.second_r,
            one_trade_per_tag=True,
        )
