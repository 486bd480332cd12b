"""Figures over trades, by hand and on the edges."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, tuples

from backtester.report.trades import most_at_once, trade_figures
from tests.report.curves import trades


def values(net: list[float], **more: object) -> dict[str, object]:
    """All figures of some trades, values only."""
    found = trade_figures(trades(net, **more), 0, "USDT")  # type: ignore[arg-type]
    return {name: metric["value"] for name, metric in found.items()}


def why(net: list[float]) -> dict[str, str]:
    found = trade_figures(trades(net), 0, "USDT")
    return {name: metric["reason"] for name, metric in found.items() if metric["value"] is None}


def test_five_trades_by_hand() -> None:
    found = values([30, -10, -20, 0, 50], r=[3, -1, -2, 0, 5])
    assert [found[f"n_{name}"] for name in ("trades", "wins", "losses", "even", "open")] == [5, 2, 2, 1, 0]
    assert found["win_rate"] == 0.4
    assert found["profit_factor"] == 80 / 30
    assert found["payoff_ratio"] == 40 / 15
    assert found["kelly"] == pytest.approx(0.4 - 0.6 / (40 / 15))
    assert (found["expectancy"], found["avg_win"], found["avg_loss"]) == ("10.00000000", "40.00000000", "-15.00000000")
    assert (found["best"], found["worst"]) == ("50.00000000", "-20.00000000")
    assert found["expectancy_pct"] == pytest.approx(0.01)
    assert (found["expectancy_r"], found["r_coverage"]) == (1, 1)
    deviation = math.sqrt((4 + 4 + 9 + 1 + 16) / 4)
    assert found["sqn"] == pytest.approx(math.sqrt(5) * 1 / deviation) == found["sqn_100"]
    assert (found["max_consecutive_wins"], found["max_consecutive_losses"]) == (1, 2)
    assert (found["avg_holding"], found["median_holding"]) == (0.5, 0.5)
    assert found["profit_share_best_1pct"] == 50 / 50


def test_no_trades_have_counts_and_reasons() -> None:
    found, reasons = values([]), why([])
    assert [found[f"n_{name}"] for name in ("trades", "wins", "losses", "even")] == [0, 0, 0, 0]
    assert (found["max_consecutive_wins"], found["max_consecutive_losses"]) == (0, 0)
    assert {reasons[name] for name in ("win_rate", "profit_factor", "payoff_ratio", "expectancy", "sqn", "kelly")} == {
        "no_trades"
    }


def test_one_trade_has_all_but_what_needs_a_deviation() -> None:
    assert why([5]) == {
        **dict.fromkeys(("payoff_ratio", "kelly", "profit_factor", "avg_loss", "avg_loss_pct"), "no_losses"),
        **{"avg_mae": "no_candles", "avg_mfe": "no_candles", "expectancy_r": "no_stops"},
        **{"sqn": "too_few", "sqn_100": "too_few"},
    }


def test_only_winners_have_no_profit_factor() -> None:
    assert why([5, 6])["profit_factor"] == "no_losses"


def test_only_losers_win_nothing() -> None:
    found, reasons = values([-5, -6]), why([-5, -6])
    assert (found["win_rate"], found["profit_factor"]) == (0, 0)
    assert (reasons["kelly"], reasons["profit_share_best_1pct"]) == ("no_wins", "no_profit")


def test_trades_that_all_broke_even_have_no_profit_factor_either() -> None:
    assert why([0, 0])["profit_factor"] == "no_profit_no_loss"


def test_equal_trades_have_no_quality_number() -> None:
    assert why([5, 5, 5])["sqn"] == "no_variance"


def test_r_counts_only_where_there_was_a_stop() -> None:
    found = values([10, -10], r=[2, np.nan])
    assert (found["expectancy_r"], found["r_coverage"]) == (2, 0.5)
    assert trade_figures(trades([10, -10], r=[2, np.nan]), 0, "USDT")["sqn"]["of"] == "net_pnl"


def test_the_best_trades_can_bring_more_than_all() -> None:
    assert values([100] + [-1] * 19)["profit_share_best_5pct"] == 100 / 81


def test_the_capped_quality_number_counts_a_hundred_trades() -> None:
    found = values([n % 7 for n in range(400)])
    assert found["sqn"] == pytest.approx(2 * found["sqn_100"])  # type: ignore[operator]


def test_money_that_no_float_holds_is_summed_exactly() -> None:
    net = [90_071_992_547.40993, 90_071_992_547.40993, -0.00000001]
    assert values(net)["worst"] == "-0.00000001"
    assert values(net)["profit_factor"] is not None


@given(lists(tuples(integers(0, 20), integers(1, 5)), max_size=12))
def test_positions_at_one_time_are_counted_as_by_hand(spans: list[tuple[int, int]]) -> None:
    entries = np.array([begin for begin, _ in spans], dtype=np.int64)
    exits = np.array([begin + length for begin, length in spans], dtype=np.int64)
    most = max((sum(a <= t < b for a, b in zip(entries, exits, strict=True)) for t in range(30)), default=0)
    assert most_at_once(entries, exits) == most


def test_a_position_of_an_instant_counts_as_one() -> None:
    assert most_at_once(np.array([5]), np.array([5])) == 1
