"""Candles through ccxt: with an exchange that is made up, and with ccxt's own Kraken against a server of ours."""

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import DataError, UsageError
from backtester.core.time import DAY, MINUTE, parse_time
from backtester.data.downloader.rows import Series
from backtester.data.downloader.sources.downloads import Download, Manner
from backtester.data.downloader.sources.exchanges import Ccxt, lake_symbol
from backtester.data.downloader.sources.page import Page, UnknownSymbolError
from backtester.data.lake import Lake
from tests.support.cli import bt

START = parse_time("2024-01-10")
NOW = START + 2000 * MINUTE + MINUTE // 2
OPEN = RunContext(run_id="test", seed=1, git_sha="", allow_net=True)
MARKETS = {
    "BTC/EUR": {"type": "spot"},
    "BTC/USD": {"type": "spot"},
    "BTC/USDT:USDT": {"type": "swap"},
    "ETH/USD:USD": {"type": "swap"},
    "ETH/USD:ETH": {"type": "swap"},
}


class NetworkError(Exception):
    """Told by its name, as ccxt's own."""


class BaseError(Exception):
    """Likewise."""


class RateLimitExceeded(NetworkError):
    """Likewise."""


class FakeExchange:
    """Has a candle a minute, one of them not closed; answers the next rows from `since`, or a window of time."""

    def __init__(self, *, windowed: bool = False, most: int = 300, quiet: tuple[int, int] = (0, 0)) -> None:
        self.has = {"fetchOHLCV": True}
        self.timeframes = {"1m": "1m", "1h": "1h"}
        self.features = {"spot": {"fetchOHLCV": {"limit": most}}, "swap": {}}
        self.markets: dict[str, Any] = {}
        self.faults: list[Any] = []
        self.asked: list[tuple[str, int]] = []
        self._windowed, self._most = windowed, most
        times = range(START // 1000, (START + 2001 * MINUTE) // 1000, 60_000)
        self.rows: list[list[Any]] = [
            [at, 1.5, 2.5, 0.5, 1.25, 3.0] for at in times if not quiet[0] <= at * 1000 < quiet[1]
        ]

    def load_markets(self) -> None:
        self.markets = MARKETS

    def fetch_ohlcv(self, symbol: str, timeframe: str, since: int, limit: int) -> Any:
        self.asked.append((symbol, since))
        if self.faults and (fault := self.faults.pop(0)) is not None:
            if isinstance(fault, Exception):
                raise fault
            return fault
        until = since + min(limit, self._most) * 60_000 if self._windowed else 2**60
        return [row for row in self.rows if since <= row[0] < until][: min(limit, self._most)]


def config(lake: Path) -> DownloaderConfig:
    return DownloaderConfig(base_dir=lake, backoff_seconds=0.01, backoff_most_seconds=0.02, retries=2)


def source(lake: Path, exchange: Any) -> Ccxt:
    return Ccxt(config(lake), OPEN, exchange=lambda _: exchange, now=lambda: NOW)


def job(lake: Path, exchange: Any, *symbols: str, end: int = START + 9 * DAY) -> Download:
    from backtester.data.downloader.planning import asked

    request = asked("fake.spot", "klines", symbols or ("BTCEUR",), "1m", START, end)
    return Download(source(lake, exchange), False, [request], Manner(config(lake), OPEN, now=lambda: NOW))


def pages(lake: Path, exchange: Any, series: Series, start: int = START, end: int = START + DAY) -> list[Page]:
    async def all_pages() -> list[Page]:
        return [page async for page in source(lake, exchange).pages(series, start, end)]

    return asyncio.run(all_pages())


def rows(lake: Path) -> int:
    assert Lake(lake).verify(full=True) == []
    return sum(p.rows for p in Lake(lake).all_partitions())


@pytest.mark.parametrize("windowed", [False, True])
def test_pages_cover_the_range_up_to_the_last_closed_candle(tmp_path: Path, windowed: bool) -> None:
    exchange = FakeExchange(windowed=windowed)
    report = job(tmp_path, exchange).run()
    assert (report.refused, report.pages, rows(tmp_path)) == ([], 7, 2000)
    (partition,) = Lake(tmp_path).all_partitions()
    assert (partition.market, partition.symbol, partition.gaps) == ("fake.spot", "BTCEUR", ())
    assert partition.sources[0].address == f"ccxt:fake/BTC/EUR?timeframe=1m&since={START // 1000}&limit=300"


def test_a_quiet_time_longer_than_a_page_does_not_end_the_series(tmp_path: Path) -> None:
    quiet = (START + 200 * MINUTE, START + 1300 * MINUTE)
    assert job(tmp_path, FakeExchange(windowed=True, quiet=quiet)).run().refused == []
    assert Lake(tmp_path).all_partitions()[0].gaps == (quiet,)
    assert rows(tmp_path) == 900


def test_a_market_in_which_nobody_trades_two_minutes_in_a_row_is_no_other_timeframe(tmp_path: Path) -> None:
    exchange = FakeExchange()
    exchange.rows = exchange.rows[::3]
    assert job(tmp_path, exchange).run().refused == []
    assert rows(tmp_path) == 667


@pytest.mark.parametrize(
    ("text", "spelled"),
    [("BTC/EUR", "BTCEUR"), ("btceur", "BTCEUR"), ("BTC/USDT:USDT", "BTCUSDT"), ("XBT-EUR", "XBT-EUR")],
)
def test_symbols_are_spelled_as_the_lake_spells_them(text: str, spelled: str) -> None:
    assert lake_symbol(text) == spelled


def test_a_symbol_is_found_by_what_it_is(tmp_path: Path) -> None:
    exchange = FakeExchange()
    pages(tmp_path, exchange, Series("fake.swap", "klines", "BTCUSDT", "1m"))
    assert {symbol for symbol, _ in exchange.asked} == {"BTC/USDT:USDT"}
    with pytest.raises(UnknownSymbolError, match="has no spot symbol BTCUSDT") as error:
        pages(tmp_path, exchange, Series("fake.spot", "klines", "BTCUSDT", "1m"))
    assert "BTC/EUR" in error.value.hint
    with pytest.raises(UsageError, match="several ETHUSD: ETH/USD:USD, ETH/USD:ETH"):
        pages(tmp_path, exchange, Series("fake.swap", "klines", "ETHUSD", "1m"))
    with pytest.raises(UsageError, match="has no 5m candles"):
        pages(tmp_path, exchange, Series("fake.spot", "klines", "BTCEUR", "5m"))


def test_passing_errors_are_tried_again_and_others_are_told(tmp_path: Path) -> None:
    exchange = FakeExchange()
    exchange.faults = [NetworkError("timed out"), RateLimitExceeded("slow"), None]
    assert job(tmp_path / "a", exchange).run().refused == []
    assert rows(tmp_path / "a") == 2000
    exchange.faults = [NetworkError("down")] * 9
    assert "cannot be reached (NetworkError: down), 3 times" in job(tmp_path / "b", exchange).run().refused[0][1]
    exchange.faults = [BaseError("no such thing")]
    assert "fake refuses: BaseError: no such thing" in job(tmp_path / "c", exchange).run().refused[0][1]
    exchange.faults = [KeyError("x")]
    assert "source ccxt failed" in job(tmp_path / "d", exchange).run().refused[0][1]


@pytest.mark.parametrize("rubbish", ["<html>", [1, 2], [["a", 1, 2, 3, 4, 5]], [[True, 1, 2, 3, 4, 5]], {"a": 1}, None])
def test_rubbish_is_refused_and_what_came_before_stays(tmp_path: Path, rubbish: Any) -> None:
    exchange = FakeExchange()
    exchange.faults = [None, rubbish if rubbish is not None else [None]]
    report = job(tmp_path, exchange).run()
    assert "fake sent no candles but" in report.refused[0][1]
    assert rows(tmp_path) == 300


def test_impossible_candles_are_put_aside_with_their_rule(tmp_path: Path) -> None:
    exchange = FakeExchange()
    exchange.rows[5][2] = 0.1
    exchange.rows[6][4] = None
    report = job(tmp_path, exchange).run()
    assert report.parsed.refused == {"high_below": 1, "not_a_number": 1}
    assert rows(tmp_path) == 1998


def test_the_network_may_be_forbidden(tmp_path: Path) -> None:
    closed = OPEN.model_copy(update={"allow_net": False})
    forbidden = Ccxt(config(tmp_path), closed, exchange=lambda _: FakeExchange())

    async def ask() -> None:
        async for _ in forbidden.pages(Series("fake.spot", "klines", "BTCEUR", "1m"), START, START + DAY):
            pass

    with pytest.raises(UsageError, match="may not use it"):
        asyncio.run(ask())


def test_without_ccxt_the_message_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ccxt", None)
    arguments = ("download", "--source", "ccxt", "--market", "kraken.spot", "--symbols", "BTC/EUR")
    said = bt(*arguments, "--timeframe", "1h", "--start", "2024-01-01", "--data", tmp_path)
    assert (said.code, "pip install 'backtester[ccxt]'" in said.message) == (2, True)
    assert bt(*arguments[:3], "--symbols", "BTCEUR", "--timeframe", "1h", "--start", "2024-01-01").code == 2


class _Kraken(BaseHTTPRequestHandler):
    asked: list[dict[str, str]]

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.endswith("AssetPairs"):
            fees = [[0, 0.26]]
            pair = {"altname": "XBTEUR", "wsname": "XBT/EUR", "base": "XXBT", "quote": "ZEUR", "pair_decimals": 1}
            pair |= {"lot_decimals": 8, "fees": fees, "fees_maker": fees, "status": "online", "ordermin": "0.0001"}
            result: Any = {"XXBTZEUR": {**pair, "leverage_buy": [], "leverage_sell": []}}
        elif parts.path.endswith("OHLC"):
            self.asked.append(query)
            seconds = range(START // 10**6, (START + 100 * MINUTE) // 10**6, 60)
            since = int(query.get("since", 0))
            found = [[at, "40000.1", "40001.0", "39999.9", "40000.2", "40000", "0.5", 7] for at in seconds]
            result = {"XXBTZEUR": [row for row in found if row[0] >= since], "last": seconds[-1]}
        else:
            result = {}
        body = json.dumps({"error": [], "result": result}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def kraken() -> Iterator[tuple[str, list[dict[str, str]]]]:
    asked: list[dict[str, str]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Kraken,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_ccxts_own_kraken_fills_the_lake(tmp_path: Path, kraken: tuple[str, list[dict[str, str]]]) -> None:
    ccxt = pytest.importorskip("ccxt")
    base, asked = kraken
    exchange = ccxt.kraken({"enableRateLimit": False})
    exchange.urls["api"] = {"public": base, "private": base}
    report = job(tmp_path, exchange, "BTCEUR", end=START + 90 * MINUTE).run()
    assert (report.refused, rows(tmp_path)) == ([], 90)
    assert {query["pair"] for query in asked} == {"XXBTZEUR"}
    assert Ccxt(config(tmp_path), OPEN)._installed("kraken").enableRateLimit is True
    with pytest.raises(UsageError, match="knows no exchange"):
        Ccxt(config(tmp_path), OPEN)._installed("nowhere")
    exchange.urls["api"] = {"public": "http://127.0.0.1:9", "private": "http://127.0.0.1:9"}
    refused = job(tmp_path / "b", exchange, "BTCEUR", end=START + 90 * MINUTE).run().refused
    assert "fake cannot be reached (" in refused[0][1]


def test_an_answer_of_no_candles_at_all_is_an_error(tmp_path: Path) -> None:
    exchange = FakeExchange()
    exchange.rows = []
    assert "ccxt has no fake.spot:BTCEUR" in job(tmp_path, exchange).run().refused[0][1]
    exchange.has = {}
    with pytest.raises(DataError, match="has no candles of fake"):
        pages(tmp_path, exchange, Series("fake.spot", "klines", "BTCEUR", "1m"))
