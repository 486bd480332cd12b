"""Filters of the venue beyond lots and notionals: prices, how many orders, how large a position; and their dates."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.market import flat
from tests.support.runs import Ran, bought, run_on, scripted, sold

B = "BTCUSDT"


def filtered(folder: Path, script: Any, market: str = "spot", **rules: Any) -> Ran:
    instruments = {f"{market}:BTCUSDT": rules}
    return run_on(folder, flat(100, 8), scripted(script), run={"market": market}, instruments=instruments)


def test_limits_and_triggers_must_lie_between_the_venues_prices(tmp_path: Path) -> None:
    orders = {
        0: lambda s: [
            s.buy(B, 1, limit=50),
            s.buy(B, 1, limit="49.99"),
            s.buy(B, 1, stop=200),
            s.buy(B, 1, stop="200.01"),
            s.buy(B, 1, stop=150, limit="200.01"),
        ]
    }
    ran = filtered(tmp_path, orders, min_price=50, max_price=200)
    assert ran.refusals == [
        ("risk", "below_min_price", {"price": "49.99", "min_price": "50.00"}),
        ("risk", "above_max_price", {"price": "200.01", "max_price": "200.00"}),
        ("risk", "above_max_price", {"price": "200.01", "max_price": "200.00"}),
    ]
    assert ran.details["final"]["open_orders"] == [1, 2]


def test_a_limit_price_must_be_near_the_last_one_each_side_by_its_own_multiples(tmp_path: Path) -> None:
    band = {"bid_multiplier_down": "0.8", "bid_multiplier_up": "1.1", "ask_multiplier_down": "0.9"}
    orders = {
        0: lambda s: [s.buy(B, 4)],
        2: lambda s: [
            s.buy(B, 1, limit=80),
            s.buy(B, 1, limit="79.99"),
            s.buy(B, 1, limit="110.01"),
            s.sell(B, 1, limit=5000),  # there is no ask_multiplier_up
            s.sell(B, 1, limit="89.99"),
            s.buy(B, 1, stop=500),  # a trigger has no band
        ],
    }
    ran = filtered(tmp_path, orders, **band)
    assert ran.refusals == [
        (
            "risk",
            "percent_price",
            {"price": "79.99", "last": "100.00", "multiplier_down": "0.8", "multiplier_up": "1.1"},
        ),
        (
            "risk",
            "percent_price",
            {"price": "110.01", "last": "100.00", "multiplier_down": "0.8", "multiplier_up": "1.1"},
        ),
        ("risk", "percent_price", {"price": "89.99", "last": "100.00", "multiplier_down": "0.9", "multiplier_up": "0"}),
    ]


def test_orders_and_those_with_a_trigger_are_counted_and_exits_once_they_live(tmp_path: Path) -> None:
    entry = lambda s: [s.buy(B, 1, stop_loss=90)]  # noqa: E731
    stop = lambda s: [s.buy(B, 1, stop=120)]  # noqa: E731
    orders = {0: lambda s: [*entry(s), *stop(s)], 1: stop, 2: lambda s: [s.buy(B, 1, limit=90)] * 2}
    ran = filtered(tmp_path, orders, max_orders=3, max_algo_orders=2)
    assert ran.refusals == [
        ("risk", "max_num_algo_orders", {"open": "2", "max_algo_orders": "2"}),  # the exit lives by then
        ("risk", "max_num_orders", {"open": "3", "max_orders": "3"}),
    ]
    assert ran.details["final"]["open_orders"] == [2, 3, 4]


def test_what_is_replaced_or_taken_back_makes_room(tmp_path: Path) -> None:
    orders = {
        0: lambda s: [s.buy(B, 1, stop=120)],
        1: lambda s: [s.replace(s.open_orders(B)[0], stop=130)],
        2: lambda s: [*s.cancel_all(B), s.buy(B, 1, stop=140)],
    }
    ran = filtered(tmp_path, orders, max_orders=1, max_algo_orders=1)
    assert ran.refusals == []
    assert ran.details["final"]["open_orders"] == [3]


def test_a_position_limit_counts_what_is_held_and_every_open_purchase(tmp_path: Path) -> None:
    orders = {
        0: lambda s: [s.buy(B, 4)],
        2: lambda s: [s.buy(B, 3, limit=90), s.buy(B, "3.001"), s.buy(B, quote=301), s.buy(B, 3)],
        4: lambda s: [s.sell(B, 7)],
    }
    ran = filtered(tmp_path, orders, max_position=10)
    assert ran.refusals == [
        ("risk", "max_position", {"position": "10.001", "max_position": "10.000"}),
        ("risk", "max_position", {"position": "10.010", "max_position": "10.000"}),
    ]
    assert ran.fills == [bought(1, 100, 4), bought(3, 100, 3), sold(5, 100, 7)]


def test_shorts_have_the_same_position_limit_and_may_always_be_bought_back(tmp_path: Path) -> None:
    orders = {0: lambda s: [s.sell(B, 10)], 2: lambda s: [s.sell(B, 1), s.buy(B, 15)]}
    ran = filtered(tmp_path, orders, "um", max_position=10)
    assert [reason for _, reason, _ in ran.refusals] == ["max_position"]
    assert ran.fills == [sold(1, 100, 10), bought(3, 100, 15)]


@pytest.mark.parametrize(("date", "refused"), [("2023-01-01", True), ("2025-01-01", False)])
def test_a_filter_holds_from_its_date_on(tmp_path: Path, date: str, refused: bool) -> None:
    version = {"tick_size": "0.01", "lot_size": "0.001"}
    versions = [version | {"date": "2022-01-01"}, version | {"date": date, "max_price": 150}]
    ran = filtered(tmp_path, {0: lambda s: [s.buy(B, 1, stop=160)]}, versions=versions)
    assert bool(ran.refusals) is refused
