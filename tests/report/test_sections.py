"""Rolling windows, parts, months, bootstrap, buy and hold, exposure and costs."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, tuples

from backtester.core.time import DAY, HOUR, parse_time
from backtester.report.benchmark import comparison, regression
from backtester.report.bootstrap import bootstrap
from backtester.report.costs import Accounts, cost_section
from backtester.report.exposure import exposure_figures
from backtester.report.rolling import monthly_returns, rolling, stability
from backtester.report.series import EquitySeries, daily
from tests.report.curves import MIDNIGHT, curve, units

NONE = np.empty(0, dtype=np.int64)
WAVY = [1000 + 50 * np.sin(n / 7) + n for n in range(200)]


def test_a_rolling_window_is_the_run_of_those_days() -> None:
    days = daily(curve(*WAVY))
    found = rolling(days, 30)
    assert len(found["points"]) == 199 - 30 + 1
    assert found["points"][0]["ts"] == "2023-01-31T00:00:00Z"
    last = found["points"][-1]
    assert last["return"] == pytest.approx(WAVY[-1] / WAVY[-31] - 1)
    returns = days.returns[-30:]
    assert last["sharpe"] == pytest.approx(np.mean(returns) / np.std(returns, ddof=1) * np.sqrt(365))
    assert rolling(daily(curve(*WAVY[:20])), 30)["reason"] == "too_short"


def test_of_many_days_every_nth_point_is_shown() -> None:
    found = rolling(daily(curve(*np.linspace(1000, 2000, 6000).tolist())), 30)
    assert found["every_days"] == 3
    assert len(found["points"]) <= 2000


def test_the_parts_of_a_run_are_the_whole_run() -> None:
    days = daily(curve(*WAVY))
    exits = MIDNIGHT + np.array([1, 5, 50, 100, 198], dtype=np.int64) * DAY + HOUR
    found = stability(days, exits)
    assert len(found["windows"]) == 6
    growth = 1.0
    for window in found["windows"]:
        growth *= 1 + window["return"]
    assert growth == pytest.approx(WAVY[-1] / WAVY[0])
    assert sum(window["n_trades"] for window in found["windows"]) == len(exits)
    assert found["positive_share"] == sum(window["return"] > 0 for window in found["windows"]) / 6


def test_months_multiply_to_the_run_and_say_when_they_are_parts() -> None:
    series = curve(*WAVY, start=parse_time("2023-01-10"))
    found = monthly_returns(series)
    assert [month["month"] for month in found][:2] == ["2023-01", "2023-02"]
    assert [month["partial"] for month in found] == [True] + [False] * 5 + [True]
    growth = 1.0
    for month in found:
        growth *= 1 + month["return"]
    assert growth == pytest.approx(WAVY[-1] / WAVY[0])


def test_a_run_that_ends_at_the_end_of_a_month_has_no_next_month() -> None:
    found = monthly_returns(curve(*[1000] * 32))
    assert [(month["month"], month["partial"]) for month in found] == [("2023-01", False)]


def test_the_same_seed_draws_the_same_runs() -> None:
    days = daily(curve(*WAVY))
    once, again, other = (bootstrap(days, seed, ruined=False) for seed in (1, 1, 2))
    assert once == again != other
    for quantiles in once["figures"].values():
        assert quantiles["p05"] < quantiles["p50"] < quantiles["p95"]
    assert bootstrap(daily(curve(*WAVY[:20])), 1, ruined=False) == {"reason": "too_few"}
    assert bootstrap(days, 1, ruined=True) == {"reason": "ruined"}


def test_what_no_sample_has_is_said() -> None:
    whole = bootstrap(daily(curve(*WAVY)), 1, ruined=False)
    assert (whole["days"], whole["left_out"]) == (len(WAVY) - 1, 0)
    hours = [800.0] * 12 + [hour for day in WAVY for hour in [day] * 24]  # twelve hours before the first midnight
    series = curve(1000, *hours, start=MIDNIGHT - 13 * HOUR, step=HOUR)
    found = bootstrap(daily(series), 1, ruined=False)
    assert found["left_out"] == pytest.approx(WAVY[0] / 1000 - 1)


def test_drawn_runs_lie_around_the_run_they_are_drawn_from() -> None:
    returns = np.random.Generator(np.random.PCG64(3)).normal(0.001, 0.01, 700)
    found = bootstrap(daily(curve(*np.cumprod(np.append(1e6, 1 + returns)))), 5, ruined=False, samples=3000)["figures"][
        "sharpe"
    ]
    sharpe = returns.mean() / returns.std(ddof=1) * np.sqrt(365)
    error = np.sqrt(365 / 700)  # of independent returns
    assert found["p50"] == pytest.approx(sharpe, abs=0.25 * error)
    assert (found["p95"] - found["p05"]) / (2 * 1.645) == pytest.approx(error, rel=0.25)


def test_days_without_change_have_no_quantiles() -> None:
    assert bootstrap(daily(curve(*[1000] * 50)), 1, ruined=False) == {"reason": "no_variance"}


def test_twice_the_market_has_beta_two() -> None:
    market = np.random.Generator(np.random.PCG64(1)).normal(0, 0.01, 100)
    line = regression(2 * market + 0.001, market)
    assert line is not None
    assert line == pytest.approx((0.365, 2, 1))
    assert regression(market, np.zeros(100)) is None


def test_holding_against_itself_is_beta_one_and_no_alpha() -> None:
    series = curve(*WAVY)
    section, figures = comparison(daily(series), series, ruined=False)
    assert (figures["beta"]["value"], figures["alpha"]["value"]) == (pytest.approx(1), pytest.approx(0, abs=1e-12))
    assert section["total_return"] == pytest.approx(WAVY[-1] / WAVY[0] - 1)
    assert comparison(daily(series), None, ruined=False)[1]["beta"]["reason"] == "no_benchmark"
    flat = comparison(daily(series), curve(*[1000] * 200), ruined=False)[1]
    assert flat["corr"]["reason"] == "no_variance"


def test_exposure_is_weighted_by_time() -> None:
    ts = MIDNIGHT + np.array([0, 1, 1, 3, 4], dtype=np.int64) * HOUR
    series = EquitySeries(ts, units([1000] * 5), units([0, 0, 500, 2000, 0]))
    times = MIDNIGHT + np.array([1, 3], dtype=np.int64) * HOUR
    found = exposure_figures(series, times, units([500, -2000]).astype(np.float64), int(units([4000])[0]), 2)
    assert found["exposure_time"]["value"] == 3 / 4
    assert found["gross_exposure_avg"]["value"] == pytest.approx((0.5 * 2 + 2 * 1) / 4)
    assert found["net_exposure_avg"]["value"] == pytest.approx((0.5 * 2 - 2 * 1) / 4)
    assert found["leverage_max"]["value"] == 2
    assert found["turnover_annual"]["value"] == pytest.approx(4 / (4 / (365 * 24)))


def test_without_a_position_exposure_and_turnover_are_zero() -> None:
    found = exposure_figures(curve(1000, 1000, 1000), NONE, np.empty(0), 0, 0)
    assert {metric["value"] for metric in found.values()} == {0}


def test_while_equity_is_gone_exposure_is_left_out_and_flagged() -> None:
    found = exposure_figures(curve(1000, -100, -100, exposure=[500, 500, 500]), NONE, np.empty(0), 0, 1)
    assert found["gross_exposure_avg"] == {
        **{"value": 0.5, "definition_id": "gross_exposure_avg/1", "flag": "equity_not_positive"}
    }


@given(lists(integers(-(10**15), 10**15), min_size=12, max_size=12))
def test_cost_lines_add_up_to_net_profit(amounts: list[int]) -> None:
    section = cost_section(Accounts(*amounts), "USDT")
    assert sum(Decimal(line["value"]) for line in section["lines"]) == Decimal(section["net"])
    assert sum(Decimal(line["value"]) for line in section["whose"]) == Decimal(section["net"])


@given(lists(tuples(integers(1, 50), integers(500, 1500)), min_size=2, max_size=30))
def test_exposure_time_never_passes_the_whole(rows: list[tuple[int, int]]) -> None:
    ts = MIDNIGHT + np.cumsum([gap for gap, _ in rows]).astype(np.int64) * HOUR
    series = EquitySeries(ts, units([equity for _, equity in rows]), units([n % 2 * 100 for n in range(len(rows))]))
    assert 0 <= exposure_figures(series, NONE, np.empty(0), 0, 1)["exposure_time"]["value"] <= 1
