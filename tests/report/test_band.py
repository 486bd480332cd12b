"""Smallest, base and largest figure, and the share of the profit that hangs on assumptions."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtester.report.band import FIGURES, band_figures, dependence

MONEY = st.decimals(-(10**9), 10**9, places=8)


def share(*profits: object) -> dict[str, Any]:
    return dependence({str(number): Decimal(str(profit)) for number, profit in enumerate(profits)})


@pytest.mark.parametrize(
    ("profits", "value", "of"),
    [
        ((60, 100, 150), 0.6, "profit"),  # 60 of the 150 are there under all three
        ((100, 60, 150), 0.6, "profit"),  # whichever is smallest
        ((100, 100, 100), 0.0, "profit"),
        ((0, 10, 40), 1.0, "profit"),
        ((-40, -30, -30), 0.25, "loss"),  # 30 of the 40 are lost under all three
        ((-40, -10, 0), 1.0, "loss"),
    ],
)
def test_a_share_is_what_is_not_there_under_all_assumptions(profits: tuple[int, ...], value: float, of: str) -> None:
    found = share(*profits)
    assert (found["value"], found["of"]) == (value, of)


@pytest.mark.parametrize(("profits", "reason"), [((-1, 5, 9), "sign_change"), ((0, 0, 0), "no_profit")])
def test_a_share_without_a_meaning_is_null_with_the_reason(profits: tuple[int, ...], reason: str) -> None:
    found = share(*profits)
    assert (found["value"], found["reason"]) == (None, reason)
    assert (Decimal(found["min_profit"]), Decimal(found["max_profit"])) == (min(profits), max(profits))


@given(profits=st.tuples(MONEY, MONEY, MONEY))
def test_a_share_lies_between_nothing_and_all(profits: tuple[Decimal, ...]) -> None:
    found = share(*profits)
    losses, gains = any(p < 0 for p in profits), any(p > 0 for p in profits)
    if losses == gains:
        assert found["value"] is None
    else:
        assert 0 <= found["value"] <= 1
        assert (found["value"] == 0) <= (len(set(profits)) == 1 or max(profits) - min(profits) < Decimal("1e-6"))


def metrics(**values: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {figure: {"value": values.get(figure, 1)} for figure in FIGURES}
    for name in ("final_equity", "fees"):
        found[name] = {"value": str(values.get(name, 1)), "currency": "USDT"}
    return found


def test_money_is_compared_as_numbers_and_kept_as_exact_text() -> None:
    runs = {
        "low": metrics(final_equity="900.10000000"),
        "mid": metrics(final_equity="1000.00000000"),
        "high": metrics(final_equity="10100.00000001"),
    }
    assert band_figures(runs, "mid")["final_equity"] == {
        "min": "900.10000000",
        "base": "1000.00000000",
        "max": "10100.00000001",
        "currency": "USDT",
    }


def test_the_base_need_not_lie_at_either_end_or_between_the_two_others() -> None:
    runs = {"low": metrics(n_trades=5), "mid": metrics(n_trades=9), "high": metrics(n_trades=7)}
    assert band_figures(runs, "mid")["n_trades"] == {"min": 5, "base": 9, "max": 9}


def test_a_figure_that_one_run_lacks_the_band_lacks() -> None:
    runs = {"low": metrics(), "mid": metrics()}
    runs["low"]["total_return"] = {"value": None, "reason": "bad_start"}
    assert band_figures(runs, "mid")["total_return"] == {"min": None, "base": None, "max": None, "reason": "bad_start"}
