"""The volatility that a price implies, by Black-76; or the reason why there is none."""

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backtester.pricing.normal import Floats, density, distribution

_EPS: Final = float(np.finfo(np.float64).eps)
_TINY: Final = 1e-300  # of the bound: next to nothing, and its logarithm is still a number
_MOST_STEPS: Final = 128  # bisection alone would need some 60
_LARGEST_TOTAL: Final = 64.0  # the price is its upper bound to the last bit from 17 on


class Reason(IntEnum):
    """Why a volatility is, or is not, there."""

    FOUND = 0
    BAD_INPUT = 1
    """Something is NaN or infinite, or forward or strike are not > 0."""
    EXPIRED = 2
    """No time is left: every volatility gives the payoff."""
    BELOW_INTRINSIC = 3
    """The price is less than the discounted payoff on the forward: no volatility is that small."""
    NO_TIME_VALUE = 4
    """The price is the discounted payoff, as far as floats can tell: any small volatility gives it."""
    ABOVE_BOUND = 5
    """The price reaches what it would be at infinite volatility: the forward for a call, the strike for a put."""


class ImpliedVolatility(NamedTuple):
    """volatility: per year, NaN where reason is not FOUND. reason: values of `Reason`. Both of the inputs' shape."""

    volatility: Floats
    reason: NDArray[np.uint8]


def implied_volatility(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    is_call: ArrayLike,
    rate: ArrayLike = 0.0,
) -> ImpliedVolatility:
    """Return the volatility at which `black76_price` gives these prices.

    What remains of the price above the payoff is the price of the option on the other side of the strike, and that is
    what is solved for: Newton's method on its logarithm, kept inside a bracket by bisection.

    Args:
        price: of the option, discounted. Others: `backtester.pricing.black.black76_price`.
    """
    sides = np.where(np.asarray(is_call, dtype=bool), 1.0, -1.0)
    value, f, k, t, r, sign = np.broadcast_arrays(
        *(np.asarray(one, dtype=np.float64) for one in (price, forward, strike, years, rate, sides))
    )
    with np.errstate(all="ignore"):
        undiscounted = value * np.exp(r * t)
        bound = np.minimum(f, k)
        payoff = np.maximum(sign * (f - k), 0.0)
        time_value = undiscounted - payoff
        noise = np.where(payoff > 0, 4 * _EPS * np.maximum(np.maximum(f, k), undiscounted), _TINY * bound)
        bad = ~np.isfinite(undiscounted + f + k + t) | (f <= 0) | (k <= 0)
        reason = np.select(
            [bad, t <= 0, time_value < -noise, time_value <= noise, time_value >= bound * (1 - 4 * _EPS)],
            [Reason.BAD_INPUT, Reason.EXPIRED, Reason.BELOW_INTRINSIC, Reason.NO_TIME_VALUE, Reason.ABOVE_BOUND],
            default=Reason.FOUND,
        ).astype(np.uint8)
    found = reason == Reason.FOUND
    volatility = np.full(value.shape, np.nan)
    f, k = f[found], k[found]
    total = _total_of(-np.abs(np.log(f / k)), time_value[found] / np.sqrt(f) / np.sqrt(k))
    volatility[found] = total / np.sqrt(t[found])
    return ImpliedVolatility(volatility, reason)


def _normalised(x: Floats, total: Floats) -> Floats:
    """Return the price over sqrt(F K) of the option that is out of the money, x = -|log(F / K)| <= 0, total > 0."""
    ratio, half = x / total, total / 2
    return np.asarray(np.exp(x / 2) * distribution(ratio + half) - np.exp(-x / 2) * distribution(ratio - half))


def _total_of(x: Floats, target: Floats) -> Floats:
    """Return total, volatility × sqrt(years), with _normalised(x, total) = target; shapes (n,)."""
    totals = np.empty_like(x)
    rows = np.arange(x.size)  # those that still move; the arrays below have their shape
    wanted = np.log(target)
    low, high = np.zeros_like(x), np.full_like(x, _LARGEST_TOTAL)
    # where the price is steepest in the total; at the money the price is nearly total / sqrt(2 pi)
    total = np.clip(np.sqrt(-2 * x), np.minimum(target * 2.5, 1.0), _LARGEST_TOTAL / 2)
    for _ in range(_MOST_STEPS):
        with np.errstate(all="ignore"):
            made = _normalised(x, total)
            miss = np.log(np.maximum(made, 0.0)) - wanted
            slope = density(x / total) * np.exp(-total * total / 8) / made  # of the logarithm
            newton = total - miss / slope
        low, high = np.where(miss < 0, total, low), np.where(miss > 0, total, high)
        inside = (newton > low) & (newton < high)
        following = np.where(miss == 0, total, np.where(inside, newton, (low + high) / 2))
        moves = np.abs(following - total) > 4 * _EPS * total
        totals[rows] = total = following
        if not moves.any():
            break
        rows, x, wanted, low, high, total = (one[moves] for one in (rows, x, wanted, low, high, total))
    return totals
