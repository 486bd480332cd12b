"""Whatever a strategy does: each order, trade and line of a run can be explained, and what is told is what happened."""

import random
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import UsageError
from backtester.core.time import format_time
from backtester.engine.explain.explaining import explain
from backtester.engine.explain.run_files import RunFiles
from backtester.engine.explain.told import Told
from backtester.engine.explain.trades import fills_of
from tests.support.erratic import Erratic
from tests.support.lakes import two_coins
from tests.support.runs import Ran, config_of, prepared_run, run_prepared

SECTIONS: dict[str, dict[str, Any]] = {
    "spot": {"run": {"market": "spot"}, "fees": {"maker_bps": 1, "taker_bps": 3, "spot_asset": "received"}},
    "levered": {"run": {"market": "um"}, "futures": {"leverage": 20}, "slippage": {"bps": 2}},
    "limits": {
        "run": {"market": "um"},
        "risk": {"allow_short": True, "max_open_orders": 3, "drawdown": {"limit_pct": 1, "action": "flatten"}},
        "execution": {"latency_ms": 70_000, "participation": "0.001"},
    },
}


@pytest.fixture(scope="module", params=SECTIONS)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp(request.param)
    sections = SECTIONS[request.param]
    two_coins(folder / "lake", 200, seed=3, market=sections["run"]["market"])
    config = config_of(folder / "lake", ["BTCUSDT", "ETHUSDT"], **sections)
    return run_prepared(folder, prepared_run(Erratic, config, busy=0.5))


def seen(told: Told, topic: str) -> list[dict[str, Any]]:
    return [one.line.event for one in told.walk() if one.line is not None and one.line.topic == topic]


def test_every_order_is_told_with_its_fills_and_its_end(ran: Ran) -> None:
    files, fills = RunFiles(ran.path), ran.table("fills")
    rows = ran.table("orders")
    for row in random.Random(3).sample(rows, min(80, len(rows))):
        told = explain(files, f"order:{row['order_id']}")
        filled = [fill for fill in seen(told, "fills") if fill["order_id"] == row["order_id"]]
        assert {f["event_id"] for f in filled} == {f["fill_id"] for f in fills if f["order_id"] == row["order_id"]}
        if row["kind"] not in ("twap", "iceberg"):
            assert sum((Decimal(fill["qty"]) for fill in filled), Decimal(0)) == row["filled"]
        status = {"rejected": "refused", "working": "still working"}.get(row["status"], row["status"])
        assert status in told.title, told.title


def test_every_chain_begins_at_the_market_or_at_a_moment_and_each_link_is_the_cause_of_the_next(ran: Ran) -> None:
    files = RunFiles(ran.path)
    for line in random.Random(1).sample(ran.lines, 200):
        told = explain(files, f"event:{line['seq']}")
        at = next(n for n, part in enumerate(told.parts) if part.line is not None and part.line.seq == line["seq"])
        first, *links = told.parts[: at + 1]
        lines = [part.line for part in links if part.line is not None]
        assert first.line is None
        assert len(lines) == len(links)
        assert not isinstance(lines[0].event["cause_id"], int)
        for cause, effect in pairwise(lines):
            assert effect.event["cause_id"] == cause.seq


def test_every_trade_is_told_with_the_fills_that_made_it(ran: Ran) -> None:
    files = RunFiles(ran.path)
    trades = ran.table("trades")
    assert trades
    for number, row in enumerate(trades, 1):
        fills = fills_of(files, row, number)
        assert len(fills) == row["fills"]
        assert (fills[0]["ts"], fills[-1]["ts"]) == (row["entry_time"], row["exit_time"])
        assert fills[0]["side"] == ("buy" if row["side"] == "long" else "sell")
        entered = sum((f["qty"] for f in fills if f["side"] == fills[0]["side"]), Decimal(0))
        assert entered >= row["qty"]
        if number <= 5:
            told = explain(files, f"trade:{number}")
            told_fills = {fill["event_id"] for fill in seen(told, "fills")}
            assert told_fills >= {f["fill_id"] for f in fills} or len({f["order_id"] for f in fills}) > 10
            assert told.title.startswith(f"trade {number}: {row['side']}")


def test_every_tick_is_told_whole(ran: Ran) -> None:
    files = RunFiles(ran.path)
    for tick in random.Random(2).sample(sorted({line["tick"] for line in ran.lines}), 30):
        told = explain(files, f"time:{format_time(tick)}")
        numbers = [part.line.seq for part in told.parts if part.line is not None]
        assert numbers == [line["seq"] for line in ran.lines if line["tick"] == tick][:200]


def test_an_order_that_never_was_is_said_so(ran: Ran) -> None:
    with pytest.raises(UsageError, match=r"there is no order 99999 .* with ids up to \d+"):
        explain(RunFiles(ran.path), "order:99999")


def test_a_run_that_was_never_sealed_is_explained_by_its_log_alone(ran: Ran, tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_bytes(b"".join(ran.raw_lines)[:-7])
    files = RunFiles(tmp_path)
    told = explain(files, f"order:{ran.table('orders')[0]['order_id']}")
    assert told.parts
