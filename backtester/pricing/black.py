"""European options: price and Greeks by Black-76 on a forward, and by Black-Scholes on a spot price.

Arrays of any shapes that broadcast together. Times are years, volatilities and rates are fractions per year, rates
continuously compounded. At expiry (years 0), or without volatility, a price is the discounted payoff. Where an input
is NaN, or a price, strike, time or volatility is out of its range, the result is NaN.

Greeks are plain derivatives: delta and gamma by the forward (or the spot), vega per 1.00 of volatility, theta per year
of passing time. The venue's columns: `venue_units`.

Source: Black, "The pricing of commodity contracts", J. Financial Economics 3, 1976; Black and Scholes, J. Political
Economy 81(3), 1973.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from backtester.pricing.normal import Floats, density, distribution

DAYS_PER_YEAR: Final = 365


class Greeks(NamedTuple):
    """Derivatives of an option's price, each of the inputs' common shape."""

    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats


class _Terms(NamedTuple):
    """sign: +1 call, -1 put. total: volatility × √years. d1, d2: as everybody knows them, ±inf where total is 0."""

    forward: Floats
    strike: Floats
    years: Floats
    volatility: Floats
    discount: Floats
    sign: Floats
    total: Floats
    d1: Floats
    d2: Floats


def black76_price(
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    volatility: ArrayLike,
    is_call: ArrayLike,
    rate: ArrayLike = 0.0,
) -> Floats:
    """Return the price of an option on a forward: e^(-rt) (F N(d1) - K N(d2)) for a call.

    Args:
        forward: of the underlying at expiry, > 0. strike: > 0. years: to expiry, >= 0. volatility: >= 0.
        is_call: True, or False for a put. rate: that discounts; the venue uses 0.
    """
    return _price(_terms(forward, strike, years, volatility, is_call, rate))


def black76_greeks(
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    volatility: ArrayLike,
    is_call: ArrayLike,
    rate: ArrayLike = 0.0,
) -> Greeks:
    """Return the Greeks of an option on a forward, which stays as time passes. Arguments: `black76_price`.

    At expiry, and without volatility, the time value has no Greeks: they are 0. At the strike itself, where the payoff
    has a corner, delta, gamma and theta are NaN.
    """
    terms = _terms(forward, strike, years, volatility, is_call, rate)
    delta, gamma, vega, decay = _by_forward(terms)
    return Greeks(delta, gamma, vega, decay + np.asarray(rate) * _price(terms))


def black_scholes_price(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    volatility: ArrayLike,
    is_call: ArrayLike,
    rate: ArrayLike = 0.0,
    carry: ArrayLike = 0.0,
) -> Floats:
    """Return the price of an option on a spot price: Black-76 on F = S e^((rate - carry) t).

    carry: the yield of holding the underlying, 0 for a coin. Other arguments: `black76_price`.
    """
    return black76_price(_forward(spot, years, rate, carry), strike, years, volatility, is_call, rate)


def black_scholes_greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    volatility: ArrayLike,
    is_call: ArrayLike,
    rate: ArrayLike = 0.0,
    carry: ArrayLike = 0.0,
) -> Greeks:
    """Return the Greeks by the spot price, which stays as time passes. Arguments: `black_scholes_price`."""
    forward = _forward(spot, years, rate, carry)
    terms = _terms(forward, strike, years, volatility, is_call, rate)
    delta, gamma, vega, decay = _by_forward(terms)
    growth = forward / np.asarray(spot, dtype=np.float64)
    drift = np.asarray(rate, dtype=np.float64) - np.asarray(carry, dtype=np.float64)
    theta = decay + np.asarray(rate) * _price(terms) - drift * forward * delta
    return Greeks(delta * growth, gamma * growth * growth, vega, theta)


def venue_units(greeks: Greeks) -> Greeks:
    """Return Greeks as the venue prints them: vega per 0.01 of volatility, theta per day of 1/365 year."""
    return Greeks(greeks.delta, greeks.gamma, greeks.vega / 100, greeks.theta / DAYS_PER_YEAR)


def _forward(spot: ArrayLike, years: ArrayLike, rate: ArrayLike, carry: ArrayLike) -> Floats:
    price, time, r, q = (np.asarray(one, dtype=np.float64) for one in (spot, years, rate, carry))
    return np.asarray(price * np.exp((r - q) * time))


def _terms(
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    volatility: ArrayLike,
    is_call: ArrayLike,
    rate: ArrayLike,
) -> _Terms:
    sides = np.where(np.asarray(is_call, dtype=bool), 1.0, -1.0)
    f, k, t, v, r, sign = np.broadcast_arrays(
        *(np.asarray(one, dtype=np.float64) for one in (forward, strike, years, volatility, rate, sides))
    )
    valid = (f > 0) & (k > 0) & (t >= 0) & (v >= 0) & np.isfinite(f) & np.isfinite(k) & np.isfinite(t + v + r)
    f, k, t, v = (np.where(valid, one, np.nan) for one in (f, k, t, v))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        total = v * np.sqrt(t)
        moneyness = np.log(f / k)
        ratio = np.where((total == 0) & (moneyness == 0), 0.0, moneyness / total)
        discount = np.exp(-r * t)
    return _Terms(f, k, t, v, discount, sign, total, ratio + total / 2, ratio - total / 2)


def _price(terms: _Terms) -> Floats:
    asset = terms.forward * distribution(terms.sign * terms.d1)
    cash = terms.strike * distribution(terms.sign * terms.d2)
    value = terms.discount * terms.sign * (asset - cash)
    return np.asarray(np.maximum(value, 0.0))  # a difference of equals may end below 0 in its last bit


def _by_forward(terms: _Terms) -> tuple[Floats, Floats, Floats, Floats]:
    """Return delta, gamma and vega by the forward, and theta of an undiscounted price."""
    root = np.sqrt(terms.years)
    bell = terms.discount * density(terms.d1)
    delta = terms.discount * terms.sign * distribution(terms.sign * terms.d1)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        still = (terms.total == 0) & np.isinf(terms.d1)  # away from the corner nothing happens any more
        gamma = np.where(still, 0.0, bell / (terms.forward * terms.total))
        decay = np.where(still, 0.0, -terms.forward * bell * terms.volatility / (2 * root))
        vega = terms.forward * bell * root
    corner = (terms.total == 0) & ~still
    gamma, decay, delta = (np.where(corner, np.nan, one) for one in (gamma, decay, delta))
    return np.asarray(delta), np.asarray(gamma), np.asarray(vega), np.asarray(decay)
