"""Out of the lake and in again; and which gaps are shared."""

from pathlib import Path

import pytest

from backtester.core.time import DAY, MINUTE, parse_time
from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.importing import import_paths
from backtester.data.gap_report import find_gaps
from backtester.data.lake import Lake
from backtester.data.schemas import SCHEMAS
from tests.data.test_kinds import ROWS, archive
from tests.support.cli import bt


def contents(lake: Path) -> list[tuple[str, str]]:
    return [(partition.path, partition.content) for partition in Lake(lake).all_partitions()]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("kind", list(SCHEMAS))
def test_what_is_exported_and_imported_again_has_the_same_digests(tmp_path: Path, kind: str, suffix: str) -> None:
    archive(tmp_path / "in", kind, ROWS[kind])
    import_paths([tmp_path / "in"], tmp_path / "lake")
    out = tmp_path / f"out.{suffix}"
    said = bt("data", "export", "um:BTCUSDT", "--kind", kind, "--out", out, "--data", tmp_path / "lake", "--json")
    assert said.json["rows"] == 1
    timeframe = "1m" if SCHEMAS[kind].gridded else None
    import_paths([out], tmp_path / "again", ImportOptions("um", kind, "BTCUSDT", timeframe))
    assert contents(tmp_path / "again") == contents(tmp_path / "lake")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_real_series_survive_the_round_trip(real: Path, tmp_path: Path, suffix: str) -> None:
    tree = real / "archive/data"
    import_paths(
        [tree / "option", tree / "spot/daily/aggTrades", tree / "spot/daily/klines/BTCUSDT/1m"], tmp_path / "a"
    )
    for partition in Lake(tmp_path / "a").all_partitions():
        market, kind, symbol, timeframe = partition.series
        out = tmp_path / f"{kind}.{suffix}"
        named = ("--kind", kind, "--out", out, "--data", tmp_path / "a")
        assert bt("data", "export", f"{market}:{symbol}", *named).code == 0
        import_paths([out], tmp_path / "b", ImportOptions(market, kind, symbol, timeframe or None))
    assert contents(tmp_path / "b") == contents(tmp_path / "a")


def test_an_export_takes_a_range_and_refuses_other_formats(tmp_path: Path, candles, put) -> None:
    put(tmp_path / "lake", candles([1.0, 2, 3, 4, 5]))
    common = ("data", "export", "spot:BTCUSDT", "--data", tmp_path / "lake")
    span = ("--start", "2024-01-01T00:01", "--end", "2024-01-01T00:03")
    assert bt(*common, "--out", tmp_path / "x.csv", *span).code == 0
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert len(lines) == 3
    assert lines[1].startswith(f"{parse_time('2024-01-01T00:01')},2,")
    assert bt(*common, "--out", tmp_path / "x.xlsx").code == 2
    assert bt(*common, "--out", tmp_path / "y.csv", "--start", "2030-01-01").code == 3
    assert not (tmp_path / "y.csv").exists()


def test_a_gap_that_every_symbol_has_is_told_from_one_of_its_own(tmp_path: Path, candles, put) -> None:
    def without(*missing: int) -> dict:
        columns = candles([float(i + 1) for i in range(10)])
        keep = [i for i in range(10) if i not in missing]
        return {name: values[keep] for name, values in columns.items()}

    put(tmp_path, without(3, 4))
    put(tmp_path, without(3, 4, 7), symbol="ETHUSDT")
    start = parse_time("2024-01-01")
    found = find_gaps(Lake(tmp_path), symbol="ETHUSDT")
    assert [((one.start - start) // MINUTE, one.missing, one.everywhere) for one in found] == [
        (3, 2, True),
        (7, 1, False),
    ]
    said = bt("data", "gaps", "spot:ETHUSDT", "--data", tmp_path)
    first, second, hint = said.out.splitlines()
    assert hint == "2 unknown gaps, 3 candles: bt data repair asks other sources for them"
    assert "2 candles; missing in 1 of 1 others too - the exchange was probably down" in first
    assert "missing in 0 of 1 others too" in second
    assert len(bt("data", "gaps", "--data", tmp_path, "--json").json["gaps"]) == 3
    assert bt("data", "gaps", "NOPE", "--data", tmp_path).code == 3


def test_kinds_kept_in_days_lack_days(tmp_path: Path) -> None:
    for day in ("2024-01-30", "2024-02-02"):
        row = ROWS["trades"].replace(str(parse_time("2024-01-30") // 1000), str(parse_time(day) // 1000))
        path = archive(tmp_path / day, "trades", row)
        (tmp_path / f"{day}.csv").write_text("id,price,qty,quote_qty,time,is_buyer_maker\n" + row + "\n")
        path.unlink()
        import_paths([tmp_path / f"{day}.csv"], tmp_path / "lake", ImportOptions("um", "trades", "BTCUSDT"))
    (one,) = find_gaps(Lake(tmp_path / "lake"))
    assert (one.start, one.end, one.missing) == (parse_time("2024-01-31"), parse_time("2024-01-31") + 2 * DAY, 2)
    assert "2 days" in bt("data", "gaps", "--data", tmp_path / "lake").out
