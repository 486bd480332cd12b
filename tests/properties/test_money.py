"""Money, whatever a strategy does: never negative on spot, and everything that fills say is in the balances."""

from collections import defaultdict
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from

from backtester.engine.replay import replay
from tests.support.erratic import Erratic
from tests.support.lakes import two_coins
from tests.support.profiles import examples
from tests.support.runs import Ran, config_of, prepared_run, run_prepared

UNIT = Decimal("0.00000001")
SYMBOLS = ["BTCUSDT", "ETHUSDT"]
COSTS: list[dict[str, Any]] = [
    {"fees": {"maker_bps": 0, "taker_bps": 0}},
    {"fees": {"maker_bps": 10, "taker_bps": 10}, "slippage": {"bps": 5}},
    {"fees": {"maker_bps": -2, "taker_bps": "7.5"}, "slippage": {"bps": "0.5"}},
    {"fees": {"maker_bps": 2, "taker_bps": 5, "tiers": [{"volume": 9000, "maker_bps": "-0.5", "taker_bps": 3}]}},
]
STYLES: list[dict[str, Any]] = [
    {},
    {"touch_fills": True},
    {"stop_through": "market"},
    {"max_wait": 1},
    {"path": "open_near_extreme_first"},
    {"path": "optimistic", "market_fill": "mid"},
]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two coins on both markets."""
    folder = tmp_path_factory.mktemp("lake")
    for market in ("spot", "um"):
        two_coins(folder, 220, market=market)
    return folder


def erratic_run(folder: Path, lake: Path, market: str, seed: int, **sections: Any) -> Ran:
    config = config_of(lake, SYMBOLS, run={"market": market, "seed": seed}, **sections)
    return run_prepared(folder, prepared_run(Erratic, config, busy=0.4))


def folded(fills: list[dict[str, Any]], initial: Decimal, *, spot: bool) -> tuple[dict[str, Decimal], dict[str, Any]]:
    """Cash per asset and positions per instrument, from nothing but fills.parquet and the deposit."""
    cash: dict[str, Decimal] = defaultdict(Decimal, USDT=initial)
    held: dict[str, Decimal] = defaultdict(Decimal)
    basis: dict[str, Decimal] = defaultdict(Decimal)
    for fill in fills:
        name, base = fill["instrument"], fill["instrument"].partition(":")[2].removesuffix("USDT")
        qty = fill["qty"] if fill["side"] == "buy" else -fill["qty"]
        notional = (fill["qty"] * fill["price"]).quantize(UNIT, ROUND_HALF_EVEN)
        assert notional == fill["notional"]
        signed = notional if qty > 0 else -notional
        cash[fill["fee_asset"]] -= fill["fee"]
        if spot:
            cash["USDT"] -= signed
            cash[base] += qty
        before = held[name]
        held[name] += qty
        if before * qty >= 0:
            basis[name] += signed
        else:
            closing = min(abs(before), abs(qty))
            proceeds = (notional * closing / abs(qty)).quantize(UNIT, ROUND_FLOOR)
            released = (abs(basis[name]) * closing / abs(before)).quantize(UNIT, ROUND_FLOOR)
            if not spot:
                cash["USDT"] += proceeds - released if before > 0 else released - proceeds
            left = abs(qty) - closing
            rest = notional - proceeds if left else abs(basis[name]) - released
            basis[name] = rest.copy_sign(qty if left else before)
        if spot:
            assert min(cash.values()) >= 0, fill
            assert held[name] >= 0, fill
    return {a: c for a, c in cash.items() if c}, {i: (held[i], basis[i]) for i in held if held[i]}


@settings(max_examples=examples(60))
@given(
    seed=integers(0, 2**32),
    market=sampled_from(["spot", "um"]),
    costs=sampled_from(COSTS),
    style=sampled_from(STYLES),
)
def test_fills_alone_give_the_balances_and_spot_is_never_overdrawn(
    tmp_path_factory: pytest.TempPathFactory,
    lake: Path,
    seed: int,
    market: str,
    costs: dict[str, Any],
    style: dict[str, Any],
) -> None:
    ran = erratic_run(tmp_path_factory.mktemp("run"), lake, market, seed, execution=style, **costs)
    assert ran.result.status == "complete"  # a run that completes has checked its own identity per asset
    final = ran.details["final"]
    with localcontext() as context:
        context.prec = 60
        cash, positions = folded(ran.table("fills"), Decimal(10_000), spot=market == "spot")
    assert {a: Decimal(c) for a, c in final["cash"].items() if Decimal(c)} == {
        f"{market}:{a}": c for a, c in cash.items()
    }
    assert {i: (Decimal(p["qty"]), Decimal(p["basis"])) for i, p in final["positions"].items()} == positions


@settings(max_examples=examples(15))
@given(seed=integers(0, 2**32), rate=sampled_from([0, 10, 33]))
def test_spot_is_never_overdrawn_when_fees_come_out_of_what_is_bought(
    tmp_path_factory: pytest.TempPathFactory, lake: Path, seed: int, rate: int
) -> None:
    fees = {"maker_bps": rate, "taker_bps": rate, "spot_asset": "received"}
    ran = erratic_run(tmp_path_factory.mktemp("run"), lake, "spot", seed, fees=fees)
    with localcontext() as context:
        context.prec = 60
        cash: dict[str, Decimal] = defaultdict(Decimal, USDT=Decimal(10_000))
        for fill in ran.table("fills"):
            base = fill["instrument"].partition(":")[2].removesuffix("USDT")
            sign = 1 if fill["side"] == "buy" else -1
            assert fill["fee_asset"] == (base if sign > 0 else "USDT")
            cash[base] += sign * fill["qty"]
            cash["USDT"] -= sign * fill["notional"]
            cash[fill["fee_asset"]] -= fill["fee"]
            assert min(cash.values()) >= 0
    assert {a: Decimal(c) for a, c in ran.details["final"]["cash"].items() if Decimal(c)} == {
        f"spot:{a}": c for a, c in cash.items() if c
    }


@settings(max_examples=examples(25))
@given(seed=integers(0, 2**32), market=sampled_from(["spot", "um"]), costs=sampled_from(COSTS))
def test_the_log_alone_gives_every_snapshot_again(
    tmp_path_factory: pytest.TempPathFactory, lake: Path, seed: int, market: str, costs: dict[str, Any]
) -> None:
    ran = erratic_run(tmp_path_factory.mktemp("run"), lake, market, seed, **costs)
    assert replay(ran.path).account.snapshots == len(ran.events("account_snapshot"))


@settings(max_examples=examples(25))
@given(seed=integers(0, 2**32), market=sampled_from(["spot", "um"]), style=sampled_from(STYLES))
def test_every_order_ends_once_and_no_order_fills_before_it_is_accepted(
    tmp_path_factory: pytest.TempPathFactory, lake: Path, seed: int, market: str, style: dict[str, Any]
) -> None:
    ran = erratic_run(tmp_path_factory.mktemp("run"), lake, market, seed, execution=style)
    accepted: dict[int, int] = {}
    ended: dict[int, str] = {}
    for line in ran.lines:
        event = line["event"]
        match line["topic"]:
            case "orders_update" if event["status"] == "accepted":
                accepted[event["order_id"]] = event["ts"]
            case "orders_update" if event["status"] in ("cancelled", "expired", "filled"):
                assert event["order_id"] not in ended
                ended[event["order_id"]] = event["status"]
            case "fills":
                assert event["order_id"] not in ended
                assert event["ts"] >= accepted[event["order_id"]]
                assert event["ts"] <= line["tick"]
                if Decimal(event["leaves"]) == 0:
                    ended[event["order_id"]] = "filled"
            case "orders_rejected" if event["who"] == "execution" and event["reason"] != "unknown_order":
                assert event["order_id"] not in accepted
                ended[event["order_id"]] = "rejected"
    still_open = set(ran.details["final"]["open_orders"])
    sanitized = {event["order_id"] for event in ran.events("orders_sanitized") if "kind" in event}
    exits = {event["order_id"] for event in ran.events("orders_changed")}
    assert sanitized | exits == set(ended) | still_open
    assert set(ended) & still_open == set()
    assert {row["order_id"]: row["status"] for row in ran.table("orders")} == ended | dict.fromkeys(
        still_open, "working"
    )
