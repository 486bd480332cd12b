"""What `bt bench ingest` measures: archives into a lake, beside polars that only reads and writes the same tables.

Ours is the whole path: checksum, unzip, parse, every rule, sort, gaps, digests, Parquet, fsync, manifest. Both sides
run in turn in one process, because machines are noisy; peak memory comes from processes of their own.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Final

from backtester.core.errors import EngineError, UsageError
from backtester.core.time import DAY, parse_time
from backtester.data.downloader.finding import ImportOptions, SourceFile, find_files
from backtester.data.downloader.importing import import_paths
from backtester.data.downloader.sanitising import Repairs
from backtester.data.lake import Lake
from backtester.data.manifest import MANIFEST_NAME, Commit, Pending, encode
from backtester.data.partition import Partition, Source, partition_path
from backtester.engine.bench_children import Figures, child, medians, peak_mib

_THIS: Final = "backtester.engine.bench_ingest"
_SYMBOL: Final = "BTCUSDT"
_FILES: Final = 24
_TRADES_A_DAY: Final = 100_000
_DAYS: Final = 30
_FILES_OF_A_SERIES: Final = 60  # of a user's own tree: enough to measure, and both sides fit on a disk


def bench_ingest(archive: Path | None, repeat: int, trades: int, partitions: int) -> Figures:
    """Measure ingest of made archives, or of a user's own; peak memory by number of trades; opening a big manifest.

    Args:
        archive: a tree laid out as the public archive; None makes monthly candles and daily trades.
        repeat: rounds; medians are reported.
        trades: aggTrades for peak memory, compared with a tenth of them; 0 leaves that out.
        partitions: records of the manifest that is opened; 0 leaves that out.

    Raises:
        UsageError: polars is not installed.
        DataError: the user's archive cannot be read.
    """
    try:
        import polars  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "bt bench ingest compares with polars, which is not installed", hint="pip install 'backtester[bench]'"
        ) from error
    with tempfile.TemporaryDirectory(prefix="bt-bench-") as scratch:
        root = Path(scratch)
        cases = _made(root / "made") if archive is None else _own(archive, root / "own")
        figures: Figures = {"cases": {}, "repeat": repeat}
        for name, folder in cases.items():
            case = child(_THIS, "compare", str(folder), str(root / "work"), str(repeat))
            alone = child(_THIS, "import", str(folder), str(root / "alone"))
            figures["cases"][name] = {**case, "peak_mib": alone["peak_mib"]}
            shutil.rmtree(root / "alone")
        figures["ratio"] = _overall(list(figures["cases"].values()))
        if trades:
            figures["memory"] = {
                title: _memory(root / "memory", form, count)
                for count in (max(trades // 10, _DAYS), trades)
                for title, form in (
                    (f"{count:,} trades, {_DAYS} daily files", "days"),
                    (f"{count:,} trades, one monthly file", "month"),
                    (f"{count:,} trades, one daily file", "day"),
                )
            }
        if partitions:
            child(_THIS, "write-manifest", str(root / "lake"), str(partitions))
            opened = [child(_THIS, "open-manifest", str(root / "lake")) for _ in range(repeat)]
            figures["manifest"] = medians(opened)
    return figures


def _made(root: Path) -> dict[str, Path]:
    cases = {"spot 1m, monthly": "spot", "um 1m, monthly": "um", "aggTrades, daily": "trades"}
    for form in cases.values():
        child(_THIS, "make", form, str(root / form), str(_FILES), str(_TRADES_A_DAY))
    return {title: root / form for title, form in cases.items()}


def _own(archive: Path, root: Path) -> dict[str, Path]:
    """Copy files of a user's tree, one folder per series, so that each is a case."""
    files, _ = find_files([archive], ImportOptions())
    cases: dict[str, Path] = {}
    for key, group in groupby(files, key=lambda f: (f.market, f.kind, f.symbol, f.timeframe or "")):
        title = " ".join(filter(None, (f"{key[0]}:{key[2]}", key[3], key[1])))
        cases[title] = root / str(len(cases))
        for file in list(group)[:_FILES_OF_A_SERIES]:
            _copy(file, cases[title])
    return cases


def _copy(file: SourceFile, folder: Path) -> None:
    target = folder / file.address
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file.path, target)
    checksum = file.path.with_name(f"{file.path.name}.CHECKSUM")
    if checksum.is_file():
        shutil.copyfile(checksum, target.with_name(f"{target.name}.CHECKSUM"))


def _overall(cases: Sequence[Figures]) -> float:
    return round(float(sum(c["polars_s"] for c in cases) / sum(c["seconds"] for c in cases)), 3)


