"""Hedge mode on markets drawn by hand: a long and a short position of one future, side by side on one market."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import StrategyError, UsageError
from backtester.engine.replay import replay, verify
from tests.support.coin import coin, coin_run
from tests.support.lakes import write_rows
from tests.support.market import Rows, flat, time_of, write_candles
from tests.support.runs import Ran, config_of, prepared_run, run_prepared, scripted
from tests.support.venue import UM_BRACKETS, put_rules

ETH = "ETHUSDT"
LONG, SHORT = f"um:{ETH}@long", f"um:{ETH}@short"


def run(folder: Path, rows: Rows, script: Mapping[int, Any], **sections: Any) -> Ran:
    lake = folder / "lake"
    write_candles(lake, rows, symbol=ETH, market="um")
    put_rules(lake, UM_BRACKETS, date="2023-01-01")
    futures = {"position_mode": "hedge", "leverage": 10} | sections.pop("futures", {})
    base: dict[str, Any] = {"run": {"market": "um"}, "account": {"initial_cash": 1000}, "futures": futures}
    return run_prepared(folder, prepared_run(scripted(script), config_of(lake, [ETH], **(base | sections))))


def order(verb: str, qty: Any, side: str = "", **options: Any) -> Any:
    return lambda s: [getattr(s, verb)(ETH, qty, position_side=side, **options)]


def both(long: int, short: int) -> Any:
    return lambda s: [s.buy(ETH, long, position_side="long"), s.sell(ETH, short, position_side="short")]


def held(ran: Ran) -> dict[str, Decimal]:
    return {name: Decimal(p["qty"]) for name, p in ran.details["final"]["positions"].items()}


def cash(ran: Ran) -> Decimal:
    return Decimal(ran.details["final"]["cash"]["um:USDT"])


def test_a_long_and_a_short_position_stand_side_by_side(tmp_path: Path) -> None:
    ran = run(tmp_path, [*flat(100, 2), *flat(105, 2)], {0: both(4, 3), 2: order("buy", 1, "long", limit=50)})
    assert held(ran) == {LONG: 4, SHORT: -3}
    rows = ran.events("account_snapshot")[-1]["positions"]
    assert [(r["instrument"], r["qty"], r["unrealised"], r["margin"]) for r in rows] == [
        (LONG, "4.000", "20.00000000", "40.00000000"),
        (SHORT, "-3.000", "-15.00000000", "30.00000000"),
    ]
    assert replay(ran.path).account.positions[SHORT][0] == -3
    verify(ran.path)


def test_what_closes_a_side_never_goes_through_zero(tmp_path: Path) -> None:
    script = {0: both(4, 3), 1: order("sell", 9, "long"), 2: order("buy", 9, "short"), 3: order("sell", 1, "long")}
    ran = run(tmp_path, flat(100, 7), script)
    assert held(ran) == {}
    assert [(f.side, f.qty) for f in ran.fills] == [("buy", 4), ("sell", 3), ("sell", 4), ("buy", 3)]
    assert ran.updates[-1] == (5, "expired", "nothing_to_reduce")


def test_an_order_must_name_its_side_in_hedge_mode_and_may_not_in_one_way_mode(tmp_path: Path) -> None:
    hedge = run(tmp_path, flat(100, 3), {0: order("buy", 1)})
    assert [(who, why) for who, why, _ in hedge.refusals] == [("risk", "position_side_required")]
    one_way = run(tmp_path / "one", flat(100, 3), {0: order("buy", 1, "long")}, futures={"position_mode": "one_way"})
    assert [(who, why) for who, why, _ in one_way.refusals] == [("risk", "position_side_not_allowed")]
    sliced = run(tmp_path / "sliced", flat(100, 3), {0: order("buy", 2, twap="2m", slices=2)})
    assert sliced.refusals[0][1] == "position_side_required"


def test_both_sides_take_from_the_same_volume(tmp_path: Path) -> None:
    rows = [(100.0, 100.0, 100.0, 100.0, 20.0)] * 4
    ran = run(tmp_path, rows, {0: both(15, 15)}, execution={"participation": "0.5"}, account={"initial_cash": 10_000})
    assert [(f.side, f.qty, f.candle) for f in ran.fills] == [
        ("buy", 10, 1),
        ("buy", 5, 2),
        ("sell", 5, 2),
        ("sell", 10, 3),
    ]


def test_exits_attached_to_a_side_close_that_side_alone(tmp_path: Path) -> None:
    enter = {
        0: lambda s: [
            s.buy(ETH, 2, position_side="long", stop_loss=95, take_profits=104),
            s.sell(ETH, 3, position_side="short", stop_loss=103, take_profits=92),
        ]
    }
    ran = run(tmp_path, [*flat(100, 2), (100.0, 105.0, 100.0, 101.0), *flat(101, 2)], enter)
    assert [(f.side, f.price, f.qty) for f in ran.fills[2:]] == [("buy", 103, 3), ("sell", 104, 2)]
    assert held(ran) == {}
    replay(ran.path)


def test_an_exit_is_refused_where_an_order_only_closes_a_side(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 4), {0: order("buy", 2, "long"), 1: order("sell", 1, "long", stop_loss=110)})
    assert ran.refusals[0][1] == "bad_bracket"


def test_a_side_sized_by_money_and_closed_as_a_whole_by_a_stop(tmp_path: Path) -> None:
    enter = lambda s: [  # noqa: E731
        s.sell(ETH, quote=300, position_side="short"),
        s.buy(ETH, stop=105, close_position=True, position_side="short"),
    ]
    ran = run(tmp_path, [*flat(100, 2), (100.0, 106.0, 100.0, 106.0), *flat(106, 2)], {0: enter})
    assert [(f.side, f.price, f.qty) for f in ran.fills] == [("sell", 100, 3), ("buy", 105, 3)]


def test_each_side_has_its_own_margin_and_liquidation_price(tmp_path: Path) -> None:
    ran = run(tmp_path, [*flat(100, 2), (100.0, 100.0, 85.0, 90.0), *flat(90, 2)], {0: both(40, 40)})
    # long: 400 + 40 p - 4000 - 0.0065 × 40 p = 0 at p = 90.5888…; the short has won
    assert [(f.side, f.price, f.qty, f.tag) for f in ran.fills[2:]] == [("sell", Decimal("90.58"), 40, "liquidation")]
    assert held(ran) == {SHORT: -40}
    assert ran.details["liquidation"]["liquidations"] == {LONG: 1}
    replay(ran.path)
    verify(ran.path)


def test_the_orders_of_the_other_side_survive_a_liquidation(tmp_path: Path) -> None:
    enter = lambda s: [  # noqa: E731
        *both(40, 40)(s),
        s.sell(ETH, 40, limit=120, position_side="long"),
        s.buy(ETH, 40, limit=50, position_side="short"),
    ]
    ran = run(tmp_path, [*flat(100, 2), (100.0, 100.0, 85.0, 90.0), *flat(90, 2)], {0: enter})
    assert [update for update in ran.updates if update[1] == "cancelled"] == [(3, "cancelled", "liquidation")]


def test_with_cross_margin_a_full_hedge_is_not_hurt_by_either_extreme(tmp_path: Path) -> None:
    wild = [*flat(100, 2), (100.0, 130.0, 70.0, 100.0), *flat(100, 2)]
    cross = {"margin_mode": "cross"}
    hedged = run(tmp_path, wild, {0: both(49, 49)}, futures=cross)
    assert held(hedged) == {LONG: 49, SHORT: -49}
    one_sided = run(tmp_path / "one", wild, {0: both(49, 9)}, futures=cross)
    # 1000 - 40 × 30 < 0 at 70, where the net long is hurt: both fall there
    assert [(f.side, f.price, f.tag) for f in one_sided.fills[2:]] == [
        ("sell", 70, "liquidation"),
        ("buy", 70, "liquidation"),
    ]
    assert cash(one_sided) == 0


def test_with_cross_margin_both_legs_keep_their_own_maintenance(tmp_path: Path) -> None:
    """Long 60 and short 20: 1 000 + 40 (p - 100) - 0.0065 × p × 80 <= 0 at p <= 75.9878; of 40 alone it were 75.49."""
    cross = {"margin_mode": "cross"}
    for low, falls in ((75.98, True), (75.99, False)):
        rows = [*flat(100, 2), (100.0, 100.0, low, 100.0), *flat(100, 2)]
        ran = run(tmp_path / str(low), rows, {0: both(60, 20)}, futures=cross)
        assert bool(ran.details["liquidation"]["liquidations"]) is falls


def test_close_ends_both_sides_or_the_one_that_is_named(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 6), {0: both(4, 3), 1: lambda s: s.close(ETH, position_side="short")})
    assert held(ran) == {LONG: 4}
    everything = run(tmp_path / "all", flat(100, 6), {0: both(4, 3), 1: lambda s: s.close(ETH)})
    assert held(everything) == {}


def test_a_breaker_that_flattens_closes_both_sides(tmp_path: Path) -> None:
    risk = {"drawdown": {"limit_pct": 5, "action": "flatten"}}
    ran = run(tmp_path, [*flat(100, 2), *flat(97, 4)], {0: both(30, 3)}, risk=risk)
    assert held(ran) == {}
    assert [f.tag for f in ran.fills[2:]] == ["risk", "risk"]


def test_a_limit_per_symbol_counts_both_sides(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 4), {0: both(4, 3)}, risk={"max_symbol_notional": "500"})
    assert [why for _, why, _ in ran.refusals] == ["max_symbol_notional"]
    net = run(tmp_path / "net", flat(100, 4), {0: both(4, 3)}, risk={"max_net_exposure": "500"})
    assert net.refusals == []


def test_a_short_side_is_refused_where_shorts_are_not_allowed(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 4), {0: both(4, 3)}, risk={"allow_short": False})
    assert [why for _, why, _ in ran.refusals] == ["short_not_allowed"]
    assert held(ran) == {LONG: 4}


def test_the_strategy_sees_each_candle_once_and_must_say_which_position_it_means(tmp_path: Path) -> None:
    seen: list[Any] = []

    def look(s: Any) -> None:
        seen.append((s.position(ETH, "long").qty, s.position(ETH, "short").qty, [i.id for i in s.instruments]))
        seen.append([o.instrument for o in s.open_orders(ETH)])

    script = {0: lambda s: [*both(4, 3)(s), s.sell(ETH, 1, limit=110, position_side="long")], 2: look}
    ran = run(tmp_path, flat(100, 5), script)
    assert seen == [(4, -3, [f"um:{ETH}"]), [LONG]]
    assert ran.details["status"] == "complete"
    with pytest.raises(StrategyError, match="a long and a short position"):
        run(tmp_path / "which", flat(100, 3), {0: lambda s: s.position(ETH) and None})


def test_a_strategy_made_for_one_position_is_refused_in_hedge_mode(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(100, 4), symbol=ETH, market="um")
    strategy = scripted({})
    strategy.position_modes = ("one_way",)
    config = config_of(tmp_path / "lake", [ETH], run={"market": "um"}, futures={"position_mode": "hedge"})
    with pytest.raises(UsageError, match="trades in one_way mode"):
        prepared_run(strategy, config)


def test_each_side_pays_or_gets_its_own_funding_once_also_with_finer_execution_data(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, flat(100, 240), symbol=ETH, market="um")
    write_candles(lake, flat(100, 48), symbol=ETH, market="um", timeframe="5m")
    columns = {"time": [time_of(60 * h) + 7_000 for h in (1, 2, 3)], "interval_hours": [1] * 3}
    write_rows(lake, "fundingRate", ETH, columns | {"funding_rate": [0.001, -0.002, 0.003]})
    put_rules(lake, UM_BRACKETS, date="2023-01-01")
    close_before = {0: both(4, 3), 17: lambda s: s.close(ETH, position_side="long")}  # at 01:30: of 5m candles

    for executes in ("1m", "5m"):
        config = config_of(
            lake,
            [ETH],
            run={"market": "um", "timeframe": "5m"},
            futures={"position_mode": "hedge", "leverage": 10},
            execution={"timeframe": executes},
        )
        ran = run_prepared(tmp_path, prepared_run(scripted(close_before), config))
        paid = [(e["instrument"], e["amount"]) for e in ran.events("cashflows") if e["kind"] == "funding"]
        assert paid == [
            (LONG, "-0.40000000"),
            (SHORT, "0.30000000"),
            (SHORT, "-0.60000000"),
            (SHORT, "0.90000000"),
        ]
        replay(ran.path)


def test_both_sides_of_a_coin_margined_contract_win_and_lose_coin(tmp_path: Path) -> None:
    name = "BTCUSD_PERP"
    both_sides = lambda s: [s.buy(name, 400, position_side="long"), s.sell(name, 200, position_side="short")]  # noqa: E731
    rows = [*flat(40_000, 2), *flat(50_000, 4)]
    ran = coin_run(
        tmp_path,
        rows,
        {0: both_sides, 2: lambda s: [*s.close(name), s.add_margin(name, "0.1", "long")]},
        futures={"position_mode": "hedge", "leverage": 2, "margin_mode": "cross"},
        wallet="2",
    )
    # 400 contracts of 100 are 1 coin at 40 000 and 0.8 at 50 000; the short has lost half of that
    assert coin(ran) == 2 + Decimal("0.2") - Decimal("0.1")
    assert held(ran) == {}
    assert [why for _, why, _ in ran.refusals] == ["margin_not_isolated"]
    replay(ran.path)
    verify(ran.path)


def test_both_sides_of_a_contract_that_expires_are_settled(tmp_path: Path) -> None:
    name, begins = "BTCUSD_240105", "2024-01-05T06:50:00Z"
    both_sides = lambda s: [  # noqa: E731
        s.buy(name, 400, position_side="long"),
        s.sell(name, 200, position_side="short"),
        s.sell(name, 400, limit=60_000, position_side="long"),
    ]
    ran = coin_run(
        tmp_path,
        flat(40_000, 70),
        {0: both_sides},
        symbol=name,
        start=begins,
        futures={"position_mode": "hedge", "leverage": 2},
        wallet="2",
    )
    assert [(f.side, f.qty, f.tag) for f in ran.fills[2:]] == [("sell", 400, "settlement"), ("buy", 200, "settlement")]
    assert [update for update in ran.updates if update[1] == "cancelled"] == [(3, "cancelled", "contract_expired")]
    assert sorted(ran.details["settlement"]) == [f"cm:{name}@long", f"cm:{name}@short"]
    replay(ran.path)
