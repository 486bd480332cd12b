from pathlib import PurePosixPath

import pytest

from backtester.core.time import parse_time
from backtester.data.downloader.archive_names import NameFacts, date_bounds, read_name, stem_of


@pytest.mark.parametrize(
    ("path", "market", "symbol", "timeframe", "start", "end"),
    [
        (
            "data/spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2020-01-01.zip",
            "spot",
            "BTCUSDT",
            "1m",
            "2020-01-01",
            "2020-01-02",
        ),
        (
            "x/futures/um/monthly/klines/0GUSDT/1h/0GUSDT-1h-2024-12.zip",
            "um",
            "0GUSDT",
            "1h",
            "2024-12-01",
            "2025-01-01",
        ),
        (
            "futures/cm/daily/klines/BTCUSD_PERP/4h/BTCUSD_PERP-4h-2024-02-29.zip",
            "cm",
            "BTCUSD_PERP",
            "4h",
            "2024-02-29",
            "2024-03-01",
        ),
        (
            "futures/um/daily/klines/币安USDT/1d/币安USDT-1d-2025-11-01.zip",
            "um",
            "币安USDT",
            "1d",
            "2025-11-01",
            "2025-11-02",
        ),
    ],
)
def test_an_archive_path_says_everything(
    path: str, market: str, symbol: str, timeframe: str, start: str, end: str
) -> None:
    facts = read_name(PurePosixPath(path))
    assert (facts.market, facts.kind, facts.symbol, facts.timeframe) == (market, "klines", symbol, timeframe)
    assert (facts.start, facts.end) == (parse_time(start), parse_time(end))
    assert facts.official
    assert facts.archive_key is not None
    assert facts.archive_key.startswith("data/")


def test_an_archive_name_without_folders_says_all_but_the_market() -> None:
    facts = read_name(PurePosixPath("/home/me/BTCUSDT-1m-2020-01.zip"))
    assert (facts.market, facts.symbol, facts.timeframe, facts.official) == (None, "BTCUSDT", "1m", True)


@pytest.mark.parametrize(
    "path",
    [
        "data/spot/daily/klines/BTCUSDT/1m/part-00000-0f1e-c000.zip",
        "data/spot/daily/klines/BTCUSDT/1m/ETHUSDT-1m-2020-01-01.zip",
        "data/spot/daily/klines/BTCUSDT/1m/BTCUSDT-1h-2020-01-01.zip",
        "data/spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2020-13-01.zip",
        "data/spot/daily/klines/BTCUSDT/1m/copy of BTCUSDT-1m-2020-01-01.zip",
    ],
)
def test_a_stray_name_in_the_archive_tree_is_not_official(path: str) -> None:
    facts = read_name(PurePosixPath(path))
    assert not facts.official
    assert facts.archive_key is not None


def test_other_kinds_are_recognised_by_their_folder() -> None:
    facts = read_name(PurePosixPath("spot/daily/aggTrades/PEPEUSDT/PEPEUSDT-aggTrades-2024-10-27.zip"))
    assert (facts.market, facts.kind) == ("spot", "aggTrades")
    mark = read_name(PurePosixPath("futures/um/daily/markPriceKlines/BTCUSDT/1m/BTCUSDT-1m-2024-10-27.zip"))
    assert mark.kind == "markPriceKlines"


@pytest.mark.parametrize(
    ("name", "symbol", "timeframe"),
    [
        ("BTCUSDT_1h.csv.gz", "BTCUSDT", "1h"),
        ("ETHUSDT-5m-full.csv", "ETHUSDT", "5m"),
        ("ETHUSDT_5m_full.csv.gz", "ETHUSDT", "5m"),
        ("SOLUSDT_15m.parquet", "SOLUSDT", "15m"),
        ("prices.csv", None, None),
        ("Binance_ETHUSDT_1h_x.csv.gz", None, None),
        ("BTCUSDT_1hour.csv", None, None),
        ("notes.txt", None, None),
    ],
)
def test_other_names_may_say_symbol_and_timeframe(name: str, symbol: str | None, timeframe: str | None) -> None:
    assert read_name(PurePosixPath(name)) == NameFacts(symbol=symbol, timeframe=timeframe)


def test_there_is_no_thirtieth_of_february() -> None:
    assert date_bounds("2024-02-30") is None
    assert date_bounds("2024-13") is None
    assert stem_of("a.CSV.GZ") == "a"
