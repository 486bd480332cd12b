"""Which combinations did best, and how much of the best one is luck."""

from collections.abc import Sequence
from math import fsum, sqrt
from statistics import NormalDist
from typing import Any, Final, NamedTuple

from backtester.core.errors import UsageError
from backtester.report.selection import expected_best
from backtester.search.outcome import YEAR_DAYS, Outcome

_LEAST_DAYS: Final = 20

METRICS: Final = {
    "sharpe": "sharpe",
    "total_return": "total_return",
    "max_drawdown": "max_drawdown",
    "final_equity": "final_equity_units",
    "profit_factor": "profit_factor",
    "win_rate": "win_rate",
    "n_trades": "n_trades",
    "fees": "fees_units",
}
_LESS_IS_BETTER: Final = frozenset({"fees"})


def checked_metric(name: str) -> str:
    """Return the name of a figure by which combinations can be ranked.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in METRICS:
        raise UsageError(f"combinations cannot be ranked by {name!r}", hint=f"allowed: {', '.join(METRICS)}")
    return name


def value_of(outcome: Outcome, metric: str) -> float | None:
    """Return a figure of a combination; None where it has no meaning, or the combination did not run."""
    value: Any = getattr(outcome, METRICS[metric])
    return value if outcome.status == "ok" else None


def ranked(outcomes: Sequence[Outcome], metric: str) -> list[Outcome]:
    """Return the combinations that ran, the best first; of equal ones, and without a figure, by number."""
    ran = [o for o in outcomes if o.status == "ok"]
    sign = 1 if metric in _LESS_IS_BETTER else -1

    def key(outcome: Outcome) -> tuple[bool, float, int]:
        value = value_of(outcome, metric)
        return value is None, 0.0 if value is None else sign * value, outcome.number

    return sorted(ran, key=key)


class Deflated(NamedTuple):
    """The chance that a Sharpe is above what the best of so many trials without any edge would show.

    probability: in [0, 1]; None with a reason. trials: distinct ones. expected: the (annual) Sharpe that the best of
    them would show by luck alone.
    """

    probability: float | None
    trials: int
    expected: float | None
    reason: str = ""


def deflated_sharpe(best: Outcome, outcomes: Sequence[Outcome], trials: int) -> Deflated:
    """Return the deflated Sharpe of a combination that was chosen from many.

    Args:
        best: the one that was chosen.
        outcomes: all; the variance is over those that have a Sharpe.
        trials: how many distinct ones were tried.

    Source: D. Bailey and M. López de Prado, "The Deflated Sharpe Ratio", Journal of Portfolio Management 40(5), 2014.
    """
    found = [o.sharpe_day for o in outcomes if o.status == "ok" and o.sharpe_day is not None]
    ratio, skew, kurtosis, n = best.sharpe_day, best.skew, best.kurtosis, best.n_days
    if ratio is None or skew is None or kurtosis is None:
        return Deflated(None, trials, None, "no_sharpe")
    if n < _LEAST_DAYS:
        return Deflated(None, trials, None, "too_few_days")
    if trials < 2 or len(found) < 2:
        return Deflated(None, trials, None, "one_trial")
    mean = fsum(found) / len(found)
    variance = fsum((one - mean) ** 2 for one in found) / (len(found) - 1)
    expected = expected_best(trials, variance)
    spread = 1 - skew * ratio + (kurtosis - 1) / 4 * ratio * ratio
    if spread <= 0:
        return Deflated(None, trials, expected * sqrt(YEAR_DAYS), "no_variance")
    sure = NormalDist().cdf((ratio - expected) * sqrt(n - 1) / sqrt(spread))
    return Deflated(sure, trials, expected * sqrt(YEAR_DAYS))
