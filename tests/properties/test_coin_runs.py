"""Whole runs of COIN-M with a strategy that does anything: a perpetual with funding and a contract that expires."""

from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.core.time import HOUR
from backtester.engine.replay import replay, verify
from tests.support.coin import coin_brackets
from tests.support.erratic import Erratic
from tests.support.lakes import wandering, write_rows
from tests.support.market import time_of, write_candles
from tests.support.runs import Ran, config_of, prepared_run, run_prepared
from tests.support.venue import put_rules

PERP, DATED = "BTCUSD_PERP", "BTCUSD_240101"
BEGINS = "2024-01-01T05:00:00Z"
EXPIRY = time_of(180, start=BEGINS)
RATES = ["0.00037511", "-0.00021300", "0.00123457", "-0.00007000"]  # at 06:00 and every hour
CONTRACT = {"tick_size": "0.01", "lot_size": "1", "min_qty": "1", "contract_size": "10"}


def ran(folder: Path, seed: int, mode: str, currency: str) -> Ran:
    """Four hours of minutes; the dated contract's candles go on after it has expired."""
    lake = folder / "lake"
    for number, symbol in enumerate((PERP, DATED)):
        rows = wandering(240, 100 * seed + number, quiet=0.05)
        write_candles(lake, rows, symbol=symbol, market="cm", start=BEGINS)
        steps = ((20, 50, 0.01, 0.0), (60, 20, 0.03, 0.4), (1000, 5, 0.1, 4.6))
        put_rules(lake, coin_brackets(*steps, symbol=symbol), date="2020-01-01")
    times = [time_of(0, start=BEGINS) + hour * HOUR for hour in range(1, 5)]
    rates = [float(rate) for rate in RATES]
    write_rows(
        lake, "fundingRate", PERP, {"time": times, "interval_hours": [1] * 4, "funding_rate": rates}, market="cm"
    )
    index = [100.0 + minute / 100 for minute in range(60)]
    prices: dict[str, Any] = dict.fromkeys(("open", "high", "low", "close"), index)
    opened = [EXPIRY - HOUR + minute * HOUR // 60 for minute in range(60)]
    write_rows(lake, "indexPriceKlines", "BTCUSD", {"open_time": opened} | prices, market="cm", timeframe="1m")
    config = config_of(
        lake,
        [PERP, DATED],
        run={"market": "cm", "timeframe": "1m", "seed": seed},
        account={"currency": currency, "wallets": {"cm:BTC": 30}},
        instruments={f"cm:{symbol}": CONTRACT for symbol in (PERP, DATED)},
        futures={"leverage": 5, "margin_mode": mode},
        fees={"maker_bps": 2, "taker_bps": 5},
        risk={"allow_short": True},
        sizing={"model": "percent_equity", "percent": 20},
    )
    return run_prepared(folder, prepared_run(Erratic, config, busy=0.5))


@pytest.mark.parametrize(
    ("seed", "mode", "currency"),
    [(1, "isolated", "BTC"), (2, "cross", "BTC"), (3, "isolated", "USDT"), (4, "cross", "USDT")],
)
def test_money_funding_and_expiry_hold_and_the_log_replays(tmp_path: Path, seed: int, mode: str, currency: str) -> None:
    found = ran(tmp_path, seed, mode, currency)
    assert len(found.fills) > 30
    replay(found.path)
    verify(found.path)
    _each_funding_time_once(found)
    _nothing_after_expiry(found)


def _each_funding_time_once(found: Ran) -> None:
    """Every time pays what is held then: what the log's fills up to there make, at the last price, rounded down."""
    held, paid = Decimal(0), 0
    due = {time_of(60 * hour, start=BEGINS): Decimal(rate) for hour, rate in enumerate(RATES, start=1)}
    for line in found.lines:
        event, instrument = line["event"], line["event"].get("instrument")
        for at in [at for at in due if at < line["tick"] or _after_dues(line, at)]:
            assert held == 0, "a position that was held paid no funding"
            del due[at]
        if line["topic"] == "fills" and instrument == f"cm:{PERP}":
            held += Decimal(event["qty"]) * (1 if event["side"] == "buy" else -1)
        if line["topic"] == "cashflows" and event["kind"] == "funding":
            rate, paid = due.pop(event["ts"]), paid + 1
            worth = held * 10 / Decimal(event["numbers"]["mark"])
            assert Decimal(event["numbers"]["qty"]) == held
            assert Decimal(event["amount"]) == (-worth * rate).quantize(Decimal("1e-8"), ROUND_FLOOR)
    assert paid == found.details["funding"]["payments"] > 0


def _after_dues(line: dict[str, Any], at: int) -> bool:
    """Whether a line of a funding tick came after funding: what somebody decided, or filled at the open, then."""
    cause = str(line["event"]["cause_id"])
    decided = line["topic"] == "orders_intent" and "/candle/" in cause
    return bool(line["tick"] == at and (decided or line["topic"] == "account_snapshot" or "/open/" in cause))


def _nothing_after_expiry(found: Ran) -> None:
    dated = f"cm:{DATED}"
    fills = [e for e in found.events("fills") if e["instrument"] == dated]
    assert max(e["ts"] for e in fills) <= EXPIRY
    assert dated not in found.details["final"]["positions"]
    settled = [e for e in found.events("settlements") if e["instrument"] == dated]
    assert [e["ts"] for e in settled] == [EXPIRY]
    assert settled[0]["numbers"]["price"] == "100.30"  # the mean of 100.00 .. 100.59 is 100.295
    late = [
        e["reason"] for e in found.events("orders_rejected") if e["instrument"] == dated and e["ts"] >= EXPIRY
    ]  # fmt: skip
    assert "contract_expired" in late
    assert set(late) <= {"contract_expired", "unknown_order"}
