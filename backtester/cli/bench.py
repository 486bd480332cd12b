"""`bt bench`: how fast, measured here and now."""

from pathlib import Path
from typing import Annotated, Any

import typer

from backtester.cli.console import console, print_json

bench_app = typer.Typer(help="Measure speed on this machine.", no_args_is_help=True, rich_markup_mode=None)


@bench_app.callback()
def root() -> None:
    """Measure speed on this machine."""


@bench_app.command("engine")
def engine_command(
    candles: Annotated[int, typer.Option(min=1_440, max=5_000_000, help="1m candles per symbol.")] = 1_000_000,
    repeat: Annotated[int, typer.Option(min=1, max=100, help="Runs of each case; medians are shown.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Candles per second of the event engine, from the first read of the lake to the sealed log.

    Beside it: the time of the tables, peak memory, and a bare Python loop that does the same trading in the same
    process. Example: bt bench engine --repeat 5
    """
    from rich.table import Table

    from backtester.engine.bench import bench_engine

    figures = bench_engine(candles, repeat)
    if as_json:
        print_json(figures)
        return
    out = console()
    out.print(figures["strategy"])
    table = Table("case", box=None, pad_edge=False)
    for title in ("candles/s", "bare loop/s", "share", "tables s", "peak MiB", "candles", "fills"):
        table.add_column(title, justify="right")
    for name, case in figures["cases"].items():
        table.add_row(
            name,
            f"{case['candles_per_s']:,.0f}",
            f"{case['bare_loop_per_s']:,.0f}",
            f"{case['share_of_bare_loop']:.2f}",
            f"{case['tables_s']:.2f}",
            f"{case['peak_mib']:.0f}",
            f"{case['candles']:,}",
            f"{case['fills']:,}",
        )
    out.print(table)
    out.print(
        f"a candle costs {figures['two_symbols_cost_per_candle']:.2f} times as much with two symbols; "
        f"4x the candles need {figures['memory_4x']:.2f} times the memory"
    )


@bench_app.command("ticks")
def ticks_command(
    trades: Annotated[int, typer.Option(min=100_000, max=20_000_000, help="How many, synthetic.")] = 2_000_000,
    repeat: Annotated[int, typer.Option(min=1, max=100, help="Runs; medians are shown.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Trades per second of a strategy that hears every trade and rests a bid and an ask, anew every 1,000 trades.

    From the first read of the lake to the sealed log; beside it a bare Python loop that fills by the same rules in the
    same process. Example: bt bench ticks --trades 500000 --repeat 1
    """
    from backtester.engine.bench_ticks import bench_ticks

    figures = bench_ticks(trades, repeat)
    if as_json:
        print_json(figures)
        return
    out = console()
    out.print(figures["strategy"])
    out.print(
        f"{figures['trades_per_s']:,.0f} trades/s, {figures['share_of_bare_loop']:.2f} of a bare loop "
        f"({figures['bare_loop_per_s']:,.0f}/s)"
    )
    out.print(
        f"{figures['trades']:,} trades, {figures['fills']:,} fills, {figures['log_lines']:,} lines of log, "
        f"tables {figures['tables_s']:.2f} s, peak {figures['peak_mib']:.0f} MiB"
    )


@bench_app.command("margin")
def margin_command(
    candles: Annotated[int, typer.Option(min=1_440, max=1_000_000, help="1m candles per symbol.")] = 50_000,
    repeat: Annotated[int, typer.Option(min=1, max=100, help="Runs of each case; medians are shown.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Candles per second of ten futures with cross margin, beside the same ten symbols as spot.

    Example: bt bench margin --repeat 1
    """
    from backtester.engine.bench_margin import bench_margin

    figures = bench_margin(candles, repeat)
    if as_json:
        print_json(figures)
        return
    out = console()
    out.print(figures["strategy"])
    for market, case in figures["cases"].items():
        out.print(
            f"{market}: {case['candles_per_s']:,.0f} candles/s, {case['candles']:,} candles, {case['fills']:,} fills, "
            f"peak {case['peak_mib']:.0f} MiB"
        )
    out.print(f"{figures['ratio']:.2f} of the speed of spot")


@bench_app.command("features")
def features_command(
    rows: Annotated[int, typer.Option(min=1_000, max=10_000_000, help="5m candles, synthetic.")] = 734_000,
    repeat: Annotated[int, typer.Option(min=1, max=100, help="Processes that measure; medians are shown.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Seconds for the features of structure_mtf, beside pandas in the same process, which must give the same values.

    Then SMA, EMA, RSI and ATR: as columns, with and without Numba, and candle by candle, beside a bare Python loop.
    Needs pandas (extra bench). Example: bt bench features --repeat 1
    """
    from backtester.engine.bench_features import bench_features

    figures = bench_features(rows, repeat)
    if as_json:
        print_json(figures)
    else:
        _print_features(figures)


def _print_features(figures: dict[str, Any]) -> None:
    from rich.table import Table

    frames, columns, updates = figures["frames"], figures["columns"], figures["updates"]
    out = console()
    out.print(f"{figures['features']}; {figures['indicators']}; synthetic candles in memory, one core")
    table = Table("what", "how", box=None, pad_edge=False)
    for title in ("seconds", "M rows/s"):
        table.add_column(title, justify="right")
    measured = [
        ("features", "first in its process", frames["cold_s"]),
        ("features", "again", frames["warm_s"]),
        ("features", "pandas, again", frames["pandas_s"]),
        ("columns", "interpreted, without Numba", columns["interpreted_s"]),
    ]
    if columns["numba"]:
        measured.append(("columns", "Numba, compiling included", columns["compiled_cold_s"]))
        measured.append(("columns", "Numba, compiled before", columns["compiled_warm_s"]))
    for what, how, seconds in measured:
        table.add_row(what, how, f"{seconds:.3f}", f"{frames['rows'] / seconds / 1e6:.2f}")
    out.print(table)
    out.print(f"features: {frames['ratio']:.1f} times as fast as pandas, the same {frames['values']:,} values")
    out.print(
        f"candle by candle, all four: {updates['us_per_update']:.2f} µs an update, a bare loop "
        f"{updates['bare_loop_us']:.2f} µs ({updates['ratio']:.2f})"
    )


@bench_app.command("ingest")
def ingest_command(
    archive: Annotated[Path | None, typer.Option(help="Your own files, laid out as the archive.")] = None,
    repeat: Annotated[int, typer.Option(min=1, max=100, help="Rounds; medians are shown.")] = 5,
    trades: Annotated[int, typer.Option(min=0, max=100_000_000, help="For peak memory; 0 leaves it out.")] = 10_000_000,
    partitions: Annotated[int, typer.Option(min=0, max=1_000_000, help="Of the manifest that is opened.")] = 100_000,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Rows per second from checksummed archives to verified Parquet, beside bare polars over the unzipped tables.

    Then peak memory by number of trades, and the time to open a manifest of many partitions. Without --archive the
    files are made in a temporary folder. Needs polars. Example: bt bench ingest --archive ~/archive --trades 0
    """
    from backtester.engine.bench_ingest import bench_ingest

    figures = bench_ingest(archive, repeat, trades, partitions)
    if as_json:
        print_json(figures)
    else:
        _print_ingest(figures)


def _print_ingest(figures: dict[str, Any]) -> None:
    from rich.table import Table

    out = console()
    table = Table(box=None, pad_edge=False)
    table.add_column("archives", overflow="fold")
    for title in ("M rows/s", "MB/s", "polars M rows/s", "polars MB/s", "ratio", "peak MiB", "files"):
        table.add_column(title, justify="right")
    for name, case in figures["cases"].items():
        table.add_row(
            name,
            f"{case['rows_per_s'] / 1e6:.2f}",
            f"{case['mb_per_s']:,.0f}",
            f"{case['polars_rows_per_s'] / 1e6:.2f}",
            f"{case['polars_mb_per_s']:,.0f}",
            f"{case['ratio']:.2f}",
            f"{case['peak_mib']:.0f}",
            f"{case['files']:,}",
        )
    out.print(table)
    rows = sum(case["rows"] for case in figures["cases"].values())
    out.print(f"MB are of unzipped text; {rows:,} rows in all")
    out.print(f"all together at {figures['ratio']:.2f} of the speed of polars, which only reads and writes")
    for name, case in figures.get("memory", {}).items():
        out.print(f"{name}: peak {case['peak_mib']:.0f} MiB, {case['rows_per_s']:,.0f} rows/s")
    if "manifest" in figures:
        one = figures["manifest"]
        out.print(f"a manifest of {one['partitions']:,} partitions opens in {one['open_s']:.2f} s")


@bench_app.command("sweep")
def sweep_command(
    candles: Annotated[int, typer.Option(min=10_000, max=5_000_000, help="1m candles of one symbol.")] = 500_000,
    repeat: Annotated[int, typer.Option(min=1, max=100, help="Runs; medians are shown.")] = 3,
    event_candles: Annotated[
        int, typer.Option(min=0, max=5_000_000, help="For an event strategy over two processes; 0 leaves it out.")
    ] = 40_000,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Combination-candles per second of 64 combinations of sma_cross_signal through the compiled account loop.

    Beside it, in the same process: all in (parameters, features, targets, loop, figures), and a bare compiled loop that
    checks nothing. Then what two processes gain an event strategy. Needs Numba. Example: bt bench sweep --repeat 5
    """
    from backtester.search.bench_sweep import bench_sweep

    figures = bench_sweep(candles, repeat, event_candles)
    if as_json:
        print_json(figures)
        return
    out = console()
    out.print(f"{figures['combinations']} combinations over {figures['candles']:,} candles, {figures['fills']:,} fills")
    for name, key in (("account loop", "loop_per_s"), ("bare loop", "bare_loop_per_s"), ("all in", "all_in_per_s")):
        out.print(f"{name}: {figures[key] / 1e6:,.1f} million combination-candles/s on one core")
    out.print(f"{figures['share_of_bare_loop']:.2f} of the bare loop; ready after {figures['first_s']:.2f} s")
    out.print(f"peak {figures['peak_mib']:.0f} MiB")
    if "event_gain" in figures:
        out.print(
            f"event engine: {figures['event_one_per_s']:,.0f} candles/s in one process, "
            f"{figures['event_two_per_s']:,.0f} in two: {figures['event_gain']:.2f} times"
        )
