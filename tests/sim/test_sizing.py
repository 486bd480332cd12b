"""How much money buys: exactly the largest lot that fits, judged by fractions and by counting."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers

from backtester.sim.sizing import cost_of, lots_for_budget


def cost(qty: int, price: int, rate: int, shift: int) -> int:
    """Notional half-even, then the fee: up, and a rebate toward zero."""
    notional = round(Fraction(qty * price) / Fraction(10) ** shift)
    return notional + ceil(Fraction(notional * rate, 10**8))


@pytest.mark.parametrize(
    ("budget", "price", "lot", "rate", "shift", "qty"),
    [
        # 100 USDT at 10.00, lots of 0.001, no fee: 10
        (100 * 10**8, 10_00, 1, 0, -3, 10_000),
        # 0.1 % on top: 100 / 10.01 = 9.990...
        (100 * 10**8, 10_00, 1, 100_000, -3, 9_990),
        # whole coins only
        (100 * 10**8, 10_00, 1_000, 100_000, -3, 9_000),
        # a unit less than one lot costs
        (10_00000000 - 1, 10_00, 1_000, 0, -3, 0),
        (10_00000000, 10_00, 1_000, 0, -3, 1_000),
        (0, 10_00, 1, 0, -3, 0),
        (-5, 10_00, 1, 0, -3, 0),
        # a coin at 0.00000731 USDT, whole coins, 0.1 %: 1000 / 0.00000731731 = 136_662_243.5
        (1000 * 10**8, 731, 1, 100_000, 0, 136_662_243),
    ],
)
def test_lots_by_hand(budget: int, price: int, lot: int, rate: int, shift: int, qty: int) -> None:
    assert lots_for_budget(budget, price, lot, rate, shift) == qty


@settings(max_examples=300)
@given(
    budget=integers(1, 10**14),
    price=integers(1, 10**10),
    lot=integers(1, 10**4),
    rate=integers(-(10**6), 10**7),
    shift=integers(-6, 12),
)
def test_the_result_fits_and_one_more_lot_does_not(budget: int, price: int, lot: int, rate: int, shift: int) -> None:
    qty = lots_for_budget(budget, price, lot, rate, shift)
    assert qty >= 0
    assert qty % lot == 0
    assert cost(qty, price, rate, shift) <= budget
    assert cost(qty + lot, price, rate, shift) > budget


@given(
    budget=integers(0, 300),
    price=integers(1, 50),
    lot=integers(1, 9),
    rate=integers(-(10**7), 3 * 10**7),
    shift=integers(0, 1),
)
def test_counting_up_finds_the_same(budget: int, price: int, lot: int, rate: int, shift: int) -> None:
    fitting = [qty for qty in range(0, 5_000, lot) if cost(qty, price, rate, shift) <= budget]
    expected = max(fitting, default=0) if budget > 0 else 0
    assert lots_for_budget(budget, price, lot, rate, shift) == expected


@given(qty=integers(0, 10**12), price=integers(1, 10**9), rate=integers(-(10**7), 10**7), shift=integers(-6, 12))
def test_cost_is_notional_plus_fee(qty: int, price: int, rate: int, shift: int) -> None:
    assert cost_of(qty, price, rate, shift) == cost(qty, price, rate, shift)
