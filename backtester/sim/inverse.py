"""Inverse contracts (COIN-M): a position is worth quote money and settled in coin. Plain integers.

Quantities are contracts in 10^-q, signed; prices in 10^-p; money is coin in 1e-8. `unit` is what one unit of quantity
is worth at a price of one unit, see `contract_unit`; a basis is coin, signed like its quantity. Leverage tables are in
coin. The worth of a position in coin falls as the price rises: profit is basis - worth.
"""

from collections.abc import Sequence

from backtester.core.numbers import CEIL, FLOOR, HALF_EVEN, RATE_SCALE, ceil_to, mul_div
from backtester.sim.brackets import BracketTable, bracket_of
from backtester.sim.liquidation import NO_PRICE, Band, Leg, band_within
from backtester.sim.sizing import fee_of, lots_within


def contract_unit(contract_size: int, price_exponent: int, qty_exponent: int) -> int:
    """Return `unit` for a contract of this size (1e-8 quote): worth in coin is qty × unit / price.

    Raises:
        ValueError: it is not whole: quantities are finer than the contract's size in price units.
    """
    unit, rest = divmod(contract_size * int(10**price_exponent), int(10**qty_exponent))
    if rest:
        raise ValueError(f"a contract of {contract_size} has no whole unit at 10^-{qty_exponent} contracts")
    return unit


def coin_of(qty: int, price: int, unit: int) -> int:
    """Return what contracts are worth in coin at a price > 0, half-even; signed as qty is."""
    return mul_div(qty, unit, price, HALF_EVEN)


def cost_of(qty: int, price: int, fee_rate: int, unit: int) -> int:
    """Return the worth of a quantity > 0 plus its fee."""
    worth = coin_of(qty, price, unit)
    return worth + fee_of(worth, fee_rate)


def lots_for_budget(budget: int, price: int, lot: int, fee_rate: int, unit: int) -> int:
    """Return the largest quantity, a multiple of `lot`, whose worth plus fee at `price` fits a budget of coin."""
    return lots_within(budget, unit, price, lot, fee_rate) if price > 0 else 0


def margin_surplus(legs: Sequence[Leg], mark: int, unit: int, table: BracketTable) -> int:
    """Return what an instrument adds to the margin in coin: profit less maintenance margin, rounded up once.

    See `sim.liquidation.margin_surplus`.
    """
    scaled = money = 0
    for qty, basis in legs:
        size = abs(qty) * unit
        bracket = bracket_of(table, mul_div(size, 1, mark, CEIL))
        scaled -= qty * unit * RATE_SCALE + size * bracket.maintenance_rate
        money += bracket.deduction + basis
    return mul_div(scaled, 1, mark * RATE_SCALE, CEIL) + money


def liquidation_band(wallet: int, legs: Sequence[Leg], unit: int, table: BracketTable) -> Band:
    """Return the marks at which `is_liquidated(wallet, margin_surplus(legs, mark, ...))`, exactly.

    One-way: LP = (q×mmr + side×q) / ((WB - TMM + UPNL + cum)/CS + side×q/EP), the balance condition solved for the
    mark, by every bracket. Derived, not published; a short with all its worth in coin as collateral has none.
    """
    sums = [(0, wallet)]  # what falls as the mark rises, and what does not depend on it, by brackets
    for qty, basis in legs:
        sums = [
            (worth + (qty * RATE_SCALE + abs(qty) * bracket.maintenance_rate) * unit, fixed + bracket.deduction + basis)
            for worth, fixed in sums
            for bracket in table
        ]
    # fixed - worth / (mark × RATE_SCALE) <= 0
    return band_within([(fixed * RATE_SCALE, worth) for worth, fixed in sums])


def bankruptcy_price(wallet: int, leg: Leg, unit: int) -> int:
    """Return the last mark at which closing still leaves a balance >= 0, before fees; NO_PRICE: there is none.

    A long's is rounded up, a short's down. A short loses at most its basis: a wallet that covers it has no such mark.
    """
    balance = wallet + leg.basis  # less the worth, which the price decides
    if leg.qty > 0:
        return mul_div(leg.qty, unit, balance, CEIL) if balance > 0 else NO_PRICE
    return mul_div(-leg.qty, unit, -balance, FLOOR) if balance < 0 else NO_PRICE


def reduction_to_lower_bracket(qty: int, mark: int, unit: int, lot: int, table: BracketTable) -> int:
    """Return how much of a position leaves it in the next lower bracket: see `sim.liquidation`."""
    held = abs(qty)
    floor = bracket_of(table, mul_div(held, unit, mark, CEIL)).floor
    kept = mul_div(floor, mark, unit, FLOOR)
    return min(held, ceil_to(held - kept, lot))
