"""Positions in inverse contracts: what fills realise in coin, by hand and by fractions."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from backtester.core.folds import FLAT, Position, position_after
from tests.support.specs import inverse

UNIT = 10**8
PERP = inverse()  # 100 USD a contract, whole contracts, prices with one decimal


def after(position: Position, qty: int, price: int) -> tuple[Position, int]:
    return position_after(position, qty, PERP.notional_units(abs(qty), price), PERP.gain)


def test_worth_and_profit_by_hand() -> None:
    assert PERP.notional_units(1, 40_000_0) == 250_000  # 100 / 40 000 = 0.0025 BTC
    # 400 contracts at 40 000: 1 BTC. At 50 000 they are worth 0.8, at 32 000 1.25
    prices = (50_000_0, 40_000_0, 32_000_0)
    assert [PERP.profit_units(400, UNIT, price) for price in prices] == [20_000_000, 0, -25_000_000]
    assert [PERP.profit_units(-400, -UNIT, price) for price in prices] == [-20_000_000, 0, 25_000_000]


def test_adding_reducing_and_flipping() -> None:
    held, profit = after(FLAT, 400, 40_000_0)
    assert (held, profit) == (Position(400, UNIT), 0)
    held, profit = after(held, 400, 50_000_0)
    assert (held, profit) == (Position(800, 180_000_000), 0)  # 1 + 0.8 BTC
    held, profit = after(held, -200, 50_000_0)
    assert (held, profit) == (Position(600, 135_000_000), 5_000_000)  # 0.45 released, worth 0.4
    held, profit = after(held, -1_000, 50_000_0)
    assert (held, profit) == (Position(-400, -80_000_000), 15_000_000)  # 1.35 less 1.2, then 400 short at 0.8
    held, profit = after(held, 400, 40_000_0)
    assert (held, profit) == (FLAT, 20_000_000)


def test_a_partial_close_releases_the_floor_and_the_last_one_the_rest() -> None:
    worth = PERP.notional_units(1, 50_000_0)
    held, profit = after(Position(3, 1_000_000), -1, 50_000_0)
    assert (held, profit) == (Position(2, 666_667), 333_333 - worth)
    held, profit = after(held, -2, 50_000_0)
    assert (held, profit) == (FLAT, 666_667 - 2 * worth)
    held, profit = after(Position(-3, -1_000_000), 1, 50_000_0)
    assert (held, profit) == (Position(-2, -666_667), worth - 333_333)


fills = st.tuples(st.integers(-1000, 1000).filter(bool), st.integers(1_000_0, 90_000_0))


@given(orders=st.lists(fills, min_size=1, max_size=12), last=st.integers(1_000_0, 90_000_0))
def test_profit_realised_and_open_is_what_the_fills_are_worth_against_the_last_price(
    orders: list[tuple[int, int]], last: int
) -> None:
    held, realised = FLAT, 0
    for qty, price in orders:
        held, profit = after(held, qty, price)
        realised += profit
    size = 100 * UNIT * 10
    exact = sum((Fraction(qty * size, price) - Fraction(qty * size, last) for qty, price in orders), Fraction(0))
    assert held.qty_units == sum(qty for qty, _ in orders)
    # each fill and the valuation round by half a unit
    assert abs(realised + PERP.profit_units(held.qty_units, held.basis_units, last) - exact) <= (len(orders) + 1) / 2
