"""How an order of a share of equity is sized before it is sent: the steps of risk, in integers alone."""

from typing import Final

from backtester.core.numbers import FLOOR, HALF_EVEN, floor_to, mul_div
from backtester.search.kernel.state import BRACKET, DIGITS, NEVER, SIZE_SCALE, TINY_SHORT

SENT: Final = 0
REFUSED: Final = 1
NO_SHORTS: Final = -1
_HALF: Final = 10**9
_DIGITS_28: Final = 1e28  # with which decimals are multiplied and divided


def asked_budget(  # noqa: PLR0911 - each is a reason
    sign: int,
    share: int,
    cash: int,
    reserved: int,
    qty: int,
    basis: int,
    price: int,
    lot: int,
    min_qty: int,
    min_notional: int,
    max_notional: int,
    max_size: int,
    is_spot: bool,
    allow_short: bool,
    mul: int,
    den: int,
) -> tuple[int, int, int]:
    """Return what becomes of a market order over a share (1e-18) of equity: SENT, REFUSED, NO_SHORTS or a bail code;
    the money that it may spend, of what is refused what it would have been; and what that binds.
    """
    worth = mul_div(qty * mul, price, den, HALF_EVEN)
    equity = cash + (worth if is_spot else worth - basis)
    budget = equity
    if share != SIZE_SCALE:
        budget = mul_div(equity, share, SIZE_SCALE, FLOOR)
    if share != SIZE_SCALE and float(equity) * float(share) >= _DIGITS_28 and near_whole(equity, share):
        return DIGITS, 0, 0
    lots = floor_to(mul_div(budget, den, price * mul, FLOOR), lot)
    opening = lots if is_spot else lots - min(lots, max(0, -qty * sign))
    sells_spot = is_spot and sign < 0
    if opening != 0 and not sells_spot:
        bound = 0 if is_spot else abs(basis)
        budget = min(budget, max(0, cash - bound - reserved))
    least = max(min_notional, mul_div(min_qty * mul, price, den, HALF_EVEN))
    if max_notional != 0 and budget > max_notional:
        budget = max_notional
    if budget < least:
        return REFUSED, budget, 0
    if sells_spot:
        if lots == 0:
            return TINY_SHORT, 0, 0
        return NO_SHORTS if qty < lot else REFUSED, NEVER, 0
    if sign < 0 and opening != 0 and not allow_short:
        return NO_SHORTS, 0, 0
    if not is_spot:
        after = abs(qty + sign * mul_div(budget, den, price * mul, FLOOR))
        if after > abs(qty) and mul_div(after * mul, price, den, HALF_EVEN) > max_size:
            return BRACKET, 0, 0
    return SENT, budget, budget if opening != 0 else 0


def near_whole(amount: int, share: int) -> bool:
    """Say whether amount × share, in units of SIZE_SCALE, lies so little below a whole number that decimals of 28
    digits may have rounded it up. Both are positive; the remainder is put together from halves that fit 64 bits.
    """
    high, low = share // _HALF, share % _HALF
    above, below = amount // _HALF, amount % _HALF
    rest = (below * high % _HALF) * _HALF + (above * low % _HALF) * _HALF + below * low
    return rest % SIZE_SCALE >= SIZE_SCALE - _HALF


def reduced_qty(held: int, change: int, size: int) -> int:
    """Return the quantity that takes a position from one size (1e-18) to one that is `change` smaller, before lots; or
    -1 where decimals of 28 digits might say another.
    """
    if held >= _HALF and (size % _HALF != 0 or change % _HALF != 0):
        return -1
    return mul_div(held, change, size, FLOOR)
