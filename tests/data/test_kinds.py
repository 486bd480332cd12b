"""Every published kind: its archive in all its variants, into the lake and out again."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from backtester.core.errors import DataError
from backtester.core.time import HOUR, parse_time
from backtester.data.downloader.archive_columns import POSITIONS
from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.importing import import_paths
from backtester.data.downloader.parsing import parse_table
from backtester.data.downloader.sanitising import Repairs
from backtester.data.lake import Lake
from backtester.data.parquet import read_partition_file
from backtester.data.rebuilding import rebuild_manifest
from backtester.data.schemas import SCHEMAS, schema_of

SAMPLES = {
    "cm_aggTrades_BTCUSD_PERP-2023-06-25.head.csv": ("cm", "aggTrades", "BTCUSD_PERP", 3),
    "cm_fundingRate_BTCUSD_PERP-2023-06.head.csv": ("cm", "fundingRate", "BTCUSD_PERP", 3),
    "cm_klines_BTCUSD_PERP-1h-2023-10-27.head.csv": ("cm", "klines", "BTCUSD_PERP", 3),
    "cm_metrics_BTCUSD_PERP-2023-06-25.head.csv": ("cm", "metrics", "BTCUSD_PERP", 3),
    "option_BVOLIndex_BTCBVOLUSDT-2026-10-01.head.csv": ("option", "BVOLIndex", "BTCBVOLUSDT", 3),
    "um_aggTrades_BTCUSDT-aggTrades-2026-09-30.head.csv": ("um", "aggTrades", "BTCUSDT", 12),
    "um_bookTicker_BTCUSDT_2024-03-30.head.csv": ("um", "bookTicker", "BTCUSDT", 5),
    "um_fundingRate_BTCUSDT_exponent_rows.csv": ("um", "fundingRate", "BTCUSDT", 12),
    "um_metrics_BTCUSDT-metrics-2026-09-30.head.csv": ("um", "metrics", "BTCUSDT", 13),
    "um_trades_BTCUSDT_2020-08_noheader_interleaved.csv": ("um", "trades", "BTCUSDT", 7),
    "um_trades_BTCUSDT_rows.csv": ("um", "trades", "BTCUSDT", 1),
}
MS = parse_time("2024-01-30") // 1000
ROWS = {
    "klines": f"{MS},10,12,9,11,5,{MS + 59_999},50,3,2,20,0",
    "markPriceKlines": f"{MS},10,12,9,11,0,{MS + 59_999},0,60,0,0,0",
    "indexPriceKlines": f"{MS},10,12,9,11,0,{MS + 59_999},0,60,0,0,0",
    "premiumIndexKlines": f"{MS},-0.0004,0.0002,-0.0005,-0.0001,0,{MS + 59_999},0,12,0,0,0",
    "aggTrades": f"77,10.5,2,100,101,{MS},true",
    "trades": f"77,10.5,2,21,{MS},true",
    "bookTicker": f"900,10.4,1,10.6,2,{MS},{MS + 3}",
    "fundingRate": f"{MS + 4},8,-6E-8",
    "metrics": '2024-01-30 00:00:00,BTCUSDT,80.5,3000000.5,"",1.9,1.4,0.4',
    "EOHSummary": "2024-01-30,05,BTC-240329-34000-C,BTCUSDT,C,240329-34000,0E-8,0E-8,0E-8,0E-8,0E-8,0E-8,"
    '745,780,5.8,1.2,"",0.48,762.4,0.47,-0.23,5E-5,38.9,-13.2,4.98,142676.5',
    "BVOLIndex": f"{MS + 1},BTCBVOLUSDT,BTCBVOL,USDT,37.2",
}


def archive(tree: Path, kind: str, text: str, market: str = "futures/um", symbol: str = "BTCUSDT") -> Path:
    interval = "1m" if SCHEMAS[kind].gridded else None
    folder = tree / "data" / market / "daily" / kind / symbol / (interval or "")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{symbol}-{interval or kind}-2024-01-30.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"{path.stem}.csv", text)
    return path


def columns_of(root: Path) -> dict[str, list[float]]:
    partition = Lake(root).all_partitions()[0]
    found = read_partition_file(root / partition.path, schema_of(partition.kind))
    return {name: values.tolist() for name, values in found.items()}


@pytest.mark.parametrize("kind", list(SCHEMAS))
def test_a_made_archive_of_every_kind_reads_the_same_with_and_without_header(tmp_path: Path, kind: str) -> None:
    names = ",".join(POSITIONS[kind])
    bare = parse_table("x.csv", ROWS[kind].encode(), SCHEMAS[kind], {}, official=True)
    fields = ",".join(ROWS[kind].split(",")[: len(POSITIONS[kind])])
    headed = parse_table("x.csv", f"{names}\n{fields}\n".encode(), SCHEMAS[kind], {}, official=True)
    assert (bare.problems.count, headed.problems.count) == (0, 0)
    for name in SCHEMAS[kind].names:
        np.testing.assert_array_equal(bare.rows.columns[name], headed.rows.columns[name])
    archive(tmp_path / "in", kind, ROWS[kind])
    import_paths([tmp_path / "in"], tmp_path / "lake")
    assert Lake(tmp_path / "lake").verify(full=True) == []
    before = Lake(tmp_path / "lake").all_partitions()
    (tmp_path / "lake/manifest.jsonl").unlink()
    assert len(rebuild_manifest(tmp_path / "lake").recreated) == 1
    assert Lake(tmp_path / "lake").all_partitions()[0].content == before[0].content


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("premiumIndexKlines", "um/premiumIndexKlines/BTCUSDT/1m/year=2024/BTCUSDT-1m-2024-01.parquet"),
        ("metrics", "um/metrics/BTCUSDT/year=2024/BTCUSDT-2024-01.parquet"),
        ("trades", "um/trades/BTCUSDT/year=2024/BTCUSDT-2024-01-30.parquet"),
    ],
)
def test_kinds_without_a_timeframe_leave_it_out_and_tick_kinds_have_a_partition_a_day(
    tmp_path: Path, kind: str, path: str
) -> None:
    archive(tmp_path / "in", kind, ROWS[kind])
    import_paths([tmp_path / "in"], tmp_path / "lake")
    assert [p.path for p in Lake(tmp_path / "lake").all_partitions()] == [path]


def test_negative_premiums_and_missing_ratios_and_flags_are_kept(tmp_path: Path) -> None:
    archive(tmp_path / "a", "premiumIndexKlines", ROWS["premiumIndexKlines"])
    import_paths([tmp_path / "a"], tmp_path / "premium")
    assert columns_of(tmp_path / "premium")["low"] == [-0.0005]
    archive(tmp_path / "b", "metrics", ROWS["metrics"])
    import_paths([tmp_path / "b"], tmp_path / "metrics")
    assert np.isnan(columns_of(tmp_path / "metrics")["top_account_ratio"]).all()
    spot = f"77,10.5,2,100,101,{MS},True,True\n78,10.5,2,100,101,{MS},False,True"
    archive(tmp_path / "c", "aggTrades", spot, market="spot")
    import_paths([tmp_path / "c"], tmp_path / "trades")
    assert columns_of(tmp_path / "trades")["is_buyer_maker"] == [True, False]


def test_an_option_row_says_its_hour_expiry_strike_and_side(tmp_path: Path) -> None:
    archive(tmp_path / "in", "EOHSummary", ROWS["EOHSummary"], market="option")
    import_paths([tmp_path / "in"], tmp_path / "lake")
    found = columns_of(tmp_path / "lake")
    assert found["time"] == [parse_time("2024-01-30T05:00")]
    assert found["expiry"] == [parse_time("2024-03-29T08:00")]
    assert (found["strike"], found["is_call"], found["close"]) == ([34000], [True], [0])


def test_trades_of_one_time_are_many_rows_sorted_by_id_and_identical_ones_drop(tmp_path: Path) -> None:
    rows = [f"{number},10,1,10,{MS},true" for number in (5, 3, 3, 4)]
    archive(tmp_path / "in", "trades", "\n".join(rows))
    report = import_paths([tmp_path / "in"], tmp_path / "lake")
    assert columns_of(tmp_path / "lake")["trade_id"] == [3, 4, 5]
    assert report.series[0].repairs == {"duplicates_dropped": 1}
    archive(tmp_path / "other", "trades", f"3,10,1,10,{MS},true\n3,11,1,11,{MS},true\n4,10,1,10,{MS},true")
    with pytest.raises(DataError, match=r"1 row\(s\) that are there twice and differ"):
        import_paths([tmp_path / "other"], tmp_path / "second")
    report = import_paths([tmp_path / "other"], tmp_path / "second", repairs=Repairs(drop_bad=True))
    assert report.series[0].refused == {"conflicting": 2}
    assert columns_of(tmp_path / "second")["trade_id"] == [4]


def test_the_last_metrics_row_of_a_day_may_be_at_the_following_midnight(tmp_path: Path) -> None:
    archive(tmp_path / "in", "metrics", ROWS["metrics"].replace("2024-01-30 00", "2024-01-31 00"))
    import_paths([tmp_path / "in"], tmp_path / "lake")
    assert columns_of(tmp_path / "lake")["time"] == [parse_time("2024-01-31")]


def test_an_absurd_jump_is_kept_and_counted(tmp_path: Path) -> None:
    rows = [f"{MS + at * 60_000},{p},{p},{p},{p},1,0,1,1,1,1,0" for at, p in enumerate((10, 11, 90, 89))]
    archive(tmp_path / "in", "klines", "\n".join(rows))
    assert import_paths([tmp_path / "in"], tmp_path / "lake").series[0].repairs == {"jumps_flagged": 1}
    assert columns_of(tmp_path / "lake")["close"] == [10, 11, 90, 89]


@pytest.mark.parametrize("name", list(SAMPLES))
def test_the_real_samples_of_every_kind_are_imported(real: Path, tmp_path: Path, name: str) -> None:
    market, kind, symbol, rows = SAMPLES[name]
    timeframe = "1h" if SCHEMAS[kind].gridded else None
    report = import_paths([real / "samples" / name], tmp_path, ImportOptions(market, kind, symbol, timeframe))
    assert report.series[0].rows_added == rows
    assert Lake(tmp_path).verify(full=True) == []


def test_the_real_options_and_trades_are_imported_whole(real: Path, tmp_path: Path) -> None:
    tree = real / "archive/data"
    report = import_paths([tree / "option", tree / "spot/daily/aggTrades"], tmp_path)
    options, trades = report.series
    assert (options.rows_added, trades.rows_added) == (5_626 + 5_424, 57_229)
    assert options.refused == trades.refused == {}
    assert options.repairs["rows_sorted"] > 0
    assert Lake(tmp_path).verify(full=True) == []


def test_funding_and_mark_prices_of_other_files_are_imported_as_what_they_are(real: Path, tmp_path: Path) -> None:
    funding = ImportOptions("um", "fundingRate", "BTCUSDT")
    assert import_paths([real / "um/BTCUSDT_funding.csv.gz"], tmp_path, funding).series[0].rows_added == 1095
    mark = ImportOptions("um", "markPriceKlines", "BTCUSDT", "8h")
    report = import_paths([real / "um/BTCUSDT_mark_8h.csv.gz"], tmp_path, mark).series[0]
    assert (report.rows_added, report.missing) == (1095, 0)
    times = columns_of(tmp_path)["time"]
    assert all(abs(time - round(time / (8 * HOUR)) * 8 * HOUR) < 1_000_000 for time in times)
