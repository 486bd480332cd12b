"""The formulas that come with the engine: numbers made of columns, for features that no indicator is."""

from typing import Annotated, Final

import numpy as np
from pydantic import Field

from backtester.strategy.composed.parts import Part, formula_part
from backtester.strategy.features.frame import Values

Candles = Annotated[int, Field(ge=1, le=100_000, description="how many candles")]
Factor = Annotated[float, Field(allow_inf_nan=False, description="by what to multiply")]
Percent = Annotated[float, Field(gt=0, allow_inf_nan=False, description="percent, as a is")]
Share = Annotated[float, Field(gt=0, le=1, description="the largest exposure")]


def shifted(values: Values, candles: int) -> Values:
    """Return the values of so many rows before, NaN where there is none."""
    found = np.full(len(values), np.nan)
    found[candles:] = values[:-candles]
    return found


@formula_part
def plus(a: Values, b: Values) -> Values:
    """a + b."""
    return a + b


@formula_part
def minus(a: Values, b: Values) -> Values:
    """a − b."""
    return a - b


@formula_part
def ratio(a: Values, b: Values) -> Values:
    """a ÷ b; no value where b is 0."""
    return a / np.where(b == 0, np.nan, b)


@formula_part
def scaled(a: Values, factor: Factor) -> Values:
    """factor × a."""
    return factor * a


@formula_part
def spread_pct(a: Values, b: Values) -> Values:
    """by how much a exceeds b, percent of b; no value where b is 0."""
    return 100 * (a - b) / np.where(b == 0, np.nan, b)


@formula_part
def absolute(a: Values) -> Values:
    """a without its sign."""
    return np.abs(a)


@formula_part
def larger(a: Values, b: Values) -> Values:
    """the larger of a and b."""
    return np.maximum(a, b)


@formula_part
def smaller(a: Values, b: Values) -> Values:
    """the smaller of a and b."""
    return np.minimum(a, b)


@formula_part(rows=lambda params: params["candles"] + 1)
def before(a: Values, candles: Candles = 1) -> Values:
    """a, so many candles before."""
    return shifted(a, candles)


@formula_part(rows=lambda params: params["candles"] + 1)
def change_pct(a: Values, candles: Candles = 1) -> Values:
    """by how much a exceeds what it was so many candles before, percent of that; no value where that is 0."""
    past = shifted(a, candles)
    return 100 * (a - past) / np.where(past == 0, np.nan, past)


@formula_part
def exposure_for(a: Values, percent: Percent, most: Share = 1.0) -> Values:
    """the exposure at which a, a risk in percent such as a volatility, becomes so many percent; at most most."""
    return np.minimum(most, percent / np.where(a > 0, a, np.nan))


FORMULAS: Final[dict[str, Part]] = {part.name: part for part in vars().values() if isinstance(part, Part)}
