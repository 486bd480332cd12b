"""QuantLib as judge of prices, Greeks and implied volatilities: `pip install -e .[judges]`."""

import numpy as np
import pytest

from backtester.pricing.black import black76_greeks, black76_price, black_scholes_greeks, black_scholes_price
from backtester.pricing.implied import Reason, implied_volatility

ql = pytest.importorskip("QuantLib", reason="QuantLib is not installed: pip install -e .[judges]")

RNG = np.random.default_rng(1976)
CASES = 400
FORWARD = RNG.uniform(100, 100_000, CASES)
STRIKE = FORWARD * np.exp(RNG.normal(0, 0.4, CASES))
YEARS = RNG.uniform(1 / 365, 2, CASES)
VOLATILITY = RNG.uniform(0.1, 2.5, CASES)
RATE = RNG.uniform(-0.05, 0.15, CASES)
CARRY = RNG.uniform(0, 0.1, CASES)
IS_CALL = RNG.random(CASES) < 0.5
SCALE = np.maximum(FORWARD, STRIKE)


def payoff(case: int):  # type: ignore[no-untyped-def]
    return ql.PlainVanillaPayoff(ql.Option.Call if IS_CALL[case] else ql.Option.Put, float(STRIKE[case]))


def judged(what: str, *, by_spot: bool) -> np.ndarray:  # type: ignore[type-arg]
    """One figure of QuantLib's BlackCalculator for each case; FORWARD is the spot price when by_spot."""
    found = []
    for case in range(CASES):
        t, rate = float(YEARS[case]), float(RATE[case])
        first = float(FORWARD[case])
        carry = float(CARRY[case]) if by_spot else rate
        forward = first * np.exp((rate - carry) * t)
        total = float(VOLATILITY[case] * np.sqrt(t))
        calculator = ql.BlackCalculator(payoff(case), float(forward), total, float(np.exp(-rate * t)))
        arguments = {"value": (), "delta": (first,), "gamma": (first,), "vega": (t,), "theta": (first, t)}[what]
        found.append(getattr(calculator, what)(*arguments))
    return np.array(found)


def test_black76_prices() -> None:
    ours = black76_price(FORWARD, STRIKE, YEARS, VOLATILITY, IS_CALL, RATE)
    assert np.max(np.abs(ours - judged("value", by_spot=False)) / SCALE) < 1e-14


def test_black_scholes_prices() -> None:
    ours = black_scholes_price(FORWARD, STRIKE, YEARS, VOLATILITY, IS_CALL, RATE, CARRY)
    assert np.max(np.abs(ours - judged("value", by_spot=True)) / SCALE) < 1e-14


@pytest.mark.parametrize("what", ["delta", "gamma", "vega", "theta"])
@pytest.mark.parametrize("by_spot", [False, True])
def test_greeks(what: str, by_spot: bool) -> None:
    if by_spot:
        ours = getattr(black_scholes_greeks(FORWARD, STRIKE, YEARS, VOLATILITY, IS_CALL, RATE, CARRY), what)
    else:
        ours = getattr(black76_greeks(FORWARD, STRIKE, YEARS, VOLATILITY, IS_CALL, RATE), what)
    theirs = judged(what, by_spot=by_spot)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-14 * np.max(np.abs(theirs)))


def test_implied_volatilities() -> None:
    price = black76_price(FORWARD, STRIKE, YEARS, VOLATILITY, IS_CALL, RATE)
    ours = implied_volatility(price, FORWARD, STRIKE, YEARS, IS_CALL, RATE)
    known = (ours.reason == Reason.FOUND) & (
        black76_greeks(FORWARD, STRIKE, YEARS, VOLATILITY, IS_CALL, RATE).vega > 1e-6 * SCALE
    )
    assert known.sum() > CASES * 0.9
    for case in np.flatnonzero(known):
        discount = float(np.exp(-RATE[case] * YEARS[case]))
        total = ql.blackFormulaImpliedStdDev(
            ql.Option.Call if IS_CALL[case] else ql.Option.Put,
            float(STRIKE[case]), float(FORWARD[case]), float(price[case]), discount, 0.0, 0.5, 1e-13, 200,
        )  # fmt: skip
        assert ours.volatility[case] == pytest.approx(total / np.sqrt(YEARS[case]), rel=1e-8)
