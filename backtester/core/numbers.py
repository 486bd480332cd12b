"""Exact numbers: integers of a stated exponent inside, Decimal at the boundary, every rounding with a name.

Prices are integers in 10^-p, quantities in 10^-q (p and q per instrument), money, rates and marks in 10^-8.
`mul_div` is the only multiply-then-divide. Nothing here reads a float except the named conversions at the edge.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MONEY_EXPONENT: Final = 8
MONEY_SCALE: Final = 10**MONEY_EXPONENT
RATE_SCALE: Final = 10**8
BPS: Final = RATE_SCALE // 10_000

FLOOR: Final = 0
CEIL: Final = 1
HALF_EVEN: Final = 2

_LARGEST_EXPONENT: Final = 30

# Wide enough that no product of a price and a quantity that fits the exchange's integers is ever rounded.
EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


def mul_div(a: int, b: int, den: int, rounding: int) -> int:
    """Return a × b / den as an integer, den > 0, rounded as named: FLOOR, CEIL or HALF_EVEN."""
    product = a * b
    quotient = product // den
    remainder = product - quotient * den
    if remainder == 0 or rounding == FLOOR:
        return quotient
    if rounding == CEIL:
        return quotient + 1
    twice = 2 * remainder
    if twice > den or (twice == den and quotient % 2 == 1):
        return quotient + 1
    return quotient


def mul_div_half_even(a: NDArray[Any], b: NDArray[Any] | int, den: NDArray[Any] | int) -> NDArray[Any]:
    """Return `mul_div(a, b, den, HALF_EVEN)` for each element of integer arrays of one shape; den > 0."""
    product = a * b
    quotient = product // den
    twice = 2 * (product - quotient * den)
    up = (twice > den) | ((twice == den) & (quotient % 2 == 1))
    return np.asarray(quotient + up)


def notional_of(qty: int, price: int, shift: int) -> int:
    """Return quantity × price in money units, half-even."""
    if shift <= 0:
        return int(qty * price * 10**-shift)
    return mul_div(qty, price, 10**shift, HALF_EVEN)


def floor_to(value: int, step: int) -> int:
    """Return the largest multiple of step that is <= value."""
    return value - value % step


def ceil_to(value: int, step: int) -> int:
    """Return the smallest multiple of step that is >= value."""
    return value + (-value) % step


def fixed(units: int, exponent: int) -> str:
    """Return units × 10^-exponent in plain fixed-point with exactly `exponent` decimals."""
    digits = str(units)
    if exponent == 0:
        return digits
    if units >= 0 and len(digits) > exponent:  # most numbers of a log: its hot path
        return f"{digits[:-exponent]}.{digits[-exponent:]}"
    if units < 0:
        return "-" + fixed(-units, exponent)
    return f"0.{digits.zfill(exponent)}"


def decimal(units: int, exponent: int) -> Decimal:
    """Return units × 10^-exponent as an exact Decimal of that scale."""
    return Decimal(units).scaleb(-exponent, EXACT)


def decimal_of(number: "Decimal | int | float | str") -> Decimal:
    """Return the Decimal that a person means by a number; a float means its shortest text (0.1 is 0.1).

    Raises:
        ValueError: the number is NaN, infinite, or no number at all.
    """
    try:
        value = Decimal(repr(float(number)) if isinstance(number, float) else number)
    except ArithmeticError:
        raise ValueError(f"{number!r} is not a number") from None
    if not value.is_finite():
        raise ValueError(f"{number!r} is not a finite number")
    if value and abs(value.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError(f"{number!r} is beyond any price or size")
    return value


def units_of(value: Decimal, exponent: int, rounding: int) -> int:
    """Return value in units of 10^-exponent, rounded as named."""
    numerator, denominator = value.as_integer_ratio()
    return mul_div(numerator, int(10**exponent), denominator, rounding)


def exact_units(value: Decimal, exponent: int) -> int:
    """Return value in units of 10^-exponent.

    Raises:
        ValueError: the value has more decimals than that.
    """
    numerator, denominator = value.as_integer_ratio()
    units, remainder = divmod(numerator * int(10**exponent), denominator)
    if remainder:
        raise ValueError(f"{value} has more than {exponent} decimals")
    return units


def decimals_of(value: Decimal) -> int:
    """Return how many decimals a value needs: 2 for 0.10 written as 0.10 or 0.1 alike is 1."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -int(exponent))
