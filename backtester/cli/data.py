"""`bt data`: what the lake holds, and how files get into it."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from backtester.data.downloader.importing import ImportReport
    from backtester.data.partition import Partition

data_app = typer.Typer(help="The data lake: import files, list, check and remove partitions.", no_args_is_help=True)

DataOption = Annotated[Path, typer.Option("--data", help="The lake's folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else.")]
MarketOption = Annotated[str | None, typer.Option(help="spot, um, cm, option, or a venue's own name.")]
KindOption = Annotated[str | None, typer.Option(help="Kind of data; klines when nothing says otherwise.")]
TimeframeOption = Annotated[str | None, typer.Option(help="1m, 5m, 1h, ...")]

_DEFAULT = Path("data")
_CONFLICTS = "conflicting_rows_dropped"


@data_app.command("import")
def import_command(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE|DIR...", help="zip, csv, csv.gz, parquet, or folders.")],
    market: MarketOption = None,
    kind: KindOption = None,
    symbol: Annotated[str | None, typer.Option(help="For files whose name does not say it.")] = None,
    timeframe: TimeframeOption = None,
    columns: Annotated[str, typer.Option(help="Our column = the file's name or number: open_time=date,...")] = "",
    data: DataOption = _DEFAULT,
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
    with _progress(show=not as_json) as on_file:
        report = import_paths(paths, data, options, columns=columns, repairs=repairs, replace=replace, on_file=on_file)
    _print_import(report, data, as_json)


@data_app.command("ls")
def list_command(data: DataOption = _DEFAULT, as_json: JsonOption = False) -> None:
    """List the series of the lake. Example: bt data ls"""
    from backtester.core.time import timeframe_us
    from backtester.data.lake import Lake, series_gaps

    rows: list[dict[str, Any]] = []
    for series, partitions in _by_series(Lake(data).all_partitions()):
        gaps = series_gaps(partitions)
        missing = sum((end - start) // timeframe_us(series[3]) for start, end in gaps)
        rows.append(
            {
                "market": series[0],
                "kind": series[1],
                "symbol": series[2],
                "timeframe": series[3],
                "first": partitions[0].first_time,
                "last": partitions[-1].last_time,
                "rows": sum(p.rows for p in partitions),
                "bytes": sum(p.size for p in partitions),
                "gaps": len(gaps),
                "missing": missing,
                "synthetic": any(p.synthetic for p in partitions),
                "origin": _origin(partitions),
            }
        )
    if as_json:
        _print_json({"data": str(data), "series": rows})
        return
    if not rows:
        print(f"{data} holds nothing yet: bt data sample --data {data} (synthetic), or bt data import FILES")
        return
    _table(
        ("market", "kind", "symbol", "timeframe", "first", "last", "rows", "size", "gaps", "missing", "origin"),
        [
            (
                *(r[name] or "-" for name in ("market", "kind", "symbol", "timeframe")),
                _time(r["first"]),
                _time(r["last"]),
                f"{r['rows']:,}",
                _size(r["bytes"]),
                r["gaps"] or "-",
                r["missing"] or "-",
                r["origin"],
            )
            for r in rows
        ],
    )


@data_app.command("show")
def show_command(
    symbol: Annotated[str, typer.Argument(help="BTCUSDT, or spot:BTCUSDT")],
    market: MarketOption = None,
    timeframe: TimeframeOption = None,
    data: DataOption = _DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Show a symbol's partitions: digests, sources, repairs, gaps. Example: bt data show spot:BTCUSDT"""
    chosen = _chosen(data, symbol, market, timeframe)
    if as_json:
        import msgspec

        _print_json({"data": str(data), "partitions": msgspec.to_builtins(chosen)})
        return
    for partition in chosen:
        print(f"{partition.path}")
        print(f"  {partition.rows:,} rows, {_time(partition.first_time)} .. {_time(partition.last_time)}")
        print(f"  {_size(partition.size)}, sha256 {partition.sha256}")
        print(f"  content {partition.content}, schema {partition.schema_version}")
        print(f"  price decimals {partition.price_decimals}, volume decimals {_or_none(partition.volume_decimals)}")
        for source in partition.sources:
            checked = ", equals the published checksum" if source.published_sha256 else ""
            print(f"  from {source.address}{f' (sha256 {source.sha256[:16]}…{checked})' if source.sha256 else ''}")
        for name, count in partition.repairs.items():
            print(f"  recorded: {name.replace('_', ' ')} {count}")
        for start, end in partition.gaps:
            print(f"  gap: {_time(start)} up to {_time(end)}")


