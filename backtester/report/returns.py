"""Returns, growth, volatility and the ratios made of daily returns. Definitions: docs/metrics.md."""

import math
from collections.abc import Sequence

import numpy as np

from backtester.pricing.normal import distribution
from backtester.report.figures import Floats, Metric, deviation, mean, null, value
from backtester.report.series import DAYS_A_YEAR, YEAR_US, Daily, EquitySeries, Flow

_ROOT_YEAR = math.sqrt(DAYS_A_YEAR)
_MIN_YEARS = 30 / 365
_MIN_DAYS_FOR_ERRORS = 20
_TAILS = {95: 100, 99: 500}  # days that leave at least five of them in the tail


def total_return(series: EquitySeries, flows: Sequence[Flow] = ()) -> Metric:
    """Return what the account made of what it began with, deposits and withdrawals taken out by time weighting."""
    equity = series.equity
    if equity[0] <= 0:
        return null("total_return/1", "bad_start")
    if not flows:
        return value("total_return/1", int(equity[-1]) / int(equity[0]) - 1)
    growth, before = 1.0, int(equity[0])
    for flow in sorted(flows):
        at = int(np.searchsorted(series.ts, flow.ts, side="left")) - 1  # the last row that does not know of it
        now = int(equity[max(at, 0)])
        if before <= 0:
            return null("total_return/1", "ruined")
        growth, before = growth * (now / before), now + flow.units
    return value("total_return/1", growth * (int(equity[-1]) / before) - 1 if before > 0 else None, "ruined")


def money_weighted_return(series: EquitySeries, flows: Sequence[Flow] = ()) -> Metric:
    """Return the yearly rate at which what was paid in would have grown to what is there at the end."""
    definition = "money_weighted_return/1"
    if not flows:
        return null(definition, "no_flows")
    end, years = int(series.ts[-1]), series.years
    if years < _MIN_YEARS:
        return null(definition, "too_short")
    paid = [(years, int(series.equity[0])), *(((end - flow.ts) / YEAR_US, flow.units) for flow in flows)]
    final = int(series.equity[-1])

    def lacking(rate: float) -> float:
        return math.fsum(units * (1 + rate) ** left for left, units in paid) - final

    low, high = -0.999999, 1.0
    while lacking(high) < 0 and high < 1e9:
        high *= 2
    if lacking(low) > 0 or lacking(high) < 0:
        return null(definition, "no_rate")
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if lacking(middle) < 0 else (low, middle)
    return value(definition, (low + high) / 2)


def cagr(growth: Metric, years: float) -> Metric:
    """Return the growth per year of 365 days."""
    if growth["value"] is None:
        return null("cagr/1", growth["reason"])
    if growth["value"] <= -1:
        return value("cagr/1", -1.0, flag="ruined")
    if years < _MIN_YEARS:
        return null("cagr/1", "too_short")
    try:
        return value("cagr/1", (1 + growth["value"]) ** (1 / years) - 1)
    except OverflowError:
        return null("cagr/1", "overflow")


def sharpe_of(returns: Floats, rate: float = 0.0) -> tuple[float | None, str]:
    """Return the Sharpe ratio per period, not annualised, or why there is none.

    rate: the risk-free return per period.
    """
    if len(returns) < 2:
        return None, "too_short"
    if not np.isfinite(returns).all():
        return None, "overflow"
    excess = returns - rate
    spread = deviation(excess)
    if spread <= 1e-15 * float(np.abs(excess).max()):
        return None, "no_variance"
    return mean(excess) / spread, ""


def moments(returns: Floats) -> tuple[float, float]:
    """Return skew and kurtosis (normal: 3) as they are, not corrected for bias; the returns vary."""
    centred = returns - mean(returns)
    second = mean(centred**2)
    return mean(centred**3) / second**1.5, mean(centred**4) / second**2


def sharpe_error(per_day: float, returns: Floats) -> float:
    """Return the standard error of a Sharpe ratio per period (Mertens; Bailey and Lopez de Prado, 2012)."""
    skew, kurtosis = moments(returns)
    spread = 1 + per_day**2 * (kurtosis - 1) / 4 - skew * per_day
    return math.sqrt(max(0.0, spread) / (len(returns) - 1))


def probability_above(per_day: float, threshold: float, returns: Floats) -> float | None:
    """Return the probability that the true Sharpe ratio per period is above a threshold; None where nothing varies."""
    error = sharpe_error(per_day, returns)
    return float(distribution((per_day - threshold) / error)) if error > 0 else None


def risk_figures(days: Daily, years: float, *, ruined: bool) -> dict[str, Metric]:
    """Return the figures made of daily returns. ruined: equity was at or below zero: ratios mean nothing then."""
    returns = days.returns
    found: dict[str, Metric] = {}
    short = "short_run" if years < _MIN_YEARS else None
    reason = "ruined" if ruined else ""
    if not reason and len(returns) >= 2 and not np.isfinite(returns).all():
        reason = "overflow"
    spread = None if reason or len(returns) < 2 else deviation(returns) * _ROOT_YEAR
    found["volatility"] = value("volatility/1", spread, reason or "too_short")
    per_day, why = (None, reason) if reason else sharpe_of(returns)
    found["sharpe"] = value("sharpe/1", None if per_day is None else per_day * _ROOT_YEAR, why, flag=short)
    many = per_day is not None and len(returns) >= _MIN_DAYS_FOR_ERRORS
    few = why or "too_few"
    error = sharpe_error(per_day, returns) if many and per_day is not None else None
    found["sharpe_se"] = value("sharpe_se/1", None if error is None else error * _ROOT_YEAR, few)
    sure = probability_above(per_day, 0.0, returns) if many and per_day is not None else None
    found["psr"] = value("psr/1", sure, few)
    found["sortino"] = _sortino(returns, reason)
    for percent, least in _TAILS.items():
        found |= _tail(returns, percent, least, reason)
    found |= _shape(returns, reason, why)
    return found


def _sortino(returns: Floats, reason: str) -> Metric:
    if reason or len(returns) < 2:
        return null("sortino/1", reason or "too_short")
    below = math.sqrt(mean(np.minimum(returns, 0.0) ** 2))
    if not below:
        return null("sortino/1", "no_downside")
    return value("sortino/1", mean(returns) / below * _ROOT_YEAR)


def _tail(returns: Floats, percent: int, least: int, reason: str) -> dict[str, Metric]:
    """Return the loss that a day passes with 1 - percent, and the mean of the days that are as bad or worse."""
    at_risk, beyond = f"var_{percent}", f"cvar_{percent}"
    if reason or len(returns) < least:
        why = reason or "too_few"
        return {at_risk: null(f"{at_risk}/1", why), beyond: null(f"{beyond}/1", why)}
    edge = float(np.quantile(returns, 1 - percent / 100))
    worse = returns[returns <= edge]
    return {at_risk: value(f"{at_risk}/1", edge), beyond: value(f"{beyond}/1", mean(worse))}


def _shape(returns: Floats, reason: str, flat: str) -> dict[str, Metric]:
    """Return skew and excess kurtosis, corrected for bias."""
    n = len(returns)
    if reason or n < 4 or flat:
        why = reason or ("too_few" if n < 4 else flat)
        return {"skew": null("skew/1", why), "kurtosis": null("kurtosis/1", why)}
    skew, kurtosis = moments(returns)
    corrected = skew * math.sqrt(n * (n - 1)) / (n - 2)
    excess = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * kurtosis - 3 * (n - 1))
    return {"skew": value("skew/1", corrected), "kurtosis": value("kurtosis/1", excess)}
