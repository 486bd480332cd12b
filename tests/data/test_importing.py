import gzip
import hashlib
import zipfile
from pathlib import Path

import pytest

from backtester.core.errors import DataError, UsageError
from backtester.core.time import parse_time
from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.importing import ImportReport, import_paths
from backtester.data.downloader.sanitising import Repairs
from backtester.data.lake import Lake

HEADER = "open_time,open,high,low,close,volume\n"
SPOT = ImportOptions(market="spot")


def csv(start: str, rows: int, price: float = 10.0, minutes: int = 1) -> str:
    first = parse_time(start) // 1000
    lines = (f"{first + i * minutes * 60_000},{price},{price + 1},{price - 1},{price},{i + 1}" for i in range(rows))
    return "\n".join(lines) + "\n"


def archive_file(tree: Path, symbol: str, date: str, text: str, *, timeframe: str = "1m", kind: str = "klines") -> Path:
    folder = tree / "data" / "spot" / "daily" / kind / symbol / timeframe
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{symbol}-{timeframe}-{date}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{path.stem}.csv", text)
    return path


def test_a_tree_of_daily_files_becomes_one_partition_a_month(tmp_path: Path) -> None:
    for day in ("2024-01-30", "2024-01-31", "2024-02-01"):
        path = archive_file(tmp_path / "in", "BTCUSDT", day, csv(day, 1440))
        path.with_name(path.name + ".CHECKSUM").write_text(
            f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"
        )
    archive_file(tmp_path / "in", "BTCUSDT", "2024-01-30", csv("2024-01-30", 5), kind="bookDepth")
    (tmp_path / "in/data/spot/daily/klines/BTCUSDT/1m/part-00000.zip").write_bytes(b"stray")
    (tmp_path / "in/readme.txt").write_text("hello")
    report = import_paths([tmp_path / "in"], tmp_path / "lake")
    assert [(p.rows, len(p.sources)) for p in report.series[0].partitions] == [(2880, 2), (1440, 1)]
    assert report.series[0].partitions[0].sources[0].published_sha256 is not None
    assert sorted(report.skipped.values()) == [1, 1, 1, 3]
    again = import_paths([tmp_path / "in"], tmp_path / "lake")
    assert (again.series[0].rows_added, again.series[0].unchanged) == (0, 2)


def test_one_bad_file_of_many_leaves_the_lake_untouched(tmp_path: Path) -> None:
    tree = tmp_path / "in"
    archive_file(tree, "AAAUSDT", "2024-01-30", csv("2024-01-30", 10))
    archive_file(tree, "BBBUSDT", "2024-01-30", csv("2024-01-30", 10).replace(",10.0,1\n", ",99,1\n"))
    archive_file(tree, "CCCUSDT", "2024-01-30", csv("2024-01-31", 10))
    with pytest.raises(DataError) as error:
        import_paths([tree], tmp_path / "lake")
    assert "2 of 3 files were refused, and nothing was imported" in error.value.message
    assert "BBBUSDT-1m-2024-01-30.zip: 1 of 10 rows are bad: high is below open or close: line 1" in error.value.message
    assert "CCCUSDT-1m-2024-01-30.zip: 10 of 10 rows are bad: open_time is outside" in error.value.message
    assert Lake(tmp_path / "lake").all_partitions() == []
    assert Lake(tmp_path / "lake").unlisted() == []


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    path = archive_file(tmp_path, "BTCUSDT", "2024-01-30", csv("2024-01-30", 10))
    path.with_name(path.name + ".CHECKSUM").write_text("0" * 64)
    with pytest.raises(DataError, match="does not match its checksum"):
        import_paths([path], tmp_path / "lake")


