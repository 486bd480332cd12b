import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtester.core.errors import DataError, StorageError
from backtester.data.lake import Lake
from backtester.data.manifest import MANIFEST_NAME, fold, read_manifest
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.rebuilding import rebuild_manifest
from tests.support.profiles import examples


def contents(root: Path) -> dict[str, str]:
    return {path: partition.content for path, partition in read_manifest(root).items()}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
def test_a_writer_killed_at_any_step_or_byte_leaves_the_lake_before_or_after(tmp_path: Path) -> None:
    script = Path(__file__).with_name("crash_writer.py")
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "61"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["wrong"] == []
    assert result["points"] == result["before"] + result["after"] + result["part"] > 60
    assert min(result["before"], result["after"], result["part"]) > 0


def test_every_prefix_of_the_manifest_is_the_lake_at_some_moment(tmp_path: Path, candles, put) -> None:
    root = tmp_path / "lake"
    put(root, candles([1, 2, 3]))
    first = contents(root)
    put(root, candles([5, 5, 5], start="2024-02-01"))
    both = contents(root)
    text = (root / MANIFEST_NAME).read_bytes()
    seen = []
    for cut in range(len(text) + 1):
        (root / MANIFEST_NAME).write_bytes(text[:cut])
        now = contents(root)
        assert now in ({}, first, both)
        if not seen or seen[-1] != now:
            seen.append(now)
    assert seen == [{}, first, both]


@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=1, max_value=400))
def test_a_torn_last_line_is_repaired_by_the_next_writer(tmp_path_factory, candles, put, cut: int) -> None:
    root = tmp_path_factory.mktemp("torn")
    put(root, candles([1, 2, 3]))
    put(root, candles([4], start="2024-02-01"))
    text = (root / MANIFEST_NAME).read_bytes()
    (root / MANIFEST_NAME).write_bytes(text[:-cut])
    put(root, candles([9], start="2024-03-01"))
    after = (root / MANIFEST_NAME).read_bytes()
    assert after.endswith(b"\n")
    assert not fold(after).pending
    commit = len(text.splitlines(keepends=True)[-1])
    # While the pending line is whole, the file in place proves that the write took effect.
    assert len(contents(root)) == (3 if cut <= commit else 2)
    assert Lake(root).verify(full=True) == []


def test_a_pending_line_without_its_file_never_happened(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3]))
    text = (tmp_path / MANIFEST_NAME).read_bytes()
    pending = text.splitlines(keepends=True)[0].replace(b"2024-01.parquet", b"2024-05.parquet")
    (tmp_path / MANIFEST_NAME).write_bytes(text + pending)
    assert [path[-15:] for path in contents(tmp_path)] == ["2024-01.parquet"]
    with ManifestWriter(tmp_path):
        pass
    assert b'"op":"void"' in (tmp_path / MANIFEST_NAME).read_bytes().splitlines()[-1]


def test_a_damaged_line_is_named_and_rebuilding_mends_it(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3]))
    put(tmp_path, candles([4, 5], start="2024-02-01"))
    before = contents(tmp_path)
    lines = (tmp_path / MANIFEST_NAME).read_bytes().splitlines(keepends=True)
    (tmp_path / MANIFEST_NAME).write_bytes(b"".join([lines[0][:50] + b"\n", *lines[1:]]))
    with pytest.raises(DataError, match="line 1 is damaged") as error:
        Lake(tmp_path)
    assert "bt data rebuild" in error.value.hint
    report = rebuild_manifest(tmp_path)
    assert (len(report.kept), len(report.recreated)) == (1, 1)
    assert contents(tmp_path) == before


def test_rebuilding_from_nothing_restores_sources_and_repairs(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3]), "one.csv")
    before = next(iter(read_manifest(tmp_path).values()))
    (tmp_path / MANIFEST_NAME).unlink()
    stray = tmp_path / "spot/klines/BTCUSDT/1m/year=2024/other.parquet"
    stray.write_bytes(b"not parquet")
    report = rebuild_manifest(tmp_path)
    assert [path for path, _ in report.left_out] == [stray.relative_to(tmp_path).as_posix()]
    after = next(iter(read_manifest(tmp_path).values()))
    assert (after.content, after.sources, after.repairs, after.sha256) == (
        before.content,
        before.sources,
        before.repairs,
        before.sha256,
    )


def test_rebuilding_leaves_a_file_at_the_wrong_place_out(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3]))
    path = tmp_path / "spot/klines/BTCUSDT/1m/year=2024/BTCUSDT-1m-2024-01.parquet"
    path.rename(path.with_name("BTCUSDT-1m-2024-02.parquet"))
    report = rebuild_manifest(tmp_path)
    assert "belongs at" in report.left_out[0][1]
    assert contents(tmp_path) == {}


def test_a_removed_partition_is_gone_and_its_empty_folders_too(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3]))
    with ManifestWriter(tmp_path) as writer:
        writer.remove(list(writer.partitions))
    assert contents(tmp_path) == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.jsonl", "manifest.lock"]


def test_only_one_writer_at_a_time_and_the_second_is_told(tmp_path: Path) -> None:
    told: list[BaseException] = []

    def second() -> None:
        try:
            with ManifestWriter(tmp_path, wait_seconds=0.05):
                pass
        except StorageError as error:
            told.append(error)

    with ManifestWriter(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert "another process is writing" in str(told[0])


def test_leftover_temporary_files_are_cleared_by_the_next_writer(tmp_path: Path) -> None:
    (tmp_path / ".tmp").mkdir(parents=True)
    (tmp_path / ".tmp" / "1-1.parquet").write_bytes(b"half")
    with ManifestWriter(tmp_path):
        assert list((tmp_path / ".tmp").iterdir()) == []
    assert not (tmp_path / ".tmp").exists()


def test_a_writer_that_is_entered_again_sees_what_others_did(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3]))
    writer = ManifestWriter(tmp_path, reusable=True)
    with writer:
        assert len(writer.partitions) == 1
    put(tmp_path, candles([4], start="2024-02-01"))
    with writer:
        assert writer.partitions == read_manifest(tmp_path)
    rebuild_manifest(tmp_path)
    put(tmp_path, candles([5], start="2024-03-01"))
    with writer:
        assert writer.partitions == read_manifest(tmp_path)
        writer.remove(list(writer.partitions)[:1])
    assert len(contents(tmp_path)) == 2
    lines = (tmp_path / MANIFEST_NAME).read_bytes().splitlines()
    with (tmp_path / MANIFEST_NAME).open("ab") as file:
        file.write(b"damage\n")
    with pytest.raises(DataError, match=f"line {len(lines) + 1} is damaged"), writer:
        pass
    writer.close()


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path, candles, put) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        put(tmp_path / "file", candles([1]))


def test_a_full_disk_while_committing_leaves_the_lake_as_it_was(
    tmp_path: Path, candles, put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, candles([1, 2, 3]))
    before = contents(tmp_path)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("backtester.data.durable.os.write", full)
        with pytest.raises(StorageError, match="is full"):
            put(tmp_path, candles([4], start="2024-02-01"))
    assert contents(tmp_path) == before
    put(tmp_path, candles([4], start="2024-02-01"))
    assert len(contents(tmp_path)) == 2


def test_a_lake_can_be_copied_with_its_manifest(tmp_path: Path, candles, put) -> None:
    put(tmp_path / "a", candles([1, 2, 3]))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert Lake(tmp_path / "b").verify(full=True) == []
