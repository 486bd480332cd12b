"""Whole runs over spot, linear and inverse futures whose strategy orders and moves money at random: money adds up.

The engine itself refuses a run whose ledger breaks the identity of any holding; `replay` folds the log with a program
of its own. Here the log is read a third time, for what no wallet and no transfer may ever do.
"""

import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtester.engine.replay import replay, verify
from backtester.strategy import Strategy
from tests.support.lakes import wandering
from tests.support.market import write_candles
from tests.support.profiles import examples
from tests.support.runs import Ran, config_of, prepared_run, run_prepared

SPOT, ETH, PERP, COIN = "spot:BTCUSDT", "spot:ETHBTC", "um:BTCUSDT", "cm:BTCUSD_PERP"
WALLETS = {"spot:USDT": 5000, "spot:BTC": 3, "um:USDT": 2000, "um:BTC": 4, "cm:BTC": 5}
CANDLES = 120


class Whims(Strategy):
    """Orders, cancels and transfers by the run's own randomness."""

    def on_candle(self, candle: Any) -> Any:
        rng = self.rng
        if candle.instrument != SPOT or rng.random() < 0.3:
            return None
        if rng.random() < 0.35:
            source, target = rng.choices(["spot", "um", "cm"], k=2)
            asset = rng.choice(["USDT", "BTC", "ETH"])
            most = float(self.balance(source, asset))
            amount = round(rng.uniform(-0.1, 1.1) * most, rng.choice([2, 4, 8, 9]))
            return [self.transfer(asset, amount, source, target)]
        name = rng.choice([SPOT, ETH, PERP, COIN])
        if rng.random() < 0.15:
            return self.close(name)
        order = rng.choice([self.buy, self.sell])
        if rng.random() < 0.3:
            return [order(name, fraction=round(rng.uniform(0.01, 1.2), 2))]
        qty = rng.randint(1, 30) if name == COIN else round(rng.uniform(0.01, 40), 3)
        return [order(name, qty, reduce_only=rng.random() < 0.2)]

    def on_transfer(self, flow: Any) -> Any:
        if flow.wallet == "um" and self.rng.random() < 0.5:
            return [self.sell(PERP, 1)]
        return None


def mixed(folder: Path, seed: int, **sections: Any) -> Ran:
    lake = folder / "lake"
    prices = {SPOT: 10_000, ETH: 50, PERP: 10_000, COIN: 10_000}
    for number, (name, price) in enumerate(prices.items()):
        market, symbol = name.split(":")
        step = max(1, price // 40)
        rows = wandering(CANDLES, seed * 10 + number, price=price, step=step, quiet=0.05)
        write_candles(lake, rows, symbol=symbol, market=market)
    cent = {"tick_size": "0.01", "lot_size": "0.001", "min_qty": "0.001", "max_qty": 0, "min_notional": 0}
    coin = cent | {"lot_size": 1, "min_qty": 1, "contract_size": 10}
    base: dict[str, Any] = {
        "run": {"seed": seed},
        "account": {"wallets": WALLETS, "conversions": {"BTC": SPOT}},
        "fees": {"maker_bps": None, "taker_bps": None},
        "slippage": {"bps": 3},
        "execution": {"participation": "0.1"},
        "instruments": {COIN: coin},
    }
    config = config_of(lake, list(prices), **(base | sections))
    ran = run_prepared(folder, prepared_run(Whims, config))
    replay(ran.path)
    return ran


def check(ran: Ran, *, may_owe: bool) -> Mapping[str, int]:
    """Fold the log plainly; return how often what happened."""
    cash: dict[str, Decimal] = defaultdict(Decimal)
    seen: dict[str, int] = defaultdict(int)
    halves: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for line in (json.loads(raw) for raw in ran.raw_lines):
        event = line["event"]
        if line["topic"] == "cashflows":
            holding = f"{event['wallet']}:{event['asset']}"
            cash[holding] += Decimal(event["amount"])
            if event["kind"] == "transfer":
                halves[event["order_id"]].append(event)
                assert cash[holding] >= 0 or event["amount"][0] != "-", "a transfer takes only what is there"
        elif line["topic"] == "account_snapshot":
            for row in event["assets"]:
                if row["wallet"] == "spot":
                    assert Decimal(row["cash"]) >= 0, "spot is never owed"
                cash[f"{row['wallet']}:{row['asset']}"] = Decimal(row["cash"])
            seen["snapshots"] += 1
        elif line["topic"] == "fills":
            seen[event["instrument"]] += 1
        elif line["topic"] == "orders_rejected":
            seen[event["reason"]] += 1
    for out, come in halves.values():
        assert Decimal(out["amount"]) == -Decimal(come["amount"]) < 0
        assert (out["ts"], out["asset"], out["cause_id"]) == (come["ts"], come["asset"], come["cause_id"])
        assert out["wallet"] != come["wallet"]
    if not may_owe:
        for holding, text in ran.details["final"]["cash"].items():
            assert Decimal(text) >= 0 or holding.partition(":")[0] == "um", holding
    seen["transfers"] = len(halves)
    return seen


@given(seed=st.integers(0, 10**6))
@settings(max_examples=examples(8))
def test_money_adds_up_over_all_wallets(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        seen = check(mixed(Path(folder), seed), may_owe=False)
        assert seen["snapshots"] > 3


@given(seed=st.integers(0, 10**6), latency=st.sampled_from([0, 90_000]))
@settings(max_examples=examples(5))
def test_money_adds_up_with_leverage_collateral_and_latency(seed: int, latency: int) -> None:
    futures = {"margin_mode": "cross", "leverage": 3, "collateral": {"BTC": "0.9"}}
    with tempfile.TemporaryDirectory() as folder:
        check(mixed(Path(folder), seed, futures=futures, execution={"latency_ms": latency}), may_owe=True)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_random_portfolio_runs_again_byte_for_byte_and_does_all_that_it_can(tmp_path: Path, seed: int) -> None:
    ran = mixed(tmp_path, seed)
    seen = check(ran, may_owe=False)
    verify(ran.path)
    assert all(seen[name] for name in (SPOT, ETH, PERP, COIN, "transfers", "insufficient_balance"))
