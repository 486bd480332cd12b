"""`bt runs`, and the names by which runs are called everywhere."""

import csv
import json
from io import StringIO
from pathlib import Path

import pytest

from backtester.engine.run_summaries import SUMMARY
from tests.support.cli import Said, bt

PLAIN = ("--no-report", "--no-plots", "--json")


def made(lake: Path, *more: object, strategy: str = "sma_cross", symbol: str = "BTCUSDT") -> Path:
    said = bt("run", "--strategy", strategy, "--symbols", symbol, "--data", lake, *PLAIN, *more)
    return Path(said.json["path"])


@pytest.fixture
def three(lake: Path) -> list[Path]:
    """Three runs in runs/: two of sma_cross that differ, and one of buy_and_hold."""
    return [
        made(lake, "-p", "fast=3", "-p", "slow=7"),
        made(lake, "-p", "fast=5", "-p", "slow=20", symbol="ETHUSDT"),
        made(lake, strategy="buy_and_hold"),
    ]


def listed(*options: object) -> list[str]:
    said = bt("runs", "ls", "--json", *options)
    assert said.code == 0, said.err
    return [row["run_id"] for row in said.json["runs"]]


def figure(run: Path, name: str) -> float:
    return float(json.loads((run / "metrics.json").read_text())[name]["value"])


def test_runs_are_listed_newest_first_with_their_figures(three: list[Path]) -> None:
    rows = bt("runs", "ls", "--json").json["runs"]
    assert [row["run_id"] for row in rows] == [run.name for run in reversed(three)]
    first = rows[-1]
    assert (first["strategy"], first["symbols"], first["timeframe"]) == ("sma_cross", "spot:BTCUSDT", "1m")
    assert {"fast": 3, "slow": 7}.items() <= first["params"].items()
    for name in ("total_return", "max_drawdown", "n_trades", "final_equity"):
        assert first[name] == figure(three[0], name)
    shown = bt("runs", "ls").out
    assert all(run.name[-6:] in shown for run in three)
    assert shown.splitlines()[-1] == "3 runs"
    assert max(map(len, shown.splitlines())) <= 100


def test_they_are_filtered_and_sorted(three: list[Path]) -> None:
    btc, eth, hold = (run.name for run in three)
    assert listed("--strategy", "buy_and_hold") == [hold]
    assert listed("--symbol", "spot:ethusdt") == listed("--symbol", "ETHUSDT") == [eth]
    assert set(listed("--since", "1h")) == {btc, eth, hold}
    assert listed("--since", "2099-01-01") == []
    assert listed("--status", "failed") == []
    assert listed("--where", "strategy=sma_cross", "--where", "n_trades>0", "--asc") == [btc, eth]
    limit = figure(three[0], "n_trades")
    assert listed("--where", f"n_trades>={limit}", "--strategy", "sma_cross") == [
        run.name for run in reversed(three[:2]) if figure(run, "n_trades") >= limit
    ]
    by_return = sorted(three, key=lambda run: figure(run, "total_return"), reverse=True)
    assert listed("--sort", "total_return") == [run.name for run in by_return]
    assert listed("--sort", "total_return", "--asc", "-n", "1") == [by_return[-1].name]
    assert "1 of 3 runs" in bt("runs", "ls", "-n", "1").out


def test_a_figure_without_a_value_stands_last_whichever_way(lake: Path) -> None:
    none, some = made(lake, "-p", "slow=230"), made(lake, "-p", "fast=3", "-p", "slow=7")
    assert listed("--sort", "win_rate") == listed("--sort", "win_rate", "--asc") == [some.name, none.name]
    assert listed("--where", "win_rate>=0") == [some.name]


