"""Fees and slippage: costs round against the trader, rebates toward zero."""

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis.strategies import integers

from backtester.sim.sim_models import FeeModel, FeeTier, SlippageModel

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
