"""What goes wrong between a server and the lake, each against a real server on this machine."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import DataError, UsageError
from backtester.core.time import DAY, parse_time
from backtester.data.downloader import DownloaderFiles
from backtester.data.downloader.downloading import DownloadReport, download
from backtester.data.downloader.planning import wanted
from backtester.data.lake import Lake
from tests.support.archive import Behaviour, day_key, minutes, put_days, put_zip, serving

START = parse_time("2024-01-10")
TODAY = parse_time("2024-06-15T12:00")
KEY = day_key("BTCUSDT", START)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put_days(tmp_path / "archive", "BTCUSDT", "2024-01-10", 3)
    return tmp_path / "archive"


@pytest.fixture
def served(root: Path) -> Iterator[tuple[str, Behaviour]]:
    with serving(root) as (base, behaviour):
        yield base, behaviour


def config(lake: Path, base: str, **more: Any) -> DownloaderConfig:
    quick = {"backoff_seconds": 0.01, "backoff_most_seconds": 0.05, "read_seconds": 5.0, "retries": 3, **more}
    return DownloaderConfig(base_dir=lake, base_url=base, **quick)


def get(lake: Path, base: str, *, days: int = 3, **more: Any) -> DownloadReport:
    request = wanted("spot", None, ("BTCUSDT",), "1m", START, START + days * DAY, TODAY)
    context = RunContext(run_id="test", seed=1, git_sha="", allow_net=True)
    return download([request], config(lake, base, **more), context, TODAY)


def rows(lake: Path) -> int:
    found = Lake(lake)
    assert found.verify(full=True) == []
    assert found.unlisted() == []
    return sum(partition.rows for partition in found.all_partitions())


@pytest.mark.parametrize("fault", ["status 500", "status 503", "status 408", "truncated", "reset"])
def test_a_passing_fault_is_tried_again_and_the_lake_is_whole(
    tmp_path: Path, served: tuple[str, Behaviour], fault: str
) -> None:
    base, told = served
    told.faults = {KEY: [fault, fault], KEY + ".CHECKSUM": [fault] if fault != "truncated" else []}
    report = get(tmp_path / "lake", base)
    assert (report.fetched, report.refused) == (3, [])
    assert rows(tmp_path / "lake") == 180
    assert told.requests[KEY] >= 3


@pytest.mark.parametrize("fault", ["status 500", "truncated", "reset"])
def test_a_lasting_fault_costs_that_file_alone_and_is_named(
    tmp_path: Path, served: tuple[str, Behaviour], fault: str
) -> None:
    base, told = served
    told.faults = {KEY: [fault] * 10}
    report = get(tmp_path / "lake", base, retries=2)
    assert [key for key, _ in report.refused] == [KEY]
    assert "3 times" in report.refused[0][1]
    assert rows(tmp_path / "lake") == 120
    told.faults = {}
    again = get(tmp_path / "lake", base)
    assert (again.kept, again.fetched) == (2, 1)
    assert rows(tmp_path / "lake") == 180


@pytest.mark.parametrize("status", [429, 418])
def test_all_requests_wait_as_long_as_the_server_asks(
    tmp_path: Path, served: tuple[str, Behaviour], status: int
) -> None:
    base, told = served
    told.faults = {KEY: [f"slow {status} 1"]}
    assert get(tmp_path / "lake", base, connections=1).refused == []
    times = [at for at, _ in told.times]
    assert times[1] - times[0] >= 1.0
    assert rows(tmp_path / "lake") == 180


def test_a_wait_longer_than_allowed_is_an_error_at_once(tmp_path: Path, served: tuple[str, Behaviour]) -> None:
    base, told = served
    told.faults = {KEY: ["slow 418 7200"]}
    report = get(tmp_path / "lake", base, rate_limit_seconds=60)
    assert "asked again in 7200 s" in report.refused[0][1]
    assert told.requests[KEY] == 1


def test_a_silent_server_is_given_up_after_the_time_out(tmp_path: Path, served: tuple[str, Behaviour]) -> None:
    base, told = served
    told.faults = {KEY: ["hang 3", "hang 3"]}
    report = get(tmp_path / "lake", base, retries=1, read_seconds=0.3)
    assert "did not answer in time" in report.refused[0][1]
    assert rows(tmp_path / "lake") == 120


def test_a_redirect_loop_is_an_error_that_is_not_tried_again(tmp_path: Path, served: tuple[str, Behaviour]) -> None:
    base, told = served
    told.faults = {KEY: ["redirect"] * 50}
    report = get(tmp_path / "lake", base, redirects=4)
    assert "redirects more than 4 times" in report.refused[0][1]
    assert told.requests[KEY] == 5


def test_a_wrong_checksum_is_put_aside_with_both_values_and_never_written(
    tmp_path: Path, root: Path, served: tuple[str, Behaviour]
) -> None:
    base, _ = served
    put_zip(root, KEY, minutes(START, 60), checksum="0" * 64)
    report = get(tmp_path / "lake", base)
    (key, reason), *_ = report.refused
    assert key == KEY
    assert "published is " + "0" * 64 in reason
    assert rows(tmp_path / "lake") == 120
    (note,) = (tmp_path / "lake/.archives/quarantine").glob("*.json")
    facts = json.loads(note.read_text())
    assert facts["published_sha256"] == "0" * 64
    assert facts["sha256"] in reason
    context = RunContext(run_id="x", seed=1, git_sha="", allow_net=True)
    files = DownloaderFiles(context, config(tmp_path / "b", base))
    with pytest.raises(DataError, match="does not match its checksum"):
        files.download_files("BTCUSDT", "spot", "1m", "2024-01-10", "2024-01-11")


def test_a_file_without_checksum_is_written_and_recorded_as_unchecked(
    tmp_path: Path, root: Path, served: tuple[str, Behaviour]
) -> None:
    (root / f"{KEY}.CHECKSUM").unlink()
    assert get(tmp_path / "lake", served[0], days=1).refused == []
    assert Lake(tmp_path / "lake").all_partitions()[0].sources[0].published_sha256 is None


def test_a_web_page_instead_of_a_zip_is_refused(tmp_path: Path, served: tuple[str, Behaviour]) -> None:
    base, told = served
    told.faults = {KEY: ["html"]}
    assert "sent a web page instead of a zip" in get(tmp_path / "lake", base).refused[0][1]
    assert rows(tmp_path / "lake") == 120


@pytest.mark.parametrize("inner", ["other.csv", "../../evil.csv", "/etc/evil.csv", "BTCUSDT-1m-2024-01-10.csv/x"])
def test_a_zip_with_another_inner_name_is_refused_and_nothing_escapes(
    tmp_path: Path, root: Path, served: tuple[str, Behaviour], inner: str
) -> None:
    put_zip(root, KEY, minutes(START, 60), inner=inner)
    report = get(tmp_path / "lake", served[0])
    assert "must hold exactly one file" in report.refused[0][1]
    assert rows(tmp_path / "lake") == 120
    assert not list(tmp_path.rglob("evil.csv"))


def test_a_zip_with_two_files_is_refused(tmp_path: Path, root: Path, served: tuple[str, Behaviour]) -> None:
    path = put_zip(root, KEY, minutes(START, 60), checksum=None)
    path.with_name(path.name + ".CHECKSUM").unlink()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("second.csv", "x")
    assert "must hold exactly one file" in get(tmp_path / "lake", served[0]).refused[0][1]


def test_a_zip_bomb_is_refused_by_size_and_by_ratio(tmp_path: Path, root: Path, served: tuple[str, Behaviour]) -> None:
    put_zip(root, KEY, "0" * 100_000_000)
    assert "unpacks to more than 1000000 bytes" in get(tmp_path / "a", served[0], unpacked_bytes=10**6).refused[0][1]
    assert "unpacks to more than 250 times its size" in get(tmp_path / "b", served[0]).refused[0][1]
    assert rows(tmp_path / "b") == 120


def test_a_body_larger_than_allowed_is_refused(tmp_path: Path, served: tuple[str, Behaviour]) -> None:
    report = get(tmp_path / "lake", served[0], file_bytes=100)
    assert len(report.refused) == 3
    assert "has more than 100 bytes" in report.refused[0][1]
    assert not list((tmp_path / "lake").rglob("*.part"))


def test_no_more_requests_at_once_than_connections(tmp_path: Path, root: Path, served: tuple[str, Behaviour]) -> None:
    base, told = served
    put_days(root, "BTCUSDT", "2024-01-10", 12)
    told.delay = 0.02
    get(tmp_path / "lake", base, days=12, connections=3)
    assert 1 < told.most_at_once <= 3


def test_a_verified_file_is_not_fetched_again_and_a_damaged_one_is(
    tmp_path: Path, served: tuple[str, Behaviour]
) -> None:
    base, told = served
    get(tmp_path / "lake", base)
    told.requests.clear()
    assert (get(tmp_path / "lake", base).kept, told.requests.total()) == (3, 0)
    (tmp_path / "lake/.archives" / KEY).write_bytes(b"damaged")
    assert get(tmp_path / "lake", base).kept == 2
    assert told.requests[KEY] == 1


def test_without_permission_the_network_is_not_touched(tmp_path: Path, served: tuple[str, Behaviour]) -> None:
    base, told = served
    closed = RunContext(run_id="x", seed=1, git_sha="", allow_net=False)
    with pytest.raises(UsageError, match="may not use it"):
        DownloaderFiles(closed, config(tmp_path, base)).download_files("BTCUSDT", "spot", "1m", START, START + DAY)
    assert told.requests.total() == 0