def _memory(folder: Path, form: str, rows: int) -> Figures:
    child(_THIS, "make", form, str(folder / "archive"), str(_DAYS), str(rows // _DAYS if form == "days" else rows))
    figures = child(_THIS, "import", str(folder / "archive"), str(folder / "lake"))
    shutil.rmtree(folder)
    return figures


def make(form: str, root: Path, files: int, rows: int) -> Figures:
    """Write the archives of one case."""
    from backtester.engine.bench_archives import daily_trades, monthly_klines, one_trades_file

    match form:
        case "spot" | "um":
            monthly_klines(root, form, _SYMBOL, files)
        case "trades" | "days":
            daily_trades(root, _SYMBOL, files, rows)
        case "month" | "day":
            one_trades_file(root, _SYMBOL, rows, month=form == "month")
    return {}


def import_once(archive: Path, lake: Path) -> Figures:
    """Import a tree into a new lake."""
    began = time.perf_counter()
    report = import_paths([archive], lake, repairs=Repairs(drop_bad=True))
    seconds = time.perf_counter() - began
    rows = sum(series.rows_read for series in report.series)
    return {"rows": rows, "seconds": round(seconds, 4), "rows_per_s": rows / seconds, "peak_mib": peak_mib()}


def compare(archive: Path, work: Path, repeat: int) -> Figures:
    """Import a tree, and read and write the tables in it with bare polars, in turn; the first round warms up."""
    from backtester.engine.bench_archives import unpacked

    zips = [file.path for file in find_files([archive], ImportOptions())[0]]
    tables = unpacked(zips, work / "tables")
    ours: list[Figures] = []
    bare: list[float] = []
    for _ in range(repeat + 1):
        ours.append(import_once(archive, work / "lake"))
        shutil.rmtree(work / "lake")
        bare.append(_bare_polars(tables, work / "polars"))
        shutil.rmtree(work / "polars")
    text, packed = sum(t.stat().st_size for t in tables), sum(z.stat().st_size for z in zips)
    shutil.rmtree(work)
    rows = ours[0]["rows"]
    seconds, polars_s = median(o["seconds"] for o in ours[1:]), median(bare[1:])
    return {
        "files": len(zips),
        "rows": rows,
        "text_mb": text / 1e6,
        "zip_mb": packed / 1e6,
        "seconds": seconds,
        "rows_per_s": rows / seconds,
        "mb_per_s": text / 1e6 / seconds,
        "polars_s": polars_s,
        "polars_rows_per_s": rows / polars_s,
        "polars_mb_per_s": text / 1e6 / polars_s,
        "ratio": round(median(b / o["seconds"] for o, b in zip(ours[1:], bare[1:], strict=True)), 3),
    }


def _bare_polars(tables: Sequence[Path], folder: Path) -> float:
    import polars as pl

    folder.mkdir(parents=True)
    began = time.perf_counter()
    for table in tables:
        with table.open("rb") as file:
            header = not file.read(1).isdigit()
        frame = pl.read_csv(table, has_header=header)
        frame.write_parquet(folder / f"{table.stem}.parquet", compression="zstd")
    return time.perf_counter() - began


def write_manifest(root: Path, partitions: int) -> Figures:
    """Write a manifest of many daily partitions, each with the lines that writing it leaves; no files."""
    root.mkdir(parents=True)
    first = parse_time("2020-01-01")
    lines: list[bytes] = []
    for number in range(partitions):
        symbol, day = f"COIN{number // 1_000}USDT", first + number % 1_000 * DAY
        digest = f"{number:064x}"
        address = f"data/spot/daily/aggTrades/{symbol}/{symbol}-aggTrades-{number % 1_000}.zip"
        partition = Partition(
            path=partition_path("spot", "aggTrades", symbol, "", day, daily=True),
            market="spot",
            kind="aggTrades",
            symbol=symbol,
            timeframe="",
            first_time=day,
            last_time=day + DAY - 1,
            rows=57_229,
            size=540_000,
            sha256=digest,
            content=digest[::-1],
            sources=(Source(address, digest, digest),),
            schema_version=1,
            gaps=(),
            repairs={},
            price_decimals=8,
            volume_decimals=2,
            created=first,
        )
        lines += [encode(Pending(partition)), encode(Commit(partition.path, digest))]
    (root / MANIFEST_NAME).write_bytes(b"".join(line + b"\n" for line in lines))
    return {}


def open_manifest(root: Path) -> Figures:
    """Open a lake once."""
    began = time.perf_counter()
    lake = Lake(root)
    seconds = time.perf_counter() - began
    return {"partitions": len(lake.all_partitions()), "open_s": seconds, "peak_mib": peak_mib()}


def _main(arguments: list[str]) -> Figures:
    match arguments:
        case ["make", form, root, files, rows]:
            return make(form, Path(root), int(files), int(rows))
        case ["import", archive, lake]:
            return import_once(Path(archive), Path(lake))
        case ["compare", archive, work, repeat]:
            return compare(Path(archive), Path(work), int(repeat))
        case ["write-manifest", root, partitions]:
            return write_manifest(Path(root), int(partitions))
        case ["open-manifest", root]:
            return open_manifest(Path(root))
        case _:
            raise EngineError(f"bench does not know {arguments}")


if __name__ == "__main__":
    print(json.dumps(_main(sys.argv[1:])))
