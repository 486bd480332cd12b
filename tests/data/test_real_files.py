"""Real exchange files, compared with a plain reading by csv and float."""

import csv
import gzip
import io
import zipfile
from pathlib import Path

import pytest

from backtester.core.errors import DataError
from backtester.core.time import HOUR, parse_time
from backtester.data.columns import CandleColumns
from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.importing import import_paths
from backtester.data.downloader.sanitising import Repairs
from backtester.data.lake import Lake
from backtester.data.parquet import read_partition_file
from backtester.data.resample import derive_candles
from backtester.data.schemas import KLINES

ETH_1H = "dirty/Binance_ETHUSDT_1h_cryptodatadownload.csv.gz"
ETH_COLUMNS = "open_time=unix,volume=Volume ETH,quote_volume=Volume USDT"


def plain(path: Path) -> list[list[str]]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            text = archive.read(archive.namelist()[0]).decode()
    else:
        text = gzip.decompress(path.read_bytes()).decode()
    rows = list(csv.reader(io.StringIO(text)))
    return rows if rows[0][0].isdigit() else rows[1:]


def stored(root: Path, series: tuple[str, str, str]) -> CandleColumns:
    return CandleColumns.concat(list(Lake(root).read_candles(*series, 0, 10**18)))


def assert_equals_plain(found: CandleColumns, rows: list[list[str]], unit: int = 1000) -> None:
    assert found.open_time.tolist() == [int(row[0]) * unit for row in rows]
    for at, name in enumerate(("open", "high", "low", "close", "volume"), start=1):
        assert getattr(found, name).tolist() == [float(row[at]) for row in rows]


def test_the_archive_tree_is_imported_value_for_value(real: Path, tmp_path: Path) -> None:
    report = import_paths([real / "archive"], tmp_path)
    assert [str(one.series) for one in report.series] == [
        "option:BTCUSDT EOHSummary",
        "spot:BTCUSDT 1h klines",
        "spot:BTCUSDT 1m klines",
        "spot:PEPEUSDT aggTrades",
        "um:BTCUSDT 1h klines",
        "um:FILUSDT 1m klines",
    ]
    checked = [s for one in report.series for p in one.partitions for s in p.sources if s.published_sha256]
    assert len(checked) == 2
    tree = real / "archive/data/futures/um/monthly/klines/FILUSDT/1m"
    expected = [row for path in sorted(tree.glob("*.zip")) for row in plain(path)]
    assert_equals_plain(stored(tmp_path, ("um", "FILUSDT", "1m")), expected)
    partition = Lake(tmp_path).partitions("um", "klines", "FILUSDT", "1m")[0]
    columns = read_partition_file(tmp_path / partition.path, KLINES)
    first = plain(tree / "FILUSDT-1m-2023-02.zip")
    for at, name in ((7, "quote_volume"), (8, "trades"), (9, "taker_buy_volume"), (10, "taker_buy_quote_volume")):
        assert columns[name].tolist() == [float(row[at]) for row in first]
    assert Lake(tmp_path).verify(full=True) == []


@pytest.mark.parametrize(
    ("file", "market", "rows"),
    [
        ("spot/BTCUSDT_1h.csv.gz", "spot", 22_839),
        ("spot/BTCUSDT_1m.csv.gz", "spot", 130_707),
        ("spot/ETHUSDT_5m_full.csv.gz", "spot", 8_641),
        ("um/BTCUSDT_5m.csv.gz", "um", 105_120),
        ("um/ETHUSDT_4h.csv.gz", "um", 8_766),
        ("um/rest/BTCUSDT_1d.csv.gz", "um", 800),
    ],
)
def test_plain_files_are_imported_value_for_value(
    real: Path, tmp_path: Path, file: str, market: str, rows: int
) -> None:
    report = import_paths([real / file], tmp_path, ImportOptions(market=market))
    assert report.series[0].rows_added == rows
    series = report.series[0].series
    assert_equals_plain(stored(tmp_path, (market, series.symbol, series.timeframe)), plain(real / file))


