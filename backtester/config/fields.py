"""Kinds of values that config sections share: exact numbers, times, and a section that refuses unknown keys."""

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from backtester.core.errors import UsageError
from backtester.core.numbers import decimal_of
from backtester.core.time import TIMEFRAMES, format_time, parse_time


def _exact(value: object) -> object:
    """Read a float as its shortest text: 7.5 in TOML means 7.5, not its nearest binary fraction."""
    return decimal_of(value) if isinstance(value, float) else value


def _number_text(value: object) -> object:
    """Accept a number where text may be one, and keep it as its shortest text."""
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    return f"{decimal_of(value) if isinstance(value, float) else value}" if is_number else value


def _time_text(value: object) -> object:
    """Accept dates and times as text or as TOML's own, and keep them as canonical text."""
    text = value.isoformat() if hasattr(value, "isoformat") else value
    if not isinstance(text, str) or not text:
        return text
    try:
        return format_time(parse_time(text))
    except UsageError as error:
        raise ValueError(f"{error.message}; {error.hint}") from None


def _known_timeframe(value: str) -> str:
    if value not in TIMEFRAMES:
        raise ValueError(f"not a timeframe; allowed: {' '.join(TIMEFRAMES)}")
    return value


Exact = Annotated[Decimal, BeforeValidator(_exact), Field(allow_inf_nan=False)]
Bps = Annotated[Exact, Field(gt=-10_000, lt=10_000, decimal_places=4)]
Multiplier = Annotated[Exact, Field(ge=0, decimal_places=8)]
NumberOrName = Annotated[str, BeforeValidator(_number_text)]
Time = Annotated[str, BeforeValidator(_time_text)]
Timeframe = Annotated[str, AfterValidator(_known_timeframe)]
TimeframeOrNone = Annotated[str, AfterValidator(lambda value: value and _known_timeframe(value))]


class Section(BaseModel):
    """A part of a config: immutable, refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)
