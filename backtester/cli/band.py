"""`bt run --band`: three runs, and what they say together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from backtester.cli.console import console, print_error, print_json, print_note, prints_aside
from backtester.cli.progress import RunProgress
from backtester.cli.summary import result_object
from backtester.config.band import BAND, BASE, band_configs
from backtester.config.configs import BacktestConfig
from backtester.core.time import format_time
from backtester.engine.band import BandResult, run_band
from backtester.engine.prepare import PreparedRun
from backtester.engine.run import COMPLETE, INTERRUPTED, RunResult
from backtester.report.in_words import money, percent


def run_the_band(
    config: BacktestConfig, prepared_of: Callable[[BacktestConfig], PreparedRun], runs: Path, *, as_json: bool
) -> None:
    """Run the three and print the result; ends as a run does, by the first of the three that failed."""
    with prints_aside(as_json):
        prepared = {name: prepared_of(one) for name, one in band_configs(config).items()}

    def shown(name: str) -> RunProgress:
        run = prepared[name]
        return RunProgress(run.start, run.end, quiet=as_json, name=name)

    with prints_aside(as_json):
        band = run_band(prepared, runs, shown)
    if as_json:
        print_json(_object(band))
    else:
        _print_band(prepared[BASE], band)
    failed = {name: result.error for name, result in band.runs.items() if result.error is not None}
    if failed:
        kept = [str(result.path) for result in band.runs.values() if result.error is None]
        print_note(
            f"failed under {' and '.join(failed)} assumptions" + (f"; kept: {', '.join(kept)}" if kept else ""),
            f"{band.path / 'band.json'} says what there is",
        )
    if band.status == INTERRUPTED:
        print_error(f"interrupted; what was done is sealed in {', '.join(str(r.path) for r in band.runs.values())}")
        raise typer.Exit(130)
    for error in failed.values():
        raise error


def _object(band: BandResult) -> dict[str, Any]:
    return {
        "path": str(band.path),
        **band.content,
        "runs": {name: result_object(result) for name, result in band.runs.items()},
    }


def _print_band(base: PreparedRun, band: BandResult) -> None:
    out = console()
    symbols = " ".join(base.symbols)
    out.print(
        f"{base.name} on {symbols} ({base.config.run.market}, {base.config.run.timeframe}), "
        f"{format_time(base.start)} to {format_time(base.end)}, under three sets of assumptions: {band.status}",
        style="bold",
    )
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("assumes", *BAND):
        table.add_column(heading, justify="left")
    for key, row in band.content["assumptions"].items():
        table.add_row(key, *(_shown(row[name]) for name in BAND))
    out.print(table)
    if band.status == COMPLETE:
        _print_figures(out, band)
    for warning, names in _warnings(band.runs).items():
        where = "" if len(names) == len(band.runs) else f" ({', '.join(names)})"
        out.print(f"warning{where}: {warning}", style="yellow", markup=False)
    for name, result in band.runs.items():
        out.print(f"{name}: {result.status}, run {result.path}", markup=False)
    out.print(f"band {band.path / 'band.json'}", markup=False)


def _warnings(runs: dict[str, RunResult]) -> dict[str, list[str]]:
    """Return each warning with the runs that gave it."""
    found: dict[str, list[str]] = {}
    for name, result in runs.items():
        for warning in result.warnings:
            found.setdefault(warning, []).append(name)
    return found


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_WORDS = {"final_equity": money, "fees": money, "total_return": percent, "max_drawdown": percent}


def _print_figures(out: Any, band: BandResult) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("", "minimum", "base", "maximum"):
        table.add_column(heading, justify="right" if heading else "left")
    for figure, found in band.content["figures"].items():
        words = _WORDS.get(figure, lambda metric: str(metric["value"]))
        values = ({**found, "value": found[end]} for end in ("min", "base", "max"))
        table.add_row(figure.replace("n_", "").replace("_", " "), *map(words, values))
    out.print(table)
    out.print(_sentence(band.content["depends"], band.runs[BASE]), markup=False)
    ends = [_final(band.runs[name]) for name in BAND]
    if ends != sorted(ends):
        out.print(
            "note: the runs do not end in the order of their assumptions: over many candles they diverge",
            markup=False,
        )


def _final(result: RunResult) -> float:
    return float(result.metrics["final_equity"]["value"])


def _sentence(depends: dict[str, Any], base: RunResult) -> str:
    """Return what hangs on the assumptions, in words."""
    currency = base.metrics["final_equity"]["currency"]
    between = f"from {float(depends['min_profit']):+,.2f} to {float(depends['max_profit']):+,.2f} {currency}"
    if depends["value"] is not None:
        said = f"{depends['value']:.1%} of the {depends['of']} depends on the assumptions ({between})"
    elif depends["reason"] == "sign_change":
        said = f"whether there is a profit at all depends on the assumptions ({between})"
    else:
        said = "there is no profit under any of the assumptions, and no loss"
    candles = base.details["candles_met"].values()
    ambiguous, met = (sum(found[key] for found in candles) for key in ("ambiguous", "met"))
    share = f" ({ambiguous / met:.2%} of those that met a working order)" if met else ""
    return f"{said}; {ambiguous} candles of the base run were ambiguous{share}"
