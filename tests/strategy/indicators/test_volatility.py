"""Realised volatility, judged by the standard library, and the logarithm that it is made of."""

import math
import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis.strategies import floats

from backtester.core.errors import UsageError
from backtester.strategy.indicators.volatility import RealisedVolatility, log_ratio
from tests.strategy.indicators.markets import market

prices = floats(1e-12, 1e12)


@given(value=prices, base=prices)
def test_the_logarithm_of_a_ratio_is_that_of_the_library(value: float, base: float) -> None:
    exact = math.log(value / base) if not 0.5 < value / base < 2 else math.log1p((value - base) / base)
    assert log_ratio(value, base) == pytest.approx(exact, rel=1e-13, abs=1e-15)
    assert log_ratio(value, base) == pytest.approx(-log_ratio(base, value), rel=1e-13, abs=1e-15)


@pytest.mark.parametrize(("value", "base"), [(1e300, 1e-300), (1e-300, 1e300), (5.0, 5.0)])
def test_the_logarithm_of_any_ratio_ends(value: float, base: float) -> None:
    assert log_ratio(value, base) == pytest.approx(math.log(value) - math.log(base), rel=1e-12)


@pytest.mark.parametrize(("ddof", "judge"), [(1, statistics.stdev), (0, statistics.pstdev)])
def test_it_is_the_deviation_of_log_returns_over_a_year_of_365_days(ddof: int, judge: object) -> None:
    closes = market("walk", 8, 60)["close"].tolist()
    volatility = RealisedVolatility(20, "5m", ddof=ddof)
    found = [volatility.update(close) for close in closes]
    returns = [math.log(b / a) for a, b in pairwise(closes)]
    assert found[:20] == [None] * 20
    for end in range(20, 60):
        expected = judge(returns[end - 20 : end]) * math.sqrt(365 * 288)  # type: ignore[operator]
        assert found[end] == pytest.approx(expected, rel=1e-9)


def test_a_price_that_is_not_positive_is_passed_over() -> None:
    one, other = RealisedVolatility(2, "1d"), RealisedVolatility(2, "1d")
    holed = [one.update(close) for close in (10.0, 0.0, 11.0, -3.0, 12.0)]
    plain = [other.update(close) for close in (10.0, 11.0, 12.0)]
    assert [holed[0], holed[2], holed[4]] == plain
    assert holed[1] is None
    assert holed[3] is None


def test_a_timeframe_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="7m"):
        RealisedVolatility(20, "7m")
