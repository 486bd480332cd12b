"""The screen at the end of a run: what came out, what it hangs on, where it is. Fits 100 columns."""

from decimal import Decimal
from typing import Any

from rich.table import Table

from backtester.cli.check import print_check
from backtester.cli.console import console
from backtester.core.instruments import InstrumentId, split_id
from backtester.core.time import format_time
from backtester.engine.check.certificate import UNPROVEN
from backtester.engine.check.checking import Checked
from backtester.engine.prepare import PreparedRun
from backtester.engine.run import RunResult

_COINS = ("BTC", "ETH", "BNB")
_SETTLED = {"exercise": "exercised", "expired": "expired worthless"}


def percent(metric: dict[str, Any]) -> str:
    """Return a fraction as a percentage, or why there is none."""
    value = metric["value"]
    return f"{value:+.2%}" if value is not None else f"none ({metric['reason']})"


def money(metric: dict[str, Any]) -> str:
    """Return an exact amount rounded for people, with its currency."""
    places = 8 if metric["currency"] in _COINS else 2
    return f"{Decimal(metric['value']):,.{places}f} {metric['currency']}"


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
    names = run.config.run.symbols
    markets = {split_id(InstrumentId(name))[0] for name in names}
    symbols = " ".join(split_id(InstrumentId(name))[1] if len(markets) == 1 else name for name in names)
    where = f"{run.config.run.market}, " if len(markets) == 1 else ""
    out.print(
        f"{run.name} on {symbols} ({where}{run.config.run.timeframe}), "
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
    out.print(table)
    for instrument, numbers in result.details.get("settlement", {}).items():
        out.print(f"settled {_settlement(instrument, numbers)}", markup=False)
    cash = next((str(spec.settle) for spec in run.instruments.values() if spec.is_option), "")
    for words in liquidations_in_words(result.details, cash):
        out.print(words, markup=False)
    if made := result.details.get("strategies"):
        out.print(_strategies(made))
    for words in portfolio_in_words(result.details["portfolio"]) if not made else ():
        out.print(words, markup=False)
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


def _strategies(made: dict[str, Any]) -> Table:
    """Return what each of several strategies made of its share, and what they made together."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    columns = ("strategy", "share", "equity", "return", "realised", "fees", "fills", "trades")
    for name in columns:
        table.add_column(name, justify="left" if name == "strategy" else "right")
    for name, part in [*made["parts"].items(), ("reserve", made["reserve"]), ("together", made["account"])]:
        start, end = Decimal(part["start_equity"]), Decimal(part["end_equity"])
        gained = f"{end / start - 1:+.2%}" if start else "none"
        money = [f"{Decimal(part[key]):,.2f}" for key in ("realised", "fees")]
        counts = [str(part.get(key, "")) for key in ("fills", "trades")]
        table.add_row(name, part.get("share", ""), f"{end:,.2f}", gained, *money, *counts)
    return table


def _settlement(instrument: str, numbers: dict[str, str]) -> str:
    """Return how a contract ended and what that cost."""
    words = f"{instrument} at {numbers['price']}, {numbers['found']}"
    if "qty" not in numbers:
        return f"{words}: nothing was held"
    insured = f", {numbers['shortfall']} paid by the insurance fund" if "shortfall" in numbers else ""
    return f"{words}: {numbers['qty']} held, profit {numbers['profit']}, fee {numbers['fee']}{insured}"


def liquidations_in_words(details: dict[str, Any], cash: str) -> list[str]:
    """Return what was liquidated, what came near it, and what the insurance fund paid, of futures and options.

    Args:
        details: run.json.
        cash: what options settle in.
    """
    futures, options = details.get("liquidation", {}), details.get("options", {})
    counts = {
        key: {**futures.get(key, {}), **options.get(key, {})}  # an instrument is one or the other
        for key in ("liquidations", "margin_calls")
    }
    paid = {asset: Decimal(amount) for asset, amount in futures.get("shortfall", {}).items()}
    paid[cash] = paid.get(cash, Decimal(0)) + Decimal(options.get("shortfall", 0))
    said = []
    if counts["liquidations"]:
        said.append("liquidated " + ", ".join(f"{i} {_times(n)}" for i, n in sorted(counts["liquidations"].items())))
    if insured := [money({"value": amount, "currency": asset}) for asset, amount in sorted(paid.items()) if amount]:
        said.append(f"the insurance fund paid {' and '.join(insured)} of the losses, which the return does not bear")
    lines = [", ".join(said)] if said else []
    if counts["margin_calls"]:
        lines.append("margin calls " + ", ".join(f"{i} {_times(n)}" for i, n in sorted(counts["margin_calls"].items())))
    return lines


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def portfolio_in_words(portfolio: dict[str, Any]) -> list[str]:
    """Return what the wallets hold, and the exposure per underlying; of one wallet with one asset nothing."""
    wallets, currency = portfolio["wallets"], portfolio["currency"]
    if len({name.partition(":")[0] for name in wallets}) < 2 and not portfolio["conversions"].keys() & {
        name.partition(":")[2] for name, held in wallets.items() if Decimal(held["start"])
    }:
        return []
    held = []
    for name, amounts in wallets.items():
        wallet, _, asset = name.partition(":")
        worth = "" if asset == currency else f" ({Decimal(amounts['worth']):,.2f} {currency})"
        shown = f"{Decimal(amounts['end']):,.2f}" if asset == currency else f"{Decimal(amounts['end']).normalize():f}"
        held.append(f"{wallet} {shown} {asset}{worth}")
    return [
        f"wallets: {', '.join(held)}",
        *(
            f"exposure to {underlying}: net {Decimal(e['net']):,.2f}, gross {Decimal(e['gross']):,.2f} {currency}, "
            f"delta {Decimal(e['delta']).normalize():f} {underlying}"
            for underlying, e in portfolio["exposure"].items()
        ),
    ]


def _trades(m: dict[str, dict[str, Any]]) -> str:
    still_open = f" (+{m['n_open']['value']} open)" if m["n_open"]["value"] else ""
    return f"{m['n_trades']['value']}{still_open}"
