"""Deviation, score, bands and slope of a window, judged by fractions and by hand."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists

from backtester.strategy.indicators.dispersion import Bollinger, Std, ZScore
from backtester.strategy.indicators.regression import Slope

units = lists(integers(1, 10**9), min_size=6, max_size=30)


def _variance(values: list[int], ddof: int) -> Fraction:
    mean = Fraction(sum(values), len(values))
    return sum(((value - mean) ** 2 for value in values), Fraction(0)) / (len(values) - ddof)


@given(values=units, ddof=integers(0, 1))
def test_deviation_and_score_are_those_of_the_exact_variance(values: list[int], ddof: int) -> None:
    std, score = Std(6, decimals=2, ddof=ddof), ZScore(6, decimals=2, ddof=ddof)
    for end, value in enumerate(values, start=1):
        deviation, distance = std.update(value / 100), score.update(value / 100)
        if end < 6:
            assert deviation is None
            assert distance is None
            continue
        window = values[end - 6 : end]
        exact = math.sqrt(_variance(window, ddof))
        assert deviation == pytest.approx(exact / 100, rel=1e-14)
        expected = float(value - Fraction(sum(window), 6)) / exact if exact else 0.0
        assert distance == pytest.approx(expected, rel=1e-14)


def test_a_deviation_far_from_the_origin_loses_nothing() -> None:
    closes = [1_000_000_000.01, 1_000_000_000.02, 1_000_000_000.03]  # squares of these need 80 bits
    assert Std(3, decimals=2).columns(closes)["std"][-1] == math.sqrt(2 / 3) / 100


def test_bollinger_bands_of_a_window_by_hand() -> None:
    bands = Bollinger(4, 2.0, decimals=0)
    assert [bands.update(close) for close in (10, 12, 14)] == [None] * 3
    found = bands.update(16)
    deviation = math.sqrt(5)  # (9 + 1 + 1 + 9) / 4
    assert found is not None
    assert found == pytest.approx((13 - 2 * deviation, 13, 13 + 2 * deviation, 4 * deviation / 13), rel=1e-15)


def test_the_width_of_bands_around_zero_is_not_a_number() -> None:
    bands = Bollinger(2, decimals=0)
    bands.update(-1)
    found = bands.update(1)
    assert found is not None
    assert found.middle == 0
    assert math.isnan(found.width)


@given(values=units)
def test_a_slope_is_the_nearest_float_to_that_of_the_exact_line(values: list[int]) -> None:
    slope = Slope(6, decimals=3)
    found = [slope.update(value / 1000) for value in values]
    for end in range(6, len(values) + 1):
        window = values[end - 6 : end]
        covariance = sum(Fraction(2 * x - 5, 2) * value for x, value in enumerate(window))
        exact = covariance / Fraction(35, 2) / 1000  # Σ (x − 2.5)² = 17.5
        assert found[end - 1] == float(exact)


def test_a_straight_line_has_its_slope_and_none_when_it_turns() -> None:
    rising = [0.00000012, 0.00000013, 0.00000014]
    found = Slope(3, decimals=8).columns([*rising, 0.00000013, 0.00000012])["slope"]
    assert np.isnan(found[:2]).all()
    assert found[2:].tolist() == [1e-8, 0.0, -1e-8]
