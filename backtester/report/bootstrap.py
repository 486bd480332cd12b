"""How far the figures might have been from what they are: the stationary bootstrap of daily returns.

Source: Politis and Romano, "The Stationary Bootstrap", Journal of the American Statistical Association 89, 1994.
"""

import math
from typing import Any, Final

import numpy as np

from backtester.report.figures import Floats, finite
from backtester.report.series import DAYS_A_YEAR, Daily

SAMPLES: Final = 1_000
_MIN_DAYS = 30
_QUANTILES = {"p05": 0.05, "p50": 0.5, "p95": 0.95}


def bootstrap(days: Daily, seed: int, *, ruined: bool, samples: int = SAMPLES) -> dict[str, Any]:
    """Return the 5 %, 50 % and 95 % quantiles of figures over runs drawn from a run's own days.

    Days are drawn in blocks of random length, n^(1/3) of n days in the mean, so that what follows on each other stays
    together. Of each sample: annualised Sharpe ratio, total return, and the deepest fall on the daily grid.

    Args:
        days: of the run; only whole ones are drawn.
        seed: of the generator; the same seed gives the same figures.
        ruined: equity was at or below zero.

    Returns:
        seed, samples, block_days, days (how many there are to draw from), left_out (the return of the parts of days at
        the ends, which no sample has), and figures by name; or only the reason why there are none.
    """
    returns = days.returns
    n = len(returns)
    reason = "ruined" if ruined else "too_few" if n < _MIN_DAYS else "" if np.isfinite(returns).all() else "overflow"
    if not reason and float(np.ptp(returns)) <= 1e-15 * float(np.abs(returns).max()):
        reason = "no_variance"
    if reason:
        return {"reason": reason}
    block = max(1, round(n ** (1 / 3)))
    random = np.random.Generator(np.random.PCG64(seed))
    at = np.floor(random.random(samples) * n).astype(np.int64)
    total, squares = np.zeros(samples), np.zeros(samples)
    equity, peak, worst = np.ones(samples), np.ones(samples), np.zeros(samples)
    centre = math.fsum(returns) / n
    for _ in range(n):  # day by day over all samples: each sum has one order
        day = returns[at]
        total += day - centre
        squares += (day - centre) ** 2
        equity *= 1.0 + day
        np.maximum(peak, equity, out=peak)
        np.minimum(worst, equity / peak - 1.0, out=worst)
        fresh = random.random(samples) < 1 / block
        at = np.where(fresh, np.floor(random.random(samples) * n).astype(np.int64), (at + 1) % n)
    mean = total / n
    spread = np.sqrt(np.maximum(squares / n - mean * mean, 0.0) * (n / (n - 1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        sharpe = (mean + centre) / spread * math.sqrt(DAYS_A_YEAR)
    figures = {"sharpe": sharpe[np.isfinite(sharpe)], "total_return": equity - 1.0, "max_drawdown": worst}
    return {
        "seed": seed,
        "samples": samples,
        "block_days": block,
        "days": n,
        "left_out": finite(_left_out(days)),
        "figures": {name: _quantiles(found) for name, found in figures.items()},
    }


def _left_out(days: Daily) -> float:
    whole = float(days.equity[-1] / days.equity[0])
    return float(days.with_ends[-1] / days.with_ends[0]) / whole - 1.0


def _quantiles(found: Floats) -> dict[str, float | None]:
    if not len(found):
        return dict.fromkeys(_QUANTILES)
    return {name: finite(float(np.quantile(found, share))) for name, share in _QUANTILES.items()}
