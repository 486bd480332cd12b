"""Runs on real tapes: a day of aggregated trades, and minutes of captured trades and quotes."""

from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtester.core.board import Board
from backtester.core.time import MINUTE
from backtester.data.downloader.capturing import import_capture
from backtester.data.lake import Lake
from backtester.engine.replay import replay
from backtester.strategy.base import Intents, Strategy
from tests.support.lakes import write_rows
from tests.support.real import import_real
from tests.support.runs import Ran, config_of, prepared_run, run_prepared

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real"
PEPE = REAL / "archive/data/spot/daily/aggTrades/PEPEUSDT/PEPEUSDT-aggTrades-2024-10-27.zip"
CAPTURE = REAL / "ws/usdm/btcusdt_20240808.gz"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="real data are not here")


class Quoter(Strategy):
    """Rests a bid and, when it holds something, an offer, just beside the last trade; moves them now and then."""

    every = 200
    money = Decimal(300)

    def on_start(self) -> None:
        self.heard = 0

    def on_trade(self, trade: Any) -> Intents:
        self.heard += 1
        if self.heard % self.every:
            return None
        name, held = trade.instrument, self.position(trade.instrument)
        wanted = [*self.cancel_all(name), self.buy(name, quote=self.money, limit=trade.price * 0.9999)]
        return wanted if held.is_flat else [*wanted, self.sell(name, held.qty, limit=trade.price * 1.0001)]


def columns_of(lake: Path, market: str, kind: str, symbol: str) -> dict[str, Any]:
    batches = list(Lake(lake).read(market, kind, symbol, "", 0, 2**62))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def write_minutes(lake: Path, market: str, kind: str, symbol: str) -> dict[str, Any]:
    """Write the minutes that stored trades make, and return the trades."""
    tape = columns_of(lake, market, kind, symbol)
    minute = tape["time"] // MINUTE
    rows: dict[str, list[Any]] = {name: [] for name in ("open_time", "open", "high", "low", "close", "volume")}
    last = tape["price"][0]
    for number in range(minute[0], minute[-1] + 1):
        here = minute == number
        prices = tape["price"][here] if here.any() else np.array([last])
        last = prices[-1]
        row = (number * MINUTE, prices[0], prices.max(), prices.min(), last, tape["quantity"][here].sum().round(8))
        for name, value in zip(rows, row, strict=True):
            rows[name].append(value)
    write_rows(lake, "klines", symbol, rows, market=market, timeframe="1m")
    return tape


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    lake = import_real([PEPE], tmp_path_factory.mktemp("day"))
    return lake, write_minutes(lake, "spot", "aggTrades", "PEPEUSDT")


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    lake = tmp_path_factory.mktemp("captured")
    import_capture(CAPTURE, lake, "um")
    return lake, write_minutes(lake, "um", "trades", "BTCUSDT")


def run(folder: Path, lake: Path, market: str, symbol: str, feeds: list[str], **execution: Any) -> Ran:
    steps = {"tick_size": 0, "lot_size": 1, "min_qty": 1} if market == "spot" else {}
    sections = {
        "run": {"market": market},
        "data": {"feeds": feeds},
        "execution": execution,
        "fees": {"maker_bps": 2, "taker_bps": 5},
        "instruments": {f"{market}:{symbol}": steps},
    }
    return run_prepared(folder, prepared_run(Quoter, config_of(lake, [symbol], **sections)))


def check_against_the_tape(ran: Ran, tape: dict[str, Any], ids: str, *, takes_quotes: bool = False) -> None:
    """No trade gave more than it had; whoever rested was reached; money adds up."""
    at = {int(number): row for row, number in enumerate(tape[ids])}
    given: dict[int, Decimal] = defaultdict(Decimal)
    for fill in ran.events("fills"):
        number = int(fill["cause_id"].rpartition("/")[2])
        price = Decimal(repr(float(tape["price"][at[number]])))
        assert fill["ts"] == tape["time"][at[number]]
        if fill["liquidity"] == "maker":
            assert (Decimal(fill["price"]) - price) * (1 if fill["side"] == "buy" else -1) >= 0
        elif takes_quotes:
            continue  # it took what was quoted, not this trade
        given[number] += Decimal(fill["qty"])
    for number, qty in given.items():
        assert qty <= Decimal(repr(float(tape["quantity"][at[number]])))
    assert replay(ran.path).lines == len(ran.lines)


def test_a_day_of_aggregated_trades_fills_no_more_than_was_traded(
    tmp_path: Path, day: tuple[Path, dict[str, Any]]
) -> None:
    lake, tape = day
    ran = run(tmp_path, lake, "spot", "PEPEUSDT", ["aggTrades"])
    assert len(ran.events("fills")) > 100
    check_against_the_tape(ran, tape, "agg_trade_id")


@pytest.mark.parametrize("feeds", [["trades"], ["trades", "bookTicker"]])
def test_captured_trades_fill_with_and_without_quotes_asleep_or_awake(
    tmp_path: Path, captured: tuple[Path, dict[str, Any]], feeds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, tape = captured
    ran = run(tmp_path / "asleep", lake, "um", "BTCUSDT", feeds)
    assert len(ran.events("fills")) > 50
    check_against_the_tape(ran, tape, "trade_id", takes_quotes="bookTicker" in feeds)
    monkeypatch.setattr(Board, "sleep", lambda *_: None)
    assert run(tmp_path / "awake", lake, "um", "BTCUSDT", feeds).raw_lines == ran.raw_lines
