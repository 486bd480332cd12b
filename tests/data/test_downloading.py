"""Downloads from plan to lake, over a real server and over folders."""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import DataError, UsageError
from backtester.core.time import DAY, MINUTE, parse_time
from backtester.data.downloader import DownloaderFiles, ParsingSanitizing, WritingParquet, csv_tables, reading
from backtester.data.downloader.downloading import download
from backtester.data.downloader.planning import ArchiveFile, plan, wanted
from backtester.data.lake import Lake
from tests.support.archive import Behaviour, day_key, minutes, month_key, put_days, put_zip, serving
from tests.support.cli import ROOT, Said, bt

TODAY = parse_time("2024-06-15T12:00")
OPEN = RunContext(run_id="test", seed=1, git_sha="", allow_net=True)
CLOSED = RunContext(run_id="test", seed=1, git_sha="", allow_net=False)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """January whole, February by days only up to the 4th, of two symbols."""
    root = tmp_path / "archive"
    for symbol in ("BTCUSDT", "ETHUSDT"):
        put_zip(root, month_key(symbol, parse_time("2024-01-01")), minutes(parse_time("2024-01-01"), 31 * 1440))
        put_days(root, symbol, "2024-02-01", 4)
    return root


@pytest.fixture
def served(archive: Path) -> Iterator[tuple[str, Behaviour]]:
    with serving(archive) as (base, behaviour):
        yield base, behaviour


def names(files: list[ArchiveFile]) -> list[str]:
    return [file.name for file in files]


def contents(lake: Path) -> dict[str, tuple[str, str]]:
    return {p.path: (p.content, p.sha256) for p in Lake(lake).all_partitions()}


def fetch(lake: Path, base: object, *arguments: object) -> Said:
    """`bt download` of spot 1m candles of 2024."""
    common = ("download", "--timeframe", "1m", "--data", lake, "--base-url", base)
    return bt(*common, *arguments)


def test_a_plan_takes_months_that_are_over_and_days_for_the_rest() -> None:
    request = wanted("spot", None, ("BTCUSDT",), "1m", parse_time("2024-03-30T10:00"), parse_time("2024-06-20"), TODAY)
    found = names(plan(request, TODAY))
    assert found[:4] == [f"BTCUSDT-1m-2024-{date}.zip" for date in ("03-30", "03-31", "04", "05")]
    assert found[4:] == [f"BTCUSDT-1m-2024-06-{day:02d}.zip" for day in range(1, 15)]


@pytest.mark.parametrize(
    ("market", "kind", "timeframe", "first", "count"),
    [
        ("futures", "fundingRate", None, "BTCUSDT-fundingRate-2024-01.zip", 2),
        ("um", "metrics", None, "BTCUSDT-metrics-2024-01-15.zip", 32),
        ("option", None, None, "BTCUSDT-EOHSummary-2024-01-15.zip", 32),
        ("spot", "aggTrades", None, "BTCUSDT-aggTrades-2024-01-15.zip", 32),
        ("spot", "klines", "1w", "BTCUSDT-1w-2024-01.zip", 2),
        ("cm", "premiumIndexKlines", "1h", "BTCUSDT-1h-2024-01-15.zip", 32),
    ],
)
def test_kinds_are_planned_as_they_are_published(
    market: str, kind: str | None, timeframe: str | None, first: str, count: int
) -> None:
    span = parse_time("2024-01-15"), parse_time("2024-02-16")
    found = names(plan(wanted(market, kind, ("btcusdt",), timeframe, *span, TODAY), TODAY))
    assert (found[0], len(found)) == (first, count)


def test_a_month_of_ticks_of_which_no_day_is_published_is_fetched_whole(tmp_path: Path) -> None:
    root, start = tmp_path / "archive", parse_time("2024-02-01")
    rows = "".join(f"{day},10.5,2,21,{(start + day * DAY) // 1000},true,True\n" for day in range(29))
    put_zip(root, "data/spot/monthly/trades/BTCUSDT/BTCUSDT-trades-2024-02.zip", rows)
    request = wanted("spot", "trades", ("BTCUSDT",), None, start, start + 40 * DAY, TODAY)
    cfg = DownloaderConfig(base_dir=tmp_path / "lake", base_url=str(root))
    report = download([request], cfg, CLOSED, TODAY)
    assert (report.fetched, len(report.absent), len(report.written.partitions)) == (1, 11, 29)


