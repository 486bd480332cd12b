"""Transfers between wallets: two halves at one instant, of what is free, and nothing of it is profit."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import StrategyError
from backtester.engine.replay import replay, verify
from tests.support.market import Rows, flat, write_candles
from tests.support.runs import Ran, config_of, prepared_run, run_prepared, scripted

SPOT, PERP = "spot:BTCUSDT", "um:BTCUSDT"
THOUSANDS = {"wallets": {"spot:USDT": 1000, "um:USDT": 1000}}


def run(folder: Path, script: Mapping[int, Any], rows: Rows | None = None, **sections: Any) -> Ran:
    """Both markets go the same way; acts after candles of spot."""
    lake = folder / "lake"
    for market in ("spot", "um"):
        write_candles(lake, rows or flat(100, 20), market=market)
    config = config_of(lake, [SPOT, PERP], **({"account": THOUSANDS} | sections))
    ran = run_prepared(folder, prepared_run(scripted(script, first=SPOT), config))
    replay(ran.path)
    return ran


def cash(ran: Ran) -> dict[str, Decimal]:
    return {holding: Decimal(text) for holding, text in ran.details["final"]["cash"].items()}


def move(amount: Any, source: str = "spot", target: str = "um", asset: str = "USDT") -> Any:
    return lambda s: [s.transfer(asset, amount, source, target, tag="mine")]


def test_both_halves_have_one_cause_and_equity_never_moves(tmp_path: Path) -> None:
    ran = run(tmp_path, {3: move("250.5")})
    out, come = ran.events("cashflows")[2:]
    assert (out["kind"], out["wallet"], out["amount"]) == ("transfer", "spot", "-250.50000000")
    assert (come["kind"], come["wallet"], come["amount"]) == ("transfer", "um", "250.50000000")
    [sent] = ran.events("transfers")
    assert out["cause_id"] == come["cause_id"] == sent["event_id"]
    assert out["order_id"] == come["order_id"] == sent["order_id"] == 1
    assert out["ts"] == come["ts"]
    assert cash(ran) == {"spot:USDT": Decimal("749.5"), "um:USDT": Decimal("1250.5")}
    assert {row["equity"] for row in ran.table("equity")} == {Decimal(2000)}
    verify(ran.path)


@pytest.mark.parametrize(
    ("intent", "reason", "numbers"),
    [
        (move(1000.00000001), "insufficient_balance", {"required": "1000.00000001", "free": "1000.00000000"}),
        (move(1, "spot", "cm"), "unknown_wallet", {"wallet": "cm", "wallets": "spot um"}),
        (move(1, "futures", "um"), "unknown_wallet", {"wallet": "futures", "wallets": "spot um"}),
        (move(1, "um", "um"), "same_wallet", {"from": "um", "to": "um"}),
        (move(1, asset="BNB"), "unknown_asset", {"asset": "BNB", "there": "spot:USDT"}),
        (move(0), "bad_size", {"size": "0", "decimals": "8"}),
        (move(-5), "bad_size", {"size": "-5", "decimals": "8"}),
        (move("0.000000001"), "bad_size", {"size": "0.000000001", "decimals": "8"}),
    ],
)
def test_a_refusal_says_why(tmp_path: Path, intent: Any, reason: str, numbers: dict[str, str]) -> None:
    ran = run(tmp_path, {3: intent})
    [(who, why, said)] = ran.refusals
    assert (who, why) == ("risk", reason)
    assert numbers.items() <= said.items()
    assert ran.events("orders_rejected")[0]["tag"] == "mine"
    assert cash(ran) == {"spot:USDT": Decimal(1000), "um:USDT": Decimal(1000)}


def test_an_amount_that_is_no_number_is_an_error_of_the_strategy(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="'much' is not a number"):
        run(tmp_path, {3: move("much")})


def test_what_an_order_reserves_cannot_leave_and_what_leaves_cannot_be_reserved(tmp_path: Path) -> None:
    def resting(s: Any) -> Any:
        return [s.buy(SPOT, 6, limit=90)]

    ran = run(tmp_path, {2: resting, 3: move(461), 4: move(460), 5: lambda s: [s.buy(SPOT, 1, limit=90)]})
    assert [(why, said["free"]) for _, why, said in ran.refusals] == [
        ("insufficient_balance", "460.00000000"),
        ("insufficient_balance", "0"),
    ]


def test_two_transfers_of_one_decision_cannot_move_the_same_money(tmp_path: Path) -> None:
    ran = run(tmp_path, {3: lambda s: [*move(600)(s), *move(600)(s)]})
    assert [said["free"] for _, _, said in ran.refusals] == ["400.00000000"]
    assert cash(ran)["um:USDT"] == 1600


def test_margin_stays_and_with_cross_margin_losses_too_while_profit_is_not_taken_out(tmp_path: Path) -> None:
    rows = [*flat(100, 4), *flat(90, 8), *flat(150, 8)]
    script = {1: lambda s: [s.buy(PERP, 5)], 7: move(451, "um", "spot"), 8: move(450, "um", "spot")}
    lost = run(tmp_path / "cross", script, rows, futures={"margin_mode": "cross"})
    assert [said["free"] for _, _, said in lost.refusals] == ["450.00000000"]  # 1000 - 500 - 5 x 10
    alone = run(tmp_path / "isolated", {1: script[1], 7: move(501, "um", "spot"), 8: move(500, "um", "spot")}, rows)
    assert [said["free"] for _, _, said in alone.refusals] == ["500.00000000"]
    won = run(
        tmp_path / "won",
        {1: lambda s: [s.buy(PERP, 5)], 14: move(751, "um", "spot"), 15: move(750, "um", "spot")},
        [*flat(100, 4), *flat(150, 16)],
        futures={"margin_mode": "cross"},
    )
    assert [said["free"] for _, _, said in won.refusals] == ["750.00000000"]  # the profit of 250 secures half of it
    more = run(
        tmp_path / "more",
        {1: lambda s: [s.buy(PERP, 5)], 14: move(1001, "um", "spot"), 15: move(1000, "um", "spot")},
        [*flat(100, 4), *flat(300, 16)],
        futures={"margin_mode": "cross"},
    )
    assert [said["free"] for _, _, said in more.refusals] == ["1000.00000000"]  # a profit of 1000 moves nothing out
    assert cash(more)["um:USDT"] == 0


def test_coins_that_left_the_spot_wallet_are_still_the_position_but_cannot_be_sold(tmp_path: Path) -> None:
    script = {
        1: lambda s: [s.buy(SPOT, 4)],
        3: move(3, asset="BTC"),
        5: lambda s: [s.sell(SPOT, 2)],
        6: lambda s: [s.sell(SPOT, 1)],
        8: move(3, "um", "spot", asset="BTC"),
        10: lambda s: [s.sell(SPOT, 3)],
    }
    ran = run(tmp_path, script)
    assert ran.refusals == [
        ("risk", "insufficient_balance", {"required": "2", "free": "1", "asset": "BTC"}),
    ]
    assert [(e["side"], e["qty"]) for e in ran.events("fills")] == [
        ("buy", "4.000"),
        ("sell", "1.000"),
        ("sell", "3.000"),
    ]
    assert {row["equity"] for row in ran.table("equity")} == {Decimal(2000)}


def test_coins_that_were_put_in_are_no_position_and_cannot_be_sold(tmp_path: Path) -> None:
    wallets = {"spot:USDT": 1000, "spot:BTC": 2, "um:USDT": 0}
    script = {1: lambda s: [s.sell(SPOT, 1)], 2: lambda s: [s.buy(SPOT, 1)], 5: lambda s: [s.sell(SPOT, 2)]}
    ran = run(tmp_path, {**script, 6: lambda s: [s.sell(SPOT, quote=150)]}, account={"wallets": wallets})
    assert [(why, said.get("free")) for _, why, said in ran.refusals] == [
        ("short_not_allowed", None),
        ("insufficient_balance", "1"),
    ]
    assert [(e["side"], e["qty"]) for e in ran.events("fills")] == [("buy", "1.000"), ("sell", "1.000")]
    assert cash(ran)["spot:BTC"] == 2


def test_a_transfer_travels_as_orders_do_and_is_bound_on_the_way(tmp_path: Path) -> None:
    late = {"execution": {"latency_ms": 90_000}}
    ran = run(tmp_path, {3: move(400), 4: move(700)}, **late)
    [sent] = ran.events("transfers")
    out, come = ran.events("cashflows")[2:]
    assert out["ts"] == come["ts"] == sent["ts"] + 90_000_000
    assert [said["free"] for _, _, said in ran.refusals] == ["600.00000000"]
    reserved = [
        row["reserved"] for e in ran.events("account_snapshot") for row in e["assets"] if row["wallet"] == "spot"
    ]
    assert "400.00000000" in reserved
    verify(ran.path)


def test_what_is_gone_when_a_transfer_arrives_is_refused_by_the_exchange(tmp_path: Path) -> None:
    rows = [*flat(100, 5), *flat(60, 15)]
    late = {"execution": {"latency_ms": 120_000}, "futures": {"margin_mode": "cross", "leverage": 2}}
    ran = run(tmp_path, {0: lambda s: [s.buy(PERP, 10)], 4: move(400, "um", "spot")}, rows, **late)
    [(who, why, said)] = ran.refusals
    assert (who, why, said["free"]) == ("execution", "insufficient_balance", "100.00000000")
    assert [row["reserved"] for row in ran.events("account_snapshot")[-1]["assets"]] == ["0.00000000"] * 2


def test_the_strategy_hears_of_its_arrival_and_can_spend_it(tmp_path: Path) -> None:
    heard: list[Any] = []

    class Spender(scripted({3: move(500)}, first=SPOT)):  # type: ignore[misc]
        def on_transfer(self, flow: Any) -> Any:
            heard.append((flow.wallet, self.balance("um", "USDT"), self.free("um", "USDT")))
            return [self.buy(PERP, 14)]

    lake = tmp_path / "lake"
    for market in ("spot", "um"):
        write_candles(lake, flat(100, 10), market=market)
    ran = run_prepared(tmp_path, prepared_run(Spender, config_of(lake, [SPOT, PERP], account=THOUSANDS)))
    assert heard == [("um", Decimal(1500), Decimal(1500))]
    assert [e["qty"] for e in ran.events("fills")] == ["14.000"]


def test_after_a_kill_money_stays_where_it_is(tmp_path: Path) -> None:
    control = [{"at": "2024-01-01T00:02:00Z", "action": "kill"}]
    ran = run(tmp_path, {3: move(1)}, control=control)
    assert [why for _, why, _ in ran.refusals] == ["control"]