@data_app.command("verify")
def verify_command(
    data: DataOption = _DEFAULT,
    full: Annotated[bool, typer.Option("--full", help="Read every row too, not only each file's digest.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare every file with the manifest. Example: bt data verify --full"""
    from backtester.core.errors import DataError
    from backtester.data.lake import Lake

    lake = Lake(data)
    found = lake.verify(full=full)
    unlisted = lake.unlisted()
    checked = len(lake.all_partitions())
    if as_json:
        wrong = [{"path": one.partition.path, "problem": one.text} for one in found]
        _print_json({"data": str(data), "checked": checked, "problems": wrong, "unlisted": unlisted})
        if found:
            raise typer.Exit(DataError.exit_code)
        return
    for path in unlisted:
        print(f"not in the manifest, and ignored: {path} (bt data rebuild would add it)")
    if found:
        listed = "\n  ".join(f"{one.partition.path}: {one.text}" for one in found)
        raise DataError(
            f"{len(found)} of {checked} partitions in {data} are not what the manifest promises:\n  {listed}",
            hint="import those months again with --replace, or take them out with bt data rm",
        )
    print(f"{checked} partitions in {data} are as the manifest says{', every row read' if full else ''}")


@data_app.command("rebuild")
def rebuild_command(data: DataOption = _DEFAULT, as_json: JsonOption = False) -> None:
    """Recreate the manifest from the files. Example: bt data rebuild"""
    from backtester.data.rebuilding import rebuild_manifest

    report = rebuild_manifest(data)
    if as_json:
        left_out = [{"path": path, "reason": reason} for path, reason in report.left_out]
        counts = {"kept": len(report.kept), "recreated": len(report.recreated)}
        _print_json({"data": str(data), **counts, "left_out": left_out})
        return
    print(f"{len(report.kept)} records kept, {len(report.recreated)} recreated from their files")
    for path, reason in report.left_out:
        print(f"left out: {path}: {reason}")


@data_app.command("sample")
def sample_command(data: DataOption = _DEFAULT, as_json: JsonOption = False) -> None:
    """Write a synthetic market to try things on: 1m candles of BTCUSDT and ETHUSDT. Example: bt data sample"""
    from backtester.data.sample import SAMPLE_SOURCE, write_sample_lake

    partitions = write_sample_lake(data)
    if as_json:
        written = [{"path": p.path, "rows": p.rows, "content": p.content} for p in partitions]
        _print_json({"data": str(data), "source": SAMPLE_SOURCE, "partitions": written})
        return
    for series, own in _by_series(partitions):
        rows = sum(p.rows for p in own)
        print(f"{series[0]}:{series[2]} {series[3]}: {rows:,} synthetic candles, {_span(own)}")


@data_app.command("rm")
def remove_command(
    symbol: Annotated[str, typer.Argument(help="BTCUSDT, or spot:BTCUSDT")],
    market: MarketOption = None,
    timeframe: TimeframeOption = None,
    month: Annotated[str | None, typer.Option(help="Only this month: 2024-01.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    data: DataOption = _DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Remove a symbol's partitions and their files. Example: bt data rm spot:BTCUSDT --timeframe 1m --yes"""
    from backtester.core.errors import DataError, UsageError
    from backtester.core.time import month_of
    from backtester.data.manifest_writer import ManifestWriter

    chosen = [p for p in _chosen(data, symbol, market, timeframe) if month in {None, month_of(p.first_time)}]
    if not chosen:
        raise DataError(f"{symbol} has no partition of {month} in {data}", hint=f"bt data show {symbol} --data {data}")
    if not yes:
        question = f"remove {len(chosen)} partitions ({_span(chosen)}) of {symbol} from {data}?"
        if as_json or not sys.stdin.isatty():
            raise UsageError(f"{question[:-1]} needs --yes", hint="add --yes when you mean it")
        typer.confirm(question, abort=True)
    with ManifestWriter(data) as writer:
        writer.remove(p.path for p in chosen)
    if as_json:
        _print_json({"data": str(data), "removed": [p.path for p in chosen]})
    else:
        print(f"{len(chosen)} partitions removed")


def _chosen(data: Path, symbol: str, market: str | None, timeframe: str | None) -> "list[Partition]":
    """Return the partitions of a symbol, in every market and timeframe that is not excluded; at least one."""
    from backtester.core.errors import DataError
    from backtester.data.lake import Lake
    from backtester.data.partition import market_name

    prefix, colon, name = symbol.rpartition(":")
    wanted = prefix if colon else market
    wanted = None if wanted is None else market_name(wanted)
    lake = Lake(data)
    of_symbol = [p for p in lake.all_partitions() if p.symbol == name and wanted in {None, p.market}]
    if not of_symbol:
        lake.timeframes(wanted or "spot", "klines", name)
    chosen = [p for p in of_symbol if timeframe in {None, p.timeframe}]
    if not chosen:
        there = ", ".join(sorted({p.timeframe for p in of_symbol}))
        raise DataError(f"{symbol} has no {timeframe} candles in {data}; it has {there}", hint="choose one of those")
    return chosen


def _by_series(
    partitions: "Iterable[Partition]",
) -> "Iterator[tuple[tuple[str, str, str, str], list[Partition]]]":
    from itertools import groupby

    for series, group in groupby(partitions, key=lambda partition: partition.series):
        yield series, list(group)


def _print_import(report: "ImportReport", data: Path, as_json: bool) -> None:
    if as_json:
        import msgspec

        _print_json({"data": str(data), **msgspec.to_builtins(report)})
        return
    for one in report.series:
        changed = len(one.partitions) - one.unchanged
        print(
            f"{one.series}: {one.rows_added:,} of {one.rows_read:,} rows are new, {changed} partitions written, "
            f"{one.unchanged} unchanged, {_span(one.partitions)}"
        )
        for name, count in one.repairs.items():
            print(f"  recorded: {name.replace('_', ' ')} {count:,}")
        if left_out := sum(count for name, count in one.repairs.items() if name in ("bad_rows_dropped", _CONFLICTS)):
            rows = one.rows_read + left_out
            print(f"  warning: {left_out:,} of {rows:,} rows ({left_out / rows:.1%}) were bad and left out")
        if one.missing:
            series = f"{one.series.market}:{one.series.symbol}"
            print(f"  {one.missing:,} candles are missing in that span: bt data show {series}")
    for reason, count in report.skipped.items():
        print(f"skipped {count} {reason}")


@contextmanager
def _progress(*, show: bool) -> "Iterator[Callable[[int, int, str], None] | None]":
    """Show files as they are read, on a terminal's standard error."""
    if not show or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=None)
        yield lambda done, total, name: progress.update(task, completed=done, total=total, description=name)


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False))


def _origin(partitions: "Iterable[Partition]") -> str:
    """Return where rows came from: archive (with a published checksum or without), files, synthetic."""
    kinds = set()
    for source in {source for partition in partitions for source in partition.sources}:
        if source.address.startswith("synthetic:"):
            kinds.add("synthetic")
        elif not source.address.startswith("data/"):
            kinds.add("file")
        else:
            kinds.add("archive" if source.published_sha256 else "archive, unchecked")
    return " + ".join(sorted(kinds))


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    terminal = sys.stdout.isatty()
    table = Table(box=None, pad_edge=False, header_style="bold" if terminal else "")
    numbers = {"rows", "size", "gaps", "missing"}
    for name in header:
        table.add_column(name, justify="right" if name in numbers else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console(width=None if terminal else 200, highlight=False).print(table)


def _time(time: int) -> str:
    from backtester.core.time import format_time

    return format_time(time)


def _span(partitions: "Sequence[Partition]") -> str:
    first, last = min(p.first_time for p in partitions), max(p.last_time for p in partitions)
    return f"{_time(first)} .. {_time(last)}"


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _or_none(value: int | None) -> str:
    return "none" if value is None else str(value)
