"""`bt check`, `bt run --check` and `bt replay` with a certificate, as a user has them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import Interrupted
from tests.support.cli import bt

ARGS = ("--symbols", "BTCUSDT", "--start", "2024-01-01T01:00:00Z")
QUICK = ("--cuts", "2", "--processes", "1")
OWN = """
from backtester.strategy import Strategy

KEPT = []

class Honest(Strategy):
    def on_candle(self, candle):
        flat = self.position(candle.instrument).is_flat
        if (candle.close > candle.open) is not flat or self.open_orders(candle.instrument):
            return None
        return [self.buy(candle.instrument, quote=100)] if flat else self.close(candle.instrument)

class Keeps(Honest):
    def on_candle(self, candle):
        KEPT.append(candle.close)
        return super().on_candle(candle) if len(KEPT) < 100 else None

class Writes(Honest):
    def on_candle(self, candle):
        candle.close = candle.open
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "own.py"
    file.write_text(OWN, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def checked_run(tmp_path_factory: pytest.TempPathFactory, lake: Path) -> Path:
    """A run of a strategy of one's own, with its certificate."""
    folder = tmp_path_factory.mktemp("checked")
    (folder / "own.py").write_text(OWN, encoding="utf-8")
    named = f"{folder / 'own.py'}:Honest"
    said = bt("run", "--strategy", named, *ARGS, "--data", lake, "--runs", folder / "runs", "--json")
    run = Path(said.json["path"])
    assert said.json["check"] == "unproven"
    assert bt("check", run, *QUICK).code == 0
    return run


@pytest.fixture
def run(tmp_path: Path, checked_run: Path) -> Path:
    return Path(shutil.copytree(checked_run, tmp_path / "copy"))


def certificate(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "certificate.json").read_text())
    return content


def test_a_strategy_that_ships_is_proven_on_the_screen_and_nothing_is_kept(tmp_path: Path, lake: Path) -> None:
    said = bt("check", "sma_cross", *ARGS, *QUICK, "-p", "fast=3", "-p", "slow=9", "--data", lake)
    assert said.code == 0, said.err
    assert "sma_cross, 2024-01-01T01:00:00Z to 2024-01-01T04:00:00Z: proven" in said.out
    for step in ("repeat:", "watch:", "processes:", "cuts:", "warmup: 9 candles declared, 9 loaded, 60 tried"):
        assert step in said.out
    assert said.err == ""
    assert list(tmp_path.iterdir()) == []


def test_a_lake_that_begins_at_the_start_is_no_trouble(lake: Path) -> None:
    said = bt("check", "sma_cross", "--symbols", "BTCUSDT", *QUICK, "-p", "fast=3", "-p", "slow=9", "--data", lake)
    assert said.code == 0, said.err
    assert "warmup: 9 candles declared, 0 loaded, the lake has nothing older to try" in said.out
    assert "warning: warm-up: 0 candles before the start instead of the 9 that the strategy declares" in said.out


def test_run_with_check_seals_the_run_and_its_certificate(tmp_path: Path, lake: Path, own: Path) -> None:
    said = bt("run", "--strategy", f"{own}:Honest", *ARGS, "--data", lake, "--check", "--json")
    assert said.code == 0, said.err
    found, stored = said.json, certificate(Path(said.json["path"]))
    assert found["check"] == stored["verdict"] == "proven"
    assert found["certificate"] == stored
    assert stored["of"]["log"]["digest"] == found["digest"]
    assert stored["of"]["strategy"]["modules"].keys() == {"own.py"}
    assert len(stored["steps"]["cuts"]["at"]) == 5
    assert stored["runs"] == 14
    shown = bt("run", "--strategy", f"{own}:Honest", *ARGS, "--data", lake)
    assert "look-ahead unproven: nothing shows yet that it does not look ahead" in shown.out
    assert f"try bt check {tmp_path}" in shown.out


def test_run_with_check_keeps_the_run_of_a_cheat_and_ends_with_4(lake: Path, own: Path) -> None:
    said = bt("run", "--strategy", f"{own}:Keeps", *ARGS, "--data", lake, "--check", "--json")
    assert said.code == 4
    assert "Keeps is not repeatable: run again in the same process, it differs from line" in said.message
    assert "hint:" in said.message
    path = Path(said.json["path"])
    assert certificate(path)["verdict"] == said.json["check"] == "found"
    assert certificate(path)["skipped"] == ["processes", "cuts", "warmup"]
    replayed = bt("replay", path)
    assert replayed.code == 0
    assert "check: found" in replayed.out


def test_a_strategy_that_writes_into_a_candle_is_told_where(lake: Path, own: Path) -> None:
    said = bt("check", f"{own}:Writes", *ARGS, "--data", lake)
    assert said.code == 1
    assert "own.py, line 20" in said.message
    assert "'Candle' cannot be changed" in said.message


