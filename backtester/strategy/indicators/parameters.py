"""Parameters of indicators: said once, in the constructor's annotations, with bounds and descriptions."""

import inspect
from collections.abc import Callable
from functools import cache, wraps
from typing import Annotated, Any, TypeVar, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

Window = Annotated[int, Field(ge=1, le=100_000, description="candles in the window")]
LongWindow = Annotated[int, Field(ge=2, le=100_000, description="candles in the window")]
Decimals = Annotated[
    int | None,
    Field(ge=0, le=18, description="decimals of the prices, in which sums are exact; none: exact in binary, slower"),
]
Multiple = Annotated[float, Field(gt=0, allow_inf_nan=False, description="width of the band to each side")]
Freedom = Annotated[
    int, Field(ge=0, le=1, description="0: deviation of the population (divides by n), 1: of a sample (by n − 1)")
]
Flat = Annotated[
    float, Field(ge=0, le=100, description="value where the price did not move at all; TA-Lib has 0 there")
]

Constructor = TypeVar("Constructor", bound=Callable[..., None])


def parameters(constructor: Constructor) -> Constructor:
    """Check a constructor's arguments against its annotations, and keep them in `self.parameters`.

    Raises:
        ValueError: when called with an argument out of bounds; pydantic's ValidationError is one.
    """
    signature = inspect.signature(constructor)

    @wraps(constructor)
    def checked(self: Any, *args: Any, **named: Any) -> None:
        given = dict(signature.bind_partial(self, *args, **named).arguments)
        given.pop("self")
        self.parameters = dict(parameters_model(type(self))(**given))
        constructor(self, **self.parameters)

    return cast(Constructor, checked)


def parameters_model(cls: type) -> type[BaseModel]:
    """Return the pydantic model of a constructor's arguments: types, defaults, bounds and descriptions."""
    return _model(cls.__init__, cls.__name__)  # type: ignore[misc]


@cache
def _model(constructor: Callable[..., None], name: str) -> type[BaseModel]:
    hints = get_type_hints(constructor, include_extras=True)
    fields: dict[str, Any] = {
        each.name: (hints[each.name], ... if each.default is each.empty else each.default)
        for each in inspect.signature(constructor).parameters.values()
        if each.name != "self"
    }
    return create_model(f"{name}Params", __config__=ConfigDict(extra="forbid", frozen=True), **fields)
