"""Quantity × price as money, for exponents that a caller names by `shift` = p + q - 8."""

from backtester.core.numbers import mul_div


def ratio_of(shift: int) -> tuple[int, int]:
    """Return (mul, den): quantity × price × mul / den is money in 1e-8. One of them is 1."""
    return int(10 ** max(0, -shift)), int(10 ** max(0, shift))


def worth_of(qty: int, price: int, shift: int, rounding: int) -> int:
    """Return quantity × price in money, rounded as named; signed as qty is."""
    mul, den = ratio_of(shift)
    return mul_div(qty * mul, price, den, rounding)
