"""What the market was like when a trade began, from what was known then. Definitions: docs/metrics.md."""

from typing import Final

import numpy as np

from backtester.report.figures import Floats, Ints

TREND_DAYS: Final = 20
VOLATILITY_DAYS: Final = 20
_MEMORY_DAYS: Final = 365
_MIN_KNOWN: Final = 20
UNKNOWN: Final = "unknown"
_TRENDS: Final = ("down", "up")
_VOLATILITIES: Final = ("low", "normal", "high")


def regimes(days: Ints, closes: Floats, times: Ints) -> tuple[list[str], list[str]]:
    """Return trend and volatility at each time, from closes at or before it.

    Trend: whether the last daily close is above the mean of the last 20. Volatility: whether the standard deviation of
    the last 20 daily returns is above less than a third, less than two thirds or more of those of the 365 days before.

    Args:
        days: midnights (µs, rising), shape (n,). closes: the last prices at them, shape (n,), > 0.
        times: shape (m,).
    """
    trend, volatility = _trends(closes), _volatilities(closes)
    at = np.searchsorted(days, times, side="right") - 1
    return (
        [trend[n] if n >= 0 else UNKNOWN for n in at.tolist()],
        [volatility[n] if n >= 0 else UNKNOWN for n in at.tolist()],
    )


def _trends(closes: Floats) -> list[str]:
    found = [UNKNOWN] * min(len(closes), TREND_DAYS - 1)
    if len(closes) >= TREND_DAYS:
        means = np.lib.stride_tricks.sliding_window_view(closes, TREND_DAYS).mean(axis=1)
        found += [_TRENDS[int(above)] for above in closes[TREND_DAYS - 1 :] > means]
    return found


def _volatilities(closes: Floats) -> list[str]:
    """Return the third in which each day's volatility is among those before it."""
    found = [UNKNOWN] * len(closes)
    if len(closes) <= VOLATILITY_DAYS:
        return found
    returns = closes[1:] / closes[:-1] - 1.0
    spread = np.lib.stride_tricks.sliding_window_view(returns, VOLATILITY_DAYS).std(axis=1)
    for n in range(_MIN_KNOWN, len(spread)):
        before = spread[max(0, n - _MEMORY_DAYS) : n]
        below = 3 * int(np.count_nonzero(before < spread[n]))
        third = (below >= len(before)) + (below >= 2 * len(before))
        found[n + VOLATILITY_DAYS] = _VOLATILITIES[third]
    return found
