"""What is varied: axes of values, and their combinations in a stated order."""

import itertools
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from backtester.config.loading import toml_value
from backtester.core.errors import UsageError

MOST_COMBINATIONS: Final = 200_000
_HINT: Final = "for example --grid fast=5:40:5 (first:last:step, both included) or --grid mode=a,b,c"


class Axis(NamedTuple):
    """A parameter and the distinct values that it takes, in the order in which they were given."""

    name: str
    values: tuple[Any, ...]


class Combination(NamedTuple):
    """One point of a grid. number: from 0, the last axis varies fastest."""

    number: int
    values: dict[str, Any]


def parse_axis(text: str) -> Axis:
    """Return the axis that `name=first:last:step` or `name=a,b,c` describes.

    Raises:
        UsageError: it describes none, or too many values.
    """
    name, sign, values = text.partition("=")
    name, values = name.strip(), values.strip()
    if not sign or not name or not values:
        raise UsageError(f"--grid {text!r} is not name=values", hint=_HINT)
    if values.count(":") == 2 and "," not in values:
        return Axis(name, _steps(text, *values.split(":")))
    found: list[Any] = []
    for part in values.split(","):
        value = toml_value(part.strip())
        if value == "":
            raise UsageError(f"--grid {text!r} has an empty value", hint=_HINT)
        if not any(value == other and type(value) is type(other) for other in found):
            found.append(value)
    return Axis(name, tuple(found))


def _steps(text: str, first: str, last: str, step: str) -> tuple[int | float, ...]:
    """Return first, first + step, ... up to last: in decimals, so that 0.1:0.3:0.1 has its 0.3."""
    try:
        low, high, by = Decimal(first), Decimal(last), Decimal(step)
        finite = low.is_finite() and high.is_finite() and by.is_finite()
    except InvalidOperation:
        finite = False
    if not finite:
        raise UsageError(f"--grid {text!r}: first, last and step must be numbers", hint=_HINT)
    if by <= 0 or high < low:
        raise UsageError(f"--grid {text!r}: the step must be positive and the last value no less than the first")
    count = int((high - low) / by) + 1
    if count > MOST_COMBINATIONS:
        raise UsageError(f"--grid {text!r} has {count:,} values, at most {MOST_COMBINATIONS:,} are allowed")
    whole = all(value == value.to_integral_value() for value in (low, by))
    return tuple(int(low + i * by) if whole else float(low + i * by) for i in range(count))


def parse_grid(texts: Sequence[str]) -> tuple[Axis, ...]:
    """Return the axes of `--grid` options.

    Raises:
        UsageError: there is none, one is given twice, or they make too many combinations.
    """
    axes = tuple(parse_axis(text) for text in texts)
    if not axes:
        raise UsageError("nothing is varied", hint=_HINT)
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--grid names {name!r} twice", hint="one --grid for each parameter")
    if size_of(axes) > MOST_COMBINATIONS:
        raise UsageError(
            f"the grid has {size_of(axes):,} combinations, at most {MOST_COMBINATIONS:,} are allowed",
            hint="take larger steps, or fewer parameters at a time",
        )
    return axes


def size_of(axes: Sequence[Axis]) -> int:
    """Return how many combinations axes make."""
    size = 1
    for axis in axes:
        size *= len(axis.values)
    return size


def combinations(axes: Sequence[Axis]) -> Iterator[Combination]:
    """Yield every combination, in order."""
    for number, values in enumerate(itertools.product(*(axis.values for axis in axes))):
        yield Combination(number, {axis.name: value for axis, value in zip(axes, values, strict=True)})
