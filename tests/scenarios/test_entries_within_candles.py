"""A position that begins within a candle is judged by the rest of that candle, and what secures it is real money."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.engine.replay import replay, verify
from tests.support.market import Rows, flat, write_candles
from tests.support.runs import Ran, config_of, prepared_run, run_prepared, scripted
from tests.support.venue import UM_BRACKETS, put_rules

ETH, XRP = "ETHUSDT", "XRPUSDT"


def run(folder: Path, markets: dict[str, Rows], script: dict[int, Any], **sections: Any) -> Ran:
    lake = folder / "lake"
    for symbol, rows in markets.items():
        write_candles(lake, rows, symbol=symbol, market="um")
    put_rules(lake, UM_BRACKETS, date="2023-01-01")
    base: dict[str, Any] = {
        "run": {"market": "um"},
        "account": {"initial_cash": 1000},
        "futures": {"leverage": 20, "funding": "off"},
    }
    config = config_of(lake, list(markets), **(base | sections))
    return run_prepared(folder, prepared_run(scripted(script), config))


def buys(limit: int, **options: Any) -> dict[int, Any]:
    return {1: lambda s: [s.buy(ETH, 10, limit=limit, **options)]}


FALLS = [*flat(102, 2), (102.0, 103.0, 70.0, 102.0), *flat(102, 2)]


def test_a_limit_that_fills_on_the_way_down_is_liquidated_by_the_low_that_comes_after_it(tmp_path: Path) -> None:
    ran = run(tmp_path, {ETH: FALLS}, buys(100))
    entry, end = ran.fills
    assert (entry.side, entry.price) == ("buy", 100)
    # 50 + 10 p - 1000 - 0.0065 x 10 p = 0 at p = 95.6215…
    assert (end.side, end.price, end.tag) == ("sell", Decimal("95.62"), "liquidation")
    assert Decimal(ran.details["final"]["cash"]["um:USDT"]) >= 950  # it cost no more than its margin


def test_a_stop_beyond_the_liquidation_price_never_costs_more_than_the_margin(tmp_path: Path) -> None:
    ran = run(tmp_path, {ETH: FALLS}, buys(100, stop_loss=85))
    assert [fill.tag for fill in ran.fills] == ["", "liquidation"]
    assert ran.details["counts"]["ambiguous_candles"] == 1
    assert Decimal(ran.details["final"]["cash"]["um:USDT"]) >= 950


@pytest.mark.parametrize(
    ("path", "liquidated"), [("pessimistic", 1), ("open_near_extreme_first", 0), ("optimistic", 0)]
)
def test_on_a_declared_path_only_what_comes_after_the_entry_counts(tmp_path: Path, path: str, liquidated: int) -> None:
    # the stop entry at 104 triggers on the way up; on both walked paths the low of 95 has come before it
    rows = [*flat(102, 2), (101.0, 110.0, 95.0, 108.0), *flat(108, 2)]
    script = {1: lambda s: [s.buy(ETH, 10, stop=104)]}
    ran = run(tmp_path, {ETH: rows}, script, execution={"path": path, "participation": 0})
    assert sum(fill.tag == "liquidation" for fill in ran.fills) == liquidated


def test_a_position_entered_in_the_middle_of_a_candle_is_judged_by_all_of_it(tmp_path: Path) -> None:
    script = {1: lambda s: [s.buy(ETH, 10)]}
    ran = run(tmp_path, {ETH: FALLS}, script, execution={"market_fill": "mid", "participation": 0})
    assert [fill.tag for fill in ran.fills] == ["", "liquidation"]


def test_what_is_added_within_a_candle_is_judged_with_what_was_held(tmp_path: Path) -> None:
    rows = [*flat(102, 3), (102.0, 103.0, 98.0, 102.0), *flat(102, 2)]
    # 10 at 102 alone fall at 97.53; with 90 more at 99.5 all are one position of less margin for its size
    alone = run(tmp_path / "alone", {ETH: rows}, {0: lambda s: [s.buy(ETH, 10)]})
    assert [fill.tag for fill in alone.fills] == [""]
    more = {0: lambda s: [s.buy(ETH, 10)], 2: lambda s: [s.buy(ETH, 90, limit="101.9")]}
    added = run(tmp_path / "more", {ETH: [*flat(102, 3), (102.0, 103.0, 96.0, 102.0), *flat(102, 2)]}, more)
    assert added.fills[-1].tag == "liquidation"


@pytest.mark.parametrize("mode", ["isolated", "cross"])
def test_a_snapshot_follows_the_liquidation_of_its_own_tick(tmp_path: Path, mode: str) -> None:
    """The candle closes where the position falls, so that the close is what liquidates on the optimistic path."""
    rows = [*flat(102, 2), (102.0, 103.0, 90.0, 90.0), *flat(90, 2)]
    ran = run(
        tmp_path,
        {ETH: rows},
        buys(100),
        execution={"path": "optimistic", "participation": 0},
        futures={"leverage": 20, "margin_mode": mode, "funding": "off"},
        account={"initial_cash": 60},
    )
    assert ran.fills[-1].tag == "liquidation"
    assert replay(ran.path).account.fills == 2
    verify(ran.path)


def test_profit_that_is_not_realised_pays_for_no_isolated_margin(tmp_path: Path) -> None:
    up = [*flat(100, 3), *flat(190, 4), *flat(100, 4)]
    ran = run(
        tmp_path,
        {ETH: up, XRP: flat(100, 11)},
        {1: lambda s: [s.buy(ETH, 10)], 5: lambda s: [s.buy(XRP, "8.5")]},
        account={"initial_cash": 105},
        futures={
            "leverage": 10,
            "margin_mode": "cross",
            "funding": "off",
            "instruments": {"um:XRPUSDT": {"margin_mode": "isolated", "leverage": 1}},
        },
    )
    assert [reason for _, reason, _ in ran.refusals] == ["insufficient_balance"]
    assert [e for e in ran.events("cashflows") if e["kind"] == "insurance"] == []
    assert ran.result.metrics["final_equity"]["value"] == "105.00000000"
