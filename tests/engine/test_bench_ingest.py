import sys
from pathlib import Path

import pytest

from backtester.core.errors import UsageError
from backtester.data.downloader.importing import import_paths
from backtester.data.lake import Lake
from backtester.engine.bench_archives import daily_trades, monthly_klines, one_trades_file
from backtester.engine.bench_ingest import bench_ingest
from tests.support.archive import put_days
from tests.support.cli import bt


def test_made_archives_are_good_and_the_same_each_time(tmp_path: Path) -> None:
    for tree in (tmp_path / "a", tmp_path / "b"):
        monthly_klines(tree, "spot", "BTCUSDT", 2)
        monthly_klines(tree, "um", "BTCUSDT", 2)
        daily_trades(tree, "BTCUSDT", 2, 500)
        one_trades_file(tree, "ETHUSDT", 700, month=True)
    import_paths([tmp_path / "a"], tmp_path / "lake")
    partitions = Lake(tmp_path / "lake").all_partitions()
    minutes = (31 + 28) * 1440
    assert sum(p.rows for p in partitions if p.kind == "klines") == 2 * minutes
    assert sum(p.rows for p in partitions if p.kind == "aggTrades") == 2 * 500 + 700
    assert all(source.published_sha256 for p in partitions for source in p.sources)
    assert all(p.gaps == () and p.repairs == {} for p in partitions)
    zips = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.zip"))
    assert all((tmp_path / "a" / one).read_bytes() == (tmp_path / "b" / one).read_bytes() for one in zips)


def test_the_command_measures_a_tree_and_says_so_in_json(tmp_path: Path) -> None:
    put_days(tmp_path, "BTCUSDT", "2024-01-01", 3)
    done = bt("bench", "ingest", "--archive", tmp_path, "--trades", 60, "--partitions", 10, "--repeat", 1, "--json")
    figures = done.json
    assert set(figures["cases"]) == {"spot:BTCUSDT 1m klines"}
    case = figures["cases"]["spot:BTCUSDT 1m klines"]
    assert (case["files"], case["rows"]) == (3, 180)
    assert min(case["rows_per_s"], case["polars_rows_per_s"], case["ratio"], case["peak_mib"]) > 0
    assert [one["rows"] for one in figures["memory"].values()] == [30, 30, 30, 60, 60, 60]
    assert figures["manifest"]["partitions"] == 10


def test_without_polars_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(UsageError, match="polars, which is not installed") as error:
        bench_ingest(None, 1, 0, 0)
    assert "backtester[bench]" in error.value.hint
