"""What a Sharpe ratio is worth when it was chosen among many: deflation, overfitting, length of the record.

Sources: Bailey and Lopez de Prado, "The Sharpe Ratio Efficient Frontier", 2012, and "The Deflated Sharpe Ratio", 2014;
Bailey, Borwein, Lopez de Prado and Zhu, "The Probability of Backtest Overfitting", 2016.
"""

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtester.report.figures import Floats, Metric, deviation, null, value
from backtester.report.returns import moments, probability_above, sharpe_of

BLOCKS: Final = 16
_EULER: Final = 0.5772156649015329
_MIN_TRIALS: Final = 10
_MIN_BLOCK_DAYS: Final = 5
_MIN_DAYS: Final = 20
_SURE: Final = 0.95
_ALIKE: Final = 0.5
_NORMAL = NormalDist()


class Trials(NamedTuple):
    """What is known of the tries that a run was chosen from. distinct: how many there are, this run among them.

    sharpe_variance: of the per-day Sharpe ratios of all tries; None where fewer than two have one. effective: how many
    there are when those that go together are one. overfitting: the PBO, or why there is none. overlapping: how many
    tries of any strategy there are on data that overlaps with the run's; they deflate nothing.
    """

    distinct: int
    sharpe_variance: float | None
    effective: int | None
    overfitting: float | None
    reason: str
    overlapping: int = 1


def selection_figures(returns: Floats, trials: Trials | None, *, ruined: bool) -> dict[str, Metric]:
    """Return the figures that know how often it was tried. trials: None where nobody counted them."""
    per_day, why = (None, "ruined") if ruined else sharpe_of(returns)
    few = why or ("too_few" if len(returns) < _MIN_DAYS else "")
    found = {"min_track_record_length": _min_track_record(per_day, returns, few)}
    if trials is None or trials.distinct < 2 or trials.sharpe_variance is None:
        count = None if trials is None else trials.distinct
        found["deflated_sharpe"] = null("deflated_sharpe/1", "not_deflated", trials=count)
    else:
        threshold = expected_best(trials.distinct, trials.sharpe_variance)
        sure = probability_above(per_day, threshold, returns) if per_day is not None and not few else None
        found["deflated_sharpe"] = value(
            "deflated_sharpe/1", sure, few or "no_variance", trials=trials.distinct, effective_trials=trials.effective
        )
    if trials is None:
        found["trials_overlapping"] = null("trials_overlapping/1", "trials_unknown")
        found["pbo"] = null("pbo/1", "trials_unknown")
    else:
        found["trials_overlapping"] = value("trials_overlapping/1", trials.overlapping)
        found["pbo"] = value("pbo/1", trials.overfitting, trials.reason, trials=trials.distinct)
    return found


def expected_best(trials: int, variance: float) -> float:
    """Return the Sharpe ratio per period that the best of so many tries is expected to have when none has any skill."""
    first, second = (_NORMAL.inv_cdf(1 - 1 / (trials * factor)) for factor in (1, math.e))
    return math.sqrt(variance) * ((1 - _EULER) * first + _EULER * second)


def _min_track_record(per_day: float | None, returns: Floats, few: str) -> Metric:
    """Return how many days it takes for a probability of 95 % that the true Sharpe ratio is above zero."""
    definition = "min_track_record_length/1"
    if few or per_day is None:
        return null(definition, few)
    if per_day <= 0:
        return null(definition, "not_positive")
    skew, kurtosis = moments(returns)
    spread = 1 - skew * per_day + (kurtosis - 1) / 4 * per_day**2
    return value(definition, 1 + spread * (_NORMAL.inv_cdf(_SURE) / per_day) ** 2, unit="days")


def trials_of(matrix: Sequence[Floats], sharpes: Sequence[float | None]) -> Trials:
    """Return what the distinct tries of a family say together.

    Args:
        matrix: daily returns of each try, whatever their length; only those over the same days are compared.
        sharpes: per day, of each try.
    """
    known = np.array([sharpe for sharpe in sharpes if sharpe is not None])
    variance = deviation(known) ** 2 if len(known) > 1 else None
    lengths = {len(returns) for returns in matrix}
    if len(lengths) != 1 or len(matrix) < 2 or max(lengths) < 2:
        return Trials(len(matrix), variance, None, None, "too_few" if len(matrix) < _MIN_TRIALS else "not_aligned")
    together = np.column_stack(list(matrix))
    overfitting, reason = overfitting_probability(together)
    return Trials(len(matrix), variance, effective_trials(together), overfitting, reason)


def effective_trials(returns: Floats) -> int:
    """Return how many groups of tries there are whose daily returns correlate above 0.5 with a member of the group.

    returns: shape (days, tries).
    """
    centred = returns - returns.mean(axis=0)
    norms = np.sqrt((centred**2).sum(axis=0))
    norms[norms == 0] = 1.0
    scaled = centred / norms
    tries = returns.shape[1]
    group = list(range(tries))

    def root(n: int) -> int:
        while group[n] != n:
            n = group[n]
        return n

    for one in range(tries):
        alike = (scaled[:, one, None] * scaled[:, one + 1 :]).sum(axis=0) > _ALIKE
        for other in (np.flatnonzero(alike) + one + 1).tolist():
            group[root(other)] = root(one)
    return len({root(n) for n in range(tries)})


def overfitting_probability(returns: Floats) -> tuple[float | None, str]:
    """Return the share of halves of the days whose best try is in the lower half on the other days; or why none.

    returns: shape (days, tries). The days are cut into 16 blocks, and every choice of 8 of them is tried.
    """
    days, tries = returns.shape
    if tries < _MIN_TRIALS or days < BLOCKS * _MIN_BLOCK_DAYS:
        return None, "too_few"
    cuts = [days * block // BLOCKS for block in range(BLOCKS + 1)]
    lengths = np.diff(cuts).astype(np.float64)
    sums = np.add.reduceat(returns, cuts[:-1], axis=0)
    squares = np.add.reduceat(returns**2, cuts[:-1], axis=0)
    chosen = np.zeros((math.comb(BLOCKS, BLOCKS // 2), BLOCKS), dtype=bool)
    for row, blocks in enumerate(combinations(range(BLOCKS), BLOCKS // 2)):
        chosen[row, list(blocks)] = True
    inside, outside = (_sharpes(part, lengths, sums, squares) for part in (chosen, ~chosen))
    best = inside.argmax(axis=1)
    theirs = outside[np.arange(len(best)), best]
    below = (outside < theirs[:, None]).sum(axis=1) + (outside == theirs[:, None]).sum(axis=1) * 0.5 + 0.5
    return float(np.count_nonzero(below / (tries + 1) <= 0.5) / len(best)), ""


def _sharpes(part: NDArray[np.bool_], lengths: Floats, sums: Floats, squares: Floats) -> Floats:
    """Return the Sharpe ratio per day of every try over every choice of blocks, added up block by block."""
    n, total, square = np.zeros(len(part)), 0.0, 0.0
    for block in range(len(lengths)):
        taken = part[:, block].astype(np.float64)
        n += taken * lengths[block]
        total = total + taken[:, None] * sums[block]
        square = square + taken[:, None] * squares[block]
    mean = total / n[:, None]
    variance = np.maximum(square / n[:, None] - mean**2, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(variance > 0, mean / np.sqrt(variance), 0.0)
