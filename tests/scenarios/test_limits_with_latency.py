"""Limits of one's own where orders travel: what is being taken back may fill on the way, and counts."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.market import flat
from tests.support.runs import Ran, bought, run_on, scripted

B = "BTCUSDT"
SLOW: dict[str, Any] = {"execution": {"latency_ms": 120_000}}


def reasons(ran: Ran) -> list[str]:
    return [reason for who, reason, _ in ran.refusals if who == "risk"]


def cancel_and_buy(s: Any) -> Any:
    return [*s.cancel_all(B), s.buy(B, 10)]


@pytest.mark.parametrize(
    ("limits", "sections", "reason"),
    [
        ({"max_symbol_notional": 1000}, {}, "max_symbol_notional"),
        ({"max_open_orders": 1}, {}, "max_open_orders"),
        ({}, {"instruments": {"spot:BTCUSDT": {"max_position": 10}}}, "max_position"),
    ],
)
def test_an_order_that_is_being_taken_back_counts_until_its_end_is_heard(
    tmp_path: Path, limits: dict[str, Any], sections: dict[str, Any], reason: str
) -> None:
    script = dict.fromkeys(range(3), cancel_and_buy)
    ran = run_on(tmp_path / "slow", flat(100, 12), scripted(script), risk=limits, **SLOW, **sections)
    assert reasons(ran) == [reason, reason]
    assert ran.fills == [bought(3, 100, 10)]
    at_once = run_on(tmp_path / "fast", flat(100, 12), scripted({0: cancel_and_buy}), risk=limits, **sections)
    assert reasons(at_once) == []


def test_an_order_and_its_replacement_on_the_way_count_as_the_larger(tmp_path: Path) -> None:
    act = {
        0: lambda s: [s.buy(B, 8, limit=90)],
        4: lambda s: [s.replace(s.open_orders(B)[0], qty=9)],
        5: lambda s: [s.replace(s.open_orders(B)[-1], qty=7), s.buy(B, "1.001", limit=90), s.buy(B, 1, limit=90)],
    }
    ran = run_on(
        tmp_path, flat(100, 12), scripted(act), risk={"max_symbol_notional": 1000, "max_open_orders": 2}, **SLOW
    )
    assert reasons(ran) == ["max_symbol_notional"]
    assert ran.details["final"]["open_orders"] == [3, 4]
