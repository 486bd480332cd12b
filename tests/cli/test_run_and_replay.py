"""`bt run` and `bt replay` as they are used."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.support.cli import Said, bt

RUN = ["run", "--strategy", "sma_cross", "--symbols", "BTCUSDT", "-p", "fast=3", "-p", "slow=7"]


def made(lake: Path, *more: object) -> Said:
    said = bt(*RUN, "--data", lake, "--json", *more)
    assert said.code == 0, said.err
    return said


def test_json_is_exactly_one_object_on_standard_output(lake: Path) -> None:
    said = made(lake)
    assert said.out.count("\n") == 1
    assert list(said.json) == ["run_id", "path", "status", "digest", "metrics", "warnings", "check", "report"]
    assert said.err == ""
    assert json.loads(Path(said.json["path"], "metrics.json").read_bytes()) == said.json["metrics"]
    assert said.json["status"] == "complete"


def test_for_people_it_prints_a_summary_that_names_the_folder(lake: Path) -> None:
    said = bt(*RUN, "--data", lake)
    assert said.code == 0
    [folder] = Path("runs").glob("2*")
    assert str(folder) in said.out
    for text in ("sma_cross", "BTCUSDT", "total return", "max drawdown", "trades", "fees", "complete"):
        assert text in said.out
    assert "\x1b" not in said.out


def test_no_trades_is_a_normal_result(lake: Path) -> None:
    said = made(lake, "-p", "slow=230")
    assert said.json["metrics"]["n_trades"]["value"] == 0
    assert said.json["metrics"]["win_rate"]["value"] is None
    assert bt(*RUN, "-p", "slow=230", "--data", lake).code == 0


def test_its_config_alone_repeats_a_run(lake: Path) -> None:
    first = made(lake, "--seed", "5", "--set", "fees.taker_bps=3", "--end", "2024-01-01T03:00:00Z")
    again = bt("run", "--config", f"{first.json['path']}/config.toml", "--json")
    assert again.code == 0, again.err
    assert again.json["digest"] == first.json["digest"]
    assert again.json["metrics"] == first.json["metrics"]


def test_a_strategy_file_is_repeated_after_it_is_gone(tmp_path: Path, lake: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from backtester.strategy.base import Strategy\n\n\n"
        "class Mine(Strategy):\n"
        "    def on_candle(self, candle):\n"
        "        return [self.buy(candle.symbol, '0.001')] if self.rng.random() < 0.1 else None\n"
    )
    first = bt("run", "--strategy", "mine.py:Mine", "--symbols", "BTCUSDT", "--data", lake, "--json")
    file.unlink()
    again = bt("run", "--config", f"{first.json['path']}/config.toml", "--json")
    assert again.json["digest"] == first.json["digest"]
    assert bt("replay", again.json["path"], "--verify").code == 0


def test_options_win_over_set_which_wins_over_the_file(tmp_path: Path, lake: Path) -> None:
    (tmp_path / "my.toml").write_text(
        "[run]\nseed = 1\nend = 2024-01-01T02:00:00Z\n[fees]\ntaker_bps = 1\nmaker_bps = 1\n"
    )
    said = made(lake, "--config", "my.toml", "--set", "fees.taker_bps=2", "--set", "run.seed=2", "--seed", "3")
    written = tomllib.loads(Path(said.json["path"], "config.toml").read_text())
    assert written["run"]["seed"] == 3
    assert written["run"]["end"] == "2024-01-01T02:00:00Z"
    assert (written["fees"]["taker_bps"], written["fees"]["maker_bps"]) == ("2", "1")


def test_params_come_from_the_file_of_the_strategy_and_options_win(tmp_path: Path, lake: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "sma_cross.toml").write_text("fast = 4\nslow = 11\n")
    (tmp_path / "other.toml").write_text("fast = 6\nslow = 12\n")

    def params(*options: object) -> dict[str, object]:
        said = bt("run", "--strategy", "sma_cross", "--symbols", "BTCUSDT", "--data", lake, "--json", *options)
        written: dict[str, object] = tomllib.loads(Path(said.json["path"], "config.toml").read_text())["strategy"]
        return written["params"]  # type: ignore[return-value]

    assert {"fast": 4, "slow": 11}.items() <= params().items()
    assert {"fast": 4, "slow": 99}.items() <= params("-p", "slow=99").items()
    assert {"fast": 5, "slow": 12}.items() <= params("--params", "other.toml", "-p", "fast=5").items()


def test_fees_default_to_those_of_the_market(lake: Path) -> None:
    for market, fees in (("spot", ("10", "10")), ("um", ("2", "5")), ("futures", ("2", "5"))):
        written = tomllib.loads(Path(made(lake, "--market", market).json["path"], "config.toml").read_text())
        assert (written["fees"]["maker_bps"], written["fees"]["taker_bps"]) == fees


def test_replay_says_what_it_checked(lake: Path) -> None:
    run = made(lake).json
    said = bt("replay", run["path"])
    assert said.code == 0
    assert run["digest"] in said.out
    assert "complete" in said.out
    checked = bt("replay", run["path"], "--json").json
    assert (checked["sealed"], checked["verified"], checked["digest"]) == (True, False, run["digest"])
    assert bt("replay", run["path"], "--verify", "--json").json["verified"] is True


def test_events_are_the_timeline(lake: Path) -> None:
    run = made(lake).json
    lines = Path(run["path"], "audit.jsonl").read_bytes().splitlines()
    assert len(bt("replay", run["path"], "--events", "--json").json["events"]) == len(lines)
    assert len(bt("replay", run["path"], "--events").out.splitlines()) == len(lines)


@pytest.mark.parametrize("how", ["changed", "cut"])
def test_a_damaged_log_ends_with_4(lake: Path, how: str) -> None:
    log = Path(made(lake).json["path"], "audit.jsonl")
    content = log.read_bytes()
    log.write_bytes(content.replace(b'"buy"', b'"sell"', 1) if how == "changed" else content[:-200])
    said = bt("replay", log.parent)
    assert said.code == 4
    assert "audit.jsonl, line" in said.message


def test_strategies_are_listed(lake: Path) -> None:
    names = [row["name"] for row in bt("strategies", "--json").json["strategies"]]
    assert {"sma_cross", "sma_extended"} <= set(names)
    assert "sma_extended" in bt("strategies").out


@pytest.mark.parametrize("command", [[], ["run"], ["replay"], ["data"], ["strategies"], ["data", "sample"]])
def test_every_command_has_help(command: list[str]) -> None:
    said = bt(*command, "--help")
    assert said.code == 0
    assert "Usage" in said.out


def test_the_version_is_printed() -> None:
    assert bt("--version").out.startswith("backtester ")