@pytest.mark.parametrize(
    ("market", "kind", "timeframe", "start", "end"),
    [
        ("moon", None, "1m", 0, DAY),
        ("spot", "fundingRate", None, 0, DAY),
        ("spot", "klines", None, 0, DAY),
        ("spot", "klines", "7m", 0, DAY),
        ("um", "metrics", "1m", 0, DAY),
        ("spot", "klines", "1m", DAY, DAY),
        ("spot", "klines", "1m", TODAY, TODAY + DAY),
    ],
)
def test_requests_that_cannot_be_are_usage_errors(
    market: str, kind: str | None, timeframe: str | None, start: int, end: int
) -> None:
    with pytest.raises(UsageError):
        wanted(market, kind, ("BTCUSDT",), timeframe, start, end, TODAY)


def test_the_three_classes_bring_an_archive_into_the_lake(tmp_path: Path, served: tuple[str, Behaviour]) -> None:
    cfg = DownloaderConfig(
        base_dir=tmp_path / "lake", log_dir=tmp_path / "log", download_run_id="DL-spot-ETHUSDT", base_url=served[0]
    )
    context = RunContext(run_id="DL-spot-ETHUSDT", seed=42, git_sha="HEAD", allow_net=True)
    dl = DownloaderFiles(run_ctx=context, cfg=cfg)
    blobs = dl.download_files("ETHUSDT", "spot", "1m", "2024-01-01", "2024-02-03")
    assert [len(blob.data) > 0 for blob in blobs] == [True] * 3
    batches, parse_report = ParsingSanitizing(audit=dl._audit).parse_archives(blobs)
    assert (parse_report.files, parse_report.rows, parse_report.refused) == (3, 31 * 1440 + 120, {})
    write_report = WritingParquet(cfg=cfg, audit=dl._audit).write_batches(batches, strict=False)
    assert (len(write_report.partitions), write_report.rows_added) == (2, 31 * 1440 + 120)
    assert Lake(tmp_path / "lake").verify(full=True) == []
    assert WritingParquet(cfg=cfg, audit=dl._audit).write_batches(batches).unchanged == 2
    facts = [json.loads(line)["fact"] for line in (tmp_path / "log/DL-spot-ETHUSDT.jsonl").read_text().splitlines()]
    assert (facts.count("fetched"), facts.count("written")) == (3, 2)


async def test_the_async_forms_do_the_same_and_the_others_say_so(tmp_path: Path, archive: Path) -> None:
    cfg = DownloaderConfig(base_dir=tmp_path / "lake", base_url=archive.as_uri())
    dl = DownloaderFiles(CLOSED, cfg)
    with pytest.raises(UsageError, match="an event loop is running"):
        dl.download_files("ETHUSDT", "spot", "1m", "2024-02-01", "2024-02-03")
    blobs = await dl.adownload_files("ETHUSDT", "spot", "1m", "2024-02-01", "2024-02-03")
    batches, _ = await ParsingSanitizing(dl._audit).aparse_archives(blobs)
    assert (await WritingParquet(cfg, dl._audit).awrite_batches(batches)).rows_added == 120
    await asyncio.sleep(0)


def test_options_and_futures_of_real_files_run_without_network(real: Path, tmp_path: Path) -> None:
    cfg = DownloaderConfig(base_dir=tmp_path, base_url=str(real / "archive"))
    dl = DownloaderFiles(CLOSED, cfg)
    wishes = [
        ("BTCUSDT", "option", None, "2023-10-20", "2023-10-22", 11_050),
        ("FILUSDT", "futures", "1m", "2023-02-01", "2023-03-01", 40_320),
        ("BTCUSDT", "spot", "1m", "2020-01-01", "2020-01-03", 2_880),
    ]
    for *wish, rows in wishes:
        batches, report = ParsingSanitizing(dl._audit).parse_archives(dl.download_files(*wish))
        assert report.refused == {}
        assert WritingParquet(cfg, dl._audit).write_batches(batches, strict=True).rows_added == rows
    assert Lake(tmp_path).verify(full=True) == []


