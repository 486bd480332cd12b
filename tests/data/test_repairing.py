"""Gaps and damaged files, mended from whoever has the rows, against real servers."""

import csv
import gzip
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

from backtester.config.configs import DownloaderConfig, RestAddresses, RunContext
from backtester.core.errors import DataError
from backtester.core.time import DAY, HOUR, MINUTE, parse_time
from backtester.data.downloader.downloading import download
from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.importing import import_paths
from backtester.data.downloader.planning import wanted
from backtester.data.downloader.repairing import Choice, MendedGap, RepairReport, repair
from backtester.data.downloader.rows import Series
from backtester.data.downloader.sources.downloads import Manner, prepare_download
from backtester.data.downloader.sources.rest import is_own_address, kept_page
from backtester.data.lake import Lake
from backtester.data.sample import write_sample_lake
from tests.support.archive import Behaviour, day_key, minutes, month_key, put_zip, serving
from tests.support.cli import ROOT, bt
from tests.support.exchange import Exchange, answering

MARCH = parse_time("2024-03-01")
GAP = (parse_time("2024-03-10T06:00"), parse_time("2024-03-10T07:00"))
DAY_10 = GAP[0] // DAY * DAY
NOW = parse_time("2024-06-15T12:00")
OPEN = RunContext(run_id="test", seed=1, git_sha="", allow_net=True)
SERIES = ("spot", "klines", "BTCUSDT", "1m")


def holed(start: int, count: int) -> str:
    """Minutes without those of the gap."""
    rows = minutes(start, count).splitlines()
    return "\n".join(row for at, row in enumerate(rows) if not GAP[0] <= start + at * MINUTE < GAP[1]) + "\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An archive of March, whole by month and with its day 10 by day; both lack an hour of that day."""
    folder = tmp_path / "archive"
    put_zip(folder, month_key("BTCUSDT", MARCH), holed(MARCH, 31 * 1440))
    put_zip(folder, day_key("BTCUSDT", DAY_10), holed(DAY_10, 1440))
    return folder


@pytest.fixture
def served(root: Path) -> Iterator[tuple[str, Behaviour]]:
    with serving(root) as (base, behaviour):
        yield base, behaviour


@pytest.fixture
def exchange() -> Exchange:
    """An exchange that knows the symbol and lacks the same hour."""
    exchange = Exchange(clock=NOW / 1e6)
    exchange.put_minutes("BTCUSDT", MARCH, 31 * 1440)
    rows = exchange.rows["api/v3/klines", "BTCUSDT", "1m"]
    rows[:] = [row for row in rows if not GAP[0] <= row[0] * 1000 < GAP[1]]
    return exchange


@pytest.fixture
def rest(exchange: Exchange) -> Iterator[str]:
    with answering(exchange) as address:
        yield address


@pytest.fixture
def lake(tmp_path: Path, root: Path) -> Path:
    """A lake of the month's file, with the hour missing."""
    request = wanted("spot", None, ("BTCUSDT",), "1m", MARCH, MARCH + 31 * DAY, NOW)
    download([request], DownloaderConfig(base_dir=tmp_path / "lake", base_url=str(root)), OPEN, NOW)
    assert Lake(tmp_path / "lake").unknown_gaps(*SERIES, MARCH, MARCH + 31 * DAY) == [GAP]
    return tmp_path / "lake"


def mend(lake: Path, base: str, rest: str = "", **more: Any) -> RepairReport:
    quick = {"backoff_seconds": 0.01, "retries": 1, "read_seconds": 5.0}
    cfg = DownloaderConfig(base_dir=lake, base_url=base, rest_url=rest, **quick)
    choice = Choice(again=more.pop("again", False))
    now = more.pop("now", NOW)
    return repair(choice, cfg, more.pop("context", OPEN), now=lambda: now, **more)


def only(report: RepairReport) -> MendedGap:
    (one,) = report.gaps
    return one


def left_in(lake: Path) -> list[tuple[int, int]]:
    """Verify the lake, and return its unknown gaps."""
    found = Lake(lake)
    assert found.verify(full=True) == []
    assert found.unlisted() == []
    return found.unknown_gaps(*SERIES, MARCH, MARCH + 31 * DAY)


