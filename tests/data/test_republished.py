"""Archives that change at their source after they were downloaded."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backtester.core.time import DAY, parse_time
from backtester.data.downloader.archive_facts import read_archive_facts
from backtester.data.lake import Lake
from tests.support.archive import Behaviour, day_key, minutes, month_key, put_days, put_zip, serving
from tests.support.cli import Said, bt

START = parse_time("2024-02-01")
KEYS = [day_key("BTCUSDT", START + day * DAY) for day in range(3)]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Three days, of which the last is published without a checksum."""
    root = tmp_path / "archive"
    put_days(root, "BTCUSDT", "2024-02-01", 2)
    put_zip(root, KEYS[2], minutes(START + 2 * DAY, 60), checksum=None)
    return root


@pytest.fixture
def served(archive: Path) -> Iterator[tuple[str, Behaviour]]:
    with serving(archive) as (base, behaviour):
        yield base, behaviour


def download(lake: Path, base: object, *more: object) -> Said:
    common = ("download", "--symbols", "BTCUSDT", "--timeframe", "1m", "--start", "2024-02-01", "--end", "2024-02-04")
    return bt(*common, "--data", lake, "--base-url", base, "--json", *more)


def diff(lake: Path, base: object, *more: object) -> Said:
    return bt("data", "diff", "--source", "--data", lake, "--base-url", base, *more)


def statuses(said: Said) -> list[str]:
    return [one["status"] for one in said.json["files"]]


def publish_anew(archive: Path, key: str, price: float, *, checksum: str | None = "") -> None:
    put_zip(archive, key, minutes(START + KEYS.index(key) * DAY, 60, price=price), checksum=checksum)


def test_what_was_fetched_is_noted_beside_the_archive(tmp_path: Path, archive: Path, served: Any) -> None:
    assert download(tmp_path / "lake", served[0]).json["fetched"] == 3
    for key in KEYS:
        facts = read_archive_facts(tmp_path / "lake/.archives" / key)
        partition = Lake(tmp_path / "lake").all_partitions()[0]
        (source,) = [one for one in partition.sources if one.address == key]
        assert facts is not None
        assert (facts.key, facts.sha256, facts.published_sha256) == (key, source.sha256, source.published_sha256)
        assert (facts.size, facts.in_lake) == ((archive / key).stat().st_size, True)
        assert facts.etag
        assert facts.last_modified
        assert facts.last_modified.endswith("GMT")
    assert json.loads((tmp_path / "lake/.archives" / f"{KEYS[0]}.facts.json").read_bytes())["base_url"] == served[0]


@pytest.mark.parametrize("heads", [True, False])
def test_a_source_that_did_not_change_is_unchanged(tmp_path: Path, served: Any, heads: bool) -> None:
    base, told = served
    download(tmp_path / "lake", base)
    told.heads = heads
    said = diff(tmp_path / "lake", base)
    assert (said.code, said.out) == (0, "3 unchanged, 0 changed, 0 withdrawn, 0 cannot be told\n")


def test_a_new_version_is_named_with_both_values_and_taken_by_the_command_in_the_hint(
    tmp_path: Path, archive: Path, served: Any
) -> None:
    base, _ = served
    lake = tmp_path / "lake"
    download(lake, base)
    publish_anew(archive, KEYS[1], 500.0)
    said = diff(lake, base)
    assert (said.code, "1 of 3 archives changed" in said.message) == (4, True)
    old = Lake(lake).all_partitions()[0].sources[1].sha256
    new = (archive / f"{KEYS[1]}.CHECKSUM").read_text().split()[0]
    assert f"{KEYS[1]}\n  had SHA-256 {old}\n  now SHA-256 {new}" in said.out
    told = diff(lake, base, "--json")
    assert (told.code, statuses(told)) == (4, ["unchanged", "changed", "unchanged"])
    command = told.json["files"][1]["take"]
    assert command in " ".join(said.err.split())
    assert "--start 2024-02-02 --end 2024-02-03 --recheck --replace" in command
    before = Lake(lake).all_partitions()[0].content
    assert download(lake, base).json["kept"] == 3  # an ordinary download does not ask
    assert bt(*command.split()[1:]).code == 0
    (partition,) = Lake(lake).all_partitions()
    assert partition.content != before
    assert partition.repairs == {"rows_replaced": 60}
    assert diff(lake, base).code == 0
    assert Lake(lake).verify(full=True) == []


