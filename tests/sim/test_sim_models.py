"""Fees and slippage: costs round against the trader, rebates toward zero."""

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis.strategies import integers, sampled_from

from backtester.sim.sim_models import (
    FeeModel,
    FeeTier,
    ImpactModel,
    SlippageModel,
    range_rate,
    return_rate,
    worse_price,
)

BPS = 10_000  # a basis point in rates of 1e-8


@pytest.mark.parametrize(
    ("amount", "rate", "fee"),
    [
        (10**8, 10 * BPS, 100_000),  # 0.1 % of 1
        (10**8 + 1, 10 * BPS, 100_001),  # a fraction of a unit costs a whole one
        (1, 10 * BPS, 1),
        (0, 10 * BPS, 0),
        (10**8, 0, 0),
        (10**8, -1 * BPS, -10_000),
        (10**8 + 9_999, -1 * BPS, -10_000),  # a fraction of a unit is not paid out
        (9_999, -1 * BPS, 0),
    ],
)
def test_a_fee_by_hand(amount: int, rate: int, fee: int) -> None:
    assert FeeModel.flat(rate, 0).fee_units(amount, True, 0) == fee
    assert FeeModel.flat(0, rate).fee_units(amount, False, 0) == fee


@given(amount=integers(0, 10**18), rate=integers(-(10**7), 10**8))
def test_the_trader_never_gains_from_rounding_a_fee(amount: int, rate: int) -> None:
    exact = Fraction(amount * rate, 10**8)
    fee = FeeModel.flat(0, rate).fee_units(amount, False, 0)
    assert exact <= fee < exact + 1


def test_tiers_hold_from_their_volume_on() -> None:
    model = FeeModel((FeeTier(0, 10, 20), FeeTier(1000, 8, 18), FeeTier(5000, -1, 15)))
    rates = [(model.rate(True, volume), model.rate(False, volume)) for volume in (0, 999, 1000, 4999, 5000, 10**9)]
    assert rates == [(10, 20), (10, 20), (8, 18), (8, 18), (-1, 15), (-1, 15)]


@pytest.mark.parametrize(
    ("side", "reference", "bps", "price"),
    [
        (1, 10_000, 1, 10_001),
        (-1, 10_000, 1, 9_999),
        (1, 10_001, 1, 10_003),  # 10002.0001 up
        (-1, 10_001, 1, 9_999),  # 9999.9999 down
        (1, 7, 1, 8),  # one tick of a low-priced coin is what slippage costs at least
        (-1, 7, 1, 6),
        (1, 10_000, 0, 10_000),
        (-1, 10_000, 0, 10_000),
    ],
)
def test_slippage_by_hand(side: int, reference: int, bps: int, price: int) -> None:
    assert SlippageModel(bps * BPS).price_units(side, reference) == price


@given(reference=integers(1, 10**15), rate=integers(0, 10**8 - 1))
def test_slippage_rounds_against_the_trader(reference: int, rate: int) -> None:
    model = SlippageModel(rate)
    assert model.price_units(1, reference) == ceil(reference * (1 + Fraction(rate, 10**8)))
    assert model.price_units(-1, reference) == floor(reference * (1 - Fraction(rate, 10**8)))


@pytest.mark.parametrize(
    ("qty", "volume", "mean_range", "rate"),
    [
        (10, 100, 2_000_000, 10_000 + 200_000 + 100_000),  # 1 bp, a tenth of 2 %, a tenth of a tenth squared
        (100, 100, 0, 10_000 + 10_000_000),
        (500, 100, 0, 10_000 + 10_000_000),  # more than all of it is all of it
        (1, 0, 0, 10_000 + 10_000_000),  # nothing traded: the order would be all
        (0, 100, 0, 10_000),
    ],
)
def test_a_slippage_rate_by_hand(qty: int, volume: int, mean_range: int, rate: int) -> None:
    model = SlippageModel(10_000, volatility_share=10**7, volume_impact=10**7)
    assert model.rate_of(qty, volume, mean_range) == rate


QTY, VOLUME, RATE = integers(0, 10**15), integers(0, 10**15), integers(0, 10**9)


@given(qty=QTY, more=QTY, volume=VOLUME, wide=RATE, share=RATE, impact=RATE)
def test_a_larger_order_never_slips_less(qty: int, more: int, volume: int, wide: int, share: int, impact: int) -> None:
    model = SlippageModel(5, share, impact)
    assert 5 <= model.rate_of(qty, volume, wide) <= model.rate_of(qty + more, volume, wide)


@given(qty=QTY, more=QTY, volume=VOLUME, variance=integers(0, 10**18), coefficient=RATE)
def test_impact_is_the_root_of_the_share_rounded_up(
    qty: int, more: int, volume: int, variance: int, coefficient: int
) -> None:
    model = ImpactModel(coefficient)
    rate = model.rate_of(qty, volume, variance)
    assert 0 <= rate <= model.rate_of(qty + more, volume, variance)
    share = Fraction(min(qty, volume), volume) if volume else Fraction(1)
    exact = Fraction(coefficient, 10**8) ** 2 * variance * share  # squared
    assert rate**2 >= exact or rate == 0 == coefficient * variance
    assert (
        rate <= 2 or (rate - 2 - Fraction(coefficient, 10**8)) ** 2 <= exact or rate - 2 <= Fraction(coefficient, 10**8)
    )


@given(side=sampled_from([1, -1]), price=integers(1, 10**12), rate=integers(0, 10**8 - 1))
def test_a_worse_price_is_never_better_than_exact(side: int, price: int, rate: int) -> None:
    exact = Fraction(price) * (10**8 + side * rate) / 10**8
    got = worse_price(side, price, rate)
    assert 0 <= (got - exact) * side < 1


def test_true_range_and_return_by_hand() -> None:
    assert range_rate(101, 99, 100) == 2_000_000
    assert range_rate(111, 109, 100) == 11_000_000  # a gap counts
    assert range_rate(91, 89, 100) == 11_000_000
    assert return_rate(101, 100) == 1_000_000
    assert return_rate(99, 100) == -1_000_000
