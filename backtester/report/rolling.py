"""Figures of windows of days: rolling ones, and the run cut into equal parts. Definitions: docs/metrics.md."""

import math
from itertools import pairwise
from typing import Any, Final

import numpy as np

from backtester.core.time import month_of
from backtester.report.drawdowns import depths
from backtester.report.figures import Floats, Ints, finite, iso, mean
from backtester.report.returns import sharpe_of
from backtester.report.series import DAYS_A_YEAR, Daily, EquitySeries

WINDOW_DAYS: Final = 30
_MOST_POINTS = 2_000
_MOST_PARTS = 12
_ROOT_YEAR = math.sqrt(DAYS_A_YEAR)


def rolling(days: Daily, window: int = WINDOW_DAYS) -> dict[str, Any]:
    """Return figures of the `window` days up to each midnight; with many midnights of every n-th."""
    n = len(days.returns)
    if n < window:
        return {"window_days": window, "points": [], "reason": "too_short"}
    every = -(-(n - window + 1) // _MOST_POINTS)
    ends = range(window, n + 1, every)
    return {"window_days": window, "every_days": every, "points": [_point(days, end - window, end) for end in ends]}


def _point(days: Daily, begin: int, end: int) -> dict[str, Any]:
    found = figures_of(days.returns[begin:end], days.equity[begin : end + 1])
    return {"ts": iso(int(days.days[end])), **found}


def figures_of(returns: Floats, equity: Floats) -> dict[str, float | None]:
    """Return return, volatility, Sharpe and drawdown of a stretch of days. equity: one more than returns."""
    if equity.min() <= 0 or not np.isfinite(returns).all():
        return {"return": None, "volatility": None, "sharpe": None, "max_drawdown": float(depths(equity).min())}
    per_day, _ = sharpe_of(returns)
    centred = returns - mean(returns)
    spread = math.sqrt(math.fsum((centred * centred).tolist()) / (len(returns) - 1)) if len(returns) > 1 else None
    return {
        "return": finite(float(equity[-1] / equity[0] - 1)),
        "volatility": None if spread is None else finite(spread * _ROOT_YEAR),
        "sharpe": None if per_day is None else finite(per_day * _ROOT_YEAR),
        "max_drawdown": float(depths(equity).min()),
    }


def stability(days: Daily, exits: Ints) -> dict[str, Any]:
    """Return the figures of equal parts of the run, of 30 days or more, and the share of parts that gained.

    exits: when trades closed (µs), in order.
    """
    n = len(days.returns)
    parts = min(n // WINDOW_DAYS, _MOST_PARTS)
    if parts < 2:
        return {"windows": [], "positive_share": None, "reason": "too_short"}
    cuts = [n * part // parts for part in range(parts + 1)]
    windows = []
    for begin, end in pairwise(cuts):
        first, last = int(days.days[begin]), int(days.days[end])
        closed = np.searchsorted(exits, [first, last], side="right")
        windows.append(
            {
                "start": iso(first),
                "end": iso(last),
                **figures_of(days.returns[begin:end], days.equity[begin : end + 1]),
                "n_trades": int(closed[1] - closed[0]),
            }
        )
    gained = sum(days.equity[end] > days.equity[begin] for begin, end in pairwise(cuts))
    return {"windows": windows, "positive_share": int(gained) / parts}


def monthly_returns(series: EquitySeries) -> list[dict[str, Any]]:
    """Return the return of each month, UTC, from its first to its last equity; partial: of which the run lacks days."""
    first, last = int(series.ts[0]), int(series.ts[-1])
    begin = np.datetime64(first, "us").astype("datetime64[M]")
    end = np.datetime64(max(first, last - 1), "us").astype("datetime64[M]")
    months = np.arange(begin, end + 2)
    starts = months.astype("datetime64[us]").astype(np.int64)
    at = np.searchsorted(series.ts, starts, side="right") - 1
    at = np.clip(at, 0, len(series.ts) - 1)
    if starts[0] == first:
        at[0] = 0
    rows = []
    for n in range(len(months) - 1):
        before, after = int(series.equity[at[n]]), int(series.equity[at[n + 1]])
        rows.append(
            {
                "month": month_of(int(starts[n])),
                "return": finite(after / before - 1) if before > 0 else None,
                "partial": bool(starts[n] < first or starts[n + 1] > last),
            }
        )
    return rows
