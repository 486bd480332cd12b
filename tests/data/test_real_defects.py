"""Every real file that can be imported, in one lake: what was read, refused, repaired and missing in each."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from backtester.core.time import timeframe_us
from backtester.data.downloader.finding import ImportOptions, find_files
from backtester.data.downloader.importing import import_paths, read_file
from backtester.data.downloader.naming import parse_mapping
from backtester.data.downloader.sanitising import Repairs
from backtester.data.gaps import count_missing, gaps_of
from backtester.data.lake import Lake
from backtester.data.schemas import schema_of
from tests.data.test_kinds import SAMPLES

ALLOWED = Repairs(drop_bad=True)
NO_LAKE_FILES = {
    "SOURCES.md": "a note",
    "exchangeInfo/*": "rules of symbols",
    "leverageBracket/*": "margin brackets",
    "ws/*/*": "captured streams",
    "um/rest_pages/*/*": "pages of the REST interface",
    "samples/rest_*": "a page of the REST interface",
    "samples/ws_*": "frames of streams",
    "samples/um_bookDepth_*": "a kind that the lake does not keep",
    "samples/cm_liquidationSnapshot_*": "a kind that the lake does not keep",
    "archive/**/*.CHECKSUM": "compared with the file beside it",
}
ETH_COLUMNS = "open_time=unix,volume=Volume ETH,quote_volume=Volume USDT"


class Found(NamedTuple):
    """rows: that the file holds. repaired, refused: rows by rule. missing: candles between its first and last row."""

    rows: int
    repaired: Mapping[str, int]
    refused: Mapping[str, int]
    missing: int


def importable(real: Path) -> dict[Path, tuple[ImportOptions, str]]:
    """Return the files with what they do not say themselves."""
    files: dict[Path, tuple[ImportOptions, str]] = {}
    for path in (real / "archive").rglob("*.zip"):
        files[path] = ImportOptions(), ""
    for path in (real / "spot").glob("*.csv.gz"):
        files[path] = ImportOptions("spot"), ""
    for path in [*(real / "um").glob("*.csv.gz"), *(real / "um/rest").glob("*.csv.gz")]:
        symbol, what = path.name.removesuffix(".csv.gz").split("_")[:2]
        kind = {"funding": "fundingRate", "mark": "markPriceKlines", "oi": "metrics"}.get(what)
        files[path] = ImportOptions("um", kind, symbol, "8h" if what == "mark" else None), ""
    for name, (market, kind, symbol, _) in SAMPLES.items():
        timeframe = "1h" if schema_of(kind).gridded else None
        files[real / "samples" / name] = ImportOptions(market, kind, symbol, timeframe), ""
    files[real / "samples/um_klines_BTCUSDT-1m-2026-09-30.head.csv"] = ImportOptions("um", None, "BTCUSDT", "1m"), ""
    doge = real / "samples/spot_klines_DOGEUSDT-1s-2025-01-01.head.noheader.csv"
    files[doge] = ImportOptions("spot", None, "DOGEUSDT", "1s"), ""
    dirty = real / "dirty/Binance_ETHUSDT_1h_cryptodatadownload.csv.gz"
    files[dirty] = ImportOptions("vendor", None, "ETHUSDT", None), ETH_COLUMNS
    return files


def examined(path: Path, options: ImportOptions, columns: str) -> Found:
    (file,), _ = find_files([path], options)
    series, clean = read_file(file, parse_mapping(columns, schema_of(file.kind)), ALLOWED)
    gaps = gaps_of(clean.rows.key, series.timeframe)
    dropped = {problem.name: len(problem.lines) for problem in clean.refused}
    repaired = {
        name: len(times)
        for name, times in clean.repairs.items()
        if not name.startswith(("bad_rows", "dropped_", "conflicting_"))
    }
    assert len(clean.rows) + sum(dropped.values()) + repaired.get("duplicates_dropped", 0) == clean.read
    return Found(
        clean.read, repaired, dropped, count_missing(gaps, timeframe_us(series.timeframe)) if series.timeframe else 0
    )


@pytest.fixture(scope="module")
def table(real: Path) -> dict[str, Found]:
    return {path.relative_to(real).as_posix(): examined(path, *how) for path, how in sorted(importable(real).items())}


def test_every_real_file_is_imported_or_known_to_be_none_for_the_lake(real: Path) -> None:
    others = {path for pattern in NO_LAKE_FILES for path in real.glob(pattern)}
    left = {path for path in real.rglob("*") if path.is_file()} - others - set(importable(real))
    assert left == set()
    assert all(path.is_file() for path in importable(real))


def test_the_defects_of_all_real_files(table: dict[str, Found]) -> None:
    assert len(table) == 57
    assert sum(found.rows for found in table.values()) == 1_162_603
    defects = {name: found[1:] for name, found in table.items() if found[1:] != ({}, {}, 0)}
    options = "archive/data/option/daily/EOHSummary/BTCUSDT/BTCUSDT-EOHSummary-2023-10"
    outage = {f"spot/{symbol}USDT_1h.csv.gz": ({}, {}, 1) for symbol in ("BNB", "BTC", "ETH", "SOL")}
    assert defects == {
        **outage,  # 2023-03-24 13:00
        f"{options}-20.zip": ({"rows_sorted": 5_367}, {}, 0),
        f"{options}-21.zip": ({"rows_sorted": 5_163}, {}, 0),
        "samples/um_metrics_BTCUSDT-metrics-2026-09-30.head.csv": ({"rows_sorted": 2}, {}, 0),
        "samples/um_trades_BTCUSDT_2020-08_noheader_interleaved.csv": ({"rows_sorted": 3}, {}, 0),
        "dirty/Binance_ETHUSDT_1h_cryptodatadownload.csv.gz": (
            {"rows_sorted": 36_061},
            {"conflicting": 5_298},
            2_665,
        ),
    }


def test_all_real_files_live_in_one_lake(real: Path, tmp_path: Path) -> None:
    for path, (options, columns) in sorted(importable(real).items()):
        import_paths([path], tmp_path, options, columns=columns, repairs=ALLOWED)
    lake = Lake(tmp_path)
    assert lake.verify(full=True) == []
    assert lake.unlisted() == []
    assert len({partition.series for partition in lake.all_partitions()}) == 35
    assert sum(partition.rows for partition in lake.all_partitions()) == 1_156_183  # rows of several files count once
