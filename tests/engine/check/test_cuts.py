"""Cuts: an honest run is the same before them, whatever it trades and however; where it is not, that is found."""

import random
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtester.core.instruments import InstrumentId
from backtester.core.time import HOUR
from backtester.data.lake import Lake
from backtester.engine.check.comparing import parting
from backtester.engine.check.cutting import Cut, CutLake
from backtester.engine.check.steps import chosen_cuts, cuts, repeat, warmup
from backtester.engine.check.subject import CheckOptions, Subject
from backtester.engine.prepare import PreparedRun
from backtester.strategy.base import Strategy
from tests.support.erratic import Erratic
from tests.support.lakes import two_coins, wandering, write_rows
from tests.support.market import time_of
from tests.support.runs import config_of, prepared_run, run_prepared, scripted
from tests.support.tape import BUYS, SELLS, write_tape

COINS = ["BTCUSDT", "ETHUSDT"]
CANDLES = 240


def subject_of(folder: Path, run: PreparedRun, **options: int) -> Subject:
    """A run that was made, ready to be checked."""
    ran = run_prepared(folder, run)
    return Subject(run, ran.path / "audit.jsonl", CheckOptions(**options), 1.0, None, lambda *_: nullcontext())


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two coins on spot and as futures, with funding and mark candles; one has a tape with quotes."""
    folder = tmp_path_factory.mktemp("cuts") / "lake"
    two_coins(folder, CANDLES)
    two_coins(folder, CANDLES, 3, market="um")
    for number, symbol in enumerate(COINS):
        hours = [time_of(0) + hour * HOUR for hour in range(5)]
        rates = [round(0.0001 * (hour - 2), 8) for hour in range(5)]
        funding = {"time": [at + 7000 for at in hours], "interval_hours": [1] * 5, "funding_rate": rates}
        write_rows(folder, "fundingRate", symbol, funding)
        rows = [row for row in wandering(CANDLES, 300 + number, price=10_000 // (number + 1)) if row]
        marks: dict[str, list[Any]] = {"open_time": [time_of(n) for n in range(CANDLES)]}
        marks |= {name: [row[n] for row in rows] for n, name in enumerate(("open", "high", "low", "close"))}
        write_rows(folder, "markPriceKlines", symbol, marks, timeframe="1m")
    return folder


@pytest.fixture(scope="module")
def taped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taped") / "lake"
    luck, price, trades, quotes = random.Random(4), 100.0, [], []
    for second in range(0, 60 * 60, 7):
        price = round(max(50.0, price + luck.randint(-30, 30) / 100), 2)
        trades.append((float(second), price, float(luck.randint(1, 9)), luck.choice([BUYS, SELLS])))
        quotes.append((second + 0.5, round(price - 0.01, 2), 5.0, round(price + 0.01, 2), 6.0))
    write_tape(folder, trades, quotes, minutes=60)
    return folder


WAYS: dict[str, dict[str, Any]] = {
    "spot": {"fees": {"taker_bps": 5}, "slippage": {"bps": 1}},
    "longer candles": {"run": {"timeframe": "15m"}},
    "volume and impact": {
        "slippage": {"model": "volume_share", "window": 10},
        "impact": {"model": "square_root", "window": 10},
        "execution": {"participation": 0.1},
    },
    "optimistic at mid": {"execution": {"path": "optimistic", "market_fill": "mid", "stop_through": "market"}},
    "late orders": {"execution": {"latency_ms": 61_000, "latency_jitter_ms": 20_000}},
    "futures": {"run": {"market": "um"}, "data": {"feeds": ["fundingRate", "markPriceKlines:1m"]}},
    "futures with leverage": {"run": {"market": "um"}, "futures": {"leverage": 20}},
    "limits and breakers": {
        "risk": {"max_open_orders": 5, "drawdown": {"limit_pct": "0.3", "action": "flatten", "cool_down": "9m"}},
        "control": [{"at": "2024-01-01T01:10:00Z", "action": "reduce_only"}],
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_an_erratic_run_is_the_same_before_every_cut(tmp_path: Path, lake: Path, way: str) -> None:
    subject = subject_of(tmp_path, prepared_run(Erratic, config_of(lake, COINS, **WAYS[way]), busy=0.5), cuts=6)
    assert repeat(subject).findings == []
    result = cuts(subject)
    assert result.findings == []
    assert result.facts["decisions"] > 5
    assert {cut["why"] for cut in result.facts["at"]} == {"a decision", "by chance"}


@pytest.mark.parametrize("data", ["trades", "candles"])
def test_so_is_one_that_hears_trades_and_quotes(tmp_path: Path, taped: Path, data: str) -> None:
    class OnTrades(Erratic):
        def on_trade(self, trade: Any) -> Any:
            if self.rng.random() > 0.05 or not self.last:
                return None
            return [self.buy(trade.instrument, 1), self.sell(trade.instrument, 1, limit=round(trade.price * 1.001, 2))]

        def on_quote(self, quote: Any) -> Any:
            return self.cancel_all(quote.instrument) if self.rng.random() < 0.05 else None

    sections: dict[str, Any] = {"run": {"market": "um"}, "execution": {"data": data}}
    config = config_of(taped, COINS[:1], data={"feeds": ("trades", "bookTicker")}, **sections)
    subject = subject_of(tmp_path, prepared_run(OnTrades, config, busy=0.3), cuts=8)
    result = cuts(subject)
    assert result.findings == []
    assert result.facts["decisions"] > 20


def oracle(closes: dict[int, float], ahead: int) -> type[Strategy]:
    """Knows nothing but what the lake hands out: `closes` is filled by whoever reads it."""

    class Oracle(Strategy):
        def on_candle(self, candle: Any) -> Any:
            later = closes.get(candle.open_time + ahead * 60_000_000, candle.close)
            flat = self.position(candle.instrument).is_flat
            if self.open_orders(candle.instrument) or (later > candle.close) is not flat:
                return None
            return [self.buy(candle.instrument, 1)] if flat else self.close(candle.instrument)

    return Oracle


class ToldLake(CutLake):
    """A lake that tells somebody what it will hand out."""

    told: dict[int, float]

    def read(self, *series: Any, **options: Any) -> Any:
        batches = list(super().read(*series, **options))
        if series[1] == "klines" and "close" in options.get("names", ()):
            self.told.clear()
            self.told.update(
                (int(t), float(c)) for b in batches for t, c in zip(b["open_time"], b["close"], strict=True)
            )
        return iter(batches)


@pytest.mark.parametrize("ahead", [1, 3, 30])
def test_a_peek_of_some_candles_is_found_by_the_cuts_alone(
    tmp_path: Path, lake: Path, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    closes: dict[int, float] = {}
    monkeypatch.setattr(ToldLake, "told", closes, raising=False)
    monkeypatch.setattr("backtester.engine.check.cutting.CutLake", ToldLake)
    run = prepared_run(oracle(closes, ahead), config_of(lake, COINS[:1]))
    whole = ToldLake(run.lake, Cut(2**62, opens=True))
    result = cuts(subject_of(tmp_path, run._replace(lake=whole), cuts=5))
    (finding,) = result.findings
    assert finding.kind == "look_ahead"
    assert finding.cut is not None
    assert finding.line > 0
    assert "looks ahead: with all data after 2024-01-01T" in finding.message
    assert "orders_intent" in finding.message


def test_the_ends_of_decisions_are_cut_and_some_other_instants(tmp_path: Path, lake: Path) -> None:
    at = {20: lambda s: [s.buy("BTCUSDT", 1)], 90: lambda s: [s.sell("BTCUSDT", 1)]}
    subject = subject_of(tmp_path, prepared_run(scripted(at), config_of(lake, COINS[:1])), cuts=4)
    chosen, decisions = chosen_cuts(subject)
    assert decisions == 2
    assert [time for time, why in chosen if why == "a decision"] == [time_of(21), time_of(91)]
    assert len(chosen) == 4
    assert chosen_cuts(subject) == (chosen, decisions)
    assert chosen_cuts(subject_of(tmp_path / "b", subject.run, cuts=4, seed=2))[0] != chosen


def test_without_a_decision_the_certificate_says_so(tmp_path: Path, lake: Path) -> None:
    result = cuts(subject_of(tmp_path, prepared_run(Strategy, config_of(lake, COINS[:1])), cuts=2))
    assert result.findings == []
    assert "no decision" in result.warnings[0]


def rows_of(lake: Lake, kind: str = "klines") -> dict[str, Any]:
    batches = list(lake.read("um", kind, "BTCUSDT", "" if kind == "fundingRate" else "1m", 0, 2**62, batch_rows=50))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def test_what_is_known_at_a_cut_stays_and_nothing_after_it(lake: Path) -> None:
    real = Lake(lake)
    before = rows_of(real)
    at = time_of(100)
    bare, open_only, other = (
        rows_of(CutLake(real, cut)) for cut in (Cut(at, False), Cut(at, True), Cut(at, True, seed=3))
    )
    for rows in (bare, open_only, other):
        assert all(np.array_equal(rows[name][:100], before[name][:100], equal_nan=True) for name in before)
    assert len(bare["close"]) == 100
    assert len(open_only["close"]) == 101
    assert {open_only[name][100] for name in ("open", "high", "low", "close")} == {before["open"][100]}
    assert len(other["close"]) == CANDLES
    assert other["open"][100] == before["open"][100]


def test_the_other_future_is_a_market_and_another_one(lake: Path) -> None:
    real = Lake(lake)
    before, after = rows_of(real), rows_of(CutLake(real, Cut(time_of(100), True, seed=3)))
    future = {name: values[100:] for name, values in after.items()}
    assert (future["high"] >= np.maximum(future["open"], future["close"])).all()
    assert (future["low"] <= np.minimum(future["open"], future["close"])).all()
    assert (future["low"] > 0).all()
    assert np.array_equal(np.round(future["close"], 2), future["close"])
    assert np.array_equal(future["volume"] > 0, before["volume"][100:] > 0)
    moved = before["close"][100:] != before["open"][100]
    up = before["close"][100:] > before["open"][100]
    assert ((future["close"] > before["open"][100]) != up)[moved].mean() > 0.95  # but where a cent rounds it away
    rates = rows_of(CutLake(real, Cut(time_of(100), True, seed=3)), "fundingRate")["funding_rate"]
    assert np.sign(rates).tolist() == [-1, -1, 0, -1, -1]


def test_the_same_cut_gives_the_same_future_and_another_seed_another(lake: Path) -> None:
    real, at = Lake(lake), time_of(100)
    first, again, other = (rows_of(CutLake(real, Cut(at, True, seed=seed)))["close"] for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_nothing_is_written_to_the_lake(tmp_path: Path, lake: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in lake.rglob("*")}
    cuts(subject_of(tmp_path, prepared_run(Erratic, config_of(lake, COINS), busy=0.2), cuts=1))
    assert {path: path.stat().st_mtime_ns for path in lake.rglob("*")} == before


def test_who_asks_for_too_little_warmup_is_told_by_how_much(tmp_path: Path, lake: Path) -> None:
    class Short(Strategy):
        @property
        def warmup_candles(self) -> int:
            return 5

        def on_start(self) -> None:
            self.closes: list[float] = []

        def on_candle(self, candle: Any) -> Any:
            self.closes.append(candle.close)
            up = candle.close > sum(self.closes) / len(self.closes)
            flat = self.position(candle.instrument).is_flat
            return None if up is not flat else [self.buy("BTCUSDT", 1)] if up else self.close("BTCUSDT")

    run = prepared_run(Short, config_of(lake, COINS[:1], run={"start": "2024-01-01T02:00:00Z"}))
    result = warmup(subject_of(tmp_path, run))
    assert result.findings == []
    assert result.facts["declared"] == result.facts["loaded"] == 5
    assert result.facts["tried"] == 120  # all that the lake has
    (warning,) = result.warnings
    assert "with 120 candles before the start instead of 5" in warning
    assert "warmup_candles = 5" in warning


def test_a_lake_without_older_candles_tries_no_more_warmup(tmp_path: Path, lake: Path) -> None:
    result = warmup(subject_of(tmp_path, prepared_run(Erratic, config_of(lake, COINS), busy=0.2)))
    assert (result.runs, result.warnings, result.facts["tried"]) == (0, [], None)


def test_logs_part_at_the_first_line_that_differs(tmp_path: Path, lake: Path) -> None:
    def log(name: str, qty: int) -> Path:
        at = {20: lambda s: [s.buy("BTCUSDT", 1)], 90: lambda s: [s.sell("BTCUSDT", qty)]}
        run = prepared_run(scripted(at), config_of(lake, COINS[:1], run={"market": "um"}))
        return run_prepared(tmp_path / name, run).path / "audit.jsonl"

    one, other = log("one", 1), log("other", 2)
    parted = parting(one, other)
    assert parted is not None
    assert parted.tick == time_of(91)
    assert parting(one, other, until=time_of(91) - 1) is None
    assert parting(one, one) is None
    assert InstrumentId("um:BTCUSDT") in parted.in_words()