def test_a_plain_file_takes_what_its_name_says_and_the_rest_from_options(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT_5m.csv.gz"
    path.write_bytes(gzip.compress((HEADER + csv("2024-01-01", 10, minutes=5)).encode()))
    with pytest.raises(UsageError, match=r"the market of .* cannot be told"):
        import_paths([path], tmp_path / "lake")
    report = import_paths([path], tmp_path / "lake", ImportOptions(market="futures"))
    assert str(report.series[0].series) == "um:BTCUSDT 5m klines"


def test_a_file_that_says_nothing_needs_a_symbol_and_its_timeframe_is_inferred(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(HEADER + csv("2024-01-01", 10, minutes=15))
    with pytest.raises(UsageError, match=r"the symbol of .* cannot be told"):
        import_paths([path], tmp_path / "lake", SPOT)
    report = import_paths([path], tmp_path / "lake", ImportOptions(market="kraken.spot", symbol="XBTEUR"))
    assert str(report.series[0].series) == "kraken.spot:XBTEUR 15m klines"


@pytest.mark.parametrize(
    "options",
    [
        ImportOptions(market="no/market", symbol="A"),
        ImportOptions(market="spot", symbol="BTC/USDT"),
        ImportOptions(market="spot", symbol="../x"),
        ImportOptions(market="spot", symbol="A", timeframe="7m"),
        ImportOptions(market="spot", symbol="A", kind="dreams"),
    ],
)
def test_options_that_cannot_be_are_usage_errors(tmp_path: Path, options: ImportOptions) -> None:
    (tmp_path / "x.csv").write_text(HEADER + csv("2024-01-01", 10))
    with pytest.raises(UsageError):
        import_paths([tmp_path / "x.csv"], tmp_path / "lake", options)
    assert not (tmp_path / "lake").exists()


def test_an_option_that_contradicts_an_archive_name_is_refused(tmp_path: Path) -> None:
    path = archive_file(tmp_path, "BTCUSDT", "2024-01-30", csv("2024-01-30", 10))
    with pytest.raises(UsageError, match="says symbol BTCUSDT, --symbol says ETHUSDT"):
        import_paths([path], tmp_path / "lake", ImportOptions(symbol="ETHUSDT"))


def test_microseconds_and_milliseconds_of_archive_files_meet_in_one_series(tmp_path: Path) -> None:
    archive_file(tmp_path / "in", "BTCUSDT", "2024-12-31", csv("2024-12-31", 1440))
    micros = "\n".join(line.replace(",", "000,", 1) for line in csv("2025-01-01", 1440).splitlines())
    archive_file(tmp_path / "in", "BTCUSDT", "2025-01-01", micros)
    report = import_paths([tmp_path / "in"], tmp_path / "lake")
    assert (report.series[0].rows_added, report.series[0].missing) == (2880, 0)


def test_overlapping_files_agree_or_are_refused_with_both_named(tmp_path: Path) -> None:
    (tmp_path / "BTCUSDT_1m_a.csv").write_text(HEADER + csv("2024-01-01", 10))
    (tmp_path / "BTCUSDT_1m_b.csv").write_text(HEADER + csv("2024-01-01", 20))
    report = import_paths([tmp_path], tmp_path / "lake", SPOT)
    assert report.series[0].partitions[0].repairs == {"duplicates_dropped": 10}
    (tmp_path / "BTCUSDT_1m_b.csv").write_text(HEADER + csv("2024-01-01", 20, price=11))
    with pytest.raises(DataError, match=r"BTCUSDT_1m_a\.csv line 2 has .* BTCUSDT_1m_b\.csv line 2 has"):
        import_paths([tmp_path], tmp_path / "other", SPOT)


def test_repairs_are_counted_in_the_partition_where_they_happened(tmp_path: Path) -> None:
    rows = csv("2024-01-31T23:50", 20).splitlines()
    rows[2] = rows[2].replace(",10.0,", ",nan,", 1)
    rows[15] = rows[14]
    (tmp_path / "BTCUSDT_1m.csv").write_text(HEADER + "\n".join(rows))
    report = import_paths([tmp_path / "BTCUSDT_1m.csv"], tmp_path / "lake", SPOT, repairs=Repairs(drop_bad=True))
    assert [p.repairs for p in report.series[0].partitions] == [
        {"bad_rows_dropped": 1, "dropped_not_a_number": 1},
        {"duplicates_dropped": 1},
    ]
    assert report.series[0].missing == 2


def test_missing_paths_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        import_paths([tmp_path / "nowhere"], tmp_path / "lake", SPOT)
    with pytest.raises(DataError, match="nothing to import"):
        import_paths([tmp_path], tmp_path / "lake", SPOT)
    (tmp_path / "x.xlsx").write_bytes(b"?")
    with pytest.raises(UsageError, match="cannot be imported"):
        import_paths([tmp_path / "x.xlsx"], tmp_path / "lake", SPOT)
    with pytest.raises(UsageError, match="out of range"):
        import_paths([tmp_path], tmp_path / "lake", SPOT, repairs=Repairs(price_decimals=13))


def test_progress_is_told_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "BTCUSDT_1m.csv").write_text(HEADER + csv("2024-01-01", 10))
    seen: list[tuple[int, int, str]] = []
    report = import_paths([tmp_path], tmp_path / "lake", SPOT, on_file=lambda *step: seen.append(step))
    assert isinstance(report, ImportReport)
    assert seen == [(0, 1, "BTCUSDT_1m.csv")]


def test_every_way_of_cutting_a_file_short_is_a_refusal(tmp_path: Path) -> None:
    whole = archive_file(tmp_path / "in", "BTCUSDT", "2024-01-30", csv("2024-01-30", 50)).read_bytes()
    path = tmp_path / "BTCUSDT-1m-2024-01-30.zip"
    for cut in range(0, len(whole), 37):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError):
            import_paths([path], tmp_path / "lake", SPOT)
    assert Lake(tmp_path / "lake").all_partitions() == []


@pytest.mark.parametrize("big", [False, True])
def test_rows_left_out_of_a_whole_month_are_in_the_ledger_and_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, big: bool
) -> None:
    if big:
        monkeypatch.setattr("backtester.data.downloader.reading.BIG_BYTES", 0)
    hours = [parse_time(day) // 1000 + hour * 3_600_000 for day in ("2024-01-31", "2024-02-01") for hour in range(24)]
    lines = [f"{time},1,2,0.5,1,5" for time in hours[:24]]
    lines += [f"{time},1,2,3,1,5" for time in hours[24:]]  # in all of February low is above open
    lines += [f"{hours[-1] + (hour + 1) * 3_600_000},1,2,0.5,1,5" for hour in range(30 * 24)]
    path = tmp_path / "BTCUSDT-1h.csv"
    path.write_text("open_time,open,high,low,close,volume\n" + "\n".join(lines) + "\n")
    lake = tmp_path / "lake"
    report = import_paths([path], lake, ImportOptions("spot", None, "BTCUSDT", "1h"), repairs=Repairs(drop_bad=True))
    ledger = sum(p.repairs.get("dropped_low_above", 0) for p in Lake(lake).all_partitions())
    assert ledger == report.series[0].repairs["dropped_low_above"] == 24
    (aside,) = report.quarantined
    rows = Path(aside).read_text().splitlines()
    assert rows[0] == "line,rule,row"
    assert rows[1] == f'26,low_above,"{lines[24]}"'
    assert len(rows) == 25
