"""funding_carry once more, in plain Python with fractions: its own loop over two markets, nothing of the engine.

The rules as documented. At a close of both markets, with nothing under way: the mean of the last rates, compared
exactly, says whether the legs are wanted; opened and closed whole, and at midnight brought to the right quantity when
that differs by enough. Filled at the next open of each market, with slippage to the tick and a fee up to 1e-8.
Funding is paid on what was held before that open. The short is secured by its whole basis, with cross margin.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor
from typing import NamedTuple

from tests.reference.plain_sma_cross import UNIT, Terms, fee_on, slipped, to_unit

DAY = 86_400_000_000


class Markets(NamedTuple):
    """What both markets did. grid: the closes at which is decided. closes, opens: by time; a close that is missing was
    never seen. rates: (when known, funding time, rate), in time order. marks: by funding time.
    """

    grid: Sequence[int]
    closes: tuple[Mapping[int, Fraction], Mapping[int, Fraction]]
    opens: tuple[Mapping[int, Fraction], Mapping[int, Fraction]]
    last: Mapping[int, Fraction]  # of spot at a time, whatever was shown
    rates: Sequence[tuple[int, int, Fraction]]
    marks: Mapping[int, Fraction]


class Carry(NamedTuple):
    """The strategy's parameters."""

    window: int
    enter: Fraction
    leave: Fraction
    usage: Fraction
    drift: Fraction


class Leg(NamedTuple):
    """One fill: when, of the perpetual or of spot, whether bought, price, quantity, fee."""

    at: int
    perpetual: bool
    buys: bool
    price: Fraction
    qty: Fraction
    fee: Fraction


def down(value: Fraction, step: Fraction) -> Fraction:
    return floor(value / step) * step


def funding_carry(
    markets: Markets, carry: Carry, spot: Terms, perpetual: Terms
) -> tuple[list[Leg], Fraction, Fraction, Fraction]:
    """Return the fills, the funding received, and what both wallets are worth at the last close."""
    spot_cash, perp_cash = spot.cash, perpetual.cash
    held = basis = funding = Fraction(0)  # of both legs the same quantity; basis of the short
    fills: list[Leg] = []
    wanted = False
    for at in markets.grid:
        for _, due, rate in markets.rates:
            if due == at and held:
                amount = Fraction(floor(held * markets.marks[at] * rate * UNIT), UNIT)
                funding, perp_cash = funding + amount, perp_cash + amount
        known = [rate for seen, _, rate in markets.rates if seen <= at][-carry.window :]
        if at not in markets.closes[0] or at not in markets.closes[1]:
            continue
        spot_price, perp_price = markets.closes[0][at], markets.closes[1][at]
        if len(known) == carry.window:
            mean = sum(known) / carry.window
            wanted = True if mean > carry.enter else False if mean < carry.leave else wanted
        profit = basis - to_unit(held * perp_price)
        lot = max(spot.lot, perpetual.lot)
        price = max(spot_price, perp_price)
        most = carry.usage * min(spot_cash + held * spot_price, perp_cash + profit) / price
        room = held + carry.usage * min(spot_cash, perp_cash + profit - basis) / price
        target = max(Fraction(0), down(min(most, room), lot))
        if not wanted:
            target = Fraction(0)
        elif held and (at % DAY or abs(target - held) < carry.drift * held):
            target = held
        change = target - held
        too_little = wanted and abs(change) * min(spot_price, perp_price) < 5
        if not change or too_little or at == markets.grid[-1]:  # what is decided at the end fills no more
            continue
        buys, qty = change > 0, abs(change)
        paid = slipped(markets.opens[0][at], spot, buys=buys)
        worth = to_unit(qty * paid)
        fee = fee_on(worth, spot.fee)
        spot_cash += (-worth if buys else worth) - fee
        fills.append(Leg(at, False, buys, paid, qty, fee))
        got = slipped(markets.opens[1][at], perpetual, buys=not buys)
        worth = to_unit(qty * got)
        fee = fee_on(worth, perpetual.fee)
        perp_cash -= fee
        if buys:
            basis += worth
        else:
            released = basis if qty == held else Fraction(floor(basis * qty / held * UNIT), UNIT)
            perp_cash += released - worth
            basis -= released
        fills.append(Leg(at, True, not buys, got, qty, fee))
        held = target
    end = markets.grid[-1]
    profit = basis - to_unit(held * markets.closes[1][end])
    return fills, funding, spot_cash + to_unit(held * markets.last[end]), perp_cash + profit