def test_without_a_checksum_the_etag_decides_and_without_that_length_and_time(
    tmp_path: Path, archive: Path, served: Any
) -> None:
    base, told = served
    download(tmp_path / "lake", base)
    publish_anew(archive, KEYS[2], 500.0, checksum=None)
    said = diff(tmp_path / "lake", base, "--json")
    assert statuses(said) == ["unchanged", "unchanged", "changed"]
    assert said.json["files"][2]["had"].startswith("ETag ")
    told.etags = False
    size = (archive / KEYS[2]).stat().st_size
    (archive / KEYS[2]).write_bytes((archive / KEYS[2]).read_bytes() + b"x")
    assert f"{size + 1} bytes" in diff(tmp_path / "lake", base, "--json").json["files"][2]["now"]


def test_a_length_alone_does_not_tell_and_neither_does_a_store_that_was_deleted(
    tmp_path: Path, archive: Path, served: Any
) -> None:
    base, told = served
    told.etags = False
    download(tmp_path / "lake", base)
    said = diff(tmp_path / "lake", base)
    assert (said.code, "1 cannot be told" in said.out) == (0, True)
    told.etags = True
    for path in (tmp_path / "lake/.archives").rglob("*.facts.json"):
        path.unlink()
    assert statuses(diff(tmp_path / "lake", base, "--json")) == ["unchanged", "unchanged", "unknown"]


def test_what_another_address_says_is_not_compared_with_what_this_one_said(
    tmp_path: Path, archive: Path, served: Any
) -> None:
    download(tmp_path / "lake", served[0])
    shutil.copytree(archive, tmp_path / "mirror")
    os.utime(tmp_path / "mirror" / KEYS[2], (1, 1))
    with serving(tmp_path / "mirror") as (mirror, _):
        assert statuses(diff(tmp_path / "lake", mirror, "--json")) == ["unchanged", "unchanged", "unknown"]


def test_a_zip_that_changed_under_an_old_checksum_is_found(tmp_path: Path, archive: Path, served: Any) -> None:
    download(tmp_path / "lake", served[0])
    old = (archive / f"{KEYS[0]}.CHECKSUM").read_text().split()[0]
    publish_anew(archive, KEYS[0], 500.0, checksum=old)
    assert statuses(diff(tmp_path / "lake", served[0], "--json"))[0] == "changed"
    refused = download(tmp_path / "lake", served[0], "--recheck", "--replace")
    assert (refused.code, "does not match its checksum" in refused.err) == (3, True)
    assert Lake(tmp_path / "lake").all_partitions()[0].repairs == {}


def test_a_withdrawn_file_is_listed_and_kept(tmp_path: Path, archive: Path, served: Any) -> None:
    download(tmp_path / "lake", served[0])
    (archive / KEYS[0]).unlink()
    said = diff(tmp_path / "lake", served[0])
    assert (said.code, f"withdrawn: {KEYS[0]}" in said.out) == (0, True)
    assert statuses(diff(tmp_path / "lake", served[0], "--json"))[0] == "withdrawn"
    again = download(tmp_path / "lake", served[0], "--recheck").json
    assert (again["kept"], again["absent"]) == (3, [])


def test_a_checksum_that_appears_later_is_noticed_without_fetching_the_file_again(
    tmp_path: Path, archive: Path, served: Any
) -> None:
    base, told = served
    download(tmp_path / "lake", base)
    told.requests.clear()
    digest = hashlib.sha256((archive / KEYS[2]).read_bytes()).hexdigest()
    (archive / f"{KEYS[2]}.CHECKSUM").write_text(f"{digest}  {Path(KEYS[2]).name}\n")
    os.utime(archive / KEYS[2], (1, 1))
    assert download(tmp_path / "lake", base).json["kept"] == 3
    assert told.requests[KEYS[2]] == 0
    assert (tmp_path / "lake/.archives" / f"{KEYS[2]}.CHECKSUM").is_file()
    other = "0" * 64
    (archive / f"{KEYS[2]}.CHECKSUM").write_text(f"{other}  x\n")
    assert statuses(diff(tmp_path / "lake", base, "--json"))[2] == "changed"


def test_a_checksum_that_is_not_that_of_the_stored_file_has_it_fetched_again(
    tmp_path: Path, archive: Path, served: Any
) -> None:
    download(tmp_path / "lake", served[0])
    publish_anew(archive, KEYS[0], 500.0)
    mirrored = tmp_path / "lake/.archives" / f"{KEYS[0]}.CHECKSUM"
    mirrored.write_text((archive / f"{KEYS[0]}.CHECKSUM").read_text())
    said = download(tmp_path / "lake", served[0], "--replace").json
    assert (said["fetched"], said["kept"]) == (1, 2)
    assert diff(tmp_path / "lake", served[0]).code == 0


