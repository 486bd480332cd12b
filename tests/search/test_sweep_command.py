import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from backtester.search.folder import read_record
from tests.support.cli import bt, start_bt
from tests.support.stopping import SLOW, wait_for

GRID = ("--grid", "fast=5:15:5", "--grid", "slow=10,40")


def swept(lake: Path, runs: Path, *more: object) -> dict[str, Any]:
    said = bt("sweep", "--strategy", "sma_cross", "--symbols", "BTCUSDT", "ETHUSDT", "--data", lake, "--runs", runs,
              *GRID, "--json", "--confirm", 0, *more)  # fmt: skip
    assert said.code == 0, said.err
    return said.json


def rows_of(path: str) -> list[dict[str, Any]]:
    return pq.read_table(Path(path) / "results.parquet").to_pylist()


def test_every_combination_comes_to_what_a_run_of_it_comes_to(lake: Path, tmp_path: Path) -> None:
    found = swept(lake, tmp_path, "--workers", 1)
    assert found["status"] == "complete"
    assert found["counts"] == {"combinations": 6, "done": 6, "ok": 4, "refused": 2}
    for row in rows_of(found["path"]):
        if row["status"] != "ok":
            assert "must be less than slow" in row["why"]
            continue
        run = bt("run", "--strategy", "sma_cross", "--symbols", "BTCUSDT,ETHUSDT", "--data", lake, "--runs", tmp_path,
                 "-p", f"fast={row['param.fast']}", "-p", f"slow={row['param.slow']}", "--json").json  # fmt: skip
        m = run["metrics"]
        assert f"{row['final_equity']:f}" == m["final_equity"]["value"]
        assert row["total_return"] == m["total_return"]["value"]
        assert row["max_drawdown"] == m["max_drawdown"]["value"]
        assert row["sharpe"] == m["sharpe"]["value"]
        assert row["profit_factor"] == m["profit_factor"]["value"]
        assert (row["n_trades"], row["n_open"]) == (m["n_trades"]["value"], m["n_open"]["value"])
        assert f"{row['fees']:f}" == m["fees"]["value"]
        assert row["n_fills"] == pq.read_table(Path(run["path"]) / "fills.parquet").num_rows


def test_results_do_not_depend_on_how_many_processes_find_them(lake: Path, tmp_path: Path) -> None:
    alone, together = (swept(lake, tmp_path, "--workers", n) for n in (1, 2))
    assert rows_of(alone["path"]) == rows_of(together["path"])
    assert alone["best"] == together["best"]


def test_a_sweep_leaves_no_run_behind_but_its_own_folder(lake: Path, tmp_path: Path) -> None:
    found = swept(lake, tmp_path, "--workers", 1)
    assert [path.name for path in tmp_path.iterdir()] == [Path(found["path"]).name]
    assert {path.name for path in Path(found["path"]).iterdir()} >= {"sweep.json", "results.parquet"}


def test_the_number_of_distinct_trials_deflates_the_best(lake: Path, tmp_path: Path) -> None:
    found = swept(lake, tmp_path, "--workers", 1, "--grid", "equity_pct=50,50.0")
    assert found["counts"]["ok"] == 8
    assert found["trials_distinct"] == 4  # 50 and 50.0 are one
    assert found["deflated_sharpe"]["trials"] == 4


def test_a_grid_of_nothing_allowed_says_why(lake: Path, tmp_path: Path) -> None:
    said = bt("sweep", "--strategy", "sma_cross", "--symbols", "BTCUSDT", "--data", lake, "--runs", tmp_path,
              "--grid", "fast=50:60:5", "--grid", "slow=20")  # fmt: skip
    assert said.code == 2
    assert "no combination of the grid is allowed" in said.message
    assert "fast (50) must be less than slow (20)" in said.message


def test_an_unknown_parameter_is_named_with_those_that_there_are(lake: Path, tmp_path: Path) -> None:
    said = bt("sweep", "--strategy", "sma_cross", "--symbols", "BTCUSDT", "--data", lake, "--runs", tmp_path,
              "--grid", "fsat=5,10")  # fmt: skip
    assert said.code == 2
    assert "sma_cross has no such parameter" in said.message
    assert "fast" in said.message


def test_a_strategy_that_fails_under_some_parameters_fails_those_alone(lake: Path, tmp_path: Path) -> None:
    file = tmp_path / "fails.py"
    file.write_text(
        "from backtester.strategy.base import Strategy, StrategyParams\n"
        "class P(StrategyParams):\n    n: int = 1\n"
        "class Fails(Strategy):\n    Params = P\n"
        "    def on_candle(self, candle):\n        1 / self.params.n\n        return []\n"
    )
    said = bt("sweep", "--strategy", f"{file}:Fails", "--symbols", "BTCUSDT", "--data", lake, "--runs", tmp_path,
              "--grid", "n=0,1,2", "--workers", 2, "--json")  # fmt: skip
    assert said.code == 0
    assert said.json["counts"] == {"combinations": 3, "done": 3, "failed": 1, "ok": 2}
    assert "division by zero" in rows_of(said.json["path"])[0]["why"]


def test_people_see_the_best_and_that_it_was_chosen(lake: Path, tmp_path: Path) -> None:
    said = bt("sweep", "--strategy", "sma_cross", "--symbols", "BTCUSDT", "--data", lake, "--runs", tmp_path, *GRID,
              "--workers", 1, "--top", 2)  # fmt: skip
    assert said.code == 0
    assert "6 of 6 combinations" in said.out
    assert "refused: 2, for example" in said.out
    assert "the best of 4 distinct trials is selected for luck" in said.out
    assert "engine: event engine 4" in said.out


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_keeps_what_is_done_and_resume_does_the_rest(lake: Path, tmp_path: Path, workers: int) -> None:
    file, flag = tmp_path / "slow.py", tmp_path / "flag"
    file.write_text(SLOW.replace("class Slow(Strategy):", "from backtester.strategy.base import StrategyParams\n\n"
                    "class P(StrategyParams):\n    n: int = 0\n\nclass Slow(Strategy):\n    Params = P").replace(
                    '"SLOWLY" in os.environ', '"SLOWLY" in os.environ and self.params.n > 1'))  # fmt: skip
    options = ("--strategy", f"{file}:Slow", "--symbols", "BTCUSDT", "--data", lake, "--runs", tmp_path / "runs")
    process = start_bt("sweep", *options, "--grid", "n=0:5:1", "--workers", workers, cwd=tmp_path, SLOWLY=str(flag))
    wait_for(flag, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "what was done is kept" in err
    (folder,) = (tmp_path / "runs").iterdir()
    record = read_record(folder)
    assert record["status"] == "interrupted"
    assert 1 <= record["counts"]["done"] < 6
    said = bt("sweep", "--resume", folder, "--workers", 1, "--json")
    assert said.code == 0, said.err
    assert said.json["counts"]["ok"] == 6
    assert [row["number"] for row in rows_of(str(folder))] == list(range(6))
    assert not (folder / "sweep.lock").exists()


def test_a_sweep_does_not_go_on_over_other_code(lake: Path, tmp_path: Path) -> None:
    found = swept(lake, tmp_path, "--workers", 1)
    path = Path(found["path"]) / "sweep.json"
    path.write_text(path.read_text().replace('"engine_digest": "', '"engine_digest": "0'))
    said = bt("sweep", "--resume", found["path"])
    assert said.code == 2
    assert "engine_digest changed since it began" in said.message
