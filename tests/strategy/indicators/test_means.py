"""Means over a window, one value at a time and over an array, judged by fractions."""

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, lists

from backtester.strategy.indicators.base import Indicator
from backtester.strategy.indicators.means import Sma, Wma

units = lists(integers(0, 10**9), min_size=1, max_size=60)


def price(value: int, decimals: int) -> float:
    return float(Fraction(value, 10**decimals))


@given(values=units, window=integers(1, 20), decimals=integers(0, 8))
def test_both_faces_are_the_nearest_float_to_the_exact_mean(values: list[int], window: int, decimals: int) -> None:
    one = Sma(window, decimals)
    pushed = [one.update(price(value, decimals)) for value in values]
    arrayed = one.columns([price(value, decimals) for value in values])["sma"]
    for number in range(len(values)):
        if number + 1 < window:
            assert pushed[number] is None
            assert np.isnan(arrayed[number])
            continue
        exact = Fraction(sum(values[number + 1 - window : number + 1]), window * 10**decimals)
        assert pushed[number] == arrayed[number] == float(exact)


@given(values=lists(integers(1, 9), min_size=40, max_size=80), fast=integers(1, 5), factor=integers(2, 4))
def test_equal_means_of_a_low_priced_coin_are_equal(values: list[int], fast: int, factor: int) -> None:
    slow = fast * factor
    quick, sluggish = Sma(fast, 8), Sma(slow, 8)
    for number, value in enumerate(values):
        a, b = quick.update(value / 10**8), sluggish.update(value / 10**8)
        if b is None or a is None:
            continue
        exact = sum(values[number + 1 - fast : number + 1]) * factor - sum(values[number + 1 - slow : number + 1])
        assert (a > b) - (a < b) == (exact > 0) - (exact < 0)


def test_it_does_not_drift_over_a_long_history() -> None:
    rng, one, values = random.Random(1), Sma(100, 2), []
    for _ in range(20_000):
        values.append(rng.randint(1, 10_000_000))
        mean = one.update(values[-1] / 100)
    assert mean == float(Fraction(sum(values[-100:]), 100 * 100))


@given(values=units, window=integers(1, 20), decimals=integers(0, 8))
def test_a_weighted_mean_is_the_nearest_float_to_the_exact_one(values: list[int], window: int, decimals: int) -> None:
    wma = Wma(window, decimals)
    for number, value in enumerate(values):
        found = wma.update(price(value, decimals))
        if number + 1 < window:
            assert found is None
            continue
        weighted = sum(weight * values[number - window + weight] for weight in range(1, window + 1))
        assert found == float(Fraction(weighted, window * (window + 1) // 2 * 10**decimals))


@given(values=lists(floats(-1e9, 1e9).filter(lambda x: x == 0 or abs(x) > 1e-6), min_size=5, max_size=40))
def test_without_decimals_the_mean_of_any_floats_is_the_nearest_to_the_exact_one(values: list[float]) -> None:
    sma = Sma(5)
    found = [sma.update(value) for value in values]
    for number in range(4, len(values)):
        assert found[number] == float(sum(map(Fraction, values[number - 4 : number + 1])) / 5)


def test_means_can_share_the_conversion_of_a_price() -> None:
    closes = [0.00001234, 0.00001235, 0.00001237, 0.00001230]
    one, other = Sma(2, 8), Sma(2, 8)
    assert [one.update(c) for c in closes] == [other.update_units(round(c * 10**8)) for c in closes]


@pytest.mark.parametrize("cls", [Sma, Wma])
@pytest.mark.parametrize("window", [0, -3, 100_001, 2.5])
def test_a_window_that_is_none_is_refused(cls: type[Indicator], window: float) -> None:
    with pytest.raises(ValueError, match="window"):
        cls(window=window)