def test_a_file_that_was_packed_anew_with_the_same_rows_is_taken_once(
    tmp_path: Path, archive: Path, served: Any
) -> None:
    lake = tmp_path / "lake"
    download(lake, served[0])
    put_zip(archive, KEYS[0], minutes(START, 60).replace("\n", "\r\n"))
    assert diff(lake, served[0]).code == 4
    assert download(lake, served[0], "--recheck", "--replace").json["written"]["unchanged"] == 1
    assert diff(lake, served[0]).code == 0


def test_a_version_that_was_fetched_but_refused_is_not_taken_for_the_lakes(
    tmp_path: Path, archive: Path, served: Any
) -> None:
    download(tmp_path / "lake", served[0])
    publish_anew(archive, KEYS[0], 500.0)
    assert download(tmp_path / "lake", served[0], "--recheck").code == 3  # rows differ, and nothing said --replace
    assert statuses(diff(tmp_path / "lake", served[0], "--json"))[0] == "changed"


def test_a_folder_is_a_source_too_and_other_origins_are_not_asked(
    tmp_path: Path, archive: Path, candles: Any, put: Any
) -> None:
    lake = tmp_path / "lake"
    put(lake, candles([1, 2]), symbol="ETHUSDT")
    assert diff(lake, archive, "--json").json["files"] == []
    download(lake, archive)
    assert statuses(diff(lake, archive.as_uri(), "--json")) == ["unchanged"] * 3
    publish_anew(archive, KEYS[2], 500.0, checksum=None)
    assert statuses(diff(lake, archive, "--json")) == ["unchanged", "unchanged", "changed"]
    assert diff(lake, archive, "spot:ETHUSDT").code == 0
    assert diff(lake, archive, "um:BTCUSDT").code == 3


def test_a_month_is_taken_again_by_its_own_name(tmp_path: Path, archive: Path) -> None:
    january = parse_time("2024-01-01")
    put_zip(archive, month_key("BTCUSDT", january), minutes(january, 60))
    arguments = ("--timeframe", "1m", "--start", "2024-01-01", "--end", "2024-02-01", "--data", tmp_path / "lake")
    bt("download", "--symbols", "BTCUSDT", *arguments, "--base-url", archive)
    put_zip(archive, month_key("BTCUSDT", january), minutes(january, 61))
    (one,) = diff(tmp_path / "lake", archive, "--json").json["files"]
    assert "--start 2024-01-01 --end 2024-02-01" in one["take"]
    assert bt(*one["take"].split()[1:]).code == 0
    assert Lake(tmp_path / "lake").all_partitions()[0].rows == 61


def test_a_source_that_cannot_be_reached_is_an_error(tmp_path: Path, archive: Path) -> None:
    download(tmp_path / "lake", archive)
    assert diff(tmp_path / "lake", tmp_path / "nowhere").code == 2
    with serving(archive) as (base, told):
        told.faults[f"{KEYS[0]}.CHECKSUM"] = ["status 403"]
        said = diff(tmp_path / "lake", base)
        assert (said.code, "answered 403" in said.message) == (3, True)


def test_the_version_that_the_lake_was_made_of_is_kept_and_repair_takes_no_other(
    tmp_path: Path, archive: Path, served: Any
) -> None:
    lake, base = tmp_path / "lake", served[0]
    download(lake, base)
    (before,) = Lake(lake).all_partitions()
    publish_anew(archive, KEYS[1], 777.0)
    assert download(lake, base, "--recheck").code == 3  # other rows than the lake's, and no --replace
    (lake / before.path).unlink()
    mended = bt("data", "repair", "--data", lake, "--base-url", base)  # the days' other hours stay gaps
    assert "mended from the sources that the manifest names, with the recorded rows" in " ".join(mended.out.split())
    assert Lake(lake).verify(full=True) == []
    assert Lake(lake).all_partitions()[0].content == before.content

    shutil.rmtree(lake / ".archives/superseded")
    (lake / before.path).unlink()
    left = bt("data", "repair", "--data", lake, "--base-url", base)
    assert left.code == 3
    assert "was published anew, with other rows than the recorded ones" in " ".join((left.out + left.err).split())
    assert not (lake / before.path).exists()
