"""`bt data gaps` and `bt data export`: what is missing, and rows for other programs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from backtester.cli.console import print_json
from backtester.cli.data import DataOption, JsonOption, MarketOption, TimeframeOption

_DEFAULT = Path("data")


def gaps_command(
    symbol: Annotated[str | None, typer.Argument(help="BTCUSDT, or spot:BTCUSDT; all when left out.")] = None,
    market: MarketOption = None,
    data: DataOption = _DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """List gaps: where, how long, and whether other symbols miss the same. Example: bt data gaps spot:BTCUSDT"""
    from backtester.core.errors import DataError
    from backtester.core.time import format_time
    from backtester.data.gap_report import find_gaps
    from backtester.data.lake import Lake
    from backtester.data.partition import market_name

    prefix, colon, name = (symbol or "").rpartition(":")
    wanted = prefix if colon else market
    lake = Lake(data)
    where = None if wanted is None else market_name(wanted)
    if symbol and not any(p.symbol == name and where in {None, p.market} for p in lake.all_partitions()):
        raise DataError(f"{symbol} is not in {data}", hint=f"bt data ls --data {data}")
    found = find_gaps(lake, where, name or None)
    if as_json:
        gaps: list[dict[str, Any]] = [
            {
                **dict(zip(("market", "kind", "symbol", "timeframe"), one.series, strict=True)),
                "start": one.start,
                "end": one.end,
                "missing": one.missing,
                "others": one.others,
                "also_missing": one.also_missing,
            }
            for one in found
        ]
        print_json({"data": str(data), "gaps": gaps})
        return
    if not found:
        print("no gaps")
    for one in found:
        place = " ".join(filter(None, (f"{one.series[0]}:{one.series[2]}", one.series[3], one.series[1])))
        shared = f"; missing in {one.also_missing} of {one.others} others too" if one.others else ""
        down = " - the exchange was probably down" if one.everywhere else ""
        unit = "candles" if one.series[3] else "days"
        print(f"{place}: {format_time(one.start)} up to {format_time(one.end)}, {one.missing:,} {unit}{shared}{down}")


def export_command(
    symbol: Annotated[str, typer.Argument(help="BTCUSDT, or spot:BTCUSDT")],
    out: Annotated[Path, typer.Option("--out", help="The file to write: .csv or .parquet.")],
    market: MarketOption = None,
    kind: Annotated[str, typer.Option(help="Kind of data.")] = "klines",
    timeframe: TimeframeOption = None,
    start: Annotated[str | None, typer.Option(help="From this time on.")] = None,
    end: Annotated[str | None, typer.Option(help="Before this time.")] = None,
    data: DataOption = _DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Write a series to one file. Example: bt data export spot:BTCUSDT --timeframe 1m --out BTCUSDT_1m.csv"""
    from backtester.core.errors import UsageError
    from backtester.core.time import parse_time
    from backtester.data.exporting import export_series
    from backtester.data.lake import Lake
    from backtester.data.partition import market_name
    from backtester.data.schemas import schema_of

    prefix, colon, name = symbol.rpartition(":")
    where = market_name(prefix if colon else market or "spot")
    gridded = schema_of(kind).gridded
    lake = Lake(data)
    stored = lake.timeframes(where, kind, name)
    if gridded and timeframe is None:
        if len(stored) > 1:
            raise UsageError(f"{symbol} has several timeframes: {' '.join(stored)}", hint=f"--timeframe {stored[0]}")
        timeframe = stored[0]
    report = export_series(
        lake,
        (where, kind, name, timeframe or ""),
        out,
        None if start is None else parse_time(start),
        None if end is None else parse_time(end),
    )
    if as_json:
        print_json({"data": str(data), "path": report.path, "rows": report.rows, "bytes": report.bytes})
    else:
        print(f"{report.rows:,} rows written to {report.path}")
