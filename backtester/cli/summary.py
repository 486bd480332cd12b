"""The screen at the end of a run: what came out, what it hangs on, where it is. Fits 100 columns."""

from decimal import Decimal
from typing import Any

from rich.table import Table

from backtester.cli.console import console
from backtester.core.time import format_time
from backtester.engine.prepare import PreparedRun
from backtester.engine.run import RunResult

_SETTLED = {"exercise": "exercised", "expired": "expired worthless"}


def percent(metric: dict[str, Any]) -> str:
    """Return a fraction as a percentage, or why there is none."""
    value = metric["value"]
    return f"{value:+.2%}" if value is not None else f"none ({metric['reason']})"


def money(metric: dict[str, Any]) -> str:
    """Return an exact amount rounded for people, with its currency."""
    return f"{Decimal(metric['value']):,.2f} {metric['currency']}"


def result_object(result: RunResult) -> dict[str, Any]:
    """Return what `--json` prints of a run."""
    return {
        "run_id": result.run_id,
        "path": str(result.path),
        "status": result.status,
        "digest": result.digest,
        "metrics": result.metrics,
        "warnings": result.warnings,
        **({"error": str(result.error)} if result.error else {}),
    }


def print_summary(run: PreparedRun, result: RunResult, seconds: float) -> None:
    """Print the summary of a run."""
    m = result.metrics
    out = console()
    symbols = " ".join(name.partition(":")[2] for name in run.config.run.symbols)
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
    if options := result.details.get("options"):
        settled = ", ".join(f"{n} {_SETTLED[how]}" for how, n in options["settled"].items()) or "none"
        fees = sum(Decimal(fee) for fee in options["fees"].values())
        table.add_row("settled", settled, "of that fees", f"{fees:,.2f}")
        if options["liquidations"]:
            table.add_row("liquidated", str(sum(options["liquidations"].values())), "shortfall", options["shortfall"])
    out.print(table)
    for key, assumption in result.details["assumptions"].items():
        out.print(f"assumes {key.replace('_', ' ')}: {assumption}", style="dim", markup=False)
    for warning in result.warnings:
        out.print(f"warning: {warning}", style="yellow", markup=False)
    out.print(f"log {result.digest}, {result.details['log']['lines']} lines, {seconds:.1f} s", style="dim")
    out.print(f"run {result.path}", markup=False)
    out.print(f"try bt replay {result.path} --verify", style="dim", markup=False)


def _trades(m: dict[str, dict[str, Any]]) -> str:
    still_open = f" (+{m['n_open']['value']} open)" if m["n_open"]["value"] else ""
    return f"{m['n_trades']['value']}{still_open}"