def whole_content(tmp_path: Path) -> str:
    folder = tmp_path / "whole-archive"
    put_zip(folder, month_key("BTCUSDT", MARCH), minutes(MARCH, 31 * 1440))
    request = wanted("spot", None, ("BTCUSDT",), "1m", MARCH, MARCH + 31 * DAY, NOW)
    download([request], DownloaderConfig(base_dir=tmp_path / "whole", base_url=str(folder)), OPEN, NOW)
    return Lake(tmp_path / "whole").all_partitions()[0].content


def test_a_day_that_the_month_lacks_comes_from_the_daily_file(
    tmp_path: Path, root: Path, lake: Path, served: tuple[str, Behaviour]
) -> None:
    put_zip(root, day_key("BTCUSDT", DAY_10), minutes(DAY_10, 1440))
    one = only(mend(lake, served[0]))
    assert (one.outcome, one.start, one.end, one.missing) == ("mended", *GAP, 60)
    assert one.reason == day_key("BTCUSDT", DAY_10)
    assert left_in(lake) == []
    (partition,) = Lake(lake).all_partitions()
    assert partition.content == whole_content(tmp_path)
    assert [source.address for source in partition.sources] == [
        month_key("BTCUSDT", MARCH),
        day_key("BTCUSDT", DAY_10),
    ]


def test_a_day_that_the_daily_files_lack_comes_from_the_month(
    tmp_path: Path, root: Path, served: tuple[str, Behaviour]
) -> None:
    lake = tmp_path / "lake"
    for day in range(MARCH, MARCH + 31 * DAY, DAY):
        put_zip(root, day_key("BTCUSDT", day), holed(day, 1440))
    (root / month_key("BTCUSDT", MARCH)).unlink()
    request = wanted("spot", None, ("BTCUSDT",), "1m", MARCH, MARCH + 31 * DAY, NOW)
    download([request], DownloaderConfig(base_dir=lake, base_url=served[0]), OPEN, NOW)
    put_zip(root, month_key("BTCUSDT", MARCH), minutes(MARCH, 31 * 1440))
    one = only(mend(lake, served[0]))
    assert (one.outcome, one.reason) == ("mended", month_key("BTCUSDT", MARCH))
    assert left_in(lake) == []
    assert Lake(lake).all_partitions()[0].content == whole_content(tmp_path)


