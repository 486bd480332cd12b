"""Same config, data, seed and code: same log, byte for byte, whoever watches and wherever it lies."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backtester.engine.run import run_backtest
from tests.support.erratic import Erratic
from tests.support.lakes import two_coins
from tests.support.runs import Ran, config_of, prepared_run, run_prepared

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    two_coins(folder, 300)
    return folder


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, lake: Path) -> Ran:
    """A busy run, to which the others are compared."""
    ran = again(tmp_path_factory.mktemp("first"), lake)
    assert len(ran.lines) > 300
    assert len(ran.fills) > 20
    return ran


def again(folder: Path, lake: Path, symbols: list[str] | None = None, **sections: Any) -> Ran:
    return run_prepared(folder, prepared_run(Erratic, config_of(lake, symbols or SYMBOLS, **sections), busy=0.4))


def test_a_second_run_writes_the_same_bytes(tmp_path: Path, lake: Path, first: Ran) -> None:
    second = again(tmp_path, lake)
    assert second.raw_lines == first.raw_lines
    assert second.details["tables"] == first.details["tables"]
    assert second.result.metrics == first.result.metrics
    assert second.result.run_id != first.result.run_id


def test_the_order_in_which_symbols_are_named_decides_nothing(tmp_path: Path, lake: Path, first: Ran) -> None:
    assert again(tmp_path, lake, [*reversed(SYMBOLS), "spot:BTCUSDT"]).raw_lines == first.raw_lines


def test_another_seed_is_another_run(tmp_path: Path, lake: Path, first: Ran) -> None:
    assert again(tmp_path, lake, run={"seed": 43}).result.digest != first.result.digest


def test_whoever_watches_changes_nothing(tmp_path: Path, lake: Path, first: Ran) -> None:
    looks: list[int] = []
    prepared = prepared_run(Erratic, config_of(lake, SYMBOLS), busy=0.4)
    result = run_backtest(prepared, tmp_path / "runs", progress=lambda now, wired: looks.append(now))
    assert looks
    assert result.digest == first.result.digest


def test_a_lake_that_moved_gives_the_same_log(tmp_path: Path, lake: Path, first: Ran) -> None:
    moved = shutil.copytree(lake, tmp_path / "deeper" / "elsewhere")
    assert again(tmp_path, moved).raw_lines == first.raw_lines


STRATEGY = """
from backtester.strategy.base import Strategy

class Sets(Strategy):
    '''Hash seeds would show: names in sets and dicts meet the log.'''

    def on_candle(self, candle):
        if self.rng.random() < 0.2:
            side = self.buy if self.rng.random() < 0.5 else self.sell
            self.note("at", **{candle.symbol: candle.close, "tags": sorted({"a", "b", candle.symbol})})
            return [side(candle.instrument, quote=self.rng.randint(1, 500), tag=candle.symbol)]
"""


def test_hash_seeds_and_processes_change_nothing(tmp_path: Path, lake: Path) -> None:
    (tmp_path / "sets.py").write_text(STRATEGY)
    digests = []
    for seed, folder in (("0", "a"), ("1", "b"), ("4242", "c")):
        (tmp_path / folder).mkdir()
        order = SYMBOLS if seed == "0" else SYMBOLS[::-1]
        run = ["run", "--strategy", f"{tmp_path}/sets.py:Sets", "--symbols", *order, "--data", str(lake), "--json"]
        done = subprocess.run(
            [sys.executable, "-m", "backtester", *run],
            cwd=tmp_path / folder,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "TZ": f"UTC{seed[0]}"},
            capture_output=True,
            check=True,
        )
        printed = json.loads(done.stdout)
        log = (tmp_path / folder / printed["path"] / "audit.jsonl").read_bytes()
        digests.append((printed["digest"], log))
    assert len(digests[0][1]) > 10_000
    assert digests[0] == digests[1] == digests[2]