def test_the_outage_of_march_2023_is_the_one_gap_of_the_spot_hours(real: Path, tmp_path: Path) -> None:
    import_paths([real / "spot/BTCUSDT_1h.csv.gz"], tmp_path, ImportOptions(market="spot"))
    outage = parse_time("2023-03-24T13:00")
    span = parse_time("2022-05-25T08:00"), parse_time("2025-01-01")
    assert Lake(tmp_path).gaps("spot", "klines", "BTCUSDT", "1h", *span) == [(outage, outage + HOUR)]


def test_hours_derived_from_fives_are_the_published_fours(real: Path, tmp_path: Path) -> None:
    for file in ("um/BTCUSDT_5m.csv.gz", "um/BTCUSDT_4h.csv.gz"):
        import_paths([real / file], tmp_path, ImportOptions(market="um"))
    lake = Lake(tmp_path)
    start, end = parse_time("2023-01-01"), parse_time("2024-01-01")
    fives = lake.read_candles("um", "BTCUSDT", "5m", start, end)
    derived = CandleColumns.concat(list(derive_candles(fives, 300_000_000, 4 * HOUR, start=start, end=end)))
    published = CandleColumns.concat(list(lake.read_candles("um", "BTCUSDT", "4h", start, end)))
    assert derived.open_time.tolist() == published.open_time.tolist()
    same = (derived.open == published.open) & (derived.high == published.high)
    same &= (derived.low == published.low) & (derived.close == published.close)
    assert same.mean() > 0.99  # two independent copies; a few bars differ at the source
    assert derived.complete is not None
    assert derived.complete.all()


def test_a_second_file_without_header_in_microseconds(real: Path, tmp_path: Path) -> None:
    path = real / "samples/spot_klines_DOGEUSDT-1s-2025-01-01.head.noheader.csv"
    import_paths([path], tmp_path, ImportOptions("spot", None, "DOGEUSDT", "1s"))
    rows = list(csv.reader(path.read_text().splitlines()))
    assert_equals_plain(stored(tmp_path, ("spot", "DOGEUSDT", "1s")), rows, unit=1)


def test_a_vendors_mixture_needs_a_mapping_and_then_says_what_is_wrong(real: Path, tmp_path: Path) -> None:
    path, options = real / ETH_1H, ImportOptions(market="spot", symbol="ETHUSDT")
    with pytest.raises(DataError, match=r"open_time \(unix or date\?\), volume \(not found\)"):
        import_paths([path], tmp_path, options)
    with pytest.raises(
        DataError, match=r"2649 open time.* the first at 2020-08-01T23:00:00Z: line 10127 .* line 10128"
    ):
        import_paths([path], tmp_path, options, columns=ETH_COLUMNS)
    allowed = Repairs(drop_bad=True)
    report = import_paths([path], tmp_path, options, columns=ETH_COLUMNS, repairs=allowed)
    assert report.series[0].repairs["conflicting_rows_dropped"] == 2 * 2649
    found = stored(tmp_path, ("spot", "ETHUSDT", "1h"))
    rows: dict[int, list[list[str]]] = {}
    for row in plain(path):
        number = float(row[0])
        rows.setdefault(round(number * (1_000_000 if number < 1e11 else 1000)), []).append(row)
    assert set(found.open_time.tolist()) <= set(rows)
    for time, close, volume in zip(found.open_time.tolist(), found.close.tolist(), found.volume.tolist(), strict=True):
        assert (close, volume) in {(float(row[6]), float(row[7])) for row in rows[time]}


def test_funding_and_mark_prices_are_not_taken_for_klines(real: Path, tmp_path: Path) -> None:
    options = ImportOptions("um", None, "BTCUSDT", "8h")
    for file in ("um/BTCUSDT_mark_8h.csv.gz", "um/BTCUSDT_funding.csv.gz"):
        with pytest.raises(DataError):
            import_paths([real / file], tmp_path, options)
