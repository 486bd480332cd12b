"""The REST interface, against a real server that answers by each market's own rules."""

import asyncio
import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, lists, sampled_from, tuples

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import DataError, UsageError
from backtester.core.time import DAY, HOUR, MINUTE, parse_time
from backtester.data.downloader.rows import Series
from backtester.data.downloader.sources.downloads import Download, Manner, prepare_download
from backtester.data.downloader.sources.page import Page, UnknownSymbolError
from backtester.data.downloader.sources.rest import BinanceRest, kept_page, rest_address
from backtester.data.lake import Lake
from backtester.data.parquet import read_partition_file
from backtester.data.schemas import schema_of
from tests.support.archive import minutes
from tests.support.exchange import Exchange, answering, kline_rows
from tests.support.profiles import examples

START = parse_time("2024-01-10")
NOW = parse_time("2024-06-15T12:00:30")
OPEN = RunContext(run_id="test", seed=1, git_sha="", allow_net=True)
PATHS = {"spot": "api/v3/klines", "um": "fapi/v1/klines", "cm": "dapi/v1/klines"}


@pytest.fixture
def exchange() -> Exchange:
    return Exchange(clock=NOW / 1e6)


@pytest.fixture
def base(exchange: Exchange) -> Iterator[str]:
    with answering(exchange) as address:
        yield address


def config(lake: Path, base: str, **more: Any) -> DownloaderConfig:
    quick = {"backoff_seconds": 0.01, "backoff_most_seconds": 0.05, "read_seconds": 5.0, "retries": 3, **more}
    return DownloaderConfig(base_dir=lake, rest_url=base, **quick)


def pages(lake: Path, base: str, series: Series, start: int, end: int, **more: Any) -> list[Page]:
    async def all_pages() -> list[Page]:
        source = BinanceRest(config(lake, base, **more), OPEN, now=lambda: NOW)
        return [page async for page in source.pages(series, start, end)]

    return asyncio.run(all_pages())


def opens(found: list[Page]) -> list[int]:
    return [int(line.split(",")[0]) * 1000 for page in found for line in page.table.decode().splitlines()]


def job(lake: Path, base: str, *symbols: str, end: int = START + DAY, market: str = "spot", **more: Any) -> Download:
    what = (market, more.pop("kind", None), symbols or ("BTCUSDT",), more.pop("timeframe", "1m"))
    manner = Manner(config(lake, base, **more.pop("cfg", {})), OPEN, now=lambda: NOW, **more)
    return prepare_download("rest", what, START, end, manner)


def stored(lake: Path) -> int:
    found = Lake(lake)
    assert found.verify(full=True) == []
    assert found.unlisted() == []
    return sum(partition.rows for partition in found.all_partitions())


@pytest.mark.parametrize("market", ["spot", "um", "cm"])
def test_pages_cover_a_range_once_by_each_markets_own_rule(
    tmp_path: Path, exchange: Exchange, base: str, market: str
) -> None:
    exchange.put_minutes("BTCUSDT", START - 100 * MINUTE, 4000, PATHS[market])
    found = pages(tmp_path, base, Series(market, "klines", "BTCUSDT", "1m"), START, START + 2500 * MINUTE)
    assert opens(found) == list(range(START, START + 2500 * MINUTE, MINUTE))
    assert [int(query["limit"]) for _, query in exchange.asked] == [1000, 1000, 500]
    assert {path for path, _ in exchange.asked} == {PATHS[market]}


@pytest.mark.parametrize("market", ["spot", "um"])
def test_a_range_that_begins_before_the_first_candle_is_not_asked_for_bit_by_bit(
    tmp_path: Path, exchange: Exchange, base: str, market: str
) -> None:
    exchange.put_minutes("BTCUSDT", START, 300, PATHS[market])
    found = pages(tmp_path, base, Series(market, "klines", "BTCUSDT", "1m"), START - 90 * DAY, START + DAY)
    assert opens(found) == list(range(START, START + 300 * MINUTE, MINUTE))
    assert len(exchange.asked) == 2  # a short page may be a cap of the server's: the second says that nothing follows


