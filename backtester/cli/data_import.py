"""`bt data import`, `bt data capture` and `bt data sample`: how rows get into the lake from files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backtester.cli.console import print_json
from backtester.cli.data_options import DEFAULT_DATA, DataOption, JsonOption, MarketOption, TimeframeOption
from backtester.cli.progress import progress
from backtester.cli.tables import span_text

if TYPE_CHECKING:
    from backtester.data.downloader.importing import ImportReport

ImportKind = Annotated[str | None, typer.Option("--kind", help="Kind of data; klines when nothing says otherwise.")]

_CONFLICTS = "conflicting_rows_dropped"


def import_command(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE|DIR...", help="zip, csv, csv.gz, parquet, or folders.")],
    market: MarketOption = None,
    kind: ImportKind = None,
    symbol: Annotated[str | None, typer.Option(help="For files whose name does not say it.")] = None,
    timeframe: TimeframeOption = None,
    columns: Annotated[str, typer.Option(help="Our column = the file's name or number: open_time=date,...")] = "",
    data: DataOption = DEFAULT_DATA,
    drop_bad: Annotated[bool, typer.Option("--drop-bad", help="Leave bad rows out and record how many.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Let new rows win over different ones.")] = False,
    price_decimals: Annotated[int | None, typer.Option(help="Round prices to N decimals and record it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Import candles from files. Archive names and folders say market, symbol and timeframe themselves.

    Example: bt data import BTCUSDT_1h.csv.gz --market spot
    """
    from backtester.data.downloader.finding import ImportOptions
    from backtester.data.downloader.importing import import_paths
    from backtester.data.downloader.sanitising import Repairs

    options = ImportOptions(market, kind, symbol, timeframe)
    repairs = Repairs(drop_bad, price_decimals)
    with progress("reading", show=not as_json) as on_file:
        report = import_paths(paths, data, options, columns=columns, repairs=repairs, replace=replace, on_file=on_file)
    _print_import(report, data, as_json)


def capture_command(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Messages of streams, one a line; plain or gzip.")],
    market: Annotated[str, typer.Option(help="spot or um.")],
    data: DataOption = DEFAULT_DATA,
    replace: Annotated[bool, typer.Option("--replace", help="Let new rows win over different ones.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Import trades, and on futures best bids and asks, from a capture of an exchange's streams.

    Example: bt data capture btcusdt.gz --market um
    """
    from backtester.data.downloader.capturing import import_capture

    _print_import(import_capture(path, data, market, replace=replace), data, as_json)


def sample_command(data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """Write a synthetic market to try things on: 1m candles of BTCUSDT and ETHUSDT. Example: bt data sample"""
    from backtester.data.gap_report import by_series
    from backtester.data.sample import SAMPLE_SOURCE, write_sample_lake

    partitions = write_sample_lake(data)
    if as_json:
        written = [{"path": p.path, "rows": p.rows, "content": p.content} for p in partitions]
        print_json({"data": str(data), "source": SAMPLE_SOURCE, "partitions": written})
        return
    for series, own in by_series(partitions).items():
        rows = sum(p.rows for p in own)
        print(f"{series[0]}:{series[2]} {series[3]}: {rows:,} synthetic candles, {span_text(own)}")


def _print_import(report: "ImportReport", data: Path, as_json: bool) -> None:
    if as_json:
        import msgspec

        print_json({"data": str(data), **msgspec.to_builtins(report)})
        return
    for one in report.series:
        changed = len(one.partitions) - one.unchanged
        print(
            f"{one.series}: {one.rows_added:,} of {one.rows_read:,} rows are new, {changed} partitions written, "
            f"{one.unchanged} unchanged, {span_text(one.partitions)}"
        )
        for name, count in one.repairs.items():
            print(f"  recorded: {name.replace('_', ' ')} {count:,}")
        if left_out := sum(count for name, count in one.repairs.items() if name in ("bad_rows_dropped", _CONFLICTS)):
            rows = one.rows_read + left_out
            print(f"  warning: {left_out:,} of {rows:,} rows ({left_out / rows:.1%}) were bad and left out")
        if one.missing:
            series = f"{one.series.market}:{one.series.symbol}"
            print(f"  {one.missing:,} candles are missing in that span: bt data show {series}")
    for path in report.quarantined:
        print(f"rows that were left out are in {path}")
    for reason, count in report.skipped.items():
        print(f"skipped {count} {reason}")
