"""`bt run`: a backtest from the command line."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtester.cli import run_options as option
from backtester.cli.console import print_error, print_json, print_note, prints_aside
from backtester.cli.progress import RunProgress

if TYPE_CHECKING:
    from backtester.engine.check.checking import Checked


def run_command(
    strategy: option.Strategy = "",
    symbols: option.Symbols = None,
    market: option.Market = "",
    timeframe: option.Timeframe = "",
    start: option.Start = "",
    end: option.End = "",
    config: option.Config = None,
    risk: option.Risk = None,
    params: option.Params = None,
    param: option.Param = None,
    set_: option.Set = None,
    wallet: option.Wallet = None,
    data: option.Data = "",
    runs: Annotated[Path, typer.Option(help="Folder for results.")] = Path("runs"),
    seed: option.Seed = None,
    feeds: option.Feeds = None,
    gap_policy: option.GapPolicy = "",
    band: Annotated[
        bool, typer.Option("--band", help="Three runs: the config's assumptions, pessimistic and optimistic ones.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Afterwards prove that it does not look ahead; see bt check.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Write trades.csv and equity.csv into the run's folder.")] = False,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Write no report.html, report.txt and plots/*.png.")
    ] = False,
    no_plots: Annotated[bool, typer.Option("--no-plots", help="Write no plots/*.png.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Run a backtest and seal it under runs/.

    Example: bt run --strategy sma_extended --symbols BTCUSDT ETHUSDT --band
    """
    from backtester.cli.report import reported
    from backtester.cli.summary import print_summary, result_object
    from backtester.core.errors import Interrupted, UsageError
    from backtester.engine.run import COMPLETE, run_backtest
    from backtester.engine.run_summaries import note_run

    if band and check:
        raise UsageError("--band and --check are two things: give one", hint="bt check checks each of the three runs")
    asked = option.asked_run(
        strategy=strategy, symbols=symbols, market=market, timeframe=timeframe, start=start, end=end, config=config,
        risk=risk, params=params, param=param, set_=set_, wallet=wallet, data=data, seed=seed,
        feeds=feeds, gap_policy=gap_policy,
    )  # fmt: skip
    _note_killed_runs(runs)
    if band:
        from backtester.cli.band import run_the_band

        run_the_band(asked.config, asked.prepared, runs, as_json=as_json)
        return
    with prints_aside(as_json), _engine_kept(check):
        prepared = asked.prepared(asked.config)
        began = time.perf_counter()
        with RunProgress(prepared.start, prepared.end, quiet=as_json) as progress:
            result = run_backtest(prepared, runs, progress=progress)
        seconds = time.perf_counter() - began
        checked: Checked | None = None
        stopped: Interrupted | None = None
        if check and result.status == COMPLETE:
            from backtester.cli.check import checked_run

            try:
                checked = checked_run(prepared, result.path, result.details, seconds, asked.relative_to, quiet=as_json)
            except Interrupted as error:  # the run itself is sealed, and shown
                stopped = error
    wanted = asked.config.report
    report = reported(
        result.path,
        html=wanted.html and not no_report,
        plots=wanted.plots and not (no_plots or no_report),
        text=wanted.text and not no_report,
        csv=wanted.csv or csv,
    )
    note_run(result.path)
    if as_json:
        print_json({**result_object(result, checked), "report": None if report is None else str(report)})
    elif result.metrics:
        print_summary(result, seconds, checked)
    if result.error is not None:
        raise result.error
    if result.status == "interrupted":
        print_error(f"interrupted; what was done is sealed in {result.path}")
        raise typer.Exit(130)
    if stopped is not None:
        raise stopped
    if checked is not None:
        from backtester.cli.check import raise_findings

        raise_findings(checked)


def _engine_kept(check: bool) -> Any:
    """Return a context after which the engine is what it was, when a check runs a strategy again and again."""
    from contextlib import nullcontext

    if not check:
        return nullcontext()
    from backtester.engine.check.integrity import engine_kept

    return engine_kept()


def _note_killed_runs(runs: Path) -> None:
    from backtester.engine.run_folder import dead_partials

    if dead := dead_partials(runs):
        others = f" (and {len(dead) - 1} more)" if len(dead) > 1 else ""
        print_note(
            f"an earlier run was killed before it was sealed: {dead[-1]}{others}",
            f"bt replay {dead[-1]} shows what it did; remove the folder when you need it no more",
        )
