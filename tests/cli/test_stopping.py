"""Runs that are stopped: by the user, by the system, or killed on the spot."""

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.cli import bt, start_bt
from tests.support.stopping import CANDLES, SLOW, WAIT_S, wait_for


def begun(tmp_path: Path, lake: Path) -> "subprocess.Popen[str]":
    """A run that has got to candle 1500 and has far to go."""
    (tmp_path / "slow.py").write_text(SLOW)
    flag = tmp_path / "got_there"
    options = ("--strategy", "slow.py:Slow", "--symbols", "BTCUSDT", "--data", lake, "--json")
    process = start_bt("run", *options, cwd=tmp_path, SLOWLY=str(flag))
    wait_for(flag, process)
    return process


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_cleanly_and_keeps_what_was_done(tmp_path: Path, long_lake: Path, how: int) -> None:
    process = begun(tmp_path, long_lake)
    process.send_signal(how)
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    said = json.loads(out)
    assert said["status"] == "interrupted"
    folder = tmp_path / said["path"]
    details = json.loads((folder / "run.json").read_bytes())
    assert details["status"] == "interrupted"
    assert 0 < details["counts"]["fills"] < CANDLES - 10
    assert not list(folder.parent.glob(".*"))
    replayed = bt("replay", folder, "--json").json
    assert (replayed["status"], replayed["digest"]) == ("interrupted", said["digest"])
    verified = bt("replay", folder, "--verify")  # a whole run, of which the log is the beginning
    assert verified.code == 0, verified.err


def test_verify_finds_a_difference_in_what_an_interrupted_run_did(tmp_path: Path, long_lake: Path) -> None:
    process = begun(tmp_path, long_lake)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=WAIT_S)
    folder = tmp_path / json.loads(out)["path"]
    (folder / "source" / "slow.py").write_text(
        SLOW.replace("self.seen += 1", "self.seen += 1\n        if self.seen < 100: return")
    )
    said = bt("replay", folder, "--verify")
    assert said.code == 4
    assert "the first event that differs is line" in said.message
    assert "strategy source slow.py" in said.message


def test_a_killed_run_is_reported_and_what_it_left_can_be_read(tmp_path: Path, long_lake: Path) -> None:
    process = begun(tmp_path, long_lake)
    process.kill()
    process.communicate(timeout=WAIT_S)
    [partial] = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"\..+\.partial", partial.name)

    replayed = bt("replay", partial)
    assert replayed.code == 0, replayed.err
    assert "not a result" in replayed.out
    assert bt("replay", partial, "--json").json["sealed"] is False
    assert bt("replay", partial, "--events").code == 0

    name = partial.name.removeprefix(".").removesuffix(".partial")
    unsealed = bt("replay", f"runs/{name}")
    assert unsealed.code == 2
    assert "never sealed" in unsealed.message
    assert str(Path("runs") / partial.name) in unsealed.message
    assert bt("replay", partial, "--verify").code == 2

    following = bt("run", "--strategy", "sma_cross", "--symbols", "BTCUSDT", "--data", long_lake)
    assert following.code == 0
    assert partial.name in following.err.replace("\n", "")
    assert "killed" in following.err


def test_a_run_in_progress_is_not_taken_for_a_killed_one(tmp_path: Path, long_lake: Path) -> None:
    process = begun(tmp_path, long_lake)
    try:
        beside = bt("run", "--strategy", "sma_cross", "--symbols", "BTCUSDT", "--data", long_lake, "--json")
        assert beside.code == 0
        assert beside.err == ""
    finally:
        process.kill()
        process.communicate(timeout=WAIT_S)
