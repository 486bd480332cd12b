"""What expires: settlement prices from the index, exercise of options. Plain integers.

Prices in 10^-p, quantities in 10^-q, money in 1e-8, times in µs; `shift` is p + q - 8.
"""

from collections.abc import Sequence
from typing import Final

from backtester.core.numbers import HALF_EVEN, mul_div

_SECOND: Final = 1_000_000
DELIVERY_WINDOW: Final = 3600 * _SECOND
OPTION_WINDOW: Final = 1800 * _SECOND


def is_sampled(time: int, expiry: int, window: int) -> bool:
    """Say whether an index price of this time counts: window before expiry (inclusive) to expiry (exclusive)."""
    return expiry - window <= time < expiry


def settlement_price(samples: Sequence[int], coarser: int = 1) -> int:
    """Return the mean of index prices, half-even: neither side has a claim to the rest.

    coarser: of how many units of the samples one unit of the result is.

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("a settlement price needs at least one index price")
    return mul_div(sum(samples), 1, len(samples) * coarser, HALF_EVEN)


def option_payoff(is_call: bool, strike: int, settlement: int) -> int:
    """Return what one base unit of an option pays at expiry, in price units: max(0, S - K), or max(0, K - S)."""
    return max(0, settlement - strike if is_call else strike - settlement)