def test_the_summary_of_all_runs_is_kept_as_csv_and_needs_no_command(three: list[Path]) -> None:
    rows = list(csv.DictReader(StringIO(Path("runs", SUMMARY).read_text())))
    assert [row["run_id"] for row in rows] == [run.name for run in three]
    exact = json.loads((three[0] / "metrics.json").read_text())["final_equity"]["value"]
    assert rows[0]["final_equity"] == exact
    assert list(csv.DictReader(StringIO(bt("runs", "ls", "--csv", "--asc").out))) == rows


def test_a_run_is_put_below_the_others_and_a_list_changes_nothing(three: list[Path], lake: Path) -> None:
    path = Path("runs", SUMMARY)
    before = path.read_bytes()
    fourth = made(lake, "-p", "fast=2", "-p", "slow=4")
    after = path.read_bytes()
    assert after.startswith(before)
    assert after[len(before) :].startswith(fourth.name.encode())
    assert listed()[0] == fourth.name
    assert path.read_bytes() == after


def test_a_run_with_figures_that_no_run_had_before_makes_the_summary_anew(three: list[Path], lake: Path) -> None:
    made(lake, "--market", "um")  # funding
    rows = list(csv.DictReader(StringIO(Path("runs", SUMMARY).read_text())))
    assert [row["funding"] != "" for row in rows] == [False, False, False, True]


@pytest.mark.parametrize("damage", ["", "run_id,other\nx,y\n", "\x00\xff", "run_id"])
def test_a_summary_that_was_lost_or_damaged_is_made_again(three: list[Path], damage: str) -> None:
    path = Path("runs", SUMMARY)
    before = path.read_bytes()
    path.write_text(damage)
    assert len(listed()) == 3
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_read_is_named_and_the_others_are_listed(three: list[Path]) -> None:
    Path("runs", SUMMARY).unlink()
    (three[1] / "run.json").write_text("{}")
    said = bt("runs", "ls", "--json")
    assert [row["run_id"] for row in said.json["runs"]] == [three[2].name, three[0].name]
    assert three[1].name in said.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--where", "sharp"], "is no condition"),
        (["--where", "totl_return>1"], "did you mean 'total_return'?"),
        (["--sort", "nothing"], "runs have no 'nothing'"),
        (["--since", "soon"], "not a time"),
        (["--columns", "total_retrun"], "did you mean 'total_return'?"),
        (["--csv", "--json"], "two forms"),
        (["--runs", "nowhere"], "there is no folder nowhere"),
    ],
)
def test_a_mistake_in_a_list_is_named(three: list[Path], options: list[str], message: str) -> None:
    said = bt("runs", "ls", *options)
    assert said.code == 2
    assert message in said.message


def test_an_empty_folder_of_runs_is_no_error() -> None:
    Path("runs").mkdir()
    assert bt("runs", "ls").out == "runs holds no runs: bt run makes one\n"


def test_a_run_is_called_by_its_digits_its_beginning_or_latest_everywhere(three: list[Path]) -> None:
    last = three[-1]
    runs = last.parent
    names = [last.name, last.name[-6:], "latest", last, runs / last.name[-6:], runs / "latest", last.name[:-2]]
    for name in names:
        said = bt("replay", name, "--json")
        assert said.code == 0, said.err
        assert Path(said.json["run"]).name == last.name
    assert bt("check", "latest", "--cuts", "1", "--processes", "1", "--json").json["strategy"] == "buy_and_hold"
    assert bt("explain", "latest", "event:1").code == 0
    assert bt("compare", three[0].name[-6:], three[1].name[-6:], "--json").code == 0


def test_a_name_that_means_several_runs_or_none_says_so(three: list[Path]) -> None:
    several = bt("replay", three[0].name[:4])
    assert several.code == 2
    assert f"3 runs in runs are meant by {three[0].name[:4]}" in several.message
    none = bt("replay", "ffffff0")
    assert none.code == 2
    assert "bt runs ls --runs runs" in none.message


