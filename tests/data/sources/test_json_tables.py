"""Pages of a REST interface from files: real ones, and what is none."""

import gzip
import json
from pathlib import Path

import pytest

from backtester.core.errors import DataError, UsageError
from backtester.core.time import parse_time
from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.importing import import_paths
from backtester.data.downloader.sources.json_tables import json_rows
from backtester.data.lake import Lake
from backtester.data.parquet import read_partition_file
from backtester.data.schemas import schema_of
from tests.support.archive import minutes
from tests.support.cli import bt
from tests.support.exchange import kline_rows

START = parse_time("2024-01-10")


def values(lake: Path, kind: str, column: str) -> list[float]:
    found: list[float] = []
    for partition in Lake(lake).all_partitions():
        found += read_partition_file(lake / partition.path, schema_of(kind))[column].tolist()
    return found


def test_real_pages_of_mark_prices_join_into_one_series(real: Path, tmp_path: Path) -> None:
    folder = real / "um/rest_pages/markPriceKlines"
    import_paths([folder], tmp_path, ImportOptions("um", "markPriceKlines"))
    rows = [row for path in sorted(folder.iterdir()) for row in json.loads(gzip.decompress(path.read_bytes()))]
    assert values(tmp_path, "markPriceKlines", "open_time") == [row[0] * 1000 for row in rows]
    assert values(tmp_path, "markPriceKlines", "high") == [float(row[2]) for row in rows]
    assert values(tmp_path, "markPriceKlines", "samples") == [row[8] for row in rows]
    assert Lake(tmp_path).verify(full=True) == []
    again = import_paths([folder], tmp_path, ImportOptions("um", "markPriceKlines"))
    assert again.series[0].rows_added == 0


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "SOLUSDT"])
def test_real_pages_of_days_are_imported_by_the_command(real: Path, tmp_path: Path, symbol: str) -> None:
    file = real / f"um/rest_pages/klines_1d/{symbol}.json"
    arguments = ("--market", "um", "--kind", "klines", "--symbol", symbol, "--timeframe", "1d", "--data", tmp_path)
    assert bt("data", "import", file, *arguments).code == 0
    assert values(tmp_path, "klines", "quote_volume") == [float(row[7]) for row in json.loads(file.read_bytes())]


def test_a_real_page_of_spot_minutes_is_imported(real: Path, tmp_path: Path) -> None:
    file = real / "samples/rest_spot_klines_1m_2021-10-22.json"
    import_paths([file], tmp_path, ImportOptions("spot", None, "BTCUSDT", "1m"))
    assert values(tmp_path, "klines", "close") == [float(row[4]) for row in json.loads(file.read_bytes())]
    with pytest.raises(UsageError, match="symbol"):
        import_paths([file], tmp_path, ImportOptions("spot"))


def test_pages_of_mark_prices_are_not_taken_for_klines(real: Path, tmp_path: Path) -> None:
    page = real / "um/rest_pages/markPriceKlines/BTCUSDT-1h-2020-02-23.json.gz"
    with pytest.raises(DataError, match="look like mark or index prices"):
        import_paths([page], tmp_path, ImportOptions("um"))


def test_decimal_texts_and_numbers_are_read_alike(tmp_path: Path) -> None:
    rows = kline_rows(minutes(START, 5))
    (tmp_path / "a").mkdir()
    (tmp_path / "BTCUSDT_1m.json").write_text(json.dumps(rows))
    (tmp_path / "a/BTCUSDT_1m.json").write_text(json.dumps([[float(value) for value in row] for row in rows]))
    for name, lake in (("BTCUSDT_1m.json", "one"), ("a/BTCUSDT_1m.json", "two")):
        import_paths([tmp_path / name], tmp_path / lake, ImportOptions("spot"))
    contents = [Lake(tmp_path / lake).all_partitions()[0].content for lake in ("one", "two")]
    assert contents[0] == contents[1]


def test_funding_pages_are_objects(tmp_path: Path) -> None:
    page = [{"symbol": "BTCUSDT", "fundingTime": START // 1000, "fundingRate": "-6E-8", "markPrice": "4"}]
    (tmp_path / "funding.json").write_text(json.dumps(page))
    arguments = ("--market", "um", "--kind", "fundingRate", "--symbol", "BTCUSDT", "--data", tmp_path / "lake")
    assert bt("data", "import", tmp_path / "funding.json", *arguments).code == 0
    assert values(tmp_path / "lake", "fundingRate", "funding_rate") == [-6e-8]
    page.append({**page[0], "symbol": "ETHUSDT"})
    (tmp_path / "funding.json").write_text(json.dumps(page))
    assert "holds 2 symbols: BTCUSDT, ETHUSDT" in bt("data", "import", tmp_path / "funding.json", *arguments).message


def test_json_of_another_sort_in_a_folder_is_skipped_and_given_by_itself_refused(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "BTCUSDT_1m.json").write_text(json.dumps(kline_rows(minutes(START, 5))))
    (folder / "package.json").write_text('{"name": "x"}')
    (folder / "20240110T000000-0123456789abcdef.json.gz").write_bytes(gzip.compress(b"[]"))
    report = import_paths([folder], tmp_path / "lake", ImportOptions("spot"))
    assert report.series[0].rows_added == 5
    assert sorted(report.skipped.values()) == [1, 1]
    with pytest.raises(DataError, match="is not a list of rows"):
        import_paths([folder / "package.json"], tmp_path / "lake", ImportOptions("spot", None, "BTCUSDT", "1m"))


@pytest.mark.parametrize("raw", [b"", b"[[1,2]", b"{}", b"<html>", b"[1]", b"[" * 100_000, b'[{"a": 1}]', b"[[1], {}]"])
def test_what_is_no_page_is_refused_with_its_name(raw: bytes) -> None:
    with pytest.raises(DataError, match=r"^the page\b"):
        json_rows("the page", raw, "klines")
