"""Comparison with what holding the run's symbols would have made. Definitions: docs/metrics.md."""

from typing import Any, Final, NamedTuple

import numpy as np

from backtester.report.drawdowns import depths
from backtester.report.figures import Floats, Metric, finite, mean, null, value
from backtester.report.returns import cagr, sharpe_of
from backtester.report.series import DAYS_A_YEAR, Daily, EquitySeries, daily

NAME: Final = "buy and hold"


class Line(NamedTuple):
    """Daily returns against those of the benchmark: OLS."""

    alpha: float
    beta: float
    corr: float | None


def regression(returns: Floats, others: Floats) -> Line | None:
    """Return how returns go with others of the same days; None where these do not vary. alpha: per year."""
    if len(returns) < 2:
        return None
    x, y = others - mean(others), returns - mean(returns)
    xx, yy, xy = (mean(a * b) for a, b in ((x, x), (y, y), (x, y)))
    if xx <= 1e-30:
        return None
    beta = xy / xx
    return Line(
        (mean(returns) - beta * mean(others)) * DAYS_A_YEAR,
        beta,
        xy / (xx * yy) ** 0.5 if yy > 1e-30 else None,
    )


def comparison(days: Daily, held: EquitySeries | None, *, ruined: bool) -> tuple[dict[str, Any], dict[str, Metric]]:
    """Return the benchmark's section, and alpha, beta and correlation to it.

    held: equity of buy and hold; None where the run's symbols have no price to be held at.
    """
    if held is None or held.equity[0] <= 0:
        why = "no_benchmark"
        return {"name": NAME, "reason": why}, {key: null(f"{key}/1", why) for key in ("alpha", "beta", "corr")}
    grid = daily(held)
    growth = value("total_return/1", int(held.equity[-1]) / int(held.equity[0]) - 1)
    per_day, _ = sharpe_of(grid.returns)
    same, here, there = np.intersect1d(days.days[1:], grid.days[1:], return_indices=True)
    line = None
    if len(same) and not ruined and np.isfinite(days.returns).all() and np.isfinite(grid.returns).all():
        line = regression(days.returns[here], grid.returns[there])
    why = "ruined" if ruined else "too_short" if len(same) < 2 else "no_variance"
    alpha, beta, corr = line if line is not None else (None, None, None)
    section = {
        "name": NAME,
        "total_return": finite(growth["value"]),
        "cagr": cagr(growth, held.years)["value"],
        "max_drawdown": float(depths(held.equity.astype(np.float64)).min()),
        "sharpe": None if per_day is None else finite(per_day * DAYS_A_YEAR**0.5),
        "alpha": alpha,
        "beta": beta,
        "corr": corr,
    }
    return section, {
        "alpha": value("alpha/1", alpha, why),
        "beta": value("beta/1", beta, why),
        "corr": value("corr/1", corr, why),
    }