def test_a_run_gets_its_certificate_and_replay_names_it(run: Path) -> None:
    assert certificate(run)["verdict"] == "proven"
    said = bt("replay", run)
    assert said.code == 0, said.err
    assert "check: proven, by a certificate of this run" in said.out
    assert bt("replay", run, "--json").json["check"] == "proven"
    (run / "certificate.json").unlink()
    assert bt("replay", run, "--json").json["check"] == "unproven"


def test_checking_a_run_changes_nothing_else_in_it(run: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    said = bt("check", run, *QUICK, "--json")
    assert said.code == 0, said.err
    assert said.json["run"] == str(run)
    after = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    assert after == before  # the same check makes the same certificate


def test_a_certificate_that_was_changed_is_none(run: Path) -> None:
    changed = certificate(run)
    changed["steps"]["cuts"]["decisions"] += 1
    (run / "certificate.json").write_text(json.dumps(changed))
    said = bt("replay", run)
    assert said.code == 4
    assert "certificate.json was changed" in said.message
    assert f"bt check {run}" in said.message


@pytest.mark.parametrize("file", ["config.toml", "source/own.py"])
def test_a_certificate_is_not_of_a_run_whose_files_changed(run: Path, file: str) -> None:
    with (run / file).open("a") as text:
        text.write("# more\n")
    said = bt("replay", run)
    assert said.code == 4
    assert "certificate.json is not of this run" in said.message
    assert ("config" if file == "config.toml" else "strategy") in said.message


def test_a_certificate_of_another_run_is_refused(run: Path, lake: Path, own: Path) -> None:
    said = bt("run", "--strategy", f"{own}:Honest", *ARGS, "--data", lake, "--json", "--seed", "7")
    other = Path(said.json["path"])
    shutil.copy(run / "certificate.json", other)
    assert "which differs in: config" in bt("replay", other).message


def test_a_run_cannot_be_checked_under_other_options_nor_a_broken_one(tmp_path: Path, run: Path) -> None:
    said = bt("check", run, "--timeframe", "5m")
    assert said.code == 2
    assert "--timeframe cannot change it" in said.message
    assert bt("check", tmp_path / "nothing" / "here").code == 2
    content = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(content | {"status": "interrupted"}))
    assert "only a complete run can be checked" in bt("check", run).message


def test_a_run_whose_strategy_changed_since_is_not_checked(run: Path) -> None:
    source = run / "source" / "own.py"
    source.write_text(source.read_text().replace("quote=100", "quote=101"))
    said = bt("check", run, *QUICK)
    assert said.code == 4
    assert "changed since the run: strategy source own.py" in said.message


def test_band_and_check_are_two_things(lake: Path) -> None:
    said = bt("run", "--strategy", "sma_cross", *ARGS, "--data", lake, "--band", "--check")
    assert said.code == 2
    assert "--band and --check" in said.message


def test_help_shows_an_example() -> None:
    said = bt("check", "--help")
    assert said.code == 0
    assert "bt check sma_cross --symbols BTCUSDT" in said.out
    assert "STRATEGY|RUN" in said.out


def test_a_check_that_is_interrupted_leaves_the_run_and_proves_nothing(
    lake: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise Interrupted("the check was interrupted: it proves nothing")

    monkeypatch.setattr("backtester.engine.check.checking.check", stopped)
    said = bt("run", "--strategy", f"{own}:Honest", *ARGS, "--data", lake, "--check", "--json")
    assert said.code == 130
    assert said.json["check"] == "unproven"
    assert not (Path(said.json["path"]) / "certificate.json").exists()
    assert "it proves nothing" in said.message


PEEKS = """
import numpy as np
from backtester.strategy.signals import SignalStrategy, Targets

class Peeks(SignalStrategy):
    def targets(self, frame):
        close = frame["close"]
        return Targets(exposure=np.where(np.append(close[1:], close[-1]) > close, 1.0, 0.0))
"""


def test_a_signal_is_checked_on_its_frame(tmp_path: Path, lake: Path) -> None:
    file = tmp_path / "peeks.py"
    file.write_text(PEEKS, encoding="utf-8")
    found = bt("check", f"{file}:Peeks", *ARGS, *QUICK, "--data", lake)
    assert found.code == 4
    assert "Peeks looks ahead: exposure of spot:BTCUSDT at" in found.err
    assert "after the cut at" in found.err
    honest = bt("check", "sma_cross_signal", *ARGS, *QUICK, "-p", "fast=3", "-p", "slow=8", "--data", lake, "--json")
    assert honest.code == 0
    assert honest.json["steps"]["frames"] == {"cuts": 2, "leaks": 0}
