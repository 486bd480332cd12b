"""The screen at the end of a run: what came out, what it hangs on, where it is. Fits 100 columns."""

from decimal import Decimal
from typing import Any

from rich.table import Table

from backtester.cli.check import print_check
from backtester.cli.console import console
from backtester.core.time import format_time
from backtester.engine.check.certificate import UNPROVEN
from backtester.engine.check.checking import Checked
from backtester.engine.prepare import PreparedRun
from backtester.engine.run import RunResult


def percent(metric: dict[str, Any]) -> str:
    """Return a fraction as a percentage, or why there is none."""
    value = metric["value"]
    return f"{value:+.2%}" if value is not None else f"none ({metric['reason']})"


def money(metric: dict[str, Any]) -> str:
    """Return an exact amount rounded for people, with its currency."""
    return f"{Decimal(metric['value']):,.2f} {metric['currency']}"


def result_object(result: RunResult, checked: Checked | None = None) -> dict[str, Any]:
    """Return what `--json` prints of a run; checked: what a check of it came to."""
    return {
        "run_id": result.run_id,
        "path": str(result.path),
        "status": result.status,
        "digest": result.digest,
        "metrics": result.metrics,
        "warnings": result.warnings,
        "check": UNPROVEN if checked is None else checked.verdict,
        **({"certificate": checked.certificate} if checked else {}),
        **({"error": str(result.error)} if result.error else {}),
    }


def print_summary(run: PreparedRun, result: RunResult, seconds: float, checked: Checked | None = None) -> None:
    """Print the summary of a run; checked: what a check of it came to."""
    m = result.metrics
    out = console()
    symbols = " ".join(spec.symbol for spec in run.instruments.values())
    out.print(
        f"{run.found.name} on {symbols} ({run.config.run.market}, {run.config.run.timeframe}), "
        f"{format_time(run.start)} to {format_time(run.end)}: {result.status}",
        style="bold",
    )
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_row("total return", percent(m["total_return"]), "trades", _trades(m))
    table.add_row("max drawdown", percent(m["max_drawdown"]), "win rate", percent(m["win_rate"]).lstrip("+"))
    table.add_row("final equity", money(m["final_equity"]), "realised", money(m["realised_pnl"]))
    table.add_row("initial equity", money(m["initial_equity"]), "fees", money(m["fees"]))
    if "funding" in m:
        table.add_row("", "", "funding", money(m["funding"]))
    out.print(table)
    for key, assumption in result.details["assumptions"].items():
        out.print(f"assumes {key.replace('_', ' ')}: {assumption}", style="dim", markup=False)
    for warning in result.warnings:
        out.print(f"warning: {warning}", style="yellow", markup=False)
    if checked is None:
        out.print(f"unproven: nothing shows yet that it does not look ahead; bt check {result.path}", markup=False)
    else:
        print_check(checked)
    out.print(f"log {result.digest}, {result.details['log']['lines']} lines, {seconds:.1f} s", style="dim")
    out.print(f"run {result.path}", markup=False)
    out.print(f"try bt replay {result.path} --verify", style="dim", markup=False)


def _trades(m: dict[str, dict[str, Any]]) -> str:
    still_open = f" (+{m['n_open']['value']} open)" if m["n_open"]["value"] else ""
    return f"{m['n_trades']['value']}{still_open}"