@pytest.mark.parametrize("big", [False, True])
def test_bad_rows_are_put_aside_with_the_rule_unless_strict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, big: bool
) -> None:
    if big:  # archives that are too big for memory go another way, to the same end
        monkeypatch.setattr(reading, "BIG_BYTES", 0)
        monkeypatch.setattr(csv_tables, "_BLOCK_BYTES", 200)
    start = parse_time("2024-02-01")
    lines = minutes(start, 10).splitlines()
    lines[3] = lines[3].replace(",3.5,", ",-3.5,")
    lines[5] = "1,2"
    put_zip(tmp_path / "archive", day_key("BTCUSDT", start), "\n".join(lines))
    arguments = (tmp_path / "archive", "--symbols", "BTCUSDT", "--start", "2024-02-01", "--end", "2024-02-02")
    refused = fetch(tmp_path / "strict", *arguments, "--strict")
    assert (refused.code, "2 of 10 rows are bad" in refused.message) == (3, True)
    assert Lake(tmp_path / "strict").all_partitions() == []
    said = fetch(tmp_path / "lake", *arguments, "--json").json
    assert said["parsed"]["refused"] == {"negative": 1, "wrong_columns": 1}
    (file,) = said["written"]["quarantined"]
    assert Path(file).read_text().splitlines() == ["line,rule,row", f'4,negative,"{lines[3]}"', '6,wrong_columns,"1,2"']
    partition = Lake(tmp_path / "lake").all_partitions()[0]
    assert partition.repairs == {"bad_rows_dropped": 2, "dropped_negative": 1, "dropped_wrong_columns": 1}
    assert partition.gaps == ((start + 3 * MINUTE, start + 4 * MINUTE), (start + 5 * MINUTE, start + 6 * MINUTE))


def test_the_command_line_downloads_what_is_there_and_counts_what_is_not(
    tmp_path: Path, served: tuple[str, Behaviour]
) -> None:
    base, told = served
    span = ("--start", "2024-01-01", "--end", "2024-03-01")
    first = fetch(tmp_path / "lake", base, "--symbols", "BTCUSDT", "ETHUSDT", *span)
    assert first.code == 0, first.err
    assert "10 files fetched" in first.out
    assert "CC BY-NC-SA" in first.err
    listed = bt("data", "ls", "--data", tmp_path / "lake", "--json").json["series"]
    assert [(one["symbol"], one["origin"]) for one in listed] == [("BTCUSDT", "archive"), ("ETHUSDT", "archive")]
    before, told.requests = contents(tmp_path / "lake"), type(told.requests)()
    again = fetch(tmp_path / "lake", base, "--symbols", "BTCUSDT,ETHUSDT", *span, "--json")
    assert again.err == ""
    assert (again.json["fetched"], again.json["kept"], len(again.json["absent"])) == (0, 10, 2 * 25)
    assert not any(key.endswith("02-01.zip") for key in told.requests)
    assert contents(tmp_path / "lake") == before
    assert Lake(tmp_path / "lake").verify(full=True) == []


@pytest.mark.parametrize("over_http", [False, True])
def test_a_symbol_in_any_script_is_downloaded_kept_exported_and_imported(tmp_path: Path, over_http: bool) -> None:
    root, lake, symbol = tmp_path / "archive", tmp_path / "lake", "币安人生USDT"
    put_days(root, symbol, "2024-02-01", 2)
    arguments = ("--symbols", symbol, "--start", "2024-02-01", "--end", "2024-02-03")
    with serving(root) as (base, told):
        first = fetch(lake, base if over_http else root, *arguments)
        assert first.code == 0, first.err
        told.requests.clear()
        again = fetch(lake, base if over_http else root, *arguments, "--json").json
    assert (again["fetched"], again["kept"], again["written"]["unchanged"]) == (0, 2, 1)
    assert told.requests.total() == 0
    key = day_key(symbol, parse_time("2024-02-01"))
    checksum = f"{key}.CHECKSUM"
    assert (lake / ".archives" / checksum).read_bytes() == (root / checksum).read_bytes()
    found = Lake(lake)
    assert (found.verify(full=True), found.symbols("spot")) == ([], [symbol])
    assert bt("data", "export", symbol, "--out", tmp_path / "out.csv", "--data", lake).code == 0
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1 + 2 * 60
    imported = bt("data", "import", lake / ".archives/data", "--data", tmp_path / "imported")
    assert imported.code == 0, imported.err
    digests = [{path: content for path, (content, _) in contents(one).items()} for one in (lake, tmp_path / "imported")]
    assert digests[0] == digests[1]


def test_a_dry_run_prints_the_plan_and_fetches_nothing(tmp_path: Path, served: tuple[str, Behaviour]) -> None:
    arguments = ("--symbols", "BTCUSDT", "--start", "2024-01-01", "--end", "2024-02-03", "--dry-run")
    said = fetch(tmp_path / "lake", served[0], *arguments)
    assert said.out.splitlines()[0] == "data/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01.zip  0.3 MB"
    assert "3 files, 0 of them stored" in said.out
    assert served[1].requests.total() == 0
    assert not (tmp_path / "lake").exists()


