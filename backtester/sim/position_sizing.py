"""How large a position is, from equity, a stop, a volatility or an edge. Pure functions.

Integers: quantities in 10^-q, prices in 10^-p, money in 1e-8, rates and fractions in 1e-8. `shift` is p + q - 8: a
quantity times a price is divided by 10^shift to give money. Floats are for measures of volatility alone; they use only
+ − × ÷ and square roots in a fixed order, so that every machine finds the same.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

from backtester.core.numbers import CEIL, FLOOR, RATE_SCALE, mul_div
from backtester.sim.contracts import Terms
from backtester.sim.sizing import fee_of

YEAR = 365 * 24 * 3600 * 1_000_000  # µs: these markets never close


def loss_at_stop(qty: int, entry: int, stop: int, side: int, fee_rate: int, terms: Terms) -> int:
    """Return the money that an entry loses when it is stopped, fees of both sides included.

    Args:
        qty: > 0.
        entry, stop: the prices at which both execute.
        side: +1 a purchase, -1 a sale.
        fee_rate: of both; 0 leaves costs out.
        terms: what it is worth.
    """
    at_entry, at_stop = terms.worth(qty, entry), terms.worth(qty, stop)
    return (at_entry - at_stop) * side * terms.gain + fee_of(at_entry, fee_rate) + fee_of(at_stop, fee_rate)


def lots_for_risk(budget: int, entry: int, stop: int, side: int, fee_rate: int, lot: int, terms: Terms) -> int:
    """Return the largest quantity, a multiple of `lot`, that loses at most `budget` when it is stopped.

    0 when not even a lot does, or when the stop is not on the losing side of the entry.

    Source: fixed-fractional position sizing by percent risk, Van K. Tharp, "Trade Your Way to Financial Freedom", 1998.
    """
    if budget <= 0 or (entry - stop) * side <= 0:
        return 0
    high = lot
    while loss_at_stop(high, entry, stop, side, fee_rate, terms) <= budget:
        high *= 2
    low = high // 2 if high > lot else 0
    while high - low > lot:  # low loses no more than the budget, high does
        middle = low + (high - low) // lot // 2 * lot
        if loss_at_stop(middle, entry, stop, side, fee_rate, terms) <= budget:
            low = middle
        else:
            high = middle
    return low


def kelly_rate(win_rate: int, payoff: int) -> int:
    """Return Kelly's fraction p − (1 − p) / b, rounded down; below 0 without an edge.

    Args:
        win_rate: p, the chance to win.
        payoff: b > 0, the average win over the average loss.

    Source: J. L. Kelly, "A New Interpretation of Information Rate", Bell System Technical Journal 35, 1956.
    """
    return win_rate - mul_div(RATE_SCALE - win_rate, RATE_SCALE, payoff, CEIL)


def kelly_rate_of(returns: Sequence[int]) -> int:
    """Return Kelly's fraction as past trades make it: p is the share of those that won, b their average over that of
    the others.

    With w wins of n that sum to W, and losses that sum to L, p − (1 − p) / b is w (W − L) / (n W). -1 when none won.
    """
    wins = [rate for rate in returns if rate > 0]
    won, lost = sum(wins), -sum(rate for rate in returns if rate < 0)
    return mul_div(len(wins) * (won - lost), RATE_SCALE, len(returns) * won, FLOOR) if wins else -RATE_SCALE


def true_range(high: float, low: float, close_before: float) -> float:
    """Return how far a price moved in a candle, from the close before it on."""
    return max(high, close_before) - min(low, close_before)


def wilder_mean(before: float, value: float, window: int) -> float:
    """Return Wilder's moving average after one more value: it takes 1/window of the way.

    Source: J. Welles Wilder, "New Concepts in Technical Trading Systems", 1978.
    """
    return (before * (window - 1) + value) / window


def realised(closes: Sequence[float]) -> float:
    """Return the sample standard deviation of the returns from each close to the next; at least three closes."""
    returns = [after / before - 1.0 for before, after in pairwise(closes)]
    mean = 0.0
    for value in returns:
        mean += value
    mean /= len(returns)
    squares = 0.0
    for value in returns:
        squares += (value - mean) * (value - mean)
    return sqrt(squares / (len(returns) - 1))


def annualised(volatility: float, candle: int) -> float:
    """Return a volatility per candle (µs long) as one per year of 365 days: independent moves grow with the root."""
    return volatility * sqrt(YEAR / candle)


def target_rate(target: int, volatility: float, most: int) -> int:
    """Return target / volatility, rounded down, at most `most`: without any volatility the most."""
    return most if volatility * most <= target else int(target / volatility)