def test_show_prints_one_object_or_the_screen(three: list[Path]) -> None:
    shown = bt("runs", "show", three[0].name[-6:], "--json").json
    assert shown["run_id"] == three[0].name
    assert shown["metrics"] == json.loads((three[0] / "metrics.json").read_text())
    assert "result " in bt("runs", "show").out
    assert three[2].name in bt("runs", "show").out


def removed(*options: object) -> Said:
    return bt("runs", "rm", *options)


def test_named_runs_are_removed_and_their_rows_with_them(three: list[Path]) -> None:
    said = removed(three[0].name[-6:], three[2], "--yes", "--json")
    assert said.json["removed"] == [str(Path("runs") / three[0].name), str(three[2])]
    assert {path.name for path in Path("runs").iterdir()} == {three[1].name, SUMMARY, "trials.jsonl"}
    assert listed() == [three[1].name]


def test_nothing_goes_without_a_yes_when_there_is_nobody_to_ask(three: list[Path]) -> None:
    said = removed("latest")
    assert said.code == 2
    assert "--yes" in said.message
    assert len(listed()) == 3


def test_runs_go_by_age_and_status(three: list[Path]) -> None:
    old = three[0].with_name("20200101T000000Z" + three[0].name[16:])
    three[0].rename(old)
    assert "nothing to remove" in removed("--older-than", "30d", "--status", "failed", "--yes").out
    assert removed("--older-than", "30d", "--yes").out.startswith("removed 1 run, ")
    assert set(listed()) == {three[1].name, three[2].name}
    assert removed("--status", "complete", "--yes").code == 0
    assert listed() == []


def test_killed_runs_go_only_when_asked_for(three: list[Path]) -> None:
    killed = Path("runs/.20240101T000000Z-x-BTCUSDT-aaaaaa.partial")
    killed.mkdir()
    removed("--status", "complete", "--yes")
    assert killed.is_dir()
    assert removed("--status", "killed", "--yes").out.startswith("removed 1 run")
    assert not killed.exists()


@pytest.mark.parametrize("kind", ["file", "folder", "no run.json", "link", "outside"])
def test_what_is_no_run_is_never_removed(three: list[Path], kind: str, tmp_path: Path) -> None:
    target = Path("runs/precious")
    if kind == "file":
        target.write_text("precious")
    elif kind == "link":
        target.symlink_to(three[0])
    elif kind == "outside":
        target = tmp_path / "outside"
        target.mkdir()
        (target / "precious.txt").write_text("precious")
    else:
        target.mkdir()
        (target / "precious.txt").write_text("precious")
        if kind == "no run.json":
            (target / "audit.jsonl").write_text("")
    said = removed(target, "--yes")
    assert said.code == 2
    assert target.exists()
    assert len(listed()) >= 3


@pytest.mark.parametrize(
    "options", [[], ["latest", "--status", "failed"], ["--older-than", "soon"], ["--status", "odd"]]
)
def test_what_to_remove_must_be_said_clearly(three: list[Path], options: list[str]) -> None:
    assert removed(*options, "--yes").code == 2
    assert len(listed()) == 3


def test_csv_files_are_written_on_request_with_exact_money(lake: Path) -> None:
    import polars as pl

    run = made(lake, "-p", "fast=3", "-p", "slow=7", "--csv")
    for name in ("trades", "equity"):
        table = pl.read_parquet(run / f"{name}.parquet")
        rows = list(csv.DictReader(StringIO((run / f"{name}.csv").read_text())))
        assert len(rows) == len(table) > 0
        assert list(rows[0]) == table.columns
        money = "net_pnl" if name == "trades" else "equity"
        assert [row[money] for row in rows] == [str(value) for value in table[money]]
        time = "entry_time" if name == "trades" else "ts"
        assert rows[0][time] == f"{table[time][0]:%Y-%m-%dT%H:%M:%S}Z"
    assert not (made(lake) / "trades.csv").exists()
    assert (made(lake, "--set", "report.csv=true") / "trades.csv").is_file()