def test_what_no_archive_has_comes_from_rest(
    tmp_path: Path, lake: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str
) -> None:
    exchange.put_minutes("BTCUSDT", MARCH, 31 * 1440)
    one = only(mend(lake, served[0], rest))
    assert (one.outcome, one.reason) == ("mended", f"{rest}/api/v3/klines")
    assert [(query["startTime"], query["limit"]) for _, query in exchange.asked] == [(str(GAP[0] // 1000), "60")]
    assert left_in(lake) == []
    assert Lake(lake).all_partitions()[0].content == whole_content(tmp_path)


def test_a_rest_server_that_sends_few_rows_at_a_time_makes_no_outage(
    tmp_path: Path, lake: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str
) -> None:
    exchange.put_minutes("BTCUSDT", MARCH, 31 * 1440)
    exchange.cap = 25
    assert only(mend(lake, served[0], rest)).outcome == "mended"
    assert left_in(lake) == []
    assert Lake(lake).all_partitions()[0].content == whole_content(tmp_path)


def test_gaps_that_fit_into_one_page_are_one_request(
    tmp_path: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str
) -> None:
    lake, file = tmp_path / "lake", tmp_path / "BTCUSDT_1m.csv"
    rows = minutes(MARCH, 3000).splitlines()
    file.write_text("\n".join(row for at, row in enumerate(rows) if at % 100 or at == 0) + "\n")
    import_paths([file], lake, ImportOptions(market="spot"))
    shutil.rmtree(tmp_path / "archive")
    (tmp_path / "archive").mkdir()
    report = mend(lake, served[0], rest)
    assert ({one.outcome for one in report.gaps}, len(report.gaps)) == ({"mended"}, 29)
    assert [query["limit"] for _, query in exchange.asked] == ["901", "901", "801"]
    assert (left_in(lake)[0][0], Lake(lake).all_partitions()[0].rows) == (MARCH + 3000 * MINUTE, 3000)


def test_what_is_found_in_part_is_written_and_the_rest_is_an_outage(
    root: Path, lake: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str
) -> None:
    put_zip(root, day_key("BTCUSDT", DAY_10), minutes(GAP[0], 20))
    rows = exchange.rows["api/v3/klines", "BTCUSDT", "1m"]
    exchange.put_minutes("BTCUSDT", GAP[0] + 50 * MINUTE, 10)
    rows += exchange.rows["api/v3/klines", "BTCUSDT", "1m"]
    exchange.put("api/v3/klines", "BTCUSDT", "1m", sorted(rows))
    found = [((one.start - GAP[0]) // MINUTE, one.missing, one.outcome) for one in mend(lake, served[0], rest).gaps]
    assert found == [(0, 20, "mended"), (20, 30, "outage"), (50, 10, "mended")]
    assert left_in(lake) == []
    (outage,) = Lake(lake).outages(*SERIES)
    assert (outage.start, outage.end) == (GAP[0] + 20 * MINUTE, GAP[0] + 50 * MINUTE)


def test_what_nobody_has_is_recorded_with_the_answers_and_asked_for_once(
    lake: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str
) -> None:
    one = only(mend(lake, served[0], rest))
    assert one.outcome == "outage"
    (outage,) = Lake(lake).outages(*SERIES)
    assert (outage.start, outage.end, outage.recorded) == (*GAP, NOW)
    for who in ("BTCUSDT-1m-2024-03-10.zip", "BTCUSDT-1m-2024-03.zip", "binance-rest"):
        assert f"{who} has not these rows" in outage.reason
    assert left_in(lake) == []
    asked = len(exchange.asked)
    assert mend(lake, served[0], rest).gaps == []
    assert len(exchange.asked) == asked
    assert only(mend(lake, served[0], rest, again=True)).outcome == "outage"
    assert (len(exchange.asked), len(Lake(lake).outages(*SERIES))) == (asked + 1, 1)
    exchange.put_minutes("BTCUSDT", MARCH, 31 * 1440)
    assert only(mend(lake, served[0], rest, again=True)).outcome == "mended"
    assert Lake(lake).gaps(*SERIES, MARCH, MARCH + 31 * DAY) == []


def test_a_delisted_symbol_is_one_that_the_exchanges_own_address_does_not_know(
    lake: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backtester.data.downloader.sources.rest.OWN_ADDRESSES", RestAddresses(spot=rest))
    exchange.rows.clear()
    one = only(mend(lake, served[0], rest))
    assert (one.outcome, "-1121" in one.reason) == ("outage", True)


def test_a_symbol_that_another_address_does_not_know_is_no_outage(
    lake: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str
) -> None:
    exchange.rows.clear()
    one = only(mend(lake, served[0], rest))
    assert (one.outcome, "does not know spot:BTCUSDT (-1121" in one.reason) == ("left", True)
    assert Lake(lake).outages(*SERIES) == []


@pytest.mark.parametrize(
    ("cfg", "own"),
    [
        ({}, True),
        ({"rest_url": "https://api.binance.com/"}, True),
        ({"rest_url": "https://testnet.binance.vision"}, False),
        ({"rest_urls": RestAddresses(spot="https://testnet.binance.vision")}, False),
    ],
)
def test_the_exchanges_own_address_is_told_from_others(cfg: dict[str, Any], own: bool) -> None:
    assert is_own_address(DownloaderConfig(**cfg), "spot") is own
    assert is_own_address(DownloaderConfig(**cfg), "um") is ("rest_url" not in cfg)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("archive", "archive: "),
        ("checksum", "does not match its checksum"),
        ("bad zip", "holds"),
        ("rest down", "binance-rest: "),
        ("rest 500", "binance-rest: "),
        ("no rest", "REST was not asked: no address is known"),
        ("no network", "REST was not asked"),
    ],
)
def test_nothing_is_an_outage_while_a_source_did_not_answer(
    root: Path, lake: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str, fault: str, says: str
) -> None:
    base, told = served
    more: dict[str, Any] = {}
    match fault:
        case "archive":
            told.faults = {day_key("BTCUSDT", DAY_10): ["status 500"] * 9}
        case "checksum":
            put_zip(root, day_key("BTCUSDT", DAY_10), holed(DAY_10, 1440), checksum="0" * 64)
        case "bad zip":
            put_zip(root, day_key("BTCUSDT", DAY_10), holed(DAY_10, 1440), inner="other.csv")
        case "rest down":
            rest = "http://127.0.0.1:9"
        case "rest 500":
            exchange.faults = ["status 500"] * 9
        case "no rest":
            rest = ""
        case "no network":
            base, more["context"] = str(root), OPEN.model_copy(update={"allow_net": False})
    report = mend(lake, base, rest, **more)
    assert (only(report).outcome, report.left) == ("left", 1)
    assert says in only(report).reason
    assert Lake(lake).outages(*SERIES) == []
    assert left_in(lake) == [GAP]


BAD_CELLS = {"negative": (5, "-3"), "off_grid": (0, GAP[0] // 1000 + 1), "outside_dates": (0, MARCH // 1000 - 60_000)}


@pytest.mark.parametrize("others", ["good", "absent"])
@pytest.mark.parametrize("rule", [*BAD_CELLS, "not_a_time", "wrong_columns"])
def test_rows_of_an_archive_that_were_refused_are_no_outage(
    root: Path, lake: Path, served: tuple[str, Behaviour], rest: str, rule: str, others: str
) -> None:
    bad = minutes(GAP[0], 1).strip().split(",")
    match rule:
        case "not_a_time":
            bad[0] = "x"
        case "wrong_columns":
            bad = bad[:3]
        case _:
            at, value = BAD_CELLS[rule]
            bad[at] = str(value)
    more = minutes(GAP[0] + MINUTE, 59) if others == "good" else ""
    put_zip(root, day_key("BTCUSDT", DAY_10), holed(DAY_10, 1440) + ",".join(bad) + "\n" + more)
    report = mend(lake, served[0], rest)
    left = [one for one in report.gaps if one.outcome == "left"]
    assert [(one.start, one.missing) for one in left] == [(GAP[0], 1 if others == "good" else 60)]
    assert f"BTCUSDT-1m-2024-03-10.zip sent 1 row(s) there that were refused ({rule})" in left[0].reason
    assert Lake(lake).outages(*SERIES) == []
    assert len(report.gaps) == (2 if others == "good" else 1)


@pytest.mark.parametrize("column", [0, 5])
def test_rows_of_rest_that_were_refused_are_no_outage(
    lake: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str, column: int
) -> None:
    exchange.put_minutes("BTCUSDT", GAP[0], 60)
    rows = exchange.rows["api/v3/klines", "BTCUSDT", "1m"]
    rows[7][column] = "-3" if column else rows[7][0] + 1
    report = mend(lake, served[0], rest)
    assert [one.outcome for one in report.gaps] == ["mended", "left", "mended"]
    (left,) = [one for one in report.gaps if one.outcome == "left"]
    assert (left.start, left.missing) == (GAP[0] + 7 * MINUTE, 1)
    rule = "negative" if column else "off_grid"
    assert f"binance-rest sent 1 row(s) there that were refused ({rule})" in left.reason
    assert Lake(lake).outages(*SERIES) == []


def test_a_refused_row_elsewhere_does_not_keep_a_gap_from_being_an_outage(
    root: Path, lake: Path, served: tuple[str, Behaviour], rest: str
) -> None:
    rows = holed(DAY_10, 1440).splitlines()
    cells = rows[30].split(",")
    rows[30] = ",".join([*cells[:5], "-3", *cells[6:]])
    put_zip(root, day_key("BTCUSDT", DAY_10), "\n".join(rows) + "\n")
    one = only(mend(lake, served[0], rest))
    assert (one.outcome, one.start, one.end) == ("outage", *GAP)
    assert "BTCUSDT-1m-2024-03-10.zip has not these rows" in one.reason


def test_a_gap_of_yesterday_is_no_outage_yet(
    lake: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str
) -> None:
    one = only(mend(lake, served[0], rest, now=GAP[1] + DAY))
    assert (one.outcome, "younger than two days" in one.reason) == ("left", True)
    assert Lake(lake).outages(*SERIES) == []


def test_a_gap_of_months_is_filled_from_monthly_files(
    tmp_path: Path, root: Path, served: tuple[str, Behaviour], rest: str
) -> None:
    lake, april, may = tmp_path / "lake", parse_time("2024-04-01"), parse_time("2024-05-01")
    put_zip(root, day_key("BTCUSDT", may), minutes(may, 60))
    for start, end in ((MARCH, MARCH + DAY), (may, may + DAY)):
        put_zip(root, day_key("BTCUSDT", start), minutes(start, 60))
        request = wanted("spot", None, ("BTCUSDT",), "1m", start, end, NOW)
        download([request], DownloaderConfig(base_dir=lake, base_url=served[0]), OPEN, NOW)
    put_zip(root, month_key("BTCUSDT", MARCH), minutes(MARCH, 31 * 1440))
    put_zip(root, month_key("BTCUSDT", april), minutes(april, 30 * 1440))
    assert only(mend(lake, served[0], rest)).outcome == "mended"
    assert [p.rows for p in Lake(lake).all_partitions()] == [31 * 1440, 30 * 1440, 60]


def test_other_venues_and_made_up_markets_are_left_alone(tmp_path: Path, candles: Any, put: Any, rest: str) -> None:
    lake = tmp_path / "lake"
    put(lake, candles([1, 2]), market="dukascopy.fx")
    put(lake, candles([3, 4], start="2024-01-01T00:05:00Z"), market="dukascopy.fx")
    one = only(mend(lake, str(tmp_path), rest))
    assert (one.outcome, one.reason) == ("left", "no source of dukascopy.fx klines is known here")
    assert Lake(lake).outages("dukascopy.fx", "klines", "BTCUSDT", "1m") == []
    put(tmp_path / "made", candles([1, 2]), "synthetic:x")
    put(tmp_path / "made", candles([3, 4], start="2024-01-01T00:05:00Z"), "synthetic:x")
    assert mend(tmp_path / "made", str(tmp_path), rest).gaps == []
    with pytest.raises(DataError, match="has no such series"):
        mend(tmp_path / "empty", str(tmp_path))


def test_a_kind_that_nobody_publishes_is_never_an_outage(
    tmp_path: Path, served: tuple[str, Behaviour], rest: str
) -> None:
    lake = tmp_path / "lake"
    for start in (MARCH, MARCH + 10 * MINUTE):
        (tmp_path / "x.csv").write_text(minutes(start, 2))
        import_paths([tmp_path / "x.csv"], lake, ImportOptions("spot", "markPriceKlines", "BTCUSDT", "1m"))
    one = only(mend(lake, served[0], rest))
    assert (one.outcome, one.reason) == ("left", "no source of spot markPriceKlines is known here")


@pytest.mark.parametrize("reaches_back", [True, False])
def test_an_installed_source_fills_gaps_and_denies_only_what_it_reaches_back_to(
    tmp_path: Path, candles: Any, put: Any, monkeypatch: pytest.MonkeyPatch, reaches_back: bool
) -> None:
    lake, start = tmp_path / "lake", parse_time("2024-01-01")
    put(lake, candles([1, 2]), market="hill.spot")
    put(lake, candles([7, 8], start="2024-01-01T00:06:00Z"), market="hill.spot")
    (tmp_path / "hill_for_repair.py").write_text(HILL.replace("FIRST", "0" if reaches_back else "3"))
    info = tmp_path / "hill-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hill\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[backtester.candle_sources]\nhill = hill_for_repair:Hill\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "hill_for_repair", raising=False)
    outcomes = {(one.start - start) // MINUTE: (one.missing, one.outcome) for one in mend(lake, str(tmp_path)).gaps}
    if reaches_back:
        assert outcomes == {2: (3, "mended"), 5: (1, "outage")}
    else:
        assert outcomes == {2: (1, "left"), 3: (2, "mended"), 5: (1, "left")}


HILL = """
from backtester.core.time import MINUTE, parse_time
from backtester.data.downloader.sources.page import page_of_rows

class Hill:
    name, offers = "hill", "klines of hill.spot"

    def __init__(self, cfg, context):
        pass

    def serves(self, market, kind):
        return (market, kind) == ("hill.spot", "klines")

    async def pages(self, series, start, end):
        origin = parse_time("2024-01-01")
        times = [origin + at * MINUTE for at in range(FIRST, 8) if at != 5]
        rows = [(at, 1, 2, 1, 1.5, 10) for at in times if start <= at < end]
        if rows:
            names = ("open_time", "open", "high", "low", "close", "volume")
            yield page_of_rows("hill", "hill:x", names, rows)
"""


def damage(lake: Path, how: str) -> str:
    """Damage the one partition, and return the content that it had."""
    (partition,) = Lake(lake).all_partitions()
    path = lake / partition.path
    if how == "missing":
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    assert len(Lake(lake).verify()) == 1
    return partition.content


@pytest.mark.parametrize("how", ["missing", "changed"])
@pytest.mark.parametrize("store", ["kept", "deleted"])
def test_a_damaged_partition_is_made_anew_from_its_archives(
    lake: Path, served: tuple[str, Behaviour], how: str, store: str
) -> None:
    base, told = served
    content = damage(lake, how)
    if store == "deleted":
        shutil.rmtree(lake / ".archives")
    (one,) = mend(lake, base).partitions
    assert (one.outcome, "the recorded rows" in one.reason) == ("mended", True)
    assert left_in(lake) == [GAP]
    (partition,) = Lake(lake).all_partitions()
    assert (partition.content, partition.repairs) == (content, {"damaged_files_replaced": 1})
    assert told.requests[month_key("BTCUSDT", MARCH)] == (store == "deleted")


@pytest.mark.parametrize("store", ["kept", "deleted"])
def test_a_damaged_partition_of_rest_pages_is_made_anew_from_them(
    tmp_path: Path, exchange: Exchange, rest: str, store: str
) -> None:
    lake = tmp_path / "lake"
    cfg = DownloaderConfig(base_dir=lake, rest_url=rest, base_url=str(tmp_path))
    what = ("spot", None, ("BTCUSDT",), "1m")
    prepare_download("rest", what, MARCH, MARCH + 2 * DAY, Manner(cfg, OPEN, now=lambda: NOW)).run()
    content = damage(lake, "missing")
    if store == "deleted":
        shutil.rmtree(lake / ".archives")
    exchange.asked.clear()
    (one,) = mend(lake, str(tmp_path), rest).partitions
    assert one.outcome == "mended", one.reason
    assert left_in(lake)[0][0] == MARCH + 2 * DAY
    assert Lake(lake).all_partitions()[0].content == content
    assert (len(exchange.asked) > 0) == (store == "deleted")


@pytest.mark.parametrize("how", ["flipped", "cut", "other", "empty"])
def test_damaged_pages_are_fetched_again_and_kept_whole(
    tmp_path: Path, exchange: Exchange, rest: str, how: str
) -> None:
    lake = tmp_path / "lake"
    cfg = DownloaderConfig(base_dir=lake, rest_url=rest, base_url=str(tmp_path))
    what = ("spot", None, ("BTCUSDT",), "1m")
    prepare_download("rest", what, MARCH, MARCH + 1000 * MINUTE, Manner(cfg, OPEN, now=lambda: NOW)).run()
    (source,) = Lake(lake).all_partitions()[0].sources
    content = damage(lake, "missing")
    (page,) = lake.glob(".archives/rest/**/*.json.gz")
    data = page.read_bytes()
    middle = len(data) // 2
    page.write_bytes(
        {
            "flipped": data[:middle] + bytes(16 * [255]) + data[middle + 16 :],
            "cut": data[:middle],
            "other": gzip.compress(b"[]"),
            "empty": b"",
        }[how]
    )
    assert kept_page(lake, Series(*SERIES), source.sha256 or "") is None
    (one,) = mend(lake, str(tmp_path), rest).partitions
    assert one.outcome == "mended", one.reason
    assert Lake(lake).all_partitions()[0].content == content
    assert kept_page(lake, Series(*SERIES), source.sha256 or "") == gzip.decompress(data)


def test_a_partition_whose_rest_rows_an_archive_replaced_is_made_anew_as_it_was(
    tmp_path: Path, root: Path, exchange: Exchange, rest: str
) -> None:
    lake = tmp_path / "lake"
    cfg = DownloaderConfig(base_dir=lake, rest_url=rest, base_url=str(root))
    what = ("spot", None, ("BTCUSDT",), "1m")
    prepare_download("rest", what, MARCH, MARCH + 2 * DAY, Manner(cfg, OPEN, now=lambda: NOW)).run()
    put_zip(root, day_key("BTCUSDT", MARCH), minutes(MARCH, 1440, price=500.0))
    manner = Manner(cfg, OPEN, replace=True, now=lambda: NOW)
    assert prepare_download("archive", what, MARCH, MARCH + DAY, manner).run().refused == []
    content = damage(lake, "changed")
    (one,) = mend(lake, str(root), rest).partitions
    assert one.outcome == "mended", one.reason
    assert Lake(lake).all_partitions()[0].content == content


def test_a_damaged_partition_of_a_users_file_is_fetched_elsewhere_or_left(
    tmp_path: Path, root: Path, served: tuple[str, Behaviour], rest: str
) -> None:
    lake, file = tmp_path / "lake", tmp_path / "BTCUSDT_1m.csv"
    file.write_text(minutes(MARCH, 3000))
    import_paths([file], lake, ImportOptions(market="spot"))
    content = damage(lake, "missing")
    for base in ("http://127.0.0.1:9", str(tmp_path)):
        (one,) = mend(lake, base).partitions
        assert one.outcome == "left"
        assert "--replace" in one.reason
    for day in range(MARCH, MARCH + 3 * DAY, DAY):
        put_zip(root, day_key("BTCUSDT", day), minutes(day, 1440))
    (one,) = mend(lake, served[0], rest).partitions
    assert (one.outcome, "BTCUSDT_1m.csv is not at hand" in one.reason) == ("mended", True)
    assert left_in(lake)[0][0] == MARCH + 3000 * MINUTE
    assert Lake(lake).all_partitions()[0].content == content


def test_a_partition_that_would_lose_rows_is_left(tmp_path: Path, root: Path, lake: Path) -> None:
    damage(lake, "missing")
    shutil.rmtree(lake / ".archives")
    put_zip(root, month_key("BTCUSDT", MARCH), holed(MARCH, 20 * 1440))
    (one,) = mend(lake, str(root)).partitions
    assert one.outcome == "left"
    assert f"only {20 * 1440 - 60} of its {31 * 1440 - 60} rows" in one.reason
    assert len(Lake(lake).verify()) == 1


def test_a_damaged_sample_is_left_with_what_to_do(tmp_path: Path) -> None:
    write_sample_lake(tmp_path)
    (tmp_path / Lake(tmp_path).all_partitions()[0].path).unlink()
    (one,) = mend(tmp_path, str(tmp_path)).partitions
    assert one.outcome == "left"


def test_the_command_says_what_it_did_and_ends_with_3_while_something_is_left(
    lake: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str
) -> None:
    arguments = ("data", "repair", "spot:BTCUSDT", "--timeframe", "1m", "--data", lake, "--base-url", served[0])
    dry = bt(*arguments, "--dry-run", "--json")
    assert (dry.code, [one["outcome"] for one in dry.json["gaps"]]) == (0, ["planned"])
    assert (served[1].requests.total(), exchange.asked, Lake(lake).outages(*SERIES)) == (0, [], [])
    said = bt(*arguments)
    assert (said.code, "REST was not asked" in said.out, "1 of 1 defects are left" in said.message) == (3, True, True)
    exchange.clock = None
    said = bt(*arguments, "--rest-url", rest)
    assert (said.code, "60 candles: recorded as an outage" in said.out) == (0, True), said.err
    assert bt(*arguments, "--rest-url", rest, "--json").json == {
        "data": str(lake),
        "left": 0,
        "gaps": [],
        "partitions": [],
    }
    assert "nothing to mend" in bt(*arguments, "--rest-url", rest).out
    assert bt("data", "repair", "ETHUSDT", "--data", lake).code == 3


def test_the_exchanges_outage_of_march_2023_is_recorded_from_real_candles(tmp_path: Path, real: Path) -> None:
    lake, file = tmp_path / "lake", real / "spot/BTCUSDT_1h.csv.gz"
    import_paths([file], lake, ImportOptions(market="spot"))
    exchange = Exchange()
    rows = list(csv.reader(gzip.decompress(file.read_bytes()).decode().splitlines()))
    candles = [[int(row[0]), *row[1:6], 0, "0", 0, "0", "0", "0"] for row in rows if row[0].isdecimal()]
    exchange.put("api/v3/klines", "BTCUSDT", "1h", candles)
    (tmp_path / "archive").mkdir()
    with serving(tmp_path / "archive") as (base, _), answering(exchange) as rest:
        one = only(mend(lake, base, rest, now=parse_time("2026-01-01")))
    missing = parse_time("2023-03-24T13:00")
    assert (one.outcome, one.start, one.end) == ("outage", missing, missing + HOUR)
    assert "BTCUSDT-1h-2023-03-24.zip is not published" in one.reason
    span = parse_time("2022-05-25T08:00"), parse_time("2025-01-01")
    assert Lake(lake).unknown_gaps("spot", "klines", "BTCUSDT", "1h", *span) == []


def _start(lake: Path, base: str, rest: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "backtester", "data", "repair", "--data", str(lake), "--base-url", base]
    return subprocess.Popen(
        [*command, "--rest-url", rest],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_killed_at_random_points_a_repair_leaves_a_clean_lake_and_ends_the_same(
    tmp_path: Path, candles: Any, put: Any
) -> None:
    fresh, archive = tmp_path / "fresh", tmp_path / "archive"
    exchange = Exchange()
    exchange.put_minutes("BTCUSDT", MARCH, 100)
    for month in range(1, 13):  # of each month two rows with a gap between them; the archive has every second
        start = parse_time(f"2023-{month:02d}-01")
        put_zip(archive, day_key("BTCUSDT", start), minutes(start, 6 if month % 2 else 1))
        file = tmp_path / f"BTCUSDT_1m_{month}.csv"
        rows = minutes(start, 6).splitlines()
        file.write_text("\n".join((rows[0], rows[5])))
        import_paths([file], fresh, ImportOptions(market="spot"))

    def state(lake: Path) -> tuple[dict[str, str], list[tuple[int, int]]]:
        found = Lake(lake)
        assert found.verify(full=True) == []
        return {p.path: p.content for p in found.all_partitions()}, [
            (one.start, one.end) for one in found.outages(*SERIES)
        ]

    with serving(archive) as (base, _), answering(exchange) as rest:
        shutil.copytree(fresh, tmp_path / "whole")
        began = time.monotonic()
        assert _start(tmp_path / "whole", base, rest).wait() == 0
        seconds, rng, killed = time.monotonic() - began, random.Random(3), 0
        shutil.copytree(fresh, tmp_path / "lake")
        for _ in range(6):
            process = _start(tmp_path / "lake", base, rest)
            try:
                process.wait(rng.uniform(0.4, 0.95) * seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                killed += 1
            process.wait()
            state(tmp_path / "lake")
        assert _start(tmp_path / "lake", base, rest).wait() == 0
    assert killed > 0
    assert state(tmp_path / "lake") == state(tmp_path / "whole")
    assert Lake(tmp_path / "lake").unlisted() == []
    assert sum(p.rows for p in Lake(tmp_path / "whole").all_partitions()) == 6 * 6 + 6 * 2
