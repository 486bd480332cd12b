"""How a figure is written: a value with the id of its definition, null with a reason where it has no meaning.

Never NaN, never infinity: what overflows is null with the reason `overflow`. Money is exact text, ratios are floats.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtester.core.numbers import MONEY_EXPONENT, fixed
from backtester.core.time import format_time

Metric = dict[str, Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Units = NDArray[Any]  # int64, or Python's own integers where a sum of money is too large for it

_INT64_SAFE = 2**63 - 1


def value(definition: str, number: float | int | None, reason: str = "", **more: Any) -> Metric:
    """Return a figure; a number that is None is null for the given reason."""
    if number is None:
        return null(definition, reason, **more)
    if isinstance(number, float) and not math.isfinite(number):
        return null(definition, "overflow", **more)
    return {"value": number, "definition_id": definition, **_told(more)}


def null(definition: str, reason: str, **more: Any) -> Metric:
    """Return a figure that has no meaning here, and why."""
    return {"value": None, "reason": reason, "definition_id": definition, **_told(more)}


def money(definition: str, units: int, currency: str, **more: Any) -> Metric:
    """Return an amount of 1e-8 as exact text."""
    return {"value": amount(units), "currency": currency, "definition_id": definition, **_told(more)}


def amount(units: int) -> str:
    """Return an amount of 1e-8 as exact text."""
    return fixed(int(units), MONEY_EXPONENT)


def iso(time: int) -> str:
    """Return microseconds as ISO 8601 text, UTC, always with the time of day."""
    text = format_time(time)
    return text if "T" in text else f"{text}T00:00:00Z"


def finite(number: float | None) -> float | None:
    """Return a number for a row of a section; None where it has no meaning or overflows."""
    return number if number is not None and math.isfinite(number) else None


def total(units: Units) -> int:
    """Return the exact sum of amounts."""
    if units.dtype == object or (len(units) and int(np.abs(units).max()) * len(units) > _INT64_SAFE):
        return sum(units.tolist())
    return int(units.sum())


def mean(numbers: Floats | Sequence[float]) -> float:
    """Return the mean of one ordered array, correctly rounded sum; shape (n,), n >= 1."""
    return math.fsum(numbers.tolist() if isinstance(numbers, np.ndarray) else numbers) / len(numbers)


def deviation(numbers: Floats) -> float:
    """Return the standard deviation with n - 1; n >= 2."""
    centred = numbers - mean(numbers)
    return math.sqrt(math.fsum((centred * centred).tolist()) / (len(numbers) - 1))


def _told(more: dict[str, Any]) -> dict[str, Any]:
    return {key: told for key, told in more.items() if told is not None}
