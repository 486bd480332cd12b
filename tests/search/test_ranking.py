from math import sqrt

import numpy as np
import pytest
from msgspec import structs

from backtester.core.errors import UsageError
from backtester.search.outcome import Outcome, moments_of
from backtester.search.ranking import checked_metric, deflated_sharpe, ranked


def one(number: int, sharpe_day: float | None = None, **figures: float) -> Outcome:
    plain = Outcome(
        number=number, values={}, sharpe_day=sharpe_day, sharpe=sharpe_day, skew=0.0, kurtosis=3.0, n_days=101
    )
    return structs.replace(plain, **figures)


def test_the_best_come_first_and_what_has_no_figure_last() -> None:
    found = ranked([one(0), one(1, 0.1), one(2, 0.3), one(3, 0.1)], "sharpe")
    assert [o.number for o in found] == [2, 1, 3, 0]


def test_a_drawdown_nearer_to_zero_is_better_and_so_are_smaller_fees() -> None:
    deep, shallow = one(0, max_drawdown=-0.5, fees_units=1), one(1, max_drawdown=-0.1, fees_units=9)
    assert ranked([deep, shallow], "max_drawdown")[0] is shallow
    assert ranked([deep, shallow], "fees")[0] is deep


def test_what_did_not_run_is_not_ranked() -> None:
    assert ranked([Outcome(number=0, values={}, status="refused")], "sharpe") == []


def test_an_unknown_figure_is_refused() -> None:
    with pytest.raises(UsageError, match="ranked by 'luck'"):
        checked_metric("luck")


def test_the_deflated_sharpe_is_as_worked_out_by_hand() -> None:
    # Of 2 trials, 0.0 and 0.2 a day: V = 0.02. Phi^-1(1/2) = 0; Phi^-1(1 - 1/(2e)) = Phi^-1(0.816060) = 0.900453.
    # SR0 = sqrt(0.02) x 0.5772157 x 0.900453 = 0.0735045; (0.2 - 0.0735045) x 10 / sqrt(1 + 0.5 x 0.04) = 1.252492.
    trials = [one(0, 0.0), one(1, 0.2)]
    found = deflated_sharpe(trials[1], trials, 2)
    assert found.expected == pytest.approx(0.0735045 * sqrt(365), rel=1e-5)
    assert found.probability == pytest.approx(0.894805, rel=1e-5)


def test_more_trials_of_the_same_spread_deflate_more() -> None:
    trials = [one(i, 0.01 * i) for i in range(10)]
    few, many = (deflated_sharpe(trials[-1], trials, n).probability for n in (10, 1000))
    assert few is not None
    assert many is not None
    assert many < few


def test_one_trial_is_not_deflated() -> None:
    assert deflated_sharpe(one(0, 0.2), [one(0, 0.2)], 1).reason == "one_trial"


def test_moments_of_three_days_worked_out_by_hand() -> None:
    # Returns 0.1, -0.1, 0.3: mean 0.1, deviation 0.2; around the mean 0, -0.2, 0.2: no skew, kurtosis 1.5.
    found = moments_of(np.array([1_000_000, 1_100_000, 990_000, 1_287_000]))
    assert found.sharpe_day == pytest.approx(0.5)
    assert found.skew == pytest.approx(0.0, abs=1e-12)
    assert found.kurtosis == pytest.approx(1.5)
    assert found.n_days == 3


def test_flat_or_lost_equity_has_no_ratio() -> None:
    assert moments_of([5, 5, 5, 5]).sharpe_day is None
    assert moments_of([5, 0, 5, 5]).sharpe_day is None
    assert moments_of([5, 6]).sharpe_day is None
