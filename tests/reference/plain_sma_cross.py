"""sma_cross once more, in plain Python with fractions: its own loop, its own rules, nothing of the engine.

The rules as documented: means over the last closes, compared exactly; bought when the fast is above and nothing is
held, sold when below; decided at a close, filled at the next open that trades; slippage against the trader to the
tick, quantity down to the lot, notional half-even and fee up to 1e-8.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

UNIT = 10**8


class Bar(NamedTuple):
    """A candle whose prices are exact."""

    time: int
    open: Fraction
    close: Fraction
    volume: float


class Terms(NamedTuple):
    """What an account and a venue say."""

    cash: Fraction
    fee: Fraction  # of the notional, for takers
    slippage: Fraction  # of the price
    price_decimals: int
    lot: Fraction
    min_notional: Fraction = Fraction(0)
    spot: bool = True
    max_wait: int = 5


class Done(NamedTuple):
    """One fill: number of the bar, whether bought, price, quantity, fee."""

    bar: int
    buys: bool
    price: Fraction
    qty: Fraction
    fee: Fraction


def to_unit(value: Fraction) -> Fraction:
    return Fraction(round(value * UNIT), UNIT)


def fee_on(notional: Fraction, rate: Fraction) -> Fraction:
    return Fraction(ceil(notional * rate * UNIT), UNIT)


def slipped(price: Fraction, terms: Terms, *, buys: bool) -> Fraction:
    scale = 10**terms.price_decimals
    if buys:
        return Fraction(ceil(price * (1 + terms.slippage) * scale), scale)
    return Fraction(floor(price * (1 - terms.slippage) * scale), scale)


def most(money: Fraction, price: Fraction, terms: Terms) -> Fraction:
    """The largest lot whose notional plus fee fits: halving an interval of whole numbers of lots."""

    def fits(lots: int) -> bool:
        notional = to_unit(lots * terms.lot * price)
        return notional + fee_on(notional, terms.fee) <= money

    low, high = 0, 1
    while fits(high):
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low * terms.lot


def sma_cross(
    bars: Sequence[Bar],
    fast: int,
    slow: int,
    terms: Terms,
    *,
    quantity: Fraction | None = None,
    share: Fraction | None = None,
) -> tuple[list[Done], Fraction]:
    """Return the fills and the equity at the last close; quantity in base units, or a share of the equity."""
    cash, held, basis = terms.cash, Fraction(0), Fraction(0)
    done: list[Done] = []
    order: tuple[int, bool, Fraction | None, Fraction | None] | None = None  # decided at, buys, quantity, budget
    fast_sum = slow_sum = Fraction(0)
    for number, bar in enumerate(bars):
        if order is not None and number - order[0] > terms.max_wait:
            order = None
        if order is not None and bar.volume > 0:
            _, buys, qty, budget = order
            price = slipped(bar.open, terms, buys=buys)
            if qty is None:
                assert budget is not None
                qty = most(budget, price, terms)
            notional = to_unit(qty * price)
            fee = fee_on(notional, terms.fee)
            order = None
            payable = notional + fee <= cash if buys else True
            if payable and qty > 0 and notional >= terms.min_notional:
                if terms.spot:
                    cash += -notional if buys else notional
                elif buys:
                    basis = notional
                else:
                    cash += notional - basis
                cash -= fee
                held += qty if buys else -qty
                done.append(Done(number, buys, price, qty, fee))
        fast_sum += bar.close - (bars[number - fast].close if number >= fast else 0)
        slow_sum += bar.close - (bars[number - slow].close if number >= slow else 0)
        if number + 1 < slow or order is not None:
            continue
        difference = fast_sum / fast - slow_sum / slow
        if difference > 0 and held == 0:
            if quantity is not None:
                cost = to_unit(quantity * bar.close)
                if cost + fee_on(cost, terms.fee) <= cash and cost >= terms.min_notional:
                    order = (number, True, quantity, None)
            else:
                assert share is not None
                budget = Fraction(floor(cash * share * UNIT), UNIT)
                order = (number, True, None, budget)
        elif difference < 0 and held > 0:
            order = (number, False, held, None)
    value = to_unit(held * bars[-1].close)
    return done, cash + (value if terms.spot else value - (basis if held else 0))
