"""Indicators by name, with their parameters: what can be listed, and made from a config."""

import difflib
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from backtester.core.errors import UsageError
from backtester.strategy.indicators.base import Indicator
from backtester.strategy.indicators.directional import Adx
from backtester.strategy.indicators.dispersion import Bollinger, Std, ZScore
from backtester.strategy.indicators.extremes import Donchian, Max, Min, Stochastic
from backtester.strategy.indicators.ichimoku import Ichimoku
from backtester.strategy.indicators.means import Sma, Wma
from backtester.strategy.indicators.momentum import Rsi
from backtester.strategy.indicators.parameters import parameters_model
from backtester.strategy.indicators.pivots import Pivots
from backtester.strategy.indicators.ranges import Atr, Keltner, Supertrend
from backtester.strategy.indicators.regression import Slope
from backtester.strategy.indicators.smoothing import Dema, Ema, Macd
from backtester.strategy.indicators.volatility import RealisedVolatility
from backtester.strategy.indicators.volume import Obv, Vwap

_CLASSES: tuple[type[Indicator], ...] = (
    *(Sma, Ema, Wma, Dema, Macd, Rsi, Adx, Atr, Bollinger, Keltner, Supertrend, Donchian, Stochastic, Ichimoku),
    *(Pivots, Vwap, Obv, RealisedVolatility, Max, Min, Std, ZScore, Slope),
)


@dataclass(frozen=True)
class RegisteredIndicator:
    """An indicator class, and what a list or a config needs to know of it."""

    cls: type[Indicator]

    @property
    def params(self) -> type[BaseModel]:
        """The pydantic model of its parameters: types, defaults, bounds, descriptions."""
        return parameters_model(self.cls)

    @property
    def about(self) -> str:
        """What it is, in a sentence."""
        return (self.cls.__doc__ or "").split("\n", maxsplit=1)[0]


INDICATORS = {cls.name: RegisteredIndicator(cls) for cls in sorted(_CLASSES, key=lambda c: c.name)}


def make_indicator(name: str, **params: Any) -> Indicator:
    """Return a new indicator.

    Raises:
        UsageError: no indicator has this name.
        ValueError: a parameter is missing, unknown or out of bounds.
    """
    found = INDICATORS.get(name)
    if found is None:
        near = difflib.get_close_matches(name, INDICATORS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"indicator {name!r} is not known", hint=f"{hint}there are: {', '.join(INDICATORS)}")
    return found.cls(**dict(found.params(**params)))