@pytest.mark.parametrize("market", ["spot", "um", "cm"])
def test_a_server_that_sends_fewer_rows_than_asked_for_loses_none(
    tmp_path: Path, exchange: Exchange, base: str, market: str
) -> None:
    exchange.put_minutes("BTCUSDT", START, 2500, PATHS[market])
    exchange.cap = 500
    report = job(tmp_path, base, market=market, kind="klines", end=START + 2500 * MINUTE).run()
    assert (report.refused, report.pages, stored(tmp_path)) == ([], 5, 2500)
    found = pages(tmp_path / "again", base, Series(market, "klines", "BTCUSDT", "1m"), START, START + DAY)
    assert opens(found) == list(range(START, START + DAY, MINUTE))


def test_funding_of_a_server_that_sends_few_rows_at_a_time_is_whole(
    tmp_path: Path, exchange: Exchange, base: str
) -> None:
    times = [(START + at * 8 * HOUR) // 1000 for at in range(30)]
    rows = [{"symbol": "BTCUSDT", "fundingTime": at, "fundingRate": "0.0001", "markPrice": "1"} for at in times]
    exchange.put("fapi/v1/fundingRate", "BTCUSDT", "", rows)
    exchange.cap = 7
    found = pages(tmp_path, base, Series("um", "fundingRate", "BTCUSDT", ""), START, START + 20 * DAY)
    assert opens(found) == [at * 1000 for at in times]


def test_coin_margined_hours_are_asked_in_windows_of_two_hundred_days(
    tmp_path: Path, exchange: Exchange, base: str
) -> None:
    days = [(START + at * DAY) // 1000 for at in range(-500, -100)]
    rows = [[at, "1", "2", "1", "1.5", "10", at + 1, "3", 4, "5", "6", "0"] for at in days]
    exchange.put("dapi/v1/klines", "BTCUSD_PERP", "1d", rows)
    found = pages(tmp_path, base, Series("cm", "klines", "BTCUSD_PERP", "1d"), START - 600 * DAY, START)
    assert opens(found) == [at * 1000 for at in days]
    spans = [(int(query["startTime"]), int(query["endTime"]) + 1) for _, query in exchange.asked]
    windows = [((START + at * DAY) // 1000, (START + (at + 200) * DAY) // 1000) for at in (-600, -400, -200)]
    # a window answers its last rows, so what is before the first of them is asked for once more
    assert spans == [windows[0], (windows[0][0], days[0]), *windows[1:]]


@pytest.mark.parametrize(
    ("market", "kind", "path", "parameter"),
    [
        ("um", "markPriceKlines", "fapi/v1/markPriceKlines", "symbol"),
        ("um", "indexPriceKlines", "fapi/v1/indexPriceKlines", "pair"),
        ("cm", "premiumIndexKlines", "dapi/v1/premiumIndexKlines", "symbol"),
        ("cm", "indexPriceKlines", "dapi/v1/indexPriceKlines", "pair"),
    ],
)
def test_other_kinds_of_candles_have_paths_of_their_own(
    tmp_path: Path, exchange: Exchange, base: str, market: str, kind: str, path: str, parameter: str
) -> None:
    exchange.put(path, "BTCUSD", "1m", kline_rows(minutes(START, 60)))
    report = job(tmp_path, base, "BTCUSD", market=market, kind=kind).run()
    assert (report.refused, report.pages, stored(tmp_path)) == ([], 1, 60)
    assert exchange.asked[0][1][parameter] == "BTCUSD"


def test_funding_comes_page_by_page_and_is_stored_with_its_jitter(
    tmp_path: Path, exchange: Exchange, base: str
) -> None:
    times = [(START + at * 8 * HOUR) // 1000 + at % 3 for at in range(1100)]
    rows = [{"symbol": "BTCUSDT", "fundingTime": at, "fundingRate": "-0.00010000", "markPrice": "1"} for at in times]
    exchange.put("fapi/v1/fundingRate", "BTCUSDT", "", rows)
    series = Series("um", "fundingRate", "BTCUSDT", "")
    assert opens(pages(tmp_path, base, series, START, START + 900 * DAY)) == [
        at * 1000 for at in times if at * 1000 < NOW
    ]
    assert job(tmp_path, base, market="um", kind="fundingRate", timeframe=None, end=NOW).run().refused == []
    assert stored(tmp_path) == sum(at * 1000 < NOW for at in times)
    columns = read_partition_file(tmp_path / Lake(tmp_path).all_partitions()[0].path, schema_of("fundingRate"))
    assert columns["time"].tolist()[:3] == [times[0] * 1000, times[1] * 1000, times[2] * 1000]
    assert set(columns["interval_hours"].tolist()) == {-1}


def test_option_candles_come_as_objects(tmp_path: Path, exchange: Exchange, base: str) -> None:
    names = ("openTime", "open", "high", "low", "close", "volume", "closeTime", "amount", "tradeCount", "takerVolume")
    rows = [
        {**dict(zip(names, row[:10], strict=True)), "takerAmount": row[10], "interval": "1m"}
        for row in kline_rows(minutes(START, 30))
    ]
    exchange.put("eapi/v1/klines", "BTC-240329-60000-C", "1m", rows)
    assert job(tmp_path, base, "BTC-240329-60000-C", market="option", kind="klines").run().refused == []
    columns = read_partition_file(tmp_path / Lake(tmp_path).all_partitions()[0].path, schema_of("klines"))
    assert columns["close"].tolist() == [float(row["close"]) for row in rows]
    assert columns["taker_buy_quote_volume"].tolist() == [float(row["takerAmount"]) for row in rows]


def test_the_candle_that_has_not_closed_is_dropped_by_the_slower_of_both_clocks(
    tmp_path: Path, exchange: Exchange, base: str
) -> None:
    first = NOW // MINUTE * MINUTE - 9 * MINUTE
    exchange.put_minutes("BTCUSDT", first, 20)
    series = Series("spot", "klines", "BTCUSDT", "1m")
    assert opens(pages(tmp_path, base, series, first, NOW + DAY))[-1] == NOW // MINUTE * MINUTE - MINUTE
    exchange.clock = NOW / 1e6 - 120
    assert opens(pages(tmp_path, base, series, first, NOW + DAY))[-1] == NOW // MINUTE * MINUTE - 3 * MINUTE


def test_start_and_end_are_to_the_candle(tmp_path: Path, exchange: Exchange, base: str) -> None:
    exchange.put_minutes("BTCUSDT", START, 600)
    series = Series("spot", "klines", "BTCUSDT", "1m")
    found = opens(pages(tmp_path, base, series, START + 90 * MINUTE - 1, START + 100 * MINUTE + 1))
    assert found == list(range(START + 90 * MINUTE, START + 101 * MINUTE, MINUTE))


def test_times_in_microseconds_are_told_by_their_size(tmp_path: Path, exchange: Exchange, base: str) -> None:
    exchange.put_minutes("BTCUSDT", START, 2100)
    job(tmp_path / "ms", base, end=START + 2 * DAY).run()
    exchange.micros = True
    job(tmp_path / "us", base, end=START + 2 * DAY).run()
    assert stored(tmp_path / "us") == 2100
    assert [p.content for p in Lake(tmp_path / "us").all_partitions()] == [
        p.content for p in Lake(tmp_path / "ms").all_partitions()
    ]


def test_every_page_is_kept_and_named_by_the_manifest(tmp_path: Path, exchange: Exchange, base: str) -> None:
    exchange.put_minutes("BTCUSDT", START, 1440)
    job(tmp_path, base.replace("http://", "http://user:secret@")).run()
    (partition,) = Lake(tmp_path).all_partitions()
    series = Series(*partition.series)
    assert len(partition.sources) == 2
    for source in partition.sources:
        assert source.address.startswith(f"{base}/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=")
        body = kept_page(tmp_path, series, source.sha256 or "")
        assert body is not None
        assert hashlib.sha256(body).hexdigest() == source.sha256
    (path,) = tmp_path.glob(".archives/rest/spot/klines/BTCUSDT/1m/20240110T000000-*.json.gz")
    path.write_bytes(gzip.compress(b"[]"))
    assert kept_page(tmp_path, series, partition.sources[0].sha256 or "") is None
    assert "secret" not in (tmp_path / "manifest.jsonl").read_text()


def test_near_the_weight_limit_all_requests_wait_until_the_minute_turns(
    tmp_path: Path, exchange: Exchange, base: str
) -> None:
    exchange.put_minutes("BTCUSDT", START, 2500)
    exchange.clock = NOW // MINUTE * 60 + 59
    exchange.weights = [5000, 5399, 10]
    pages(tmp_path, base, Series("spot", "klines", "BTCUSDT", "1m"), START, START + 2500 * MINUTE)
    first, second, third = exchange.times
    assert second - first < 0.9
    assert third - second >= 0.95


def test_the_weight_limit_can_be_lower(tmp_path: Path, exchange: Exchange, base: str) -> None:
    exchange.put_minutes("BTCUSDT", START, 1500)
    exchange.clock = NOW // MINUTE * 60 + 59
    exchange.weights = [100, 1]
    series = Series("spot", "klines", "BTCUSDT", "1m")
    pages(tmp_path, base, series, START, START + 1500 * MINUTE, rest_weight=100)
    assert exchange.times[1] - exchange.times[0] >= 0.95


@pytest.mark.parametrize("status", [429, 418])
def test_a_server_that_asks_to_slow_down_is_obeyed(tmp_path: Path, exchange: Exchange, base: str, status: int) -> None:
    exchange.put_minutes("BTCUSDT", START, 60)
    exchange.faults = [f"slow {status} 1"]
    assert job(tmp_path, base).run().refused == []
    assert exchange.times[1] - exchange.times[0] >= 1.0
    assert stored(tmp_path) == 60


def test_a_ban_longer_than_allowed_is_an_error_at_once(tmp_path: Path, exchange: Exchange, base: str) -> None:
    exchange.faults = ["slow 418 7200"]
    report = job(tmp_path, base, cfg={"rate_limit_seconds": 60}).run()
    assert "asked again in 7200 s" in report.refused[0][1]
    assert len(exchange.asked) == 1


@pytest.mark.parametrize("fault", ["status 500", "status 503", "reset"])
def test_a_passing_fault_is_tried_again(tmp_path: Path, exchange: Exchange, base: str, fault: str) -> None:
    exchange.put_minutes("BTCUSDT", START, 60)
    exchange.faults = [fault, fault]
    assert job(tmp_path, base).run().refused == []
    assert stored(tmp_path) == 60


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("raw <html>hello</html>", "is a web page"),
        ("raw [[1,2", "is no JSON"),
        ('raw {"serverTime": 1}', "is not a list of rows"),
        ("raw [1, 2]", "each row must be a list"),
        ('raw [["x","1","2","1","1","5","0","0","1","0","0","0"]]', ""),
        ("raw []", "has no spot:BTCUSDT 1m klines"),
    ],
)
def test_an_answer_that_is_no_page_is_refused_and_the_lake_stays_whole(
    tmp_path: Path, exchange: Exchange, base: str, fault: str, says: str
) -> None:
    exchange.put_minutes("BTCUSDT", START, 60)
    exchange.put_minutes("ETHUSDT", START, 60)
    exchange.faults = [fault]
    report = job(tmp_path, base, "BTCUSDT", "ETHUSDT").run()
    assert [name for name, _ in report.refused] == ["spot:BTCUSDT 1m klines"]
    assert says in report.refused[0][1]
    assert (stored(tmp_path), Lake(tmp_path).symbols("spot")) == (60, ["ETHUSDT"])


def test_bad_rows_of_a_page_are_put_aside_as_those_of_an_archive_are(
    tmp_path: Path, exchange: Exchange, base: str
) -> None:
    exchange.put_minutes("BTCUSDT", START, 60)
    exchange.rows["api/v3/klines", "BTCUSDT", "1m"][7][5] = "-3"
    report = job(tmp_path / "a", base).run()
    assert (report.parsed.refused, stored(tmp_path / "a")) == ({"negative": 1}, 59)
    assert ",-3," in Path(report.written.quarantined[0]).read_text()
    strict = job(tmp_path / "b", base, strict=True).run()
    assert "1 of 60 rows are bad" in strict.refused[0][1]
    assert Lake(tmp_path / "b").all_partitions() == []


def test_an_unknown_symbol_is_named_with_the_way_to_find_others(tmp_path: Path, exchange: Exchange, base: str) -> None:
    with pytest.raises(UnknownSymbolError, match=r"does not know um:NOPE \(-1121 Invalid symbol.\)") as error:
        pages(tmp_path, base, Series("um", "klines", "NOPE", "1m"), START, START + DAY)
    assert error.value.hint == "see what there is: bt data available --market um --kind klines"


def test_other_refusals_say_what_the_exchange_said(tmp_path: Path, exchange: Exchange, base: str) -> None:
    exchange.faults = ["status 400"]
    with pytest.raises(DataError, match=r"answered 400: overloaded \(-1008\)"):
        pages(tmp_path, base, Series("spot", "klines", "BTCUSDT", "1m"), START, START + DAY)


def test_without_permission_or_address_nothing_is_asked(tmp_path: Path, exchange: Exchange, base: str) -> None:
    closed = RunContext(run_id="x", seed=1, git_sha="", allow_net=False)
    what = ("spot", None, ("BTCUSDT",), "1m")
    with pytest.raises(UsageError, match="may not use it"):
        prepare_download("rest", what, START, START + DAY, Manner(config(tmp_path, base), closed)).run()
    mirror = DownloaderConfig(base_dir=tmp_path, base_url="http://mirror.example")
    with pytest.raises(UsageError, match="no REST address"):
        prepare_download("rest", what, START, START + DAY, Manner(mirror, OPEN)).run()
    assert exchange.asked == []
    assert rest_address(mirror, "spot") == ""
    assert rest_address(DownloaderConfig(), "cm") == "https://dapi.binance.com"
    assert rest_address(DownloaderConfig(rest_url=base), "um") == base


@pytest.mark.parametrize(("market", "kind"), [("spot", "fundingRate"), ("um", "aggTrades"), ("moon", "klines")])
def test_what_it_does_not_serve_is_a_usage_error(tmp_path: Path, market: str, kind: str) -> None:
    timeframe = "1m" if kind == "klines" else None
    with pytest.raises(UsageError, match=f"does not serve {kind} of {market}"):
        prepare_download(
            "rest", (market, kind, ("BTCUSDT",), timeframe), START, START + DAY, Manner(DownloaderConfig(), OPEN)
        )


def test_real_pages_served_again_are_stored_value_for_value(
    tmp_path: Path, real: Path, exchange: Exchange, base: str
) -> None:
    files = sorted((real / "um/rest_pages/markPriceKlines").glob("*.json.gz"))
    rows = [row for file in files for row in json.loads(gzip.decompress(file.read_bytes()))]
    exchange.put("fapi/v1/markPriceKlines", "BTCUSDT", "1h", rows)
    what = ("um", "markPriceKlines", ("BTCUSDT",), "1h")
    manner = Manner(config(tmp_path, base), OPEN, now=lambda: NOW)
    start, end = parse_time("2019-12-01"), parse_time("2023-01-01")
    assert prepare_download("rest", what, start, end, manner).run().refused == []
    assert stored(tmp_path) == len(rows)
    schema = schema_of("markPriceKlines")
    found = [read_partition_file(tmp_path / p.path, schema) for p in Lake(tmp_path).all_partitions()]
    for at, name in ((1, "open"), (4, "close"), (8, "samples")):
        assert [value for part in found for value in part[name].tolist()] == [float(row[at]) for row in rows]


@given(
    market=sampled_from(["spot", "um", "cm"]),
    missing=lists(tuples(integers(0, 2600), integers(1, 1500)), max_size=3),
    first=integers(-300, 2000),
    length=integers(1, 3000),
    cap=sampled_from([0, 300, 999]),
)
@settings(max_examples=examples(40))
def test_whatever_is_missing_pages_hold_each_row_of_the_range_once(
    market: str, missing: list[tuple[int, int]], first: int, length: int, cap: int
) -> None:
    gone = {at for start, count in missing for at in range(start, start + count)}
    exchange = Exchange(clock=NOW / 1e6, cap=cap)
    exchange.put_minutes("BTCUSDT", START, 2600, PATHS[market])
    rows = exchange.rows[PATHS[market], "BTCUSDT", "1m"]
    rows[:] = [row for at, row in enumerate(rows) if at not in gone]
    start, end = START + first * MINUTE, START + (first + length) * MINUTE
    with TemporaryDirectory() as lake, answering(exchange) as base:
        found = pages(Path(lake), base, Series(market, "klines", "BTCUSDT", "1m"), start, end)
    assert opens(found) == [row[0] * 1000 for row in rows if start <= row[0] * 1000 < end]
