"""How often it was tried: deflation, overfitting, length of the record."""

import math

import numpy as np
import pytest

from backtester.report.returns import probability_above, sharpe_of
from backtester.report.selection import (
    Trials,
    effective_trials,
    expected_best,
    overfitting_probability,
    selection_figures,
    trials_of,
)

NOISE = np.random.Generator(np.random.PCG64(7))


def noise(days: int, tries: int) -> np.ndarray:
    return NOISE.normal(0.0, 0.01, (days, tries))


def test_the_expected_best_of_many_is_what_the_paper_tabulates() -> None:
    # Bailey and Lopez de Prado 2014: of 1,000 trials with variance 1 about 3.26, of 10 about 1.57.
    assert expected_best(1000, 1.0) == pytest.approx(3.26, abs=0.01)
    assert expected_best(10, 1.0) == pytest.approx(1.57, abs=0.01)
    drawn = NOISE.normal(0, 1, (20_000, 100)).max(axis=1).mean()
    assert expected_best(100, 1.0) == pytest.approx(drawn, abs=0.05)


def test_the_deflated_ratio_is_judged_against_the_expected_best() -> None:
    returns = noise(500, 1)[:, 0] + 0.001
    per_day, _ = sharpe_of(returns)
    assert per_day is not None
    found = selection_figures(returns, Trials(50, 0.002, 20, None, "too_few"), ruined=False)["deflated_sharpe"]
    assert found["value"] == probability_above(per_day, expected_best(50, 0.002), returns)
    assert (found["trials"], found["effective_trials"]) == (50, 20)
    more = selection_figures(returns, Trials(500, 0.002, 20, None, "too_few"), ruined=False)["deflated_sharpe"]
    assert more["value"] < found["value"]


@pytest.mark.parametrize("trials", [None, Trials(1, None, None, None, "too_few")])
def test_where_nobody_knows_how_many_were_tried_it_is_not_deflated(trials: Trials | None) -> None:
    found = selection_figures(noise(100, 1)[:, 0], trials, ruined=False)
    assert found["deflated_sharpe"]["reason"] == "not_deflated"
    assert found["pbo"]["value"] is None


def test_after_the_minimum_length_of_the_record_the_probability_is_95_percent() -> None:
    returns = noise(400, 1)[:, 0] + 0.001
    per_day, _ = sharpe_of(returns)
    assert per_day is not None
    assert per_day > 0
    days = selection_figures(returns, None, ruined=False)["min_track_record_length"]["value"]
    sure = probability_above(per_day, 0.0, returns)
    assert sure is not None
    z = {True: 1, False: -1}[sure > 0.95]
    assert (400 - days) * z > 0  # long enough exactly where it is sure enough
    assert selection_figures(-returns, None, ruined=False)["min_track_record_length"]["reason"] == "not_positive"


def test_noise_is_overfitted_half_of_the_time_and_skill_is_not() -> None:
    chances = [overfitting_probability(noise(160, 20))[0] for _ in range(8)]
    assert 0.3 < sum(chance or 0 for chance in chances) / 8 < 0.7
    skilled = noise(320, 20)
    skilled[:, 3] += 0.01
    assert overfitting_probability(skilled)[0] == pytest.approx(0, abs=0.01)


def test_overfitting_needs_ten_trials_and_eighty_days() -> None:
    assert overfitting_probability(noise(160, 9)) == (None, "too_few")
    assert overfitting_probability(noise(79, 20)) == (None, "too_few")


def test_the_order_of_the_trials_does_not_matter() -> None:
    matrix = noise(160, 12)
    assert overfitting_probability(matrix) == overfitting_probability(matrix[:, ::-1].copy())


def test_trials_that_go_together_are_one() -> None:
    one, other = noise(300, 1), noise(300, 1)
    matrix = np.hstack([one, one * 2 + noise(300, 1) * 0.1, other, other + 0.001])
    assert effective_trials(matrix) == 2
    assert effective_trials(noise(300, 5)) == 5


def test_a_family_of_different_lengths_is_counted_but_not_compared() -> None:
    found = trials_of([noise(100, 1)[:, 0]] * 11 + [noise(90, 1)[:, 0]], [0.1] * 11 + [0.2])
    assert (found.distinct, found.effective, found.reason) == (12, None, "not_aligned")
    assert found.sharpe_variance == pytest.approx(11 / 12 * 0.01 * 12 / 11 / 12)
    assert math.isclose(np.var([0.1] * 11 + [0.2], ddof=1), found.sharpe_variance or 0)