def test_an_update_begins_where_the_lake_ends(tmp_path: Path, archive: Path) -> None:
    span = ("--start", "2024-01-01", "--end", "2024-02-03")
    assert fetch(tmp_path / "lake", archive, "--symbols", "BTCUSDT", *span).code == 0
    plan_ = fetch(tmp_path / "lake", archive, "--symbols", "BTCUSDT", "--update", "--end", "2024-02-05", "--dry-run")
    assert "BTCUSDT-1m-2024-02-02.zip" in plan_.out.splitlines()[0]
    assert fetch(tmp_path / "lake", archive, "--symbols", "BTCUSDT", "--update", "--end", "2024-02-05").code == 0
    whole = fetch(tmp_path / "whole", archive, "--symbols", "BTCUSDT", "--start", "2024-01-01", "--end", "2024-02-05")
    assert whole.code == 0
    digests = [{p: c[0] for p, c in contents(tmp_path / name).items()} for name in ("lake", "whole")]
    assert digests[0] == digests[1]
    unknown = fetch(tmp_path / "lake", archive, "--symbols", "ETHUSDT", "--update")
    assert (unknown.code, "nothing to continue" in unknown.message) == (2, True)


def test_when_nothing_is_published_the_likely_mistake_is_named(tmp_path: Path, archive: Path) -> None:
    span = ("--start", "2024-02-01", "--end", "2024-02-03")
    said = fetch(tmp_path / "lake", archive, "--symbols", "NOPEUSDT", *span)
    assert (said.code, "probably the symbol or the dates are wrong" in said.message) == (3, True)
    said = fetch(tmp_path / "lake", archive, "--symbols", "BTCUSDT", "NOPEUSDT", *span)
    assert "no spot klines 1m of NOPEUSDT" in said.message
    assert "probably the symbol is wrong" in said.message


@pytest.mark.parametrize("base", ["ftp://example.org", "/nowhere/at/all"])
def test_a_base_address_that_cannot_be_is_a_usage_error(tmp_path: Path, base: str) -> None:
    said = fetch(tmp_path / "lake", base, "--symbols", "BTCUSDT", "--start", "2024-02-01", "--end", "2024-02-03")
    assert said.code == 2


def test_rows_that_differ_from_the_lake_are_refused_or_win_when_asked(tmp_path: Path, archive: Path) -> None:
    arguments = ("--symbols", "BTCUSDT", "ETHUSDT", "--start", "2024-02-01", "--end", "2024-02-02")
    assert fetch(tmp_path / "lake", archive, "--symbols", "BTCUSDT", *arguments[3:]).code == 0
    start = parse_time("2024-02-01")
    put_zip(archive, day_key("BTCUSDT", start), minutes(start, 60, price=500.0))
    (tmp_path / "lake/.archives" / day_key("BTCUSDT", start)).unlink()
    said = fetch(tmp_path / "lake", archive, *arguments)
    assert (said.code, "two different candles" in said.message, "--replace" in said.message) == (3, True, True)
    assert Lake(tmp_path / "lake").symbols("spot") == ["BTCUSDT", "ETHUSDT"]
    assert fetch(tmp_path / "lake", archive, *arguments, "--replace").code == 0
    assert Lake(tmp_path / "lake").all_partitions()[0].repairs == {"rows_replaced": 60}


def test_the_listing_is_read_page_by_page(tmp_path: Path, served: tuple[str, Behaviour], archive: Path) -> None:
    base, told = served
    put_days(archive, "BTCUSDT", "2021-01-01", 600, rows=1)
    said = bt("data", "available", "--symbol", "btcusdt", "--listing-url", base, "--json")
    daily, monthly = said.json["files"]
    assert (daily["frequency"], daily["files"], monthly["files"]) == ("daily", 604, 1)
    assert daily["missing"] == (parse_time("2024-02-05") - parse_time("2021-01-01")) // DAY - 604
    assert told.requests[""] >= 4
    assert bt("data", "available", "--listing-url", base).out.split() == ["BTCUSDT", "ETHUSDT"]
    assert bt("data", "available", "--listing-url", str(archive), "--json").json["symbols"] == ["BTCUSDT", "ETHUSDT"]
    assert bt("data", "available", "--symbol", "NOPE", "--listing-url", base).code == 3
    assert bt("data", "available", "--kind", "metrics", "--listing-url", base).code == 2


