"""What a restriction makes of orders that protect a position: they stay, with all that they have seen."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.market import Row, flat, time_of
from tests.support.runs import Ran, bought, run_on, scripted, sold

B = "BTCUSDT"
UM: dict[str, Any] = {"run": {"market": "um"}}


def commanded(folder: Path, script: Any, market: Any, action: str, at: int, sections: Any = UM, **risk: Any) -> Ran:
    control = [{"at": f"2024-01-01T00:{at:02}:00Z", "action": action}]
    return run_on(folder, market, scripted(script), control=control, risk=risk, **sections)


def ends(ran: Ran, order_id: int) -> list[tuple[str, str]]:
    return [(status, reason) for id_, status, reason in ran.updates if id_ == order_id and reason]


def test_a_stop_larger_than_the_position_still_protects_it(tmp_path: Path) -> None:
    script = {0: lambda s: [s.buy(B, 10)], 1: lambda s: [s.sell(B, 10, stop=90)], 2: lambda s: [s.sell(B, 4)]}
    market = [*flat(100, 8), *flat(85, 3)]
    ran = commanded(tmp_path, script, market, "reduce_only", 5)
    assert ran.fills == [bought(1, 100, 10), sold(3, 100, 4), sold(8, 85, 6)]
    assert ran.details["final"]["positions"] == {}


def test_a_trailing_stop_keeps_its_best_price_and_its_activation(tmp_path: Path) -> None:
    """It saw 120 before the command; five percent of that is 114, which is reached long before 95 percent of 116."""
    market: list[Row | None] = [
        *flat(100, 3),
        *(flat(p)[0] for p in (105, 110, 115, 120)),
        *flat(116, 4),
        *flat(113, 3),
    ]
    script = {0: lambda s: [s.buy(B, 10)], 1: lambda s: [s.sell(B, 10, trail="0.05", activation=110)]}
    ran = commanded(tmp_path, script, market, "reduce_only", 9)
    assert ran.fills == [bought(1, 100, 10), sold(11, 113, 10)]
    assert [e["terms"] for e in ran.events("orders_changed")] == [{"reduce_only": True}]


@pytest.mark.parametrize("sections", [UM, {}])
@pytest.mark.parametrize("options", [{"twap": "6m", "slices": 3}, {"limit": 99, "display": 2}])
def test_a_sliced_order_that_closes_goes_on(tmp_path: Path, options: Any, sections: Any) -> None:
    script = {0: lambda s: [s.buy(B, 6)], 2: lambda s: [s.sell(B, 6, **options)]}
    ran = commanded(tmp_path, script, flat(100, 14), "reduce_only", 4, sections)
    assert sum(fill.qty for fill in ran.fills if fill.side == "sell") == 6
    assert ends(ran, 2) == [("filled", "parts_filled")]
    parts = [e for e in ran.events("orders_sanitized") if e.get("algo_id") == 2 and e["ts"] > time_of(4)]
    assert parts
    assert {e["terms"].get("reduce_only", False) for e in parts} == {bool(sections)}


def test_a_collar_does_not_keep_an_exit_from_becoming_reduce_only(tmp_path: Path) -> None:
    script = {0: lambda s: [s.buy(B, 10)], 1: lambda s: [s.sell(B, 10, limit=104)]}
    market = [*flat(100, 4), *flat(90, 3), (90, 106, 90, 100), *flat(100, 2)]
    ran = commanded(tmp_path, script, market, "reduce_only", 6, price_collar_pct=5)
    assert ran.refusals == []
    assert ran.fills == [bought(1, 100, 10), sold(7, 104, 10)]
    assert [e["terms"] for e in ran.events("orders_changed")] == [{"reduce_only": True}]


@pytest.mark.parametrize("action", ["pause", "kill"])
def test_no_sliced_order_begins_while_nothing_may_be_opened(tmp_path: Path, action: str) -> None:
    script = {
        4: lambda s: [s.buy(B, 3, twap="6m", slices=3), s.buy(B, 2, limit=90, display=1)],
    }
    ran = commanded(tmp_path, script, flat(100, 12), action, 3)
    assert [reason for _, reason, _ in ran.refusals] == ["control", "control"]
    assert ran.events("orders_changed") == []


def test_a_sliced_order_that_closes_begins_as_reduce_only_in_a_pause(tmp_path: Path) -> None:
    script = {0: lambda s: [s.buy(B, 3)], 4: lambda s: [s.sell(B, 3, twap="6m", slices=3)]}
    ran = commanded(tmp_path, script, flat(100, 14), "pause", 3)
    assert [fill.side for fill in ran.fills] == ["buy", "sell", "sell", "sell"]
    [whole] = ran.events("orders_changed")
    assert whole["terms"] == {"reduce_only": True}


def test_what_is_taken_back_says_by_whom(tmp_path: Path) -> None:
    script = {
        0: lambda s: [s.buy(B, 1, limit=90), s.buy(B, 3, limit=90, display=1), s.buy(B, 1, limit=91)],
        1: lambda s: [s.cancel(order) for order in s.open_orders(B) if order.limit_price == 91],
    }
    ran = commanded(tmp_path, script, flat(100, 8), "reduce_only", 4)
    cancelled = {id_: reason for id_, status, reason in ran.updates if status == "cancelled"}
    assert cancelled == {1: "control", 2: "control", 3: "requested", 4: "control"}
