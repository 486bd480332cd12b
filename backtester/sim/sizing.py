"""How much an amount of money buys. Plain integers.

Quantities in 10^-q, prices in 10^-p, money in 1e-8, rates in 1e-8. `shift` is p + q - 8: a quantity times a
price is divided by 10^shift to give money.
"""

from backtester.core.numbers import CEIL, FLOOR, RATE_SCALE, floor_to, mul_div, notional_of


def fee_of(amount: int, rate: int) -> int:
    """Return the fee on an amount: a cost is rounded up, a rebate (negative rate) toward zero."""
    return mul_div(amount, rate, RATE_SCALE, CEIL)


def lots_for_budget(budget: int, price: int, lot: int, fee_rate: int, shift: int) -> int:
    """Return the largest quantity, a multiple of `lot`, whose notional plus fee at `price` fits `budget`.

    fee_rate is what the buyer pays on top in the same money; 0 when the fee is taken from what was bought.
    """
    if budget <= 0 or price <= 0:
        return 0
    gross = RATE_SCALE + fee_rate
    # An estimate that ignores roundings, then a search around it for the exact largest: low fits, high does not.
    money = mul_div(budget, RATE_SCALE, gross, FLOOR)
    low = money * int(10**shift) // price if shift >= 0 else money // (price * int(10**-shift))
    low -= low % lot
    step = lot
    while low > 0 and cost_of(low, price, fee_rate, shift) > budget:
        low = max(0, low - step)
        step *= 2
    high, step = low + lot, lot
    while cost_of(high, price, fee_rate, shift) <= budget:
        low, high, step = high, high + step, step * 2
    while high - low > lot:
        middle = low + (high - low) // lot // 2 * lot
        if cost_of(middle, price, fee_rate, shift) <= budget:
            low = middle
        else:
            high = middle
    return low


def cost_of(qty: int, price: int, fee_rate: int, shift: int) -> int:
    """Return notional plus fee."""
    notional = notional_of(qty, price, shift)
    return notional + fee_of(notional, fee_rate)


def split_lots(qty: int, shares: tuple[int, ...], lot: int) -> tuple[int, ...]:
    """Return what each share (1e-8) of a quantity is in whole lots; the last takes what roundings left."""
    whole = floor_to(mul_div(qty, sum(shares), RATE_SCALE, FLOOR), lot)
    sizes = [floor_to(mul_div(qty, share, RATE_SCALE, FLOOR), lot) for share in shares[:-1]]
    return (*sizes, whole - sum(sizes)) if shares else ()
