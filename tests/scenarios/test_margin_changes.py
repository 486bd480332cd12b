"""Leverage, margin mode and margin changed during a run, on markets drawn by hand."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import StrategyError
from backtester.engine.replay import replay, verify
from tests.support.market import Rows, flat, write_candles
from tests.support.runs import Ran, config_of, prepared_run, run_prepared, scripted
from tests.support.venue import UM_BRACKETS, put_rules

ETH = "ETHUSDT"  # up to 10 000 at 75x, up to 50 000 at 50x


def run(folder: Path, rows: Rows, script: Mapping[int, Any], *, strategy: Any = None, **sections: Any) -> Ran:
    lake = folder / "lake"
    write_candles(lake, rows, symbol=ETH, market="um")
    put_rules(lake, UM_BRACKETS, date="2023-01-01")
    base: dict[str, Any] = {
        "run": {"market": "um"},
        "account": {"initial_cash": 1000},
        "futures": {"leverage": 10} | sections.pop("futures", {}),
    }
    return run_prepared(folder, prepared_run(strategy or scripted(script), config_of(lake, [ETH], **(base | sections))))


def buy(qty: Any, **options: Any) -> Any:
    return lambda s: [s.buy(ETH, qty, **options)]


def leverage(x: int) -> Any:
    return lambda s: [s.set_leverage(ETH, x)]


def mode(name: str) -> Any:
    return lambda s: [s.set_margin_mode(ETH, name)]


def margin(amount: Any, side: str = "") -> Any:
    return lambda s: [s.add_margin(ETH, amount, side)]


def row(ran: Ran, at: int = -1) -> dict[str, Any]:
    rows: list[dict[str, Any]] = ran.events("account_snapshot")[at]["positions"]
    return rows[0]


def whys(ran: Ran) -> list[str]:
    return [why for _, why, _ in ran.refusals]


def test_an_order_of_the_same_decision_is_judged_by_the_new_leverage(tmp_path: Path) -> None:
    enter = {0: lambda s: [s.set_leverage(ETH, 20), s.buy(ETH, 150)]}
    ran = run(tmp_path, flat(100, 4), enter)
    assert ran.refusals == []
    assert (row(ran)["leverage"], row(ran)["margin"]) == (20, "750.00000000")
    assert replay(ran.path).account.leverage == {f"um:{ETH}": 20}
    verify(ran.path)


def test_a_lower_leverage_takes_what_the_position_then_needs_from_free_money(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 5), {0: buy(40), 2: leverage(5)})
    assert (row(ran)["leverage"], row(ran)["margin"], row(ran).get("added")) == (5, "800.00000000", None)
    refused = run(tmp_path / "too low", flat(100, 5), {0: buy(40), 2: leverage(3)})
    # 4 000 / 3 - 400 are wanted, 600 are free
    told = {"required": "933.33333334", "free": "600.00000000"}
    assert refused.refusals == [("risk", "insufficient_balance", told)]


def test_a_higher_leverage_leaves_an_isolated_position_what_it_has(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 8), {0: buy(40), 2: leverage(20), 4: margin(-200), 5: margin("-0.01")})
    assert [(e["leverage"], e["added"]) for e in ran.events("margin_terms")] == [
        (20, "200.00000000"),
        (20, "0.00000000"),
    ]
    assert row(ran)["margin"] == "200.00000000"
    assert ran.refusals == [("risk", "insufficient_margin", {"required": "0.01000000", "spare": "0.00000000"})]
    replay(ran.path)
    verify(ran.path)


def test_with_cross_margin_a_higher_leverage_frees_money(tmp_path: Path) -> None:
    script = {0: buy(90), 2: leverage(50), 3: buy(110)}
    ran = run(tmp_path, flat(100, 6), script, futures={"margin_mode": "cross"})
    assert ran.refusals == []
    assert row(ran)["margin"] == "400.00000000"


def test_a_leverage_beyond_the_bracket_of_what_is_held_is_refused(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 5), {0: buy(150), 2: leverage(60)}, account={"initial_cash": 2000})
    told = {"leverage": "60", "notional": "15000.00000000", "max_notional": "10000.00000000"}
    assert ran.refusals == [("risk", "leverage_bracket", told)]
    flat_one = run(tmp_path / "flat", flat(100, 4), {0: leverage(76)})  # beyond every bracket
    assert whys(flat_one) == ["leverage_bracket"]


def test_added_margin_moves_the_liquidation_price_and_is_lost_with_the_position(tmp_path: Path) -> None:
    rows = [*flat(100, 3), (100.0, 100.0, 88.0, 88.0), *flat(88, 1), (88.0, 88.0, 85.0, 85.0), *flat(85, 2)]
    ran = run(tmp_path, rows, {0: buy(40), 1: margin(100)})
    # 500 + 40 p - 4000 - 0.0065 × 40 p = 0 at p = 88.0724…: without the 100 it had been 90.58
    assert [(f.price, f.tag) for f in ran.fills[1:]] == [(Decimal("88.07"), "liquidation")]
    assert Decimal(ran.details["final"]["cash"]["um:USDT"]) == 500
    deep = run(tmp_path / "deep", [*flat(100, 3), *flat(80, 3)], {0: buy(40), 1: margin(100)})
    assert [e["amount"] for e in deep.events("cashflows") if e["kind"] == "insurance"] == ["300.00000000"]
    assert Decimal(deep.details["final"]["cash"]["um:USDT"]) == 500
    replay(deep.path)


def test_closing_a_part_frees_its_share_of_what_was_added(tmp_path: Path) -> None:
    script = {0: buy(40), 1: margin(100), 3: lambda s: [s.sell(ETH, 10)], 5: lambda s: [s.sell(ETH, 31)]}
    ran = run(tmp_path, flat(100, 9), script)
    shown = [r for s in ran.events("account_snapshot") for r in s["positions"]]
    assert [(r["qty"], r["margin"], r.get("added")) for r in shown] == [
        ("40.000", "400.00000000", None),
        ("40.000", "500.00000000", "100.00000000"),
        ("30.000", "375.00000000", "75.00000000"),
        ("-1.000", "10.00000000", None),
    ]
    replay(ran.path)


def test_what_was_added_can_be_taken_out_unless_a_loss_has_eaten_it(tmp_path: Path) -> None:
    rows = [*flat(100, 3), *flat(98, 4)]  # 80 of the 100 are lost
    ran = run(tmp_path, rows, {0: buy(40), 1: margin(100), 3: margin(-21), 4: margin(-20)})
    assert ran.refusals == [("risk", "insufficient_margin", {"required": "21.00000000", "spare": "20.00000000"})]
    assert row(ran)["added"] == "80.00000000"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ({0: buy(5), 2: margin(951)}, "insufficient_balance"),
        ({0: margin(10)}, "no_position"),
        ({0: buy(5), 2: margin(0)}, "bad_size"),
        ({0: buy(5), 2: mode("cross")}, "margin_mode_with_position"),
        ({0: buy(5, limit=50), 1: mode("cross")}, "margin_mode_with_position"),
        ({0: lambda s: [*mode("cross")(s), *buy(5)(s)], 2: margin(10)}, "margin_not_isolated"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(tmp_path: Path, script: Any, why: str) -> None:
    ran = run(tmp_path, flat(100, 5), script)
    assert [(who, reason) for who, reason, _ in ran.refusals] == [("risk", why)]
    verify(ran.path)


def test_the_margin_mode_changes_once_all_orders_are_taken_back(tmp_path: Path) -> None:
    back = lambda s: [*s.cancel_all(ETH), s.set_margin_mode(ETH, "cross")]  # noqa: E731
    ran = run(tmp_path, flat(100, 5), {0: buy(5, limit=50), 1: back})
    assert ran.refusals == []
    assert [e["mode"] for e in ran.events("margin_terms")] == ["cross"]


def test_spot_has_no_margin(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(100, 4))
    script = {0: lambda s: [s.set_leverage("BTCUSDT", 2)]}
    ran = run_prepared(tmp_path, prepared_run(scripted(script), config_of(tmp_path / "lake", ["BTCUSDT"])))
    assert whys(ran) == ["no_margin"]


def test_a_wish_that_is_none_is_an_error_of_the_strategy(tmp_path: Path) -> None:
    for number, wrong in enumerate((leverage(0), leverage("5"), mode("both"), margin("nan"))):  # type: ignore[arg-type]
        with pytest.raises(StrategyError):
            run(tmp_path / str(number), flat(100, 3), {0: wrong})


def test_a_wish_travels_as_orders_do_and_the_exchange_has_the_last_word(tmp_path: Path) -> None:
    """The purchase that was sent before fills while the wish travels: the mode stays as it was."""
    enter = {0: buy(5), 1: lambda s: []}
    slow = {"latency_ms": 60_000}
    script = enter | {0: lambda s: [*buy(5)(s), s.set_margin_mode(ETH, "cross")]}
    ran = run(tmp_path, flat(100, 6), script, execution=slow)
    assert whys(ran) == ["margin_mode_with_position"]
    late = run(tmp_path / "late", flat(100, 8), {0: buy(40), 2: leverage(5)}, execution=slow)
    assert late.refusals == []
    assert row(late)["leverage"] == 5


def test_in_hedge_mode_leverage_is_of_both_sides_and_added_margin_of_one(tmp_path: Path) -> None:
    both = lambda s: [s.buy(ETH, 20, position_side="long"), s.sell(ETH, 10, position_side="short")]  # noqa: E731
    script = {0: both, 1: leverage(5), 2: margin(30, "short"), 3: margin(30)}
    ran = run(tmp_path, flat(100, 7), script, futures={"position_mode": "hedge"})
    rows = ran.events("account_snapshot")[-1]["positions"]
    assert [(r["leverage"], r["margin"], r.get("added")) for r in rows] == [
        (5, "400.00000000", None),
        (5, "230.00000000", "30.00000000"),
    ]
    assert whys(ran) == ["position_side_required"]
    replay(ran.path)
    verify(ran.path)


def test_a_strategy_hears_of_margin_calls_and_can_answer_with_money(tmp_path: Path) -> None:
    class Saved(scripted({0: buy(40)})):  # type: ignore[misc]
        def on_margin(self, alert: Any) -> Any:
            self.note("heard", state=alert.state)
            return [self.add_margin(ETH, 300)] if alert.state == "call" else None

    # 80 % at 90.74, 83.18 and 75.61, as 300 are added twice; nothing is free for a third time
    rows = [*flat(100, 2), *flat(90.7, 2), *flat(83.1, 2), *flat(75.55, 2), *flat(70, 2)]
    ran = run(tmp_path, rows, {}, strategy=Saved)
    assert [e["values"]["state"] for e in ran.events("notes")] == ["call", "call", "call", "liquidated"]
    assert [e["added"] for e in ran.events("margin_terms")] == ["300.00000000", "600.00000000"]
    assert whys(ran) == ["insufficient_balance"]
    assert Decimal(ran.details["final"]["cash"]["um:USDT"]) == 0


def test_a_strict_run_raises_no_leverage_where_marks_or_tables_are_missing(tmp_path: Path) -> None:
    ran = run(
        tmp_path,
        flat(100, 4),
        {0: leverage(2)},
        futures={"leverage": 1, "funding": "off"},
        execution={"strict": True},
    )
    assert whys(ran) == ["model_not_ready"]


def test_the_terms_that_a_strategy_reads_are_those_in_force(tmp_path: Path) -> None:
    seen: list[Any] = []
    look = lambda s: seen.append((s.leverage(ETH), s.margin(ETH)))  # noqa: E731
    run(tmp_path, flat(100, 6), {0: buy(40), 1: leverage(5), 2: margin(10), 3: look})
    assert seen == [(5, 810)]


def test_what_a_raised_leverage_should_be_judged_by_and_is_not_known_is_said(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 4), {0: leverage(2), 1: leverage(80)}, futures={"leverage": 1})
    assert [w for w in ran.result.warnings if "was raised to 2, and no mark candles are known" in w]
    assert ran.details["margin_changes"] == {f"um:{ETH}": 1}
