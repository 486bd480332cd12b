"""Figures side by side: which is better, and when nobody can say."""

from typing import Any

import pytest

from backtester.report.figure_texts import value_text
from backtester.report.side_by_side import side_by_side


def metric(value: Any, name: str = "x/1", **more: Any) -> dict[str, Any]:
    return {"value": value, "definition_id": name, **more}


def row(name: str, *entries: Any, **others: Any) -> dict[str, Any]:
    """The row of one figure; others: figures beside it, one value per run."""
    runs = [
        {name: entry, **{key: metric(values[at]) for key, values in others.items()}} for at, entry in enumerate(entries)
    ]
    return next(one for one in side_by_side(runs) if one["name"] == name)


@pytest.mark.parametrize(
    ("name", "first", "second", "better"),
    [
        ("total_return", 0.1, 0.2, "second"),
        ("max_drawdown", -0.1, -0.2, "first"),
        ("max_drawdown", -0.2, -0.1, "second"),
        ("ulcer_index", 0.1, 0.2, "first"),
        ("n_trades", 5, 9, None),
        ("total_return", 0.1, 0.1, "same"),
    ],
)
def test_more_is_better_where_it_is(name: str, first: float, second: float, better: str | None) -> None:
    found = row(name, metric(first), metric(second))
    assert found["better"] == better
    assert found["difference"] == pytest.approx(second - first)


def test_money_is_subtracted_exactly() -> None:
    found = row("fees", metric("0.10000000", currency="USDT"), metric("0.30000001", currency="USDT"))
    assert found["difference"] == "0.20000001"
    assert found["better"] == "first"


def test_a_sharpe_within_its_standard_error_is_not_better() -> None:
    near = row("sharpe", metric(1.0), metric(1.9), sharpe_se=(0.6, 0.8))
    assert near["better"] is None
    assert near["unclear"] == "within its standard error, 1"
    assert row("sharpe", metric(1.0), metric(2.1), sharpe_se=(0.6, 0.8))["better"] == "second"


@pytest.mark.parametrize("name", ["sharpe", "sortino", "calmar", "upi"])
def test_ratios_of_losses_have_no_better_one(name: str) -> None:
    found = row(name, metric(-2.0), metric(-1.0))
    assert (found["better"], found["unclear"]) == (None, "no meaning when both lose")
    assert row(name, metric(-2.0), metric(1.0))["better"] == "second"
    assert "best" not in row(name, metric(-2.0), metric(-1.0), metric(-3.0))


def test_a_ratio_without_a_standard_error_or_of_a_short_run_has_no_better_one() -> None:
    unsure = row("sharpe", metric(1.0), metric(9.0), sharpe_se=(0.5, None))
    assert (unsure["better"], unsure["unclear"]) == (None, "no standard error")
    short = row("calmar", metric(1.0, flag="short_run"), metric(9.0))
    assert (short["better"], short["unclear"]) == (None, "of too short a run")
    assert "best" not in row("calmar", metric(1.0, flag="short_run"), metric(9.0), metric(2.0))


def test_a_fraction_of_one_is_told_as_the_others_are() -> None:
    found = row("cagr", metric(-1.0), metric(None, reason="too_short"))
    assert value_text(found, 0) == "-100.00%"


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (metric("1", currency="USDT"), metric("1", currency="BTC"), "other currencies: BTC, USDT"),
        (metric(1, "fees/1"), metric(1, "fees/2"), "another definition"),
    ],
)
def test_what_cannot_be_compared_says_why(one: Any, other: Any, words: str) -> None:
    found = row("fees", one, other)
    assert found["why"] == words
    assert "difference" not in found


def test_a_figure_without_a_value_keeps_its_reason() -> None:
    found = row("win_rate", metric(None, reason="no_trades"), metric(0.5))
    assert found["reasons"] == ["no_trades", None]
    assert "better" not in found


def test_a_figure_that_only_one_run_has_is_shown() -> None:
    [_, funding] = side_by_side([{"fees": metric(1)}, {"fees": metric(1), "funding": metric(2)}])
    assert funding["values"] == [None, 2]
    assert funding["reasons"] == ["not written", None]


def test_of_more_runs_the_best_are_named_and_none_where_all_are_equal() -> None:
    assert row("total_return", metric(1), metric(3), metric(3))["best"] == [1, 2]
    assert "best" not in row("total_return", metric(1), metric(1), metric(1))
    assert "best" not in row("n_trades", metric(1), metric(2), metric(3))


def test_sections_of_the_file_that_are_no_figures_are_left_out() -> None:
    assert [found["name"] for found in side_by_side([{"fees": metric(1), "breakdowns": {"side": []}}] * 2)] == ["fees"]
