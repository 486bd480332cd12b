"""Full disks and folders that may not be written: a clear message, a clean lake, and a next run that completes."""

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from backtester.core.errors import StorageError
from backtester.core.time import DAY, parse_time
from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.importing import import_paths
from backtester.data.lake import Lake
from tests.support.archive import minutes, put_days, put_zip
from tests.support.cli import ROOT, bt

START = parse_time("2024-01-30")
BT = [sys.executable, "-m", "backtester"]
SPAN = ("--symbols", "BTCUSDT", "--timeframe", "1m", "--start", "2024-01-30", "--end", "2024-02-04")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Five whole days over two months: two partitions."""
    put_days(tmp_path / "archive", "BTCUSDT", "2024-01-30", 5, rows=1440)
    return tmp_path / "archive"


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    path = tmp_path / "BTCUSDT-1m.csv"
    path.write_text("".join(minutes(START + day * DAY, 1440) for day in range(5)))
    return path


def commands(archive: Path, csv_file: Path, lake: Path) -> dict[str, list[str]]:
    """Return a download and an import of the same candles."""
    return {
        "download": ["download", *SPAN, "--data", str(lake), "--base-url", str(archive)],
        "import": ["data", "import", str(csv_file), "--market", "spot", "--symbol", "BTCUSDT", "--data", str(lake)],
    }


def contents(lake: Path) -> dict[str, str]:
    return {partition.path: partition.content for partition in Lake(lake).all_partitions()}


def leftovers(lake: Path) -> list[Path]:
    return [path for path in lake.rglob("*") if path.name == ".tmp" or path.name.endswith(".part")]


def run(command: list[str], **options: Any) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, **options)


def assert_clean(lake: Path) -> None:
    """No temporary file, nothing that the manifest does not promise, and what it promises is there."""
    assert leftovers(lake) == []
    if (lake / "manifest.jsonl").exists():
        opened = Lake(lake)
        assert opened.verify(full=True) == []
        assert opened.unlisted() == []


@pytest.mark.parametrize("how", ["download", "import"])
@pytest.mark.parametrize("limit", [400, 3_000, 12_000])
def test_files_that_may_not_grow_end_the_command_and_the_next_run_completes(
    tmp_path: Path, archive: Path, csv_file: Path, how: str, limit: int
) -> None:
    lake = tmp_path / "lake"
    command = [*BT, *commands(archive, csv_file, lake)[how]]
    tight = run(command, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert tight.returncode == 2, tight.stderr
    assert "cannot be written: File too large" in " ".join(tight.stderr.split())
    assert "Traceback" not in tight.stderr
    assert_clean(lake)
    assert run(command).returncode == 0
    assert_clean(lake)
    assert sum(partition.rows for partition in Lake(lake).all_partitions()) == 5 * 1440


_ON_A_SMALL_DISK = """
set -eu
mount -t tmpfs -o size={size}k none {lake}
code=0
{command} 2> {lake}.err || code=$?
test $code = 2
grep -q "is full" {lake}.err
{verify}
test -z "$(find {lake} -name '*.part' -o -name .tmp)"
mount -o remount,size=50m {lake}
{command}
{verify}
cp -r {lake} {lake}.copy
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
@pytest.mark.parametrize("how", ["download", "import"])
@pytest.mark.parametrize("size", [8, 16])
def test_a_small_disk_that_fills_up_holds_a_whole_lake_and_grown_the_rest(
    tmp_path: Path, archive: Path, csv_file: Path, how: str, size: int
) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if run([*inside, f"mount -t tmpfs -o size=1m none {lake}"]).returncode:
        pytest.skip("no file system may be mounted here")
    command = " ".join([*BT, *commands(archive, csv_file, lake)[how], "--json"])
    verify = " ".join([*BT, "data", "verify", "--full", "--data", str(lake)])
    done = run([*inside, _ON_A_SMALL_DISK.format(size=size, lake=lake, command=command, verify=verify)])
    assert done.returncode == 0, done.stdout + done.stderr
    copy = tmp_path / "lake.copy"
    assert_clean(copy)
    assert sum(partition.rows for partition in Lake(copy).all_partitions()) == 5 * 1440


