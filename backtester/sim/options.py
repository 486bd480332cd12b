"""What an option costs to trade, to exercise and to be short of. Plain integers.

Money in 1e-8, rates in 1e-8, prices in 10^-p, quantities in 10^-q; `shift` is p + q - 8.
"""

from typing import Final

from backtester.core.numbers import CEIL, RATE_SCALE, mul_div
from backtester.sim.scales import ratio_of
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


def out_of_the_money(is_call: bool, strike: int, index: int) -> int:
    """Return by how much an option is out of the money, in price units, >= 0."""
    return max(0, strike - index if is_call else index - strike)


def short_margin(
    qty: int, unit: int, *, is_call: bool, strike: int, index: int, mark: int, rate: int, min_rate: int, shift: int
) -> int:
    """Return the margin of a short option: (max(rate × S - OTM, min_rate × S) + mark) × unit × qty, rounded up once.

    With initialMargin and minInitialMargin it is the initial margin, with the maintenance pair the maintenance margin.
    The form is that of similar venues with this venue's ratios; not confirmed.

    Args:
        qty: contracts sold, 10^-q, > 0. unit: base units per contract, whole.
        strike, index, mark: of the option, in 10^-p. rate, min_rate: 1e-8.
    """
    mul, den = ratio_of(shift)
    otm = out_of_the_money(is_call, strike, index)
    risk = max(rate * index - otm * RATE_SCALE, min_rate * index) + mark * RATE_SCALE
    return mul_div(qty * unit * mul, risk, den * RATE_SCALE, CEIL)
