"""`bt explain` as it is used."""

import json
from pathlib import Path

import pytest

from tests.support.cli import bt

RUN = ["run", "--strategy", "sma_cross", "--symbols", "BTCUSDT", "-p", "fast=3", "-p", "slow=7"]


@pytest.fixture
def run(lake: Path) -> str:
    said = bt(*RUN, "--data", lake, "--json")
    assert said.code == 0, said.err
    return str(said.json["path"])


def test_an_order_is_told_line_by_line_with_the_lines_of_the_log(run: str) -> None:
    said = bt("explain", run, "order:1")
    assert said.code == 0, said.err
    assert said.out.startswith("order 1: buy ")
    assert "\x1b" not in said.out
    numbered = [line.split()[0] for line in said.out.splitlines() if line.strip().startswith("#")]
    log = [json.loads(line) for line in (Path(run) / "audit.jsonl").read_text().splitlines()]
    own = [line["seq"] for line in log if line["event"].get("order_id") == 1]
    assert numbered == [f"#{seq}" for seq in [log[own[0] - 1]["event"]["cause_id"], *own]]


def test_json_is_one_object_with_every_event(run: str) -> None:
    found = bt("explain", run, "trade:1", "--json").json
    assert list(found)[:3] == ["run", "asked", "title"]
    assert found["asked"] == "trade:1"
    log = [json.loads(line) for line in (Path(run) / "audit.jsonl").read_text().splitlines()]
    for order in found["parts"]:
        for part in order["parts"]:
            if "seq" in part:
                assert part["event"] == log[part["seq"] - 1]["event"]


def test_the_times_just_before_and_after_are_told(run: str) -> None:
    said = bt("explain", run, "time:2024-01-01T01:00:01")
    assert said.code == 0
    assert "the log says nothing" in said.out
    assert said.out.index("just before, at 2024-01-01T0") < said.out.index("just after, at 2024-01-01T0")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("order:abc", "'order:abc' names nothing that can be explained hint: write order:ID, trade:N"),
        ("order:4711", "there is no order 4711"),
        ("trade:4711", "it has trades 1 to"),
        ("trade:0", "it has trades 1 to"),
        ("trade:spot:BTCUSDT@2024-01-01T00:00:30", "the nearest was entered at 2024-01-01T"),
        ("trade:um:BTCUSDT@2024-01-01", "no trade in um:BTCUSDT was entered at 2024-01-01: none of its"),
        ("trade:BTCUSDT", "names no trade"),
        ("time:yesterday", "'yesterday' is not a time"),
        ("event:999999", "its lines are 1 to"),
        ("fill:1", "names nothing that can be explained"),
    ],
)
def test_what_is_not_there_is_said_with_what_there_is(run: str, what: str, words: str) -> None:
    said = bt("explain", run, what)
    assert said.code == 2
    assert words in said.message


def test_a_run_without_trades_says_so(lake: Path) -> None:
    path = bt(*RUN, "-p", "slow=230", "--data", lake, "--json").json["path"]
    assert "it has no closed trades" in bt("explain", path, "trade:1").message
    assert "the run has no orders" in bt("explain", path, "order:1").message


def test_a_folder_that_is_no_run_is_said_so(tmp_path: Path) -> None:
    assert "is not a run's folder" in bt("explain", tmp_path, "order:1").message
