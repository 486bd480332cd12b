"""`bt data export`, `rebuild` and `rm`: rows for other programs, the manifest anew, and what is no longer wanted."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from backtester.cli.console import print_json
from backtester.cli.data_options import (
    DEFAULT_DATA,
    DataOption,
    JsonOption,
    KindOption,
    MarketOption,
    SymbolArgument,
    TimeframeOption,
    partitions_of,
    place_of,
)
from backtester.cli.tables import span_text


def export_command(
    symbol: SymbolArgument,
    out: Annotated[Path, typer.Option("--out", help="The file to write: .csv or .parquet.")],
    market: MarketOption = None,
    kind: Annotated[str, typer.Option(help="Kind of data.")] = "klines",
    timeframe: TimeframeOption = None,
    start: Annotated[str | None, typer.Option(help="From this time on.")] = None,
    end: Annotated[str | None, typer.Option(help="Before this time.")] = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Write a series to one file. Example: bt data export spot:BTCUSDT --timeframe 1m --out BTCUSDT_1m.csv"""
    from backtester.core.errors import UsageError
    from backtester.core.time import parse_time
    from backtester.data.exporting import export_series
    from backtester.data.lake import Lake
    from backtester.data.schemas import schema_of

    where, name = place_of(symbol, market or "spot")
    assert where is not None
    gridded = schema_of(kind).gridded
    lake = Lake(data)
    stored = lake.timeframes(where, kind, name or "")
    if gridded and timeframe is None:
        if len(stored) > 1:
            raise UsageError(f"{symbol} has several timeframes: {' '.join(stored)}", hint=f"--timeframe {stored[0]}")
        timeframe = stored[0]
    report = export_series(
        lake,
        (where, kind, name or "", timeframe or ""),
        out,
        None if start is None else parse_time(start),
        None if end is None else parse_time(end),
    )
    if as_json:
        print_json({"data": str(data), "path": report.path, "rows": report.rows, "bytes": report.bytes})
    else:
        print(f"{report.rows:,} rows written to {report.path}")


def rebuild_command(data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """Recreate the manifest from the files. Example: bt data rebuild"""
    from backtester.data.rebuilding import rebuild_manifest

    report = rebuild_manifest(data)
    if as_json:
        left_out = [{"path": path, "reason": reason} for path, reason in report.left_out]
        counts = {"kept": len(report.kept), "recreated": len(report.recreated)}
        print_json({"data": str(data), **counts, "left_out": left_out})
        return
    print(f"{len(report.kept)} records kept, {len(report.recreated)} recreated from their files")
    for path, reason in report.left_out:
        print(f"left out: {path}: {reason}")


def remove_command(
    symbol: SymbolArgument,
    market: MarketOption = None,
    kind: KindOption = None,
    timeframe: TimeframeOption = None,
    month: Annotated[str | None, typer.Option(help="Only this month: 2024-01.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Remove a symbol's partitions and their files. Example: bt data rm spot:BTCUSDT --timeframe 1m --yes"""
    from backtester.core.errors import DataError, UsageError
    from backtester.core.time import month_of
    from backtester.data.lake import Lake
    from backtester.data.manifest_writer import ManifestWriter

    of_symbol = partitions_of(Lake(data), symbol, market, kind, timeframe)
    chosen = [p for p in of_symbol if month in {None, month_of(p.first_time)}]
    if not chosen:
        raise DataError(f"{symbol} has no partition of {month} in {data}", hint=f"bt data show {symbol} --data {data}")
    if not yes:
        question = f"remove {len(chosen)} partitions ({span_text(chosen)}) of {symbol} from {data}?"
        if as_json or not sys.stdin.isatty():
            raise UsageError(f"{question[:-1]} needs --yes", hint="add --yes when you mean it")
        typer.confirm(question, abort=True)
    with ManifestWriter(data) as writer:
        writer.remove(p.path for p in chosen)
    if as_json:
        print_json({"data": str(data), "removed": [p.path for p in chosen]})
    else:
        print(f"{len(chosen)} partitions removed")
