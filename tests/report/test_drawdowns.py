"""Falls below a peak: how deep, how long, when."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists

from backtester.core.time import DAY, HOUR
from backtester.report.drawdowns import (
    deepest_falls,
    depths,
    drawdown_figures,
    episodes,
    ratios_to_drawdown,
    realised_drawdown,
)
from backtester.report.series import daily
from tests.report.curves import MIDNIGHT, UNIT, curve, units


def test_the_first_equity_is_the_first_peak() -> None:
    series = curve(1000, 900, 950)
    found = drawdown_figures(series, daily(series))
    assert found["max_drawdown"]["value"] == pytest.approx(-0.1)
    assert found["max_drawdown"]["peak"] == "2023-01-01T00:00:00Z"
    assert found["max_drawdown"]["trough"] == "2023-01-02T00:00:00Z"
    assert found["max_drawdown"]["recovered"] is None
    assert found["drawdown_duration"] == {
        **{"value": 2.0, "definition_id": "drawdown_duration/1", "unit": "days", "recovered": False},
        "peak": "2023-01-01T00:00:00Z",
    }


def test_a_loss_in_the_first_or_the_last_part_of_a_day_is_in_the_daily_drawdown() -> None:
    noon = MIDNIGHT + DAY // 2
    early = curve(1000, *[700] * 40, start=noon, step=HOUR)
    late = curve(*[1000] * 30, 700, start=noon, step=HOUR)
    short = curve(1000, 700, start=noon, step=HOUR)
    for series in (early, late, short):
        found = drawdown_figures(series, daily(series))
        assert found["max_drawdown_daily"]["value"] == pytest.approx(-0.3)
    assert drawdown_figures(early, daily(early))["ulcer_index"]["value"] == pytest.approx(0.3 * math.sqrt(3 / 4))
    assert daily(early).returns.tolist() == [0.0]


@given(lists(integers(50, 150), min_size=1, max_size=120), integers(0, 23))
def test_the_daily_drawdown_is_that_of_the_midnights_and_both_ends(equity: list[int], hour: int) -> None:
    series = curve(*equity, start=MIDNIGHT + hour * HOUR, step=HOUR)
    at_midnights = [e for n, e in enumerate(equity) if (hour + n) % 24 == 0 or n in (0, len(equity) - 1)]
    deepest = min(now / max(at_midnights[: n + 1]) - 1 for n, now in enumerate(at_midnights))
    found = drawdown_figures(series, daily(series))
    assert found["max_drawdown_daily"]["value"] == pytest.approx(deepest)
    assert found["max_drawdown"]["value"] <= found["max_drawdown_daily"]["value"]


def test_as_high_as_before_is_recovered_and_a_stay_at_the_peak_is_no_fall() -> None:
    series = curve(1000, 1000, 900, 1000, 1000)
    found = drawdown_figures(series, daily(series))
    assert found["max_drawdown"]["peak"] == "2023-01-02T00:00:00Z"
    assert found["max_drawdown"]["recovered"] == "2023-01-04T00:00:00Z"
    assert found["drawdown_duration"]["value"] == 2
    assert found["drawdown_duration"]["recovered"] is True


def test_the_five_deepest_come_deepest_first() -> None:
    series = curve(100, 99, 100, 95, 101, 90, 102, 101, 103, 80, 104, 103, 104, 60)
    assert [round(fall["depth"], 3) for fall in deepest_falls(series)] == [-0.423, -0.223, -0.109, -0.05, -0.01]
    assert deepest_falls(series)[0]["recovered"] is None


def test_what_trades_realised_has_a_drawdown_of_its_own() -> None:
    assert realised_drawdown(1000 * UNIT, units([100, -220, 50]))["value"] == pytest.approx(-0.2)
    assert realised_drawdown(1000 * UNIT, units([]))["value"] == 0


def test_ratios_to_a_drawdown_that_is_not_there_are_null() -> None:
    found = {
        "cagr": {"value": 0.5, "definition_id": "cagr/1"},
        "max_drawdown": {"value": 0.0, "definition_id": "max_drawdown/1"},
        "ulcer_index": {"value": 0.0, "definition_id": "ulcer_index/1"},
    }
    assert ratios_to_drawdown(found, 2)["calmar"]["reason"] == "no_drawdown"
    found["max_drawdown"]["value"], found["ulcer_index"]["value"] = -0.25, 0.1
    assert ratios_to_drawdown(found, 0.5)["calmar"] == {"value": 2.0, "definition_id": "calmar/1", "flag": "short_run"}
    assert ratios_to_drawdown(found, 2)["upi"] == {"value": 5.0, "definition_id": "upi/1"}


@given(lists(integers(1, 12), min_size=1, max_size=40))
def test_episodes_are_what_a_walk_along_the_curve_finds(equity: list[int]) -> None:
    found, peak_at, open_since = [], 0, None
    for n, value in enumerate(equity):
        if value >= equity[peak_at]:
            if open_since is not None:
                found.append((peak_at, min(range(peak_at, n), key=lambda k: (equity[k], k)), n))
                open_since = None
            peak_at = n
        else:
            open_since = peak_at
    if open_since is not None:
        last = len(equity) - 1
        found.append((peak_at, min(range(peak_at, len(equity)), key=lambda k: (equity[k], k)), last))
    falls = episodes(depths(np.array(equity, dtype=np.float64)))
    assert list(zip(falls.peak.tolist(), falls.trough.tolist(), falls.recovered.tolist(), strict=True)) == found
    assert falls.open == (open_since is not None)


def test_time_to_trough_is_of_the_longest_fall() -> None:
    series = curve(100, 50, 100, 99, 98, 99, 100)
    found = drawdown_figures(series, daily(series))
    assert (found["drawdown_duration"]["value"], found["time_to_trough"]["value"]) == (4, 2)
    assert found["max_drawdown"]["trough"].startswith("2023-01-02")
    assert series.ts[-1] - series.ts[0] == 6 * DAY
