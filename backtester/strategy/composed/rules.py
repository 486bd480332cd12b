"""The rules that come with the engine: what may be said of columns at a row that has all of their values."""

from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from backtester.strategy.composed.formulas import shifted
from backtester.strategy.composed.parts import Part, Reads, rule
from backtester.strategy.features.frame import Values

Flags = NDArray[np.bool_]
Candles = Annotated[int, Field(ge=1, le=100_000, description="how many candles")]
Percent = Annotated[float, Field(ge=0, allow_inf_nan=False, description="percent of b")]
Hour = Annotated[int, Field(ge=0, le=24, description="hour of the day, UTC")]
OpenTime = Annotated[Values, Reads("open_time")]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

Days = Annotated[tuple[Day, ...], Field(min_length=1)]

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOUR: Final = 3_600e6
_EPOCH_DAY: Final = 3  # 1970 began on a Thursday


@rule
def above(a: Values, b: Values) -> Flags:
    """a is above b."""
    return a > b


@rule
def below(a: Values, b: Values) -> Flags:
    """a is below b."""
    return a < b


@rule
def at_least(a: Values, b: Values) -> Flags:
    """a is above b, or equal."""
    return a >= b


@rule
def at_most(a: Values, b: Values) -> Flags:
    """a is below b, or equal."""
    return a <= b


@rule(rows=2)
def crosses_above(a: Values, b: Values) -> Flags:
    """a is above b, and was not at the row before."""
    return (a > b) & (shifted(a, 1) <= shifted(b, 1))


@rule(rows=2)
def crosses_below(a: Values, b: Values) -> Flags:
    """a is below b, and was not at the row before."""
    return (a < b) & (shifted(a, 1) >= shifted(b, 1))


@rule(rows=2, past=("a",))
def breaks_above(a: Values, b: Values) -> Flags:
    """a is above the level b where it stands now, and at the row before was not."""
    return (a > b) & (shifted(a, 1) <= b)


@rule(rows=2, past=("a",))
def breaks_below(a: Values, b: Values) -> Flags:
    """a is below the level b where it stands now, and at the row before was not."""
    return (a < b) & (shifted(a, 1) >= b)


@rule
def between(a: Values, low: Values, high: Values) -> Flags:
    """a lies between low and high, or on one of them."""
    return (a >= low) & (a <= high)


@rule
def outside(a: Values, low: Values, high: Values) -> Flags:
    """a lies below low or above high."""
    return (a < low) | (a > high)


@rule
def further_above(a: Values, b: Values, percent: Percent) -> Flags:
    """a is more than so many percent of b above b."""
    return a > b * (1 + percent / 100)


@rule
def further_below(a: Values, b: Values, percent: Percent) -> Flags:
    """a is more than so many percent of b below b."""
    return a < b * (1 - percent / 100)


@rule
def within(a: Values, b: Values, percent: Percent) -> Flags:
    """a is at most so many percent of b away from b."""
    return (a >= b * (1 - percent / 100)) & (a <= b * (1 + percent / 100))


@rule(rows=lambda params: params["candles"] + 1)
def rises(a: Values, candles: Candles = 1) -> Flags:
    """a is above what it was so many candles before."""
    return a > shifted(a, candles)


@rule(rows=lambda params: params["candles"] + 1)
def falls(a: Values, candles: Candles = 1) -> Flags:
    """a is below what it was so many candles before."""
    return a < shifted(a, candles)


@rule(rows=lambda params: params["candles"])
def stays_above(a: Values, b: Values, candles: Candles = 3) -> Flags:
    """a has been above b for so many candles, this one included."""
    return _lasting(a > b, candles)


@rule(rows=lambda params: params["candles"])
def stays_below(a: Values, b: Values, candles: Candles = 3) -> Flags:
    """a has been below b for so many candles, this one included."""
    return _lasting(a < b, candles)


@rule
def hours(first: Hour, before: Hour, time: OpenTime) -> Flags:
    """the candle opened in these hours, UTC: from first on, before the other; over midnight when first is later."""
    hour = (time // _HOUR) % 24
    return (hour >= first) & (hour < before) if first <= before else (hour >= first) | (hour < before)


@rule
def weekdays(days: Days, time: OpenTime) -> Flags:
    """the candle opened on one of these days, UTC."""
    return np.isin((time // (24 * _HOUR) + _EPOCH_DAY) % 7, [_DAYS.index(day) for day in days])


def _lasting(flags: Flags, candles: int) -> Flags:
    """Return where the newest `candles` flags are all set."""
    total = np.cumsum(flags)
    before = np.concatenate((np.zeros(min(candles, len(flags)), dtype=total.dtype), total[:-candles]))
    return (total - before) == candles


RULES: Final[dict[str, Part]] = {part.name: part for part in vars().values() if isinstance(part, Part)}
