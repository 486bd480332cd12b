"""Implied volatility: it gives back the price, and says why when it cannot."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtester.pricing.black import black76_greeks, black76_price
from backtester.pricing.implied import Reason, implied_volatility

EPS = np.finfo(np.float64).eps


@given(
    forward=st.floats(1e-3, 1e6), log_moneyness=st.floats(-3, 3), t=st.floats(1e-4, 5), v=st.floats(0.01, 5),
    is_call=st.booleans(), r=st.floats(-0.1, 0.2),
)  # fmt: skip
def test_the_volatility_gives_back_the_price_to_the_last_bits(
    forward: float, log_moneyness: float, t: float, v: float, is_call: bool, r: float
) -> None:
    strike = forward * np.exp(log_moneyness)
    price = black76_price(forward, strike, t, v, is_call, r)
    found, reason = implied_volatility(price, forward, strike, t, is_call, r)
    scale = max(forward, strike)
    if reason == Reason.FOUND:
        again = float(black76_price(forward, strike, t, found, is_call, r))
        assert again == pytest.approx(float(price), rel=1e-12, abs=16 * EPS * scale)
        # a volatility is known as well as the price tells it
        vega = float(black76_greeks(forward, strike, t, v, is_call, r).vega)
        assert abs(float(found) - v) * vega <= 1e-11 * v * vega + 64 * EPS * scale
    else:
        payoff = np.exp(-r * t) * max(0.0, (forward - strike) * (1 if is_call else -1))
        lost = float(price) - payoff <= 16 * EPS * scale
        assert (reason == Reason.NO_TIME_VALUE and lost) or (reason == Reason.ABOVE_BOUND and v * np.sqrt(t) > 8)


def test_deep_out_of_the_money_is_as_precise_as_at_the_money() -> None:
    strikes = np.array([100.0, 150.0, 400.0, 2_000.0])
    for v in (0.05, 0.3, 2.0):
        price = black76_price(100, strikes, 0.5, v, True)
        kept = price > 1e-290
        found = implied_volatility(price[kept], 100, strikes[kept], 0.5, True)
        np.testing.assert_allclose(found.volatility, v, rtol=1e-12)
        assert kept.sum() >= 2


@pytest.mark.parametrize(
    ("price", "forward", "t", "is_call", "reason"),
    [
        (np.nan, 100, 1, True, Reason.BAD_INPUT),
        (5, np.inf, 1, True, Reason.BAD_INPUT),
        (5, 0, 1, True, Reason.BAD_INPUT),
        (5, -100, 1, True, Reason.BAD_INPUT),
        (5, 100, np.nan, True, Reason.BAD_INPUT),
        (5, 100, 0, True, Reason.EXPIRED),
        (5, 100, -1, True, Reason.EXPIRED),
        (-1, 100, 1, True, Reason.BELOW_INTRINSIC),
        (9, 110, 1, True, Reason.BELOW_INTRINSIC),
        (9, 90, 1, False, Reason.BELOW_INTRINSIC),
        (0, 100, 1, True, Reason.NO_TIME_VALUE),
        (10, 110, 1, True, Reason.NO_TIME_VALUE),
        (0, 110, 1, False, Reason.NO_TIME_VALUE),
        (5e-324, 90, 1, True, Reason.NO_TIME_VALUE),
        (90, 90, 1, True, Reason.ABOVE_BOUND),
        (120, 110, 1, True, Reason.ABOVE_BOUND),
        (100, 90, 1, False, Reason.ABOVE_BOUND),
        (11, 110, 1, True, Reason.FOUND),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_price_that_implies_nothing_says_why(
    price: float, forward: float, t: float, is_call: bool, reason: Reason
) -> None:
    found = implied_volatility(price, forward, 100, t, is_call)
    assert Reason(int(found.reason)) is reason
    assert np.isnan(found.volatility) == (reason is not Reason.FOUND)


def test_a_discounted_price_is_judged_against_the_discounted_payoff() -> None:
    price = 10 * np.exp(-0.1)  # less than the payoff of 10, and yet all that it is worth today
    assert implied_volatility(price * 0.999, 110, 100, 1, True, 0.1).reason == Reason.BELOW_INTRINSIC
    assert implied_volatility(price * 1.2, 110, 100, 1, True, 0.1).reason == Reason.FOUND


def test_arrays_keep_their_shape_and_each_its_own_reason() -> None:
    found = implied_volatility([[5.0, 200.0], [0.0, 5.0]], 100, 100, [[1], [1]], True)
    assert found.reason.tolist() == [[Reason.FOUND, Reason.ABOVE_BOUND], [Reason.NO_TIME_VALUE, Reason.FOUND]]
    assert found.volatility[0, 0] == found.volatility[1, 1]
    assert implied_volatility([], 100, 100, 1, True).volatility.shape == (0,)
