"""When a linear position is liquidated, at which mark, and what is left of it. Plain integers.

Prices in 10^-p (for marks p = 8), quantities in 10^-q, signed, money in 1e-8; `shift` is p + q - 8. A basis is signed
like its quantity. The condition is one, everywhere: `wallet + Σ margin_surplus(...) <= 0`, each surplus rounded once.
It is asked only while something is held: an empty wallet without a position is not in liquidation.

- One-way mode: one leg. Hedge mode: the long and the short leg of an instrument, each in its own bracket.
- Isolated: `wallet` is the position's own. Cross: the cross wallet and the surpluses of all other instruments
  (the venue's WB - TMM + UPNL).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from backtester.core.numbers import CEIL, FLOOR, RATE_SCALE, ceil_to, mul_div
from backtester.sim.brackets import BracketTable, bracket_of
from backtester.sim.scales import ratio_of, worth_of
from backtester.sim.sizing import fee_of

NO_PRICE: Final = 0  # a mark is at least 1


class Leg(NamedTuple):
    """A position, or one side of it in hedge mode: signed quantity (10^-q), signed cost basis (1e-8 of its money)."""

    qty: int
    basis: int


class Band(NamedTuple):
    """The marks that liquidate: all <= lower, all >= upper. NO_PRICE: none on that side (the formula gives < 0)."""

    lower: int
    upper: int

    def is_reached(self, low: int, high: int) -> bool:
        """Say whether a path over these marks, low <= high, liquidates somewhere."""
        return low <= self.lower or (self.upper != NO_PRICE and high >= self.upper)


class Liquidation(NamedTuple):
    """What a liquidation leaves, in money: the fee that could be paid, what is left, what the insurance fund paid."""

    fee: int
    left: int
    shortfall: int


def margin_surplus(legs: Sequence[Leg], mark: int, shift: int, table: BracketTable) -> int:
    """Return what an instrument adds to the margin: unrealised profit less maintenance margin.

    Rounded up once, so that the condition is exact for a wallet that secures one instrument: ceil(x) <= 0 only when
    x <= 0. Each further instrument may count for less than 1e-8 too much.
    """
    mul, den = ratio_of(shift)
    scaled = money = 0  # in 1e-8 × 1e-8 / den, and in 1e-8
    for qty, basis in legs:
        size = abs(qty) * mark * mul
        bracket = bracket_of(table, mul_div(size, 1, den, CEIL))  # floor < exact size <= cap, caps being whole
        scaled += qty * mark * mul * RATE_SCALE - size * bracket.maintenance_rate
        money += bracket.deduction - basis
    return mul_div(scaled, 1, den * RATE_SCALE, CEIL) + money


def is_liquidated(wallet: int, surplus: int) -> bool:
    """Say whether margin balance <= maintenance margin; surplus: the sum over all that the wallet secures."""
    return wallet + surplus <= 0


def liquidation_band(wallet: int, legs: Sequence[Leg], shift: int, table: BracketTable) -> Band:
    """Return the marks at which `is_liquidated(wallet, margin_surplus(legs, mark, ...))`, exactly.

    A sound table asks the largest margin that any of its brackets would ask, so a position falls at the first mark
    where it would fall by some bracket: one linear inequality per bracket (per pair of them with two legs). This is
    the venue's formula, LP = (WB - TMM + UPNL + cum - side×q×EP) / (q×mmr - side×q), with its recomputation for the
    bracket at LP; the price is rounded to the first one that liquidates.
    """
    mul, den = ratio_of(shift)
    sums = [(0, 0)]  # slope in the mark, and what does not depend on it, by brackets
    for qty, basis in legs:
        sums = [
            (slope + (qty * RATE_SCALE - abs(qty) * bracket.maintenance_rate) * mul, fixed + bracket.deduction - basis)
            for slope, fixed in sums
            for bracket in table
        ]
    # wallet + fixed + slope × mark / (den × RATE_SCALE) <= 0
    return band_within([(slope, -(wallet + fixed) * den * RATE_SCALE) for slope, fixed in sums])


def band_within(lines: Sequence[tuple[int, int]]) -> Band:
    """Return where slope × price <= bound holds for some (slope, bound), over prices >= 1."""
    lower = upper = NO_PRICE
    for slope, bound in lines:
        if slope > 0:
            lower = max(lower, mul_div(bound, 1, slope, FLOOR))
        elif slope < 0:
            first = max(1, mul_div(-bound, 1, -slope, CEIL))
            upper = first if upper == NO_PRICE else min(upper, first)
        elif bound >= 0:
            upper = 1
    return Band(lower, upper)


def bankruptcy_price(wallet: int, leg: Leg, shift: int) -> int:
    """Return the last mark at which closing still leaves a balance >= 0, before fees; NO_PRICE: there is none.

    A long's is rounded up, a short's down. wallet as for `liquidation_band`; the leg is not flat.
    """
    mul, den = ratio_of(shift)
    if leg.qty > 0:
        price = mul_div((leg.basis - wallet) * den, 1, leg.qty * mul, CEIL)
    else:
        price = mul_div((wallet - leg.basis) * den, 1, -leg.qty * mul, FLOOR)
    return max(NO_PRICE, price)


def liquidation_result(balance: int, liquidated: int, fee_rate: int) -> Liquidation:
    """Return what closing leaves.

    Args:
        balance: of the wallet after the close, before the fee; below 0 when the loss was larger than the wallet.
        liquidated: the notional that was closed, >= 0. fee_rate: of it, 1e-8; the fee is rounded up.

    What the wallet does not have is not charged: the fee goes to the fund that would have to pay it.
    """
    fee = min(fee_of(liquidated, fee_rate), max(0, balance))
    return Liquidation(fee, max(0, balance - fee), max(0, -balance))


def reduction_to_lower_bracket(qty: int, mark: int, shift: int, lot: int, table: BracketTable) -> int:
    """Return how much of a position leaves it in the next lower bracket: whole lots, rounded up, at most abs(qty).

    A position in the lowest bracket is closed whole.
    """
    mul, den = ratio_of(shift)
    held = abs(qty)
    floor = bracket_of(table, worth_of(held, mark, shift, CEIL)).floor
    kept = mul_div(floor, den, mark * mul, FLOOR)
    return min(held, ceil_to(held - kept, lot))


def reductions(
    wallet: int, leg: Leg, mark: int, shift: int, lot: int, fee_rate: int, table: BracketTable
) -> tuple[int, ...]:
    """Return what is closed at a mark, bracket by bracket, until the rest is safe; () when it is safe as it is.

    Each step executes at the mark and pays the liquidation fee, so the balance falls by fees only; the last step
    closes all when no smaller position would be safe.
    """
    steps: list[int] = []
    sign = 1 if leg.qty > 0 else -1
    held = leg.qty
    equity = wallet + worth_of(held, mark, shift, FLOOR) - leg.basis
    while held != 0:
        # what is held, valued at the mark: its profit is in the equity already
        at_mark = Leg(held, worth_of(held, mark, shift, FLOOR))
        if not is_liquidated(equity, margin_surplus((at_mark,), mark, shift, table)):
            break
        step = reduction_to_lower_bracket(held, mark, shift, lot, table)
        equity -= fee_of(worth_of(step, mark, shift, CEIL), fee_rate)
        held -= sign * step
        steps.append(step)
    return tuple(steps)
