"""What every config model is made of: a section that refuses unknown keys, and exact numbers."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from backtester.core.numbers import decimal_of


def _exact(value: object) -> object:
    """Read a float as its shortest text: 7.5 in TOML means 7.5, not its nearest binary fraction."""
    return decimal_of(value) if isinstance(value, float) else value


Exact = Annotated[Decimal, BeforeValidator(_exact), Field(allow_inf_nan=False)]


class Section(BaseModel):
    """A part of a config: immutable, refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)
