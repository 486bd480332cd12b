"""`--source auto`: the archive for what it publishes, REST for what is newer, and how the two are compared later."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import DataError, UsageError
from backtester.core.time import DAY, MINUTE, parse_time
from backtester.data.downloader.downloading import DownloadReport
from backtester.data.downloader.sources.downloads import Download, Manner, prepare_download
from backtester.data.lake import Lake
from backtester.data.parquet import read_partition_file
from backtester.data.schemas import schema_of
from tests.support.archive import Behaviour, day_key, minutes, month_key, put_zip, serving
from tests.support.cli import bt, start_bt
from tests.support.exchange import Exchange, answering

MAY = parse_time("2024-05-01")
TODAY = parse_time("2024-06-03")
NOW = TODAY + 12 * 60 * MINUTE + MINUTE // 2
OPEN = RunContext(run_id="test", seed=1, git_sha="", allow_net=True)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """May whole and June the 1st; the 2nd is over and not published yet."""
    root = tmp_path / "archive"
    put_zip(root, month_key("BTCUSDT", MAY), minutes(MAY, 31 * 1440))
    put_zip(root, day_key("BTCUSDT", parse_time("2024-06-01")), minutes(parse_time("2024-06-01"), 1440))
    return root


@pytest.fixture
def served(archive: Path) -> Iterator[tuple[str, Behaviour]]:
    with serving(archive) as (base, behaviour):
        yield base, behaviour


@pytest.fixture
def exchange() -> Exchange:
    exchange = Exchange(clock=NOW / 1e6)
    exchange.put_minutes("BTCUSDT", MAY, 40 * 1440)
    return exchange


@pytest.fixture
def rest(exchange: Exchange) -> Iterator[str]:
    with answering(exchange) as address:
        yield address


def job(lake: Path, base: str, rest: str = "", *, start: int | None = MAY, now: int = NOW, **more: Any) -> Download:
    symbols = more.pop("symbols", ("BTCUSDT",))
    cfg = DownloaderConfig(base_dir=lake, base_url=base, rest_url=rest, backoff_seconds=0.01, retries=1)
    manner = Manner(cfg, more.pop("context", OPEN), now=lambda: now, **more)
    return prepare_download("auto", ("spot", None, symbols, "1m"), start, None, manner)


def whole(lake: Path, last: int) -> None:
    """The lake holds every minute from May to `last`, and nothing else."""
    (first, *_), partitions = Lake(lake).all_partitions(), Lake(lake).all_partitions()
    assert Lake(lake).verify(full=True) == []
    assert Lake(lake).gaps("spot", "klines", "BTCUSDT", "1m", MAY, last + MINUTE) == []
    assert (first.first_time, partitions[-1].last_time) == (MAY, last)


def addresses(lake: Path) -> list[str]:
    return [source.address for p in Lake(lake).all_partitions() for source in p.sources]


def test_the_tail_comes_from_rest_up_to_the_last_closed_candle(
    tmp_path: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str
) -> None:
    report = job(tmp_path / "lake", served[0], rest).run()
    assert (report.refused, report.notes, report.fetched, report.pages) == ([], [], 2, 3)
    whole(tmp_path / "lake", NOW // MINUTE * MINUTE - MINUTE)
    assert int(exchange.asked[0][1]["startTime"]) * 1000 == parse_time("2024-06-02")
    assert sum(address.startswith(rest) for address in addresses(tmp_path / "lake")) == 3


def test_without_rest_a_missing_tail_is_said_and_a_complete_range_is_not(
    tmp_path: Path, archive: Path, exchange: Exchange
) -> None:
    report = job(tmp_path / "lake", str(archive)).run()
    assert report.refused == []
    assert ["2024-06-02 up to 2024-06-03T12:00:00Z is not in the archive" in note for note in report.notes] == [True]
    said = bt(
        *("download", "--symbols", "BTCUSDT", "--timeframe", "1m", "--start", "2024-05-01", "--end", "2024-06-02"),
        *("--base-url", archive, "--data", tmp_path / "lake"),
    )
    assert (said.code, "note: spot" in said.err) == (0, False)
    assert exchange.asked == []


def test_an_update_goes_on_to_the_last_closed_candle_and_asks_for_no_more(
    tmp_path: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str
) -> None:
    job(tmp_path / "lake", served[0], rest).run()
    exchange.asked.clear()
    later = NOW + 5 * MINUTE
    exchange.clock = later / 1e6
    report = job(tmp_path / "lake", served[0], rest, start=None, now=later, updating=True).run()
    assert (report.written.rows_added, len(exchange.asked), exchange.asked[0][1]["limit"]) == (5, 1, "5")
    whole(tmp_path / "lake", later // MINUTE * MINUTE - MINUTE)


def test_an_archive_that_appears_later_confirms_what_rest_told(
    tmp_path: Path, archive: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str
) -> None:
    base, told = served
    job(tmp_path / "lake", base, rest).run()
    before = [p.content for p in Lake(tmp_path / "lake").all_partitions()]
    second = parse_time("2024-06-02")
    put_zip(archive, day_key("BTCUSDT", second), minutes(second, 1440))
    report = job(tmp_path / "lake", base, rest, start=None, updating=True).run()
    assert (report.refused, report.written.rows_added) == ([], 0)
    assert [p.content for p in Lake(tmp_path / "lake").all_partitions()] == before
    assert day_key("BTCUSDT", second) in addresses(tmp_path / "lake")
    told.requests.clear()
    again = job(tmp_path / "lake", base, rest, start=None, updating=True).run()
    assert (again.written.partitions, told.requests[day_key("BTCUSDT", second)]) == ([], 0)


def test_an_archive_that_differs_from_rest_is_reported_until_it_may_win(
    tmp_path: Path, archive: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str
) -> None:
    job(tmp_path / "lake", served[0], rest).run()
    second = parse_time("2024-06-02")
    put_zip(archive, day_key("BTCUSDT", second), minutes(second, 1440, price=200.0))

    def update(**more: Any) -> DownloadReport:
        return job(tmp_path / "lake", served[0], rest, start=None, updating=True, **more).run()

    for _ in range(2):
        report = update()
        assert [key for key, _ in report.refused] == [day_key("BTCUSDT", second)]
        assert "1440 open time(s) with two different candles" in report.refused[0][1]
        assert "--replace" in report.hint
    assert update(replace=True).refused == []
    whole(tmp_path / "lake", NOW // MINUTE * MINUTE - MINUTE)
    assert Lake(tmp_path / "lake").all_partitions()[-1].repairs == {"rows_replaced": 1440}
    assert update().refused == []


def test_a_delisted_symbol_ends_where_its_archive_ends(
    tmp_path: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str
) -> None:
    exchange.rows.clear()
    report = job(tmp_path / "lake", served[0], rest).run()
    assert report.refused == []
    assert "-1121" in report.notes[0]
    whole(tmp_path / "lake", parse_time("2024-06-02") - MINUTE)


def test_a_symbol_that_nobody_knows_is_an_error_and_the_others_are_there(
    tmp_path: Path, served: tuple[str, Behaviour], rest: str
) -> None:
    report = job(tmp_path / "lake", served[0], rest, symbols=("BTCUSDT", "NOPEUSDT")).run()
    assert [name for name, _ in report.refused] == ["spot:NOPEUSDT 1m klines"]
    assert "-1121" in report.refused[0][1]
    assert "bt data available" in report.hint
    whole(tmp_path / "lake", NOW // MINUTE * MINUTE - MINUTE)
    with pytest.raises(DataError, match="has no spot klines 1m of NOPEUSDT"):
        job(tmp_path / "other", served[0], symbols=("NOPEUSDT",)).run()


def test_a_newly_listed_symbol_comes_from_rest_alone(
    tmp_path: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str
) -> None:
    exchange.put_minutes("NEWUSDT", TODAY, 1440)
    report = job(tmp_path / "lake", served[0], rest, symbols=("NEWUSDT",), start=TODAY - 3 * DAY).run()
    assert (report.refused, report.written.rows_added) == ([], 720)


def test_a_range_within_today_needs_rest(tmp_path: Path, archive: Path, rest: str) -> None:
    start = TODAY + 60 * MINUTE
    with pytest.raises(UsageError, match="no day of it has ended"):
        job(tmp_path / "lake", str(archive), start=start).run()
    assert job(tmp_path / "lake", str(archive), rest, start=start).run().written.rows_added == 660


def test_rest_that_cannot_be_reached_costs_the_tail_alone(tmp_path: Path, served: tuple[str, Behaviour]) -> None:
    report = job(tmp_path / "lake", served[0], "http://127.0.0.1:9").run()
    assert [name for name, _ in report.refused] == ["spot:BTCUSDT 1m klines"]
    assert "failed" in report.refused[0][1]
    whole(tmp_path / "lake", parse_time("2024-06-02") - MINUTE)


@pytest.mark.parametrize("status", [403, 451])
def test_where_rest_is_not_served_the_archive_is_enough_and_it_is_said(
    tmp_path: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str, status: int
) -> None:
    exchange.faults = [f"status {status}"] * 2
    report = job(tmp_path / "lake", served[0], rest).run()
    assert (report.refused, "does not serve this address or region" in report.notes[0]) == ([], True)
    whole(tmp_path / "lake", parse_time("2024-06-02") - MINUTE)
    only = job(tmp_path / "b", served[0], rest, symbols=("NEWUSDT",), start=TODAY - DAY).run()
    assert "data-api.binance.vision" in only.hint


def test_a_source_that_was_given_up_is_not_asked_for_every_symbol(
    tmp_path: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str
) -> None:
    exchange.faults = ["status 500"] * 99
    symbols = ("BTCUSDT", "ETHUSDT", "XRPUSDT")
    report = job(tmp_path / "lake", served[0], rest, symbols=symbols).run()
    assert [name for name, _ in report.refused] == [f"spot:{symbol} 1m klines" for symbol in symbols]
    assert len(exchange.asked) == 2


def test_a_failure_half_way_keeps_the_pages_before_it(
    tmp_path: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str
) -> None:
    exchange.faults = ["", "status 500", "status 500"]
    report = job(tmp_path / "lake", served[0], rest).run()
    assert len(report.refused) == 1
    whole(tmp_path / "lake", parse_time("2024-06-02") + 999 * MINUTE)
    assert job(tmp_path / "lake", served[0], rest, start=None, updating=True).run().refused == []
    whole(tmp_path / "lake", NOW // MINUTE * MINUTE - MINUTE)


def test_a_plan_shows_sizes_of_remote_files_and_pages_of_rest(
    tmp_path: Path, archive: Path, served: tuple[str, Behaviour], exchange: Exchange, rest: str
) -> None:
    base, told = served
    plan = job(tmp_path / "lake", base, rest).plan()
    month, *days = plan.files
    assert month.size == (archive / month_key("BTCUSDT", MAY)).stat().st_size
    assert [(day.published, day.size is not None) for day in days] == [(True, True), (False, False)]
    assert [(one.pages, one.start) for one in plan.pages] == [(3, parse_time("2024-06-02"))]
    assert (told.requests.total(), len(told.asked_heads), exchange.asked) == (0, 3, [])
    assert not (tmp_path / "lake").exists()


def test_a_plan_without_a_network_knows_no_sizes(tmp_path: Path) -> None:
    plan = job(tmp_path / "lake", "http://127.0.0.1:9").plan()
    assert {(file.size, file.published) for file in plan.files} == {(None, None)}


def test_interrupted_between_pages_the_lake_is_whole_and_an_update_goes_on(
    tmp_path: Path, archive: Path, exchange: Exchange, rest: str
) -> None:
    exchange.clock, exchange.delay = None, 0.2
    common = ("download", "--symbols", "BTCUSDT", "--timeframe", "1m", "--source", "rest", "--rest-url", rest)
    more = ("--end", "2024-06-03", "--data", tmp_path / "lake")
    process = start_bt(*common, *more, "--start", "2024-05-01", cwd=tmp_path)
    while len(exchange.asked) < 3 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    error = process.communicate()[1]
    assert (process.returncode, "interrupted" in error) == (130, True), error
    stored = Lake(tmp_path / "lake").all_partitions()[-1]
    assert stored.rows >= 1000
    assert Lake(tmp_path / "lake").verify(full=True) == []
    exchange.delay = 0.0
    assert bt(*common, *more, "--update").code == 0
    whole(tmp_path / "lake", parse_time("2024-06-03") - MINUTE)


def test_the_archives_funding_completes_what_rest_told(tmp_path: Path, exchange: Exchange, rest: str) -> None:
    times = [(MAY + at * 8 * 60 * MINUTE) // 1000 + at % 3 for at in range(99)]
    rows = [{"symbol": "BTCUSDT", "fundingTime": at, "fundingRate": "0.0001", "markPrice": ""} for at in times]
    exchange.put("fapi/v1/fundingRate", "BTCUSDT", "", rows)
    root, lake = tmp_path / "funding", tmp_path / "lake"
    root.mkdir()

    def run(**more: Any) -> DownloadReport:
        cfg = DownloaderConfig(base_dir=lake, base_url=str(root), rest_url=rest)
        manner = Manner(cfg, OPEN, now=lambda: NOW, **more)
        start = None if more else MAY
        return prepare_download("auto", ("um", "fundingRate", ("BTCUSDT",), None), start, None, manner).run()

    assert (run().refused, sum(p.rows for p in Lake(lake).all_partitions())) == ([], 99)
    text = "".join(f"{at},8,0.00010000\n" for at in times if at * 1000 < parse_time("2024-06-01"))
    put_zip(root, "data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2024-05.zip", text)
    assert run(updating=True).refused == []
    first, second = Lake(lake).all_partitions()
    hours = [read_partition_file(lake / p.path, schema_of("fundingRate"))["interval_hours"] for p in (first, second)]
    assert [sorted(set(part.tolist())) for part in hours] == [[8], [-1]]
    assert (first.rows, second.rows) == (93, 6)


def test_the_command_line_takes_the_tail_too(tmp_path: Path, archive: Path, exchange: Exchange, rest: str) -> None:
    exchange.clock = None
    arguments = ("download", "--symbols", "BTCUSDT", "--timeframe", "1m", "--start", "2024-05-30", "--rest-url", rest)
    more = ("--end", "2024-06-03", "--base-url", archive, "--data", tmp_path / "lake")
    dry = bt(*arguments, *more, "--dry-run", "--json").json
    assert [one["pages"] for one in dry["pages"]] == [2]
    said = bt(*arguments, *more, "--json").json
    assert (said["pages"], said["refused"]) == (2, [])
    assert Lake(tmp_path / "lake").all_partitions()[-1].last_time == parse_time("2024-06-03") - MINUTE
    only = bt(*arguments, *more[:2], "--source", "rest", "--data", tmp_path / "rest")
    assert (only.code, "pages of other sources" in only.out) == (0, True), only.err
    contents = [[p.content for p in Lake(tmp_path / name).all_partitions()][-1] for name in ("lake", "rest")]
    assert contents[0] == contents[1]
    assert bt(*arguments, "--source", "nope").code == 2
