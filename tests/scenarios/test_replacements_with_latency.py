"""A replacement that travels while the order whose place it takes fills in part."""

from pathlib import Path
from typing import Any

from backtester.engine.replay import replay
from tests.support.market import Row, flat
from tests.support.runs import bought, run_on, scripted

B = "BTCUSDT"
SLOW: dict[str, Any] = {"latency_ms": 120_000, "participation": "0.1"}
# decided at the close of candle 4, arrived at that of candle 6: candle 5 fills a hundred of the three on the way
DIP: Row = (100, 100, 90, 100)
MARKET = [*flat(100, 5), DIP, *flat(100, 2), DIP, DIP, DIP, *flat(100, 3)]


def test_a_replacement_carries_what_is_left_when_it_arrives(tmp_path: Path) -> None:
    act = {
        0: lambda s: [s.buy(B, 300, limit=95)],
        4: lambda s: [s.replace(s.open_orders(B)[0], limit=94)],
    }
    account = {"initial_cash": 100_000}
    ran = run_on(tmp_path, MARKET, scripted(act), execution=SLOW, account=account)
    assert ran.fills == [bought(5, 95, 100), bought(8, 94, 100), bought(9, 94, 100)]
    [cut] = [e for e in ran.events("orders_changed") if e["order_id"] == 2 and e["qty"] == "200.000"]
    assert cut["reserve"] == "18800.00000000"
    row = next(row for row in ran.table("orders") if row["order_id"] == 2)
    assert (row["status"], row["qty"], row["filled"]) == ("filled", 200, 200)
    assert replay(ran.path).status == "complete"


def test_a_replacement_of_no_more_than_what_filled_meanwhile_is_rejected(tmp_path: Path) -> None:
    act = {
        0: lambda s: [s.buy(B, 300, limit=95)],
        4: lambda s: [s.replace(s.open_orders(B)[0], qty=100)],
    }
    ran = run_on(tmp_path, MARKET, scripted(act), execution=SLOW, account={"initial_cash": 100_000})
    assert [(who, reason) for who, reason, _ in ran.refusals] == [("execution", "bad_replace")]
    assert ran.fills == [bought(candle, 95, 100) for candle in (5, 8, 9)]  # the old order works on


def test_a_replacement_of_a_replacement_on_the_way_is_cut_by_what_the_first_filled(tmp_path: Path) -> None:
    act = {
        0: lambda s: [s.buy(B, 300, limit=95)],
        4: lambda s: [s.replace(s.open_orders(B)[0], limit=94)],
        5: lambda s: [s.replace(s.open_orders(B)[-1], limit=93)],
    }
    ran = run_on(tmp_path, MARKET, scripted(act), execution=SLOW, account={"initial_cash": 100_000})
    assert ran.fills == [bought(5, 95, 100), bought(8, 93, 100), bought(9, 93, 100)]


def test_money_that_was_spent_on_the_way_is_not_spent_again(tmp_path: Path) -> None:
    act = {
        0: lambda s: [s.buy(B, quote=28_500, limit=95)],
        4: lambda s: [s.replace(s.open_orders(B)[0], limit=94)],
    }
    ran = run_on(tmp_path, MARKET, scripted(act), execution=SLOW, account={"initial_cash": 100_000})
    assert sum(fill.qty * fill.price for fill in ran.fills) <= 28_500
    assert ran.fills[:2] == [bought(5, 95, 100), bought(8, 94, 100)]
