"""Files that somebody writes to while they are read: refused, and the lake stays as it was."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import DataError
from backtester.core.time import DAY, parse_time
from backtester.data.downloader import batches, big_files, csv_tables, importing, reading
from backtester.data.downloader.downloading import download
from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.importing import ImportReport, import_paths
from backtester.data.downloader.planning import wanted
from backtester.data.lake import Lake
from tests.support.archive import day_key, minutes, put_zip

START = parse_time("2024-01-31T20:00")
COUNT = 600  # over two months
CLOSED = RunContext(run_id="test", seed=1, git_sha="", allow_net=False)


@pytest.fixture(autouse=True)
def _everything_is_big(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BIG_BYTES", 0)
    monkeypatch.setattr(csv_tables, "_BLOCK_BYTES", 2_000)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "BTCUSDT-1m.csv"
    write(path, minutes(START, COUNT))
    return path


def write(path: Path, text: str) -> None:
    """Write a file, as of long ago: a clock that ticks slowly must not make a later change look like none."""
    path.write_text(text)
    os.utime(path, (1_600_000_000, 1_600_000_000))


def other() -> str:
    """Other candles, of the same length in bytes."""
    return minutes(START, COUNT, price=200.0)


def overwrite(path: Path) -> None:
    with path.open("r+") as opened:
        opened.write(other())


def put_in_place(path: Path) -> None:
    beside = path.with_name("new")
    write(beside, other())
    beside.replace(path)


def append(path: Path) -> None:
    with path.open("a") as opened:
        opened.write(minutes(START + DAY, 10))


def cut(path: Path) -> None:
    path.write_text(path.read_text()[:5_000])


def once_before(patch: pytest.MonkeyPatch, module: ModuleType, name: str, change: Callable[[], None]) -> None:
    """Have a change happen before a function of a module is called for the first time."""
    original, done = getattr(module, name), []

    def changed(*arguments: Any, **named: Any) -> Any:
        if not done:
            done.append(True)
            change()
        return original(*arguments, **named)

    patch.setattr(module, name, changed)


def imported(file: Path, lake: Path) -> ImportReport:
    return import_paths([file], lake, ImportOptions(market="spot", timeframe="1m"))


def state(lake: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in lake.rglob("*") if path.is_file()}


BEFORE_THE_ROWS_ARE_READ = (importing, "write_big_file")
WHILE_THEY_ARE_READ = (big_files, "rises")


@pytest.mark.parametrize(
    ("change", "at"),
    [
        *((change, BEFORE_THE_ROWS_ARE_READ) for change in (overwrite, append, cut, put_in_place)),
        *((change, WHILE_THEY_ARE_READ) for change in (overwrite, append, cut)),
    ],
)
def test_a_file_that_changes_after_it_was_hashed_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: Path,
    change: Callable[[Path], None],
    at: tuple[ModuleType, str],
) -> None:
    lake = tmp_path / "lake"
    earlier = tmp_path / "BTCUSDT-1m-earlier.csv"
    write(earlier, minutes(START - DAY, 100))
    imported(earlier, lake)
    before = state(lake)
    once_before(monkeypatch, *at, lambda: change(file))
    with pytest.raises(DataError, match=r"BTCUSDT-1m\.csv changed while it was read") as error:
        imported(file, lake)
    assert "run the command again" in error.value.hint
    assert state(lake) == before
    if change is not cut:  # a line that is cut short is a bad row
        assert imported(file, lake).series[0].rows_added >= COUNT
        recorded = {source.sha256 for source in Lake(lake).all_partitions()[-1].sources}
        assert recorded == {hashlib.sha256(file.read_bytes()).hexdigest()}


def test_a_file_that_takes_the_place_of_one_that_is_read_does_not_concern_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    imported(file, tmp_path / "expected")
    once_before(monkeypatch, *WHILE_THEY_ARE_READ, lambda: put_in_place(file))
    imported(file, tmp_path / "lake")
    found, expected = (Lake(tmp_path / name).all_partitions() for name in ("lake", "expected"))
    assert [p.content for p in found] == [p.content for p in expected]
    assert {source.sha256 for p in found for source in p.sources} == {digest}


def test_a_file_that_changes_before_it_is_read_once_more_to_be_sorted_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    lines = minutes(START, COUNT).splitlines(keepends=True)
    write(file, "".join(lines[300:] + lines[:300]))
    once_before(monkeypatch, big_files, "_by_partition", lambda: put_in_place(file))
    with pytest.raises(DataError, match="changed while it was read"):
        imported(file, tmp_path / "lake")
    assert Lake(tmp_path / "lake").all_partitions() == []


def test_a_file_that_only_looks_changed_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    once_before(monkeypatch, *BEFORE_THE_ROWS_ARE_READ, lambda: os.utime(file))
    assert imported(file, tmp_path / "lake").series[0].rows_added == COUNT


@pytest.mark.parametrize("name", ["write_big_file", "refused_rows"])
@pytest.mark.parametrize("big", [True, False])
def test_an_archive_of_the_store_that_changes_before_it_is_read_is_not_written_and_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, big: bool
) -> None:
    if not big:
        monkeypatch.setattr(reading, "BIG_BYTES", 1 << 30)
        name = {"write_big_file": "table_blocks"}.get(name, name)
    root, lake, day = tmp_path / "archive", tmp_path / "lake", parse_time("2024-02-01")
    key = day_key("BTCUSDT", day)
    rows = minutes(day, 100).splitlines()
    rows[7] = rows[7].replace(",3.5,", ",-3.5,")
    put_zip(root, key, "\n".join(rows))
    request = wanted("spot", "klines", ("BTCUSDT",), "1m", day, day + DAY, day + 90 * DAY)
    cfg = DownloaderConfig(base_dir=lake, base_url=str(root))

    def change() -> None:
        newer = put_zip(tmp_path / "newer", key, minutes(day, 100, price=200.0))
        newer.replace(lake / ".archives" / key)

    with monkeypatch.context() as patch:
        once_before(patch, batches, name, change)
        report = download([request], cfg, CLOSED, day + 90 * DAY)
    ((refused, reason),) = report.refused
    assert refused == key
    assert "changed while it was read" in reason
    assert Lake(lake).all_partitions() == []
    again = download([request], cfg, CLOSED, day + 90 * DAY)
    assert (again.fetched, again.written.rows_added, again.refused) == (1, 99, [])
    (source,) = Lake(lake).all_partitions()[0].sources
    assert source.sha256 == hashlib.sha256((root / key).read_bytes()).hexdigest()
