"""An update that replaces partitions, killed at random points many times: always whole, and in the end the same."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from backtester.core.time import parse_time
from backtester.data.lake import Lake
from tests.support.archive import day_key, minutes, put_days, put_zip, serving
from tests.support.cli import ROOT

SYMBOLS = [f"{letter}{letter}USDT" for letter in "ABCDEF"]
LAST_DAY = parse_time("2024-02-03")
KILLS = 12


def start(lake: Path, base: str, *span: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "backtester", "download", "--timeframe", "1m", "--symbols", *SYMBOLS]
    return subprocess.Popen(
        [*command, "--data", str(lake), "--base-url", base, *span],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def killed_when_written(process: "subprocess.Popen[bytes]", lake: Path, size: int) -> bool:
    """Kill a process once the lake's manifest has so many bytes; say whether it still ran."""
    while process.poll() is None:
        if manifest_size(lake) >= size:
            process.send_signal(signal.SIGKILL)
            return process.wait() == -signal.SIGKILL
        time.sleep(0.001)
    return False


def manifest_size(lake: Path) -> int:
    return (lake / "manifest.jsonl").stat().st_size


def contents(lake: Path) -> dict[str, tuple[str, str, int]]:
    return {p.path: (p.content, p.sha256, p.rows) for p in Lake(lake).all_partitions()}


def test_updates_killed_at_random_points_complete_to_the_same_lake(tmp_path: Path) -> None:
    """Every symbol has three days; then its last day is published anew, and two more days appear.

    So the update replaces every partition with one in which old rows changed and new ones follow.
    """
    archive = tmp_path / "archive"
    for symbol in SYMBOLS:
        put_days(archive, symbol, "2024-02-01", 3, rows=120)
    fresh, whole, lake = tmp_path / "fresh", tmp_path / "whole", tmp_path / "lake"
    assert start(fresh, str(archive), "--start", "2024-02-01", "--end", "2024-02-04").wait() == 0
    for symbol in SYMBOLS:
        put_days(archive, symbol, "2024-02-04", 2, rows=120)
        put_zip(archive, day_key(symbol, LAST_DAY), minutes(LAST_DAY, 120, price=200.0))
    update = ("--update", "--end", "2024-02-06", "--recheck", "--replace")
    shutil.copytree(fresh, whole)
    rng, killed, states = random.Random(11), 0, set()
    with serving(archive) as (base, _):
        assert start(whole, base, *update).wait() == 0
        before, after = contents(fresh), contents(whole)
        assert all(before[path] != after[path] for path in before)
        written = manifest_size(whole) - manifest_size(fresh)
        while killed < KILLS:
            shutil.rmtree(lake, ignore_errors=True)
            shutil.copytree(fresh, lake)
            for _ in range(4):  # the same lake, again and again, a little further each time
                until = manifest_size(lake) + rng.randint(0, written // 2)
                if not killed_when_written(start(lake, base, *update), lake, until):
                    break
                killed += 1
                found = contents(lake)
                assert found.keys() == before.keys()
                assert all(found[path] in (before[path], after[path]) for path in found)
                assert Lake(lake).verify(full=True) == []
                states.add(sum(found[path] == after[path] for path in found))
            assert start(lake, base, *update).wait() == 0
            assert contents(lake) == after
            assert Lake(lake).verify(full=True) == []
            assert Lake(lake).unlisted() == []
            assert not [path for path in lake.rglob("*") if path.name == ".tmp"]
    assert len(states) > 2, "kills fell before the first replacement or after the last"
