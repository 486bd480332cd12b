"""Trades by what they have in common: the rows add up."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from, tuples

from backtester.core.time import parse_time
from backtester.report.breakdowns import OTHERS, breakdowns
from tests.report.curves import trades

BY_TIME = ("hour", "weekday", "month", "session")


@given(lists(tuples(integers(-(10**6), 10**6), integers(0, 1000), sampled_from("abc")), max_size=80))
def test_money_of_every_breakdown_adds_up_to_all_trades(rows: list[tuple[int, int, str]]) -> None:
    net, fees, tags = [row[0] / 1000 for row in rows], [row[1] / 1000 for row in rows], [row[2] for row in rows]
    found = breakdowns(trades(net, fees=fees, labels={"tag": tags, "side": ["long"] * len(tags)}))
    for name, table in found.items():
        assert sum(row["n_trades"] for row in table) == len(rows), name
        assert sum(Decimal(row["net_pnl"]) for row in table) == sum(
            (Decimal(row[0]) / 1000 for row in rows), Decimal(0)
        )
        for row in table:
            parts = {key: Decimal(row[key]) for key in ("gross_pnl", "fees", "funding", "insurance", "net_pnl")}
            assert parts["net_pnl"] == parts["gross_pnl"] - parts["fees"] + parts["funding"] + parts["insurance"]


def test_two_tags_by_hand() -> None:
    table = breakdowns(trades([10, -5, 20], r=[1, -0.5, 2], labels={"tag": ["a", "b", "a"]}))["tag"]
    assert [row["key"] for row in table] == ["a", "b"]
    assert table[0] == {
        **{"key": "a", "n_trades": 2, "n_wins": 2, "gross_pnl": "30.00000000", "slippage": "0.00000000"},
        **{"fees": "0.00000000", "funding": "0.00000000", "insurance": "0.00000000", "net_pnl": "30.00000000"},
        **{"win_rate": 1.0, "profit_factor": None, "expectancy": "15.00000000", "avg_r": 1.5, "avg_holding_hours": 0.5},
    }
    assert (table[1]["profit_factor"], table[1]["avg_r"]) == (0, -0.5)


def test_times_are_utc_and_in_their_order() -> None:
    sunday = parse_time("2023-01-01T22:00:00Z")
    found = breakdowns(trades([1, 2, 3, 4], start=sunday))
    assert [row["key"] for row in found["hour"]] == ["00", "01", "22", "23"]
    assert [(row["key"], row["n_trades"]) for row in found["weekday"]] == [("Monday", 2), ("Sunday", 2)]
    assert [row["key"] for row in found["session"]] == ["00-08 Asia", "16-24 America"]
    end_of_month = breakdowns(trades([1, 2, 3], start=parse_time("2023-01-31T22:00:00Z")))
    assert [(row["key"], row["n_trades"]) for row in end_of_month["month"]] == [("2023-01", 2), ("2023-02", 1)]


def test_of_too_many_tags_the_rarest_are_one_row() -> None:
    tags = [f"tag {n % 300}" for n in range(900)] + ["often"] * 5
    table = breakdowns(trades([1] * len(tags), labels={"tag": tags}))["tag"]
    assert len(table) == 200
    assert table[-1]["key"] == OTHERS
    assert table[0]["key"] == "often"
    assert sum(Decimal(row["net_pnl"]) for row in table) == len(tags)


def test_no_trades_have_no_rows() -> None:
    assert set(map(tuple, breakdowns(trades([])).values())) == {()}
    assert set(breakdowns(trades([]))) == set(BY_TIME)


@given(lists(integers(-100, 100), min_size=1, max_size=40))
def test_the_order_of_trades_changes_no_money(net: list[int]) -> None:
    tags = [str(n % 3) for n in net]
    forward = breakdowns(trades(net, labels={"tag": tags}))["tag"]
    back = breakdowns(trades(net[::-1], labels={"tag": tags[::-1]}))["tag"]
    assert forward == [
        pytest.approx(row) if isinstance(row, float) else row | {"avg_holding_hours": 0.5} for row in back
    ]
