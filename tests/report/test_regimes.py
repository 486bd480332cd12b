"""Regimes: what is known at a time, and nothing that came later."""

import numpy as np
from hypothesis import given
from hypothesis.strategies import floats, integers, lists

from backtester.core.time import DAY
from backtester.report.regimes import UNKNOWN, regimes
from tests.report.curves import MIDNIGHT


def of(closes: list[float], *days: float) -> tuple[list[str], list[str]]:
    """The regimes at times in days after the first close."""
    grid = MIDNIGHT + np.arange(len(closes), dtype=np.int64) * DAY
    return regimes(grid, np.array(closes), np.array([MIDNIGHT + int(day * DAY) for day in days]))


def test_a_rising_market_is_up_and_a_falling_one_down() -> None:
    assert of([100 + n for n in range(30)], 19, 29)[0] == ["up", "up"]
    assert of([100 - n for n in range(30)], 19, 29)[0] == ["down", "down"]


def test_before_there_is_enough_to_tell_it_is_unknown() -> None:
    assert of([100 + n for n in range(30)], -1, 0, 18.9) == ([UNKNOWN] * 3, [UNKNOWN] * 3)


def test_a_wild_market_after_a_calm_one_is_high_and_a_calm_one_after_it_low() -> None:
    calm = [100 + 0.01 * (n % 2) for n in range(60)]
    wild = [100 + 10 * (n % 2) for n in range(60)]
    assert of(calm + wild, 75)[1] == ["high"]
    assert of(wild + calm, 90)[1] == ["low"]


@given(lists(floats(50, 150), min_size=1, max_size=70), integers(1, 70))
def test_later_closes_change_nothing(closes: list[float], cut: int) -> None:
    cut = min(cut, len(closes))
    times = [n + 0.5 for n in range(cut)]
    assert of(closes[:cut], *times) == of(closes, *times)
