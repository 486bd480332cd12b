"""What happened to an account besides its trades, in words: settlements, liquidations, wallets. From run.json alone."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from backtester.report.in_words import money

_SETTLED: Final = {"exercise": "exercised", "expired": "expired worthless"}


def settlements_in_words(details: Mapping[str, Any]) -> list[str]:
    """Return how contracts ended and what that cost."""
    said = []
    if options := details.get("options"):
        settled = ", ".join(f"{n} {_SETTLED[how]}" for how, n in options["settled"].items()) or "none"
        fees = sum(Decimal(fee) for fee in options["fees"].values())
        said.append(f"options settled: {settled}; fees of that {fees:,.2f}")
    return said + [_settlement(name, numbers) for name, numbers in details.get("settlement", {}).items()]


def _settlement(instrument: str, numbers: Mapping[str, str]) -> str:
    words = f"settled {instrument} at {numbers['price']}, {numbers['found']}"
    if "qty" not in numbers:
        return f"{words}: nothing was held"
    insured = f", {numbers['shortfall']} paid by the insurance fund" if "shortfall" in numbers else ""
    return f"{words}: {numbers['qty']} held, profit {numbers['profit']}, fee {numbers['fee']}{insured}"


def liquidations_in_words(details: Mapping[str, Any], cash: str) -> list[str]:
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


def strategies_in_words(details: Mapping[str, Any]) -> list[str]:
    """Return what each of several strategies made of its share, what was left out, and what they made together."""
    made = details.get("strategies")
    if not made:
        return []
    return [
        _part(name, part)
        for name, part in [*made["parts"].items(), ("reserve", made["reserve"]), ("together", made["account"])]
        if Decimal(part["start_equity"]) or "share" in part
    ]


def _part(name: str, part: Mapping[str, Any]) -> str:
    start, end = Decimal(part["start_equity"]), Decimal(part["end_equity"])
    said = f"{name}: {start:,.2f} to {end:,.2f}" + (f" ({end / start - 1:+.2%})" if start else "")
    if "trades" not in part:
        return said
    return (
        f"{said}, realised {Decimal(part['realised']):,.2f}, fees {Decimal(part['fees']):,.2f}, {part['trades']} trades"
    )


def portfolio_in_words(portfolio: Mapping[str, Any]) -> list[str]:
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
