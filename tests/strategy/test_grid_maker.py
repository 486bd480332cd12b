"""grid_maker on 50 trades drawn by hand, one a second: 1 % away, moved every ten trades, 100 each, at most 250."""

from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import StrategyError, UsageError
from backtester.core.time import SECOND
from backtester.engine.prepare import prepare
from backtester.engine.replay import replay, verify
from tests.support.coin import PERP, WHOLE, coin_brackets
from tests.support.market import time_of
from tests.support.runs import Ran, config_of, run_prepared
from tests.support.tape import BUYS, SELLS, Print, executions, write_tape
from tests.support.venue import put_rules

PARAMS = {"distance_bps": 100, "requote_trades": 10, "order_quote": 100, "inventory_quote": 250, "tape": "trades"}
PRICES = {2: 98.9, 5: 98.0, 13: 98.5, 22: 98.0, 33: 102.0, 40: 110.0, 45: 112.0}  # else 100: where they go, and back


def tape(prices: dict[int, float] = PRICES) -> list[Print]:
    """Trade n is at second n + 1. Buyers take above 100, sellers below; ten units each: more than any order."""
    return [(n + 1, p, 10.0, BUYS if p > 100 else SELLS) for n in range(50) for p in [prices.get(n, 100.0)]]


def ran(folder: Path, trades: list[Print], *, market: str = "um", kind: str = "trades", **params: Any) -> Ran:
    write_tape(folder / "lake", trades, minutes=1, market=market, kind=kind)
    sections = {"run": {"market": market}, "strategy": {"name": "grid_maker", "params": PARAMS | params}}
    made = run_prepared(folder, prepare(config_of(folder / "lake", ["BTCUSDT"], **sections)))
    replay(made.path)
    verify(made.path)
    return made


def quotes(run: Ran) -> list[tuple[int, str, str, str]]:
    """The trade that caused it, side, price and quantity, of every order."""
    orders = [order for order in run.events("orders_sanitized") if "qty" in order]
    return [((o["ts"] - time_of(0)) // SECOND - 1, o["tag"], o["limit_price"], o["qty"]) for o in orders]


def filled(run: Ran) -> list[tuple[int, str, str, str]]:
    """The trade that filled it, side, price and quantity, of every fill; all of them made."""
    assert {fill.liquidity for fill in executions(run)} <= {"maker"}
    return [(int(f.second) - 1, f.side, f"{f.price:f}", f"{f.qty:f}") for f in executions(run)]


def test_the_rule_on_fifty_trades(tmp_path: Path) -> None:
    run = ran(tmp_path, tape())
    assert quotes(run) == [
        (0, "bid", "99.00", "1.000"),
        (0, "ask", "101.00", "1.000"),
        (10, "bid", "99.00", "1.000"),  # 1 is held
        (10, "ask", "101.00", "1.000"),
        (20, "bid", "99.00", "0.500"),  # 2 are held, 250 are 2.5
        (20, "ask", "101.00", "1.000"),
        (30, "ask", "101.00", "1.000"),  # 2.5 are held: no bid
        (40, "bid", "108.90", "0.772"),  # 1.5 are held, 250 are 2.272 at 110
        (40, "ask", "111.10", "0.909"),  # 100 at 110
    ]
    assert filled(run) == [
        (2, "buy", "99.00", "1.000"),  # and at trade 5 there is no bid left
        (13, "buy", "99.00", "1.000"),
        (22, "buy", "99.00", "0.500"),
        (33, "sell", "101.00", "1.000"),
        (41, "buy", "108.90", "0.772"),
        (45, "sell", "111.10", "0.909"),
    ]
    cancelled = [number for number, status, _ in run.updates if status == "cancelled"]
    assert len(cancelled) == 9 - 6  # all that did not fill


def test_futures_are_sold_short_to_the_limit(tmp_path: Path) -> None:
    run = ran(tmp_path, tape(dict.fromkeys((2, 12, 22, 32, 42), 101.5)))
    assert filled(run) == [
        (2, "sell", "101.00", "1.000"),
        (12, "sell", "101.00", "1.000"),
        (22, "sell", "101.00", "0.500"),
    ]
    assert [order[:2] for order in quotes(run)][-2:] == [(30, "bid"), (40, "bid")]


def test_on_spot_it_asks_for_what_it_holds_and_no_more(tmp_path: Path) -> None:
    run = ran(tmp_path, tape({2: 98.5, 13: 110.0}), market="spot", order_quote=150)
    assert [order[1:] for order in quotes(run)[:3]] == [
        ("bid", "99.00", "1.500"),
        ("bid", "99.00", "1.000"),
        ("ask", "101.00", "1.500"),
    ]
    assert [fill[:2] for fill in filled(run)] == [(2, "buy"), (13, "sell")]
    assert run.refusals == []


def test_it_reads_aggregated_trades_unless_told(tmp_path: Path) -> None:
    assert len(filled(ran(tmp_path, tape(), kind="aggTrades", tape="aggTrades"))) == 6


def test_an_order_larger_than_the_inventory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"order_quote \(100\) must not exceed inventory_quote \(50\)"):
        ran(tmp_path, tape(), inventory_quote=50)


def test_what_is_not_traded_for_quote_money_is_refused(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_tape(lake, tape(), minutes=1, market="cm", symbol=PERP)
    put_rules(lake, coin_brackets((5, 125, 0.004, 0.0)), date="2020-01-01")
    config = config_of(
        lake,
        [PERP],
        run={"market": "cm"},
        account={"currency": "BTC", "wallets": {"cm:BTC": "1"}},
        instruments={f"cm:{PERP}": WHOLE},
        strategy={"name": "grid_maker", "params": PARAMS},
    )
    with pytest.raises(StrategyError, match="counts in quote currency, cm:BTCUSD_PERP does not trade for it"):
        run_prepared(tmp_path, prepare(config))