class Faults:
    """Lets the n-th of the calls that reach the disk fail; counts them all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failing: int, half: bool) -> None:
        self.calls = 0
        self._failing, self._half = failing, half
        real_write = os.write

        def write(fd: int, data: Any) -> int:
            if self._fails():
                if self._half:
                    real_write(fd, bytes(data)[: len(data) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real_write(fd, data)

        monkeypatch.setattr(os, "write", write)
        for owner, name in (
            (os, "fsync"),
            (os, "replace"),
            (os, "rename"),
            (pq.ParquetWriter, "write_table"),
            (Path, "replace"),
        ):
            monkeypatch.setattr(owner, name, self._wrapped(getattr(owner, name)))

    def _wrapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            if self._fails():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*arguments, **named)

        return wrapped

    def _fails(self) -> bool:
        self.calls += 1
        return self.calls == self._failing


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("before", ["nothing", "other rows"])
def test_whichever_call_finds_the_disk_full_the_lake_is_before_or_after(
    tmp_path: Path, csv_file: Path, before: str, half: bool
) -> None:
    options = ImportOptions("spot", None, "BTCUSDT", "1m")
    fresh, whole = tmp_path / "fresh", tmp_path / "whole"
    if before == "other rows":
        other = tmp_path / "other.csv"
        other.write_text("".join(minutes(START + day * DAY, 1440, price=500.0) for day in range(3)))
        import_paths([other], fresh, options)
        shutil.copytree(fresh, whole)
    import_paths([csv_file], whole, options, replace=True)
    paths, states = set(contents(whole)), [contents(fresh) if fresh.exists() else {}, contents(whole)]
    said: list[str] = []
    number, finished = 0, False
    while not finished:
        number += 1
        lake = tmp_path / f"lake{number}"
        if fresh.exists():
            shutil.copytree(fresh, lake)
        with pytest.MonkeyPatch.context() as patched:
            Faults(patched, number, half)
            try:
                import_paths([csv_file], lake, options, replace=True)
                finished = True
            except StorageError as error:
                said.append(error.message)
        assert leftovers(lake) == []
        for path in paths:  # each partition on its own is as before or after
            assert contents(lake).get(path) in {state.get(path) for state in states}
        assert Lake(lake).verify(full=True) == []
        import_paths([csv_file], lake, options, replace=True)
        assert contents(lake) == contents(whole)
        assert_clean(lake)
    assert len(said) > 10
    assert all(message.endswith("is full") for message in said)


def test_a_full_disk_names_the_place_and_what_to_do(
    tmp_path: Path, csv_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Faults(monkeypatch, 3, half=False)
    said = bt("data", "import", csv_file, "--market", "spot", "--data", tmp_path / "lake")
    assert (said.code, "free some space and run the command again" in said.message) == (2, True)


def _without_privileges(command: list[str]) -> list[str]:
    """Return a command for whom permissions hold, even for root."""
    if os.geteuid() != 0:
        return command
    if shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and there is no setpriv")
    dropped = "-dac_override,-dac_read_search,-fowner"
    return ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}", *command]


@pytest.mark.parametrize("how", ["download", "import"])
@pytest.mark.parametrize("locked", [".", "spot", "spot/klines/BTCUSDT/1m/year=2024", ".archives", "manifest.jsonl"])
def test_a_folder_that_may_not_be_written_is_named_and_mended_by_its_permissions(
    tmp_path: Path, archive: Path, csv_file: Path, how: str, locked: str
) -> None:
    lake = tmp_path / "lake"
    command = [*BT, *commands(archive, csv_file, lake)[how]]
    put_zip(tmp_path / "first", "data/spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01-29.zip", minutes(START - DAY, 60))
    first = ("--symbols", "BTCUSDT", "--timeframe", "1m", "--start", "2024-01-29", "--end", "2024-01-30")
    assert bt("download", *first, "--data", lake, "--base-url", tmp_path / "first").code == 0
    before, target = contents(lake), lake / locked
    modes = {path: path.stat().st_mode for path in [target, *(target.rglob("*") if target.is_dir() else ())]}
    for path in modes:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        refused = run(_without_privileges(command))
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    if how == "import" and locked == ".archives":
        assert refused.returncode == 0  # an import does not need the store
        return
    said = " ".join(refused.stderr.split())
    assert (refused.returncode, "Traceback" in said) == (2, False), said
    assert "cannot be written: Permission denied" in said
    assert "check the path and its permissions" in said
    assert contents(lake) == before
    assert_clean(lake)
    assert run(command).returncode == 0
    assert sum(partition.rows for partition in Lake(lake).all_partitions()) == 5 * 1440 + 60
    assert_clean(lake)


def test_a_lake_that_may_only_be_read_is_read(tmp_path: Path, csv_file: Path) -> None:
    lake = tmp_path / "lake"
    import_paths([csv_file], lake, ImportOptions("spot", None, "BTCUSDT", "1m"))
    for path in [*lake.rglob("*"), lake]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        for words in (["ls"], ["show", "BTCUSDT"], ["verify", "--full"], ["gaps"], ["diff", str(lake), str(lake)]):
            place = [] if words[0] == "diff" else ["--data", str(lake)]
            done = run(_without_privileges([*BT, "data", *words, *place]))
            assert (done.returncode, done.stderr) == (0, "")
    finally:
        for path in [lake, *lake.rglob("*")]:
            path.chmod(0o700)
