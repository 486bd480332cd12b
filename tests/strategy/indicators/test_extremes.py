"""Highest and lowest of a window, judged by looking at all of it; what is made of them, by hand."""

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists

from backtester.strategy.indicators.extremes import Donchian, Max, Min, Stochastic
from backtester.strategy.indicators.ichimoku import Ichimoku

values = lists(integers(-4, 4), max_size=60)


@given(values=values, window=integers(1, 12))
def test_they_are_the_highest_and_lowest_of_the_window(values: list[int], window: int) -> None:
    highest, lowest = Max(window), Min(window)
    for end, value in enumerate(values, start=1):
        seen = values[max(0, end - window) : end]
        full = end >= window
        assert highest.update(value) == (max(seen) if full else None)
        assert lowest.update(value) == (min(seen) if full else None)


def test_a_zero_has_no_sign() -> None:
    for indicator in (Max(2), Min(2)):
        (found,) = indicator.columns([-0.0, -0.0, 0.0, -0.0]).values()
        assert [str(value) for value in found[1:]] == ["0.0"] * 3


def test_a_donchian_channel_includes_the_newest_candle() -> None:
    channel = Donchian(2)
    assert channel.update(10, 8) is None
    assert channel.update(13, 9) == (8, 10.5, 13)
    assert channel.update(11, 10) == (9, 11, 13)


def test_a_stochastic_by_hand() -> None:
    stochastic = Stochastic(2, smooth=1, signal=2)
    assert stochastic.update(10, 6, 8) is None
    assert stochastic.update(12, 8, 9) is None  # %K 50, %D not yet
    assert stochastic.update(12, 8, 12) == (100, 75)
    assert stochastic.update(12, 8, 8) == (0, 50)


@pytest.mark.parametrize("flat", [50.0, 0.0])
def test_a_channel_without_height_has_the_value_that_was_asked_for(flat: float) -> None:
    stochastic = Stochastic(2, smooth=1, signal=1, flat=flat)
    stochastic.update(7, 7, 7)
    assert stochastic.update(7, 7, 7) == (flat, flat)


def test_ichimoku_by_hand_with_the_cloud_that_was_made_before() -> None:
    ichimoku = Ichimoku(conversion=1, base=2, span=3, displacement=2)
    candles = [(10, 8), (12, 10), (14, 12), (20, 12), (18, 16)]
    found = [ichimoku.update(high, low) for high, low in candles]
    assert found[:4] == [None] * 4
    # conversion (18+16)/2, base (20+12)/2, ahead (17+16)/2 and (20+12)/2; two candles ago: (13 + 12)/2 and (14+8)/2
    assert found[4] == (17, 16, 16.5, 16, 12.5, 11)
