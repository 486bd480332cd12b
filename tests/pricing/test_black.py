"""Black-76 and Black-Scholes: by hand, by what any price must obey, and by the slopes of the price itself."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtester.pricing.black import (
    Greeks,
    black76_greeks,
    black76_price,
    black_scholes_greeks,
    black_scholes_price,
    venue_units,
)

F, K, T, V, R = 30_000.0, 32_000.0, 0.25, 0.6, 0.05

prices = st.floats(1e-3, 1e6)
years = st.floats(1e-4, 5)
volatilities = st.floats(0.01, 4)
rates = st.floats(-0.1, 0.3)


def test_a_textbook_price() -> None:
    # Hull, "Options, Futures, and Other Derivatives", Black-Scholes: S 42, K 40, r 10 %, 20 %, half a year
    assert float(black_scholes_price(42, 40, 0.5, 0.2, True, 0.1)) == pytest.approx(4.76, abs=0.005)
    assert float(black_scholes_price(42, 40, 0.5, 0.2, False, 0.1)) == pytest.approx(0.81, abs=0.005)
    # and Black-76: F 20, K 20, r 9 %, 25 %, four months, put 1.12
    assert float(black76_price(20, 20, 4 / 12, 0.25, False, 0.09)) == pytest.approx(1.12, abs=0.005)


@given(forward=prices, strike=prices, t=years, v=volatilities, r=rates)
def test_a_call_less_a_put_is_the_discounted_forward_less_the_strike(
    forward: float, strike: float, t: float, v: float, r: float
) -> None:
    call, put = black76_price(forward, strike, t, v, [True, False], r)
    assert call - put == pytest.approx(np.exp(-r * t) * (forward - strike), rel=1e-12, abs=1e-12 * max(forward, strike))


@given(forward=prices, strike=prices, t=years, v=volatilities, is_call=st.booleans())
def test_a_price_is_at_least_its_payoff_and_at_most_what_it_can_pay(
    forward: float, strike: float, t: float, v: float, is_call: bool
) -> None:
    price = float(black76_price(forward, strike, t, v, is_call))
    payoff = max(0.0, forward - strike if is_call else strike - forward)
    slack = 1e-14 * max(forward, strike)
    assert payoff - slack <= price <= (forward if is_call else strike) + slack
    assert price <= float(black76_price(forward, strike, t, v * 1.01, is_call)) + slack


@pytest.mark.parametrize(("is_call", "forward"), list(product((True, False), (28_000.0, 32_000.0, 36_000.0))))
def test_the_greeks_are_the_slopes_of_the_price(is_call: bool, forward: float) -> None:
    def slopes(price, greeks, first: float) -> None:  # type: ignore[no-untyped-def]
        def at(x: float = first, t: float = T, v: float = V) -> float:
            return float(price(x, K, t, v, is_call, R))

        h = first * 1e-4
        found: Greeks = greeks(first, K, T, V, is_call, R)
        assert float(found.delta) == pytest.approx((at(first + h) - at(first - h)) / (2 * h), rel=1e-6)
        assert float(found.gamma) == pytest.approx((at(first + h) - 2 * at() + at(first - h)) / h**2, rel=1e-4)
        assert float(found.vega) == pytest.approx((at(v=V + 1e-5) - at(v=V - 1e-5)) / 2e-5, rel=1e-7)
        assert float(found.theta) == pytest.approx((at(t=T - 1e-6) - at(t=T + 1e-6)) / 2e-6, rel=1e-6)

    slopes(black76_price, black76_greeks, forward)
    slopes(black_scholes_price, black_scholes_greeks, forward)


def test_the_venue_prints_vega_per_point_and_theta_per_day() -> None:
    plain = Greeks(*(np.array(one) for one in (0.5, 1e-5, 4_000.0, -7_300.0)))
    assert venue_units(plain) == (0.5, 1e-5, 40.0, -20.0)


def test_at_expiry_and_without_volatility_a_price_is_the_discounted_payoff() -> None:
    forwards = [90.0, 100.0, 110.0]
    np.testing.assert_array_equal(black76_price(forwards, 100, 0, 0.5, True), [0, 0, 10])
    np.testing.assert_array_equal(black76_price(forwards, 100, 0, 0.5, False), [10, 0, 0])
    np.testing.assert_allclose(black76_price(forwards, 100, 2, 0, True, 0.1), np.exp(-0.2) * np.array([0, 0, 10]))


def test_greeks_at_expiry_are_those_of_the_payoff_and_nan_at_its_corner() -> None:
    greeks = black76_greeks([90.0, 100.0, 110.0], 100, 0, 0.5, True)
    np.testing.assert_array_equal(greeks.delta, [0, np.nan, 1])
    np.testing.assert_array_equal(greeks.gamma, [0, np.nan, 0])
    np.testing.assert_array_equal(greeks.vega, [0, 0, 0])
    np.testing.assert_array_equal(greeks.theta, [0, np.nan, 0])
    np.testing.assert_array_equal(black76_greeks([90.0, 110.0], 100, 0, 0.5, False).delta, [-1, 0])


@pytest.mark.parametrize(
    ("forward", "strike", "t", "v"),
    [
        (0, K, T, V),
        (F, -1, T, V),
        (F, K, -T, V),
        (F, K, T, -V),
        (np.nan, K, T, V),
        (np.inf, K, T, V),
        (F, K, T, np.nan),
    ],
)
def test_what_has_no_price_is_nan(forward: float, strike: float, t: float, v: float) -> None:
    assert np.isnan(black76_price(forward, strike, t, v, True))
    assert all(np.isnan(one) for one in black76_greeks(forward, strike, t, v, True))


def test_arguments_broadcast() -> None:
    strikes = np.array([25_000.0, 30_000.0, 35_000.0])
    grid = black76_price(F, strikes, [[0.1], [0.5]], V, True)
    assert grid.shape == (2, 3)
    assert grid[1, 2] == black76_price(F, 35_000.0, 0.5, V, True)
    assert black76_greeks(F, strikes, T, V, [True, False, True]).gamma.shape == (3,)


@pytest.mark.filterwarnings("error")
def test_no_input_warns() -> None:
    edges = [0.0, 1e-300, 1.0, 1e300, np.inf, np.nan]
    grid = np.array(list(product(edges, edges, edges, edges))).T
    assert black76_price(*grid, True).shape == (6**4,)
    assert black76_greeks(*grid, False).gamma.shape == (6**4,)
