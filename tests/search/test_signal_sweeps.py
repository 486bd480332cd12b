"""Sweeps of signals: the compiled loop where it can, and whole runs that confirm it."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from backtester.search import confirming
from backtester.search.folder import read_record
from backtester.search.outcome import FillRow
from tests.support.cli import bt, start_bt

GRID = ("--grid", "fast=5:15:5", "--grid", "slow=20,40")


def swept(lake: Path, runs: Path, *more: object) -> Any:
    return bt("sweep", "--strategy", "sma_cross_signal", "--symbols", "BTCUSDT", "--data", lake, "--runs", runs, *GRID,
              "--set", "execution.participation=0", *more)  # fmt: skip


def results(path: str) -> list[dict[str, Any]]:
    return pq.read_table(Path(path) / "results.parquet").to_pylist()


def test_the_loop_and_the_event_engine_make_the_same_table(lake: Path, tmp_path: Path) -> None:
    fast = swept(lake, tmp_path, "--json", "--confirm", 0)
    slow = swept(lake, tmp_path, "--json", "--confirm", 0, "--engine", "event", "--workers", 1)
    assert fast.json["engines"] == {"kernel": 6}
    assert slow.json["engines"] == {"event": 6}
    assert slow.json["bails"] == {"--engine event": 6}

    def figures(said: Any) -> list[dict[str, Any]]:
        return [{k: v for k, v in row.items() if k not in ("engine", "bail")} for row in results(said.json["path"])]

    assert figures(fast) == figures(slow)
    assert all(row["n_fills"] > 0 for row in results(fast.json["path"]))


def test_the_best_are_run_again_and_sealed(lake: Path, tmp_path: Path) -> None:
    said = swept(lake, tmp_path, "--json", "--confirm", 2)
    assert said.code == 0, said.err
    assert len(said.json["confirmed"]) == 2
    for path, best in zip(said.json["confirmed"], said.json["best"], strict=False):
        assert pq.read_table(Path(path) / "fills.parquet").num_rows == best["n_fills"]
        assert (Path(path) / "audit.jsonl").is_file()


def test_a_fill_that_differs_is_named_and_ends_with_4(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = confirming.fills_of_run

    def forged(*given: Any) -> list[FillRow]:
        rows = honest(*given)
        rows[1] = rows[1]._replace(price_units=rows[1].price_units + 1)
        return rows

    monkeypatch.setattr(confirming, "fills_of_run", forged)
    said = swept(lake, tmp_path, "--json", "--confirm", 1)
    assert said.code == 4
    assert "fill 2 is FillRow" in said.message
    assert "in the sweep (kernel)" in said.message


def test_it_says_why_the_loop_was_not_used(lake: Path, tmp_path: Path) -> None:
    said = bt("sweep", "--strategy", "sma_cross_signal", "--symbols", "BTCUSDT", "ETHUSDT", "--data", lake, "--runs",
              tmp_path, "--grid", "fast=5", "--grid", "slow=20,40", "--confirm", 0, "--workers", 1)  # fmt: skip
    assert said.code == 0, said.err
    assert "engine: event engine 2 (2 because several instruments share the account)" in said.out


def test_a_combination_that_the_loop_gives_up_runs_in_the_event_engine(lake: Path, tmp_path: Path) -> None:
    said = swept(lake, tmp_path, "--json", "--confirm", 1, "--set", "execution.participation=0.0000001", "--workers", 1)
    assert said.code == 0, said.err
    assert said.json["bails"] == {"an order may take only a part of what trades": 6}
    assert said.json["engines"] == {"event": 6}
    record = read_record(Path(said.json["path"]))
    assert record["status"] == "complete"


STOPPED = """
from backtester.strategy.signals import ExitPlan
from backtester.strategy.sma_cross_signal import SmaCrossSignal

class Stopped(SmaCrossSignal):
    @property
    def plan(self):
        return ExitPlan(stop_pct=1.0)
"""


def test_a_signal_with_stops_runs_in_the_event_engine_and_the_sweep_says_so(lake: Path, tmp_path: Path) -> None:
    file = tmp_path / "stopped.py"
    file.write_text(STOPPED)
    said = bt("sweep", "--strategy", f"{file}:Stopped", "--symbols", "BTCUSDT", "--data", lake, "--runs", tmp_path,
              "--grid", "fast=5", "--grid", "slow=20,40", "--json", "--workers", 1, "--confirm", 1)  # fmt: skip
    assert said.code == 0, said.err
    assert said.json["bails"] == {"its exits have stops": 2}
    assert said.json["engines"] == {"event": 2}


def test_without_compiling_the_results_are_the_same(lake: Path, tmp_path: Path) -> None:
    compiled = swept(lake, tmp_path, "--json", "--confirm", 0).json
    process = start_bt(
        "sweep", "--strategy", "sma_cross_signal", "--symbols", "BTCUSDT", "--data", lake, "--runs", tmp_path, *GRID,
        "--set", "execution.participation=0", "--json", "--confirm", 0, cwd=tmp_path, NUMBA_DISABLE_JIT="1",
    )  # fmt: skip
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    interpreted = json.loads(out)
    assert interpreted["engines"] == {"kernel": 6}
    assert results(interpreted["path"]) == results(compiled["path"])
