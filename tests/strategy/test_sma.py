"""The moving average, one value at a time and over an array, judged by fractions."""

import random
from fractions import Fraction

import numpy as np
import pytest
from backtester.strategy.indicators.sma import Sma, sma
from hypothesis import given
from hypothesis.strategies import integers, lists

units = lists(integers(0, 10**9), min_size=1, max_size=60)


def price(value: int, decimals: int) -> float:
    return float(Fraction(value, 10**decimals))


@given(values=units, window=integers(1, 20), decimals=integers(0, 8))
def test_both_faces_are_the_nearest_float_to_the_exact_mean(values: list[int], window: int, decimals: int) -> None:
    one = Sma(window, decimals)
    pushed = [one.push(price(value, decimals)) for value in values]
    arrayed = sma(np.array([price(value, decimals) for value in values]), window, decimals)
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
        a, b = quick.push(value / 10**8), sluggish.push(value / 10**8)
        if b is None or a is None:
            continue
        exact = sum(values[number + 1 - fast : number + 1]) * factor - sum(values[number + 1 - slow : number + 1])
        assert (a > b) - (a < b) == (exact > 0) - (exact < 0)


def test_it_does_not_drift_over_a_long_history() -> None:
    rng, one, values = random.Random(1), Sma(100, 2), []
    for _ in range(20_000):
        values.append(rng.randint(1, 10_000_000))
        mean = one.push(values[-1] / 100)
    assert mean == float(Fraction(sum(values[-100:]), 100 * 100))


@pytest.mark.parametrize("window", [0, -3])
def test_a_window_of_nothing_is_refused(window: int) -> None:
    with pytest.raises(ValueError, match="window"):
        Sma(window, 2)
    with pytest.raises(ValueError, match="window"):
        sma(np.array([1.0]), window, 2)
