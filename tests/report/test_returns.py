"""Figures of daily returns: by hand, frozen, on the edges, and against empyrical."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, lists

from backtester.core.errors import EngineError
from backtester.core.time import DAY, HOUR
from backtester.report.drawdowns import drawdown_figures
from backtester.report.returns import cagr, money_weighted_return, risk_figures, total_return
from backtester.report.series import EquitySeries, Flow, checked, daily
from tests.report.curves import MIDNIGHT, UNIT, curve, units

TEN_DAYS = (1000, 990, 1010, 1030, 1020, 1050, 980, 990, 1000, 1005, 1010)


def figures(series: EquitySeries) -> dict[str, float | None]:
    """All figures of a curve, values only."""
    days, ruined = daily(series), bool(series.equity.min() <= 0)
    growth = total_return(series)
    found = {"total_return": growth, "cagr": cagr(growth, series.years)}
    found |= risk_figures(days, series.years, ruined=ruined) | drawdown_figures(series, days)
    return {name: metric["value"] for name, metric in found.items()}


def reasons(series: EquitySeries) -> dict[str, str]:
    """Why figures have no value."""
    days, ruined = daily(series), bool(series.equity.min() <= 0)
    found = risk_figures(days, series.years, ruined=ruined) | {"cagr": cagr(total_return(series), series.years)}
    return {name: metric["reason"] for name, metric in found.items() if metric["value"] is None}


def test_ten_days_by_hand() -> None:
    found = figures(curve(*TEN_DAYS))
    # Day 1 falls from the deposit: without it as the first point neither -1 % nor the mean would be these.
    returns = [after / before - 1 for before, after in pairwise(TEN_DAYS)]
    mean = sum(returns) / 10
    deviation = math.sqrt(sum((r - mean) ** 2 for r in returns) / 9)
    assert returns[0] == pytest.approx(-0.01, abs=1e-15)
    assert found["total_return"] == pytest.approx(0.01, abs=1e-15)
    assert found["sharpe"] == pytest.approx(mean / deviation * math.sqrt(365), rel=1e-12)
    assert found["volatility"] == pytest.approx(deviation * math.sqrt(365), rel=1e-12)
    downside = math.sqrt(sum(min(r, 0) ** 2 for r in returns) / 10)
    assert found["sortino"] == pytest.approx(mean / downside * math.sqrt(365), rel=1e-12)
    assert found["max_drawdown"] == 980 / 1050 - 1 == found["max_drawdown_daily"]
    assert found["drawdown_duration"] == 5  # from day 5 to the end, not recovered
    assert found["time_to_trough"] == 1
    falls = [0, -10 / 1000, 0, 0, -10 / 1030, 0, -70 / 1050, -60 / 1050, -50 / 1050, -45 / 1050, -40 / 1050]
    assert found["ulcer_index"] == pytest.approx(math.sqrt(sum(f * f for f in falls) / 11), rel=1e-12)


def frozen_curve() -> EquitySeries:
    """600 days of a generator that fits in a line: numerical recipes' LCG, returns within 3 %."""
    state, equity = 20230101, [10_000 * UNIT]
    for _ in range(600):
        state = (1664525 * state + 1013904223) % 2**32
        equity.append(equity[-1] * (1_000_000 + (state % 60_001) - 29_400) // 1_000_000)
    return EquitySeries(
        MIDNIGHT + np.arange(601, dtype=np.int64) * DAY, np.array(equity), np.zeros(601, dtype=np.int64)
    )


# Made once from the definitions in exact rational arithmetic (fractions), square roots in 50 digits (decimal).
FROZEN = {
    "total_return": 0.419164092969,
    "cagr": 0.2373327470271797,
    "volatility": 0.3265185477241081,
    "sharpe": 0.8152321464702735,
    "sharpe_se": 0.7801601216383788,
    "sortino": 1.2076835189783846,
    "max_drawdown": -0.269644254163729,
    "ulcer_index": 0.09943405744061311,
    "var_95": -0.02641825000034066,
    "cvar_95": -0.02783803333375663,
    "var_99": -0.028819550000308683,
    "cvar_99": -0.029157666667175165,
    "skew": 0.0358517743059795,
    "kurtosis": -1.1677497616439252,
    "psr": 0.8519780942218893,
}


@pytest.mark.parametrize("name", sorted(FROZEN))
def test_a_frozen_series_has_the_figures_that_exact_arithmetic_gave(name: str) -> None:
    assert figures(frozen_curve())[name] == pytest.approx(FROZEN[name], rel=1e-12)


def test_a_flat_curve_has_no_risk_and_no_ratios() -> None:
    found, why = figures(curve(*[1000] * 40)), reasons(curve(*[1000] * 40))
    assert [found[name] for name in ("total_return", "volatility", "max_drawdown", "ulcer_index")] == [0, 0, 0, 0]
    assert {why[name] for name in ("sharpe", "sharpe_se", "psr", "skew")} == {"no_variance"}
    assert why["sortino"] == "no_downside"


def test_a_run_of_less_than_two_days_has_totals_and_drawdown_only() -> None:
    short = curve(1000, 900, 950, 1100, step=8 * HOUR)
    found, why = figures(short), reasons(short)
    assert (found["total_return"], found["max_drawdown"]) == (pytest.approx(0.1), pytest.approx(-0.1))
    assert {why[name] for name in ("volatility", "sharpe", "sortino", "cagr")} == {"too_short"}


def test_a_run_of_29_days_has_a_sharpe_with_its_error_but_no_cagr() -> None:
    series = curve(*(1000 + 10 * (n % 3) + n for n in range(30)))
    found = risk_figures(daily(series), series.years, ruined=False)
    assert found["sharpe"]["value"] is not None
    assert found["sharpe"]["flag"] == "short_run"
    assert found["sharpe_se"]["value"] > 0
    assert cagr(total_return(series), series.years)["reason"] == "too_short"


def test_errors_need_twenty_days_and_tails_five_days_in_them() -> None:
    wave = [1000 + 10 * math.sin(n) for n in range(501)]
    assert reasons(curve(*wave[:20]))["psr"] == "too_few"
    assert "psr" not in reasons(curve(*wave[:21]))
    assert reasons(curve(*wave[:100]))["var_95"] == "too_few"
    assert "var_95" not in reasons(curve(*wave[:101]))
    assert reasons(curve(*wave[:500]))["cvar_99"] == "too_few"
    assert "cvar_99" not in reasons(curve(*wave))


@pytest.mark.parametrize("last", [0, -50])
def test_an_account_that_is_ruined_says_so(last: float) -> None:
    series = curve(*[1000, 500] * 20, last)
    found, why = figures(series), reasons(series)
    assert found["cagr"] == -1
    assert found["max_drawdown"] == last / 1000 - 1
    assert {why[name] for name in ("sharpe", "sortino", "volatility", "var_95")} == {"ruined"}
    assert drawdown_figures(series, daily(series))["max_drawdown"]["flag"] == "ruined"


def test_nothing_can_be_said_of_an_account_that_starts_with_nothing() -> None:
    assert total_return(curve(0, 10))["reason"] == "bad_start"


def test_growth_beyond_all_numbers_is_null() -> None:
    growth = {"value": 1e300, "definition_id": "total_return/1"}
    assert cagr(growth, 31 / 365)["reason"] == "overflow"


def test_pieces_of_days_count_for_totals_but_not_for_daily_returns() -> None:
    series = curve(*range(1000, 1000 + 72), start=MIDNIGHT + 5 * HOUR, step=HOUR)
    days = daily(series)
    assert [int(day - MIDNIGHT) // DAY for day in days.days] == [1, 2, 3]
    assert days.equity.tolist() == [(1000 + 19 + 24 * n) * UNIT for n in range(3)]


def test_what_happens_at_the_first_instant_belongs_to_the_first_day() -> None:
    series = curve(1000, 990, 995)
    at_once = EquitySeries(
        np.concatenate((series.ts[:1], series.ts)),
        np.concatenate((units([1000]), units([999, 990, 995]))),
        units([0] * 4),
    )
    assert daily(at_once).returns[0] == pytest.approx(-0.01)


def test_times_that_go_back_are_refused() -> None:
    series = curve(1000, 1001, 1002)
    with pytest.raises(EngineError, match="goes back in time"):
        checked(series._replace(ts=series.ts[::-1]))


def test_a_deposit_leaves_the_time_weighted_return_alone_and_moves_the_money_weighted_one() -> None:
    years = 4 * 365
    growing = [1000 * 1.001**n for n in range(years + 1)]
    half = years // 2
    paid = [e if n <= half else e + 5000 * 1.001 ** (n - half - 1) for n, e in enumerate(growing)]
    flow = [Flow(MIDNIGHT + half * DAY + 1, 5000 * UNIT)]
    plain, more = total_return(curve(*growing))["value"], total_return(curve(*paid), flow)["value"]
    assert more == pytest.approx(plain, rel=5e-3)  # it earned nothing on its first day
    assert daily(curve(*paid), flow).returns.max() == pytest.approx(0.001, rel=1e-6)
    rate = money_weighted_return(curve(*paid), flow)["value"]
    assert rate == pytest.approx(1.001**365 - 1, rel=5e-3)
    assert money_weighted_return(curve(*growing))["reason"] == "no_flows"


curves = lists(integers(50, 200), min_size=3, max_size=60)


@given(curves, integers(1, 1000))
def test_no_figure_depends_on_the_currency(equity: list[int], factor: int) -> None:
    plain, scaled = figures(curve(*equity)), figures(curve(*(e * factor for e in equity)))
    for name, value in plain.items():
        assert scaled[name] == (None if value is None else pytest.approx(value, rel=1e-6, abs=1e-9)), name


@given(lists(floats(-0.02, 0.02), min_size=20, max_size=60), floats(0.5, 3))
def test_leverage_without_financing_leaves_the_sharpe_ratio_alone(returns: list[float], leverage: float) -> None:
    def ratio(scale: float) -> float | None:
        equity = np.cumprod([1e6, *(1 + scale * r for r in returns)])
        return figures(curve(*equity.tolist()))["sharpe"]

    plain = ratio(1)
    if plain is not None and np.std(returns) > 1e-4:
        assert ratio(leverage) == pytest.approx(plain, rel=1e-4, abs=1e-3)


@given(lists(integers(50, 200), min_size=25, max_size=200))
def test_a_drawdown_on_all_points_is_at_least_as_deep_as_on_the_daily_grid(equity: list[int]) -> None:
    found = figures(curve(*equity, step=HOUR))
    if found["max_drawdown_daily"] is not None:
        assert found["max_drawdown"] <= found["max_drawdown_daily"]


@given(lists(integers(60, 160), min_size=102, max_size=150))
def test_empyrical_agrees_where_both_define_a_figure(equity: list[int]) -> None:
    empyrical = pytest.importorskip("empyrical")
    series = curve(*equity)
    returns, found = daily(series).returns, figures(series)
    theirs = {
        "sharpe": empyrical.sharpe_ratio(returns, annualization=365),
        "sortino": empyrical.sortino_ratio(returns, annualization=365),
        "volatility": empyrical.annual_volatility(returns, annualization=365),
        "max_drawdown_daily": empyrical.max_drawdown(returns),
        "var_95": empyrical.value_at_risk(returns, 0.05),
        "cagr": empyrical.annual_return(returns, annualization=365),
    }
    for name, value in theirs.items():
        if found[name] is not None:
            assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name
