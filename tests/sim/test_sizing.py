"""How much money buys: exactly the largest lot that fits, judged by fractions and by counting."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, lists

from backtester.core.numbers import RATE_SCALE
from backtester.sim.sizing import cost_of, lots_for_budget, split_lots
from tests.support.profiles import examples


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


@settings(max_examples=examples(300))
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


@given(
    qty=integers(0, 10**9),
    parts=lists(integers(1, 100), min_size=1, max_size=6),
    lot=integers(1, 1000),
    whole=booleans(),
)
def test_shares_are_whole_lots_that_add_up(qty: int, parts: list[int], lot: int, whole: bool) -> None:
    total = sum(parts) if whole else 600
    shares = [part * RATE_SCALE // total for part in parts]
    if whole:
        shares[-1] = RATE_SCALE - sum(shares[:-1])
    sizes = split_lots(qty, tuple(shares), lot)
    assert all(size % lot == 0 and size >= 0 for size in sizes)
    assert all(size <= qty * share // RATE_SCALE for size, share in zip(sizes[:-1], shares, strict=False))
    assert sum(sizes) == (qty * sum(shares) // RATE_SCALE) // lot * lot


def test_the_last_share_takes_what_roundings_left() -> None:
    third = RATE_SCALE // 3
    assert split_lots(10, (third, third, RATE_SCALE - 2 * third), 1) == (3, 3, 4)
    assert split_lots(10, (), 1) == ()
