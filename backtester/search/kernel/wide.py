"""`mul_div` for compiled code: the product has 128 bits. Plain functions; compiled by who compiles the rules.

Every constant is typed: Numba makes a float of an unsigned and a signed integer.
"""

from typing import Any, Final

import numpy as np

from backtester.core.numbers import CEIL, FLOOR

_ZERO: Final = np.uint64(0)
_ONE: Final = np.uint64(1)
_HALF: Final = np.uint64(32)
_WORD: Final = np.uint64(64)
_LOW: Final = np.uint64(0xFFFFFFFF)
_BASE: Final = np.uint64(1 << 32)
_TOP: Final = np.uint64(1 << 63)
_SAFE: Final = 4.0e18  # of a product: far enough from 2^63 that a rounded float cannot deceive


def mul_div_wide(a: int, b: int, den: int, rounding: int) -> int:
    """Return a × b / den, den > 0, as `core.numbers.mul_div` does, for 64-bit integers.

    Raises:
        OverflowError: the result has more than 63 bits.
    """
    if -_SAFE < float(a) * float(b) < _SAFE:
        product = a * b
        quotient = product // den
        remainder = product - quotient * den
    else:
        high, low = product128(np.uint64(abs(a)), np.uint64(abs(b)))
        divisor = np.uint64(den)
        if high >= divisor:
            raise OverflowError("a number of the account has more than 63 bits")
        whole, rest = divided128(high, low, divisor)
        if whole >= _TOP:
            raise OverflowError("a number of the account has more than 63 bits")
        quotient, remainder = _signed(whole), _signed(rest)
        if (a < 0) != (b < 0):  # rounded down, as the quotient of a negative product is
            quotient = -quotient
            if remainder != 0:
                quotient -= 1
                remainder = den - remainder
    if remainder == 0 or rounding == FLOOR:
        return quotient
    if rounding == CEIL:
        return quotient + 1
    left = den - remainder  # twice the remainder may have 64 bits
    if remainder > left or (remainder == left and quotient % 2 == 1):
        return quotient + 1
    return quotient


def _signed(word: Any) -> Any:
    return np.int64(word)


def product128(a: Any, b: Any) -> Any:
    """Return (high, low) words of the product of two unsigned 64-bit integers."""
    a0, a1, b0, b1 = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    low, one, other, high = a0 * b0, a1 * b0, a0 * b1, a1 * b1
    middle = (low >> _HALF) + (one & _LOW) + (other & _LOW)
    return high + (one >> _HALF) + (other >> _HALF) + (middle >> _HALF), (middle << _HALF) | (low & _LOW)


def divided128(high: Any, low: Any, divisor: Any) -> Any:
    """Return quotient and remainder of a 128-bit number by a 64-bit one, high < divisor.

    Source: D. Knuth, "The Art of Computer Programming", volume 2, 4.3.1, algorithm D, with digits of 32 bits.
    """
    shift = _ZERO
    while divisor < _TOP:
        divisor <<= _ONE
        shift += _ONE
    if shift > _ZERO:
        high = (high << shift) | (low >> (_WORD - shift))
        low <<= shift
    d1, d0 = divisor >> _HALF, divisor & _LOW
    first, rest = _digit(high, low >> _HALF, divisor, d1, d0)
    second, rest = _digit(rest, low & _LOW, divisor, d1, d0)
    return (first << _HALF) | second, rest >> shift


def _digit(high: Any, low: Any, divisor: Any, d1: Any, d0: Any) -> Any:
    """Return the next digit of a quotient, and what is left of (high, low)."""
    digit = high // d1
    rest = high - digit * d1
    while digit >= _BASE or digit * d0 > ((rest << _HALF) | low):
        digit -= _ONE
        rest += d1
        if rest >= _BASE:
            break
    return digit, ((high << _HALF) | low) - digit * divisor