def _start(lake: Path, base: str, *more: str) -> "subprocess.Popen[bytes]":
    """Start a download of the trades of a hundred days, a partition each, in a process of its own."""
    command = [sys.executable, "-m", "backtester", "download", "--kind", "trades", "--symbols", "BTCUSDT"]
    span = ["--start", "2024-01-01", "--end", "2024-04-10"]
    return subprocess.Popen(
        [*command, *span, "--data", str(lake), "--base-url", base, *more],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _hundred_days(root: Path, price: str = "10.5") -> None:
    for number in range(100):
        day = parse_time("2024-01-01") + number * DAY
        rows = "".join(f"{number * 100 + i},{price},2,21,{(day + i * MINUTE) // 1000},true,True\n" for i in range(50))
        key = (
            f"data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-{time.strftime('%Y-%m-%d', time.gmtime(day // 10**6))}.zip"
        )
        put_zip(root, key, rows)


def _killed_until_done(lake: Path, base: str, seconds: float, *more: str) -> int:
    """Start a download again and again, kill it at random times, and then let it end; return how often it died."""
    rng, killed = random.Random(7), 0
    for _ in range(5):
        process = _start(lake, base, *more)
        try:
            process.wait(rng.uniform(0.3, 0.95) * seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.communicate()
        if (lake / "manifest.jsonl").exists():
            assert Lake(lake).verify(full=True) == []
    assert _start(lake, base, *more).wait() == 0
    return killed


def test_killed_at_random_points_a_download_completes_to_the_same_lake(tmp_path: Path) -> None:
    _hundred_days(tmp_path / "archive")
    with serving(tmp_path / "archive") as (base, _):
        began = time.monotonic()
        assert _start(tmp_path / "whole", base).wait() == 0
        assert _killed_until_done(tmp_path / "lake", base, time.monotonic() - began) > 0
    assert len(contents(tmp_path / "whole")) == 100
    assert contents(tmp_path / "lake") == contents(tmp_path / "whole")
    assert Lake(tmp_path / "lake").unlisted() == []


def test_killed_at_random_points_a_replacement_completes_to_the_same_lake(tmp_path: Path) -> None:
    lakes = [tmp_path / "whole", tmp_path / "lake"]
    _hundred_days(tmp_path / "archive")
    for lake in lakes:
        assert _start(lake, str(tmp_path / "archive")).wait() == 0
        shutil.rmtree(lake / ".archives")
    before = contents(lakes[0])
    _hundred_days(tmp_path / "archive", price="11.5")
    with serving(tmp_path / "archive") as (base, _):
        began = time.monotonic()
        assert _start(lakes[0], base, "--replace").wait() == 0
        assert _killed_until_done(lakes[1], base, time.monotonic() - began, "--replace") > 0
    after = contents(lakes[0])
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())
    assert contents(lakes[1]) == after


def test_two_downloads_into_one_lake_at_once_both_succeed(tmp_path: Path) -> None:
    _hundred_days(tmp_path / "archive")
    with serving(tmp_path / "archive") as (base, _):
        both = [_start(tmp_path / "lake", base) for _ in range(2)]
        assert [(process.wait(), process.communicate()[1]) and process.returncode for process in both] == [0, 0]
    assert len(contents(tmp_path / "lake")) == 100
    assert Lake(tmp_path / "lake").verify(full=True) == []


def test_an_interrupted_download_leaves_a_clean_lake_and_says_so(tmp_path: Path) -> None:
    _hundred_days(tmp_path / "archive")
    with serving(tmp_path / "archive") as (base, told):
        told.delay = 0.05
        process = _start(tmp_path / "lake", base, "--connections", "2")
        while told.requests.total() < 5:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        error = process.communicate()[1].decode()
        assert (process.returncode, "interrupted; what was fetched is kept" in error) == (130, True)
        assert not list((tmp_path / "lake").rglob("*.part"))
        told.delay = 0.0
        assert _start(tmp_path / "lake", base).wait() == 0
    assert len(contents(tmp_path / "lake")) == 100


def test_a_download_in_python_refuses_what_is_not_published(tmp_path: Path, archive: Path) -> None:
    request = wanted("spot", None, ("BTCUSDT",), "1m", parse_time("2023-01-01"), parse_time("2023-01-05"), TODAY)
    cfg: Any = DownloaderConfig(base_dir=tmp_path / "lake", base_url=str(archive))
    with pytest.raises(DataError, match="has no spot klines 1m of BTCUSDT"):
        download([request], cfg, OPEN, TODAY)
