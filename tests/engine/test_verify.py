"""A run made again from what it recorded: the same log, or the first event that differs and the input that changed."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from backtester.config.loading import load_backtest_config
from backtester.core.errors import CheckFailed, UsageError
from backtester.engine.prepare import prepare
from backtester.engine.replay import verify
from backtester.engine.run import RunResult, run_backtest
from tests.support.lakes import two_coins, wandering
from tests.support.market import write_candles
from tests.support.runs import config_of

MAIN = """
from backtester.strategy.base import Strategy, StrategyParams
from helper_of_main import SIZE

class Params(StrategyParams):
    every: int = 7

class Main(Strategy):
    Params = Params
    seen = 0

    def on_candle(self, candle):
        self.seen += 1
        if self.seen % self.params.every:
            return None
        if self.position(candle.symbol).is_flat:
            return [self.buy(candle.symbol, SIZE)]
        return [self.sell(candle.symbol, self.position(candle.symbol).qty)]
"""


@pytest.fixture
def made(tmp_path: Path) -> RunResult:
    """A run of a strategy file with a helper beside it; the originals are gone when it is done."""
    two_coins(tmp_path / "lake", 120)
    there = tmp_path / "strategies"
    there.mkdir()
    (there / "main.py").write_text(MAIN)
    (there / "helper_of_main.py").write_text("SIZE = 2\n")
    result = run_backtest(prepared(tmp_path, f"{there}/main.py:Main"), tmp_path / "runs")
    assert result.error is None
    shutil.rmtree(there)
    return result


def prepared(folder: Path, name: str, **params: int):  # type: ignore[no-untyped-def]
    sys.modules.pop("helper_of_main", None)
    config = config_of(folder / "lake", ["BTCUSDT"], strategy={"name": name, "params": params})
    return prepare(config)


def verified(path: Path, data: Path | None = None) -> None:
    """Verify as in a process of its own: helpers are imported anew."""
    sys.modules.pop("helper_of_main", None)
    verify(path, data=data)


def test_a_run_is_repeated_from_its_folder_alone(made: RunResult) -> None:
    verified(made.path)


def test_its_config_repeats_it_after_the_strategy_file_is_gone(made: RunResult, tmp_path: Path) -> None:
    config = load_backtest_config(made.path / "config.toml")
    sys.modules.pop("helper_of_main", None)
    again = run_backtest(prepare(config, relative_to=made.path), tmp_path / "again")
    assert again.digest == made.digest
    assert again.details["tables"] == made.details["tables"]
    assert (again.path / "source" / "main.py").read_text() == MAIN


def test_the_strategy_and_what_it_imports_are_kept(made: RunResult) -> None:
    assert (made.path / "source" / "main.py").read_text() == MAIN
    assert (made.path / "source" / "helper_of_main.py").read_text() == "SIZE = 2\n"
    assert set(made.details["strategy"]["modules"]) == {"main.py", "helper_of_main.py"}


def test_an_edited_strategy_is_named_with_the_first_event_that_differs(made: RunResult) -> None:
    source = made.path / "source" / "main.py"
    source.write_text(MAIN.replace("% self.params.every", "% (self.params.every + 1)"))
    with pytest.raises(CheckFailed, match=r"the first event that differs is line 3: was orders_intent") as caught:
        verified(made.path)
    assert "strategy source main.py" in caught.value.hint
    assert "helper" not in caught.value.hint


def test_an_edited_helper_is_named(made: RunResult) -> None:
    (made.path / "source" / "helper_of_main.py").write_text("SIZE = 3\n")
    with pytest.raises(CheckFailed, match="differs") as caught:
        verified(made.path)
    assert "strategy source helper_of_main.py" in caught.value.hint


def test_an_edit_that_changes_no_decision_still_verifies(made: RunResult) -> None:
    (made.path / "source" / "helper_of_main.py").write_text("SIZE = 1 + 1\n")
    verified(made.path)


def test_changed_data_is_named(made: RunResult, tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", wandering(120, 77), symbol="BTCUSDT", replace=True)
    with pytest.raises(CheckFailed, match="differs") as caught:
        verified(made.path)
    assert "data spot/klines/BTCUSDT/1m/year=2024/BTCUSDT-1m-2024-01.parquet" in caught.value.hint


def test_another_engine_is_named(made: RunResult) -> None:
    (made.path / "source" / "helper_of_main.py").write_text("SIZE = 3\n")
    details = json.loads((made.path / "run.json").read_bytes())
    details["engine_digest"], details["versions"]["numpy"] = "00", "0.1"
    (made.path / "run.json").write_text(json.dumps(details))
    with pytest.raises(CheckFailed) as caught:
        verified(made.path)
    assert "the engine's sources" in caught.value.hint
    assert "numpy 0.1" in caught.value.hint


def test_a_lake_that_moved_is_found_with_data(made: RunResult, tmp_path: Path) -> None:
    (tmp_path / "lake").rename(tmp_path / "moved")
    with pytest.raises(CheckFailed, match="cannot run again"):
        verified(made.path)
    verified(made.path, data=tmp_path / "moved")


def test_a_run_that_was_never_sealed_cannot_be_verified(made: RunResult) -> None:
    (made.path / "run.json").unlink()
    with pytest.raises(UsageError, match="never sealed"):
        verified(made.path)


def test_verifying_leaves_the_runs_folder_as_it_was(made: RunResult) -> None:
    before = sorted(path.name for path in made.path.parent.iterdir())
    verified(made.path)
    assert sorted(path.name for path in made.path.parent.iterdir()) == before
