"""What an option costs to trade and to exercise. Plain integers: money and rates in 1e-8.

What being short of one binds: `core.option_rates`.
"""

from typing import Final

from backtester.core.numbers import RATE_SCALE
from backtester.sim.sizing import fee_of

FEE_CAP: Final = RATE_SCALE // 10  # the venue: at most 10 % of the premium, of the payoff


def option_fee(underlying: int, amount: int, rate: int, cap_rate: int = FEE_CAP) -> int:
    """Return the fee of a trade or of an exercise: a rate of the underlying, at most a share of its own amount.

    min(rate × index × unit × qty, 10 % × premium × qty); of an exercise, settlement price and payoff in their places:
    what expires out of the money pays nothing. Rounded up; a rebate (rate < 0) toward zero.

    Args:
        underlying: qty × unit × index in money, >= 0.
        amount: the premium, or the payoff, in money, >= 0.
        rate, cap_rate: 1e-8.
    """
    return min(fee_of(underlying, rate), fee_of(amount, cap_rate))
