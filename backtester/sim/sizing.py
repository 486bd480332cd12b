"""How much an amount of money buys. Plain integers.

Quantities in 10^-q, prices in 10^-p, money in 1e-8, rates in 1e-8. `shift` is p + q - 8: a quantity times a
price is divided by 10^shift to give money.
"""

from backtester.core.numbers import CEIL, FLOOR, RATE_SCALE, floor_to, mul_div, notional_of
from backtester.sim.scales import ratio_of


def fee_of(amount: int, rate: int) -> int:
    """Return the fee on an amount: a cost is rounded up, a rebate (negative rate) toward zero."""
    return mul_div(amount, rate, RATE_SCALE, CEIL)


def lots_for_budget(budget: int, price: int, lot: int, fee_rate: int, shift: int) -> int:
    """Return the largest quantity, a multiple of `lot`, whose notional plus fee at `price` fits `budget`.

    fee_rate is what the buyer pays on top in the same money; 0 when the fee is taken from what was bought.
    """
    mul, den = ratio_of(shift)
    return lots_within(budget, price * mul, den, lot, fee_rate)


def lots_within(budget: int, mul: int, den: int, lot: int, fee_rate: int) -> int:
    """Return the largest quantity, a multiple of `lot`, whose worth (quantity × mul / den, half-even) and fee fit.

    As whole units, worth + ceil(worth × rate) <= budget just when worth <= budget / (1 + rate); and a worth rounds to
    no more than that as long as it is less than half a unit above, or exactly that and the even one is below. So the
    quantity is the largest with 2 × quantity × mul <= (2 × most + 1) × den, for an odd `most` strictly less.
    """
    if budget <= 0 or mul <= 0:
        return 0
    most = mul_div(budget, RATE_SCALE, RATE_SCALE + fee_rate, FLOOR)
    if most % 2 == 0:
        return floor_to(mul_div(2 * most + 1, den, 2 * mul, FLOOR), lot)
    return floor_to(mul_div(2 * most + 1, den, 2 * mul, CEIL) - 1, lot)


def cost_of(qty: int, price: int, fee_rate: int, shift: int) -> int:
    """Return notional plus fee."""
    notional = notional_of(qty, price, shift)
    return notional + fee_of(notional, fee_rate)


def split_lots(qty: int, shares: tuple[int, ...], lot: int) -> tuple[int, ...]:
    """Return what each share (1e-8) of a quantity is in whole lots; the last takes what roundings left."""
    whole = floor_to(mul_div(qty, sum(shares), RATE_SCALE, FLOOR), lot)
    sizes = [floor_to(mul_div(qty, share, RATE_SCALE, FLOOR), lot) for share in shares[:-1]]
    return (*sizes, whole - sum(sizes)) if shares else ()
