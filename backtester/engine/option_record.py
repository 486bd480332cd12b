"""What run.json, the warnings and the assumptions say of the options of a run."""

from collections import Counter
from typing import Any

from backtester.core.events import Reason
from backtester.core.instruments import OPTION
from backtester.core.numbers import MONEY_EXPONENT, fixed
from backtester.core.time import format_time
from backtester.engine.option_plan import PRICE_DECIMALS
from backtester.engine.option_settlement import settlement_in_words
from backtester.engine.prepare import PreparedRun
from backtester.engine.wallets import deposits
from backtester.execution.option_desk import OptionDesk


def options_record(run: PreparedRun, desk: OptionDesk | None) -> dict[str, Any]:
    """Return what only a run of options has: what settled and at what, from where marks came, how shorts fared."""
    if desk is None:
        return {}
    watch = desk.watch
    return {
        "options": {
            "contracts": {name: len(chain.contracts) for name, chain in run.chains.items()},
            "hours_without_rows": {name: chain.lacking for name, chain in run.chains.items()},
            "settled": dict(sorted(desk.settled.items())),
            "fees": {tag: fixed(units, MONEY_EXPONENT) for tag, units in sorted(desk.fees.items())},
            "settlements": [
                {
                    "chain": name,
                    "expiry": format_time(expiry),
                    "price": fixed(one.price_units, PRICE_DECIMALS),
                    "source": one.source or "the chain's own index",
                    "samples": one.samples,
                    "expected": one.expected or 1,
                    "known": format_time(one.known),
                }
                for (name, expiry), one in sorted(run.option_settlements.items())
            ],
            "marks": dict(sorted(desk.marks.items())),
            "liquidations": dict(sorted(watch.liquidated.items())),
            "margin_calls": dict(sorted(watch.calls.items())),
            "shortfall": fixed(sum(watch.insurance.paid.values()), MONEY_EXPONENT),
        }
    }


def options_warnings(run: PreparedRun, desk: OptionDesk | None, refusals: Counter[Reason]) -> list[str]:
    """Return what a reader must know of orders that were refused, of marks that are not the venue's, and of shorts
    that were liquidated.
    """
    if desk is None:
        return []
    found = []
    refused_shorts, unfunded = refusals[Reason.SHORT_NOT_ALLOWED], refusals[Reason.INSUFFICIENT_BALANCE]
    if unfunded and not any(wallet == OPTION for wallet, _, _ in deposits(run.config.account)):
        found.append(
            f"{unfunded} orders in options were refused with insufficient_balance: the option wallet began with "
            "nothing, and money of another wallet secures no option; --wallet option:USDT=10000 gives it some"
        )
    if refused_shorts and not desk.allows_shorts:
        found.append(
            f"{refused_shorts} sales of what is not held were refused: writing options needs options.allow_short = true"
        )
    others = {source: n for source, n in sorted(desk.marks.items()) if source != "row"}
    if others:
        shown = ", ".join(f"{n} {_SOURCES[source]}" for source, n in others.items())
        found.append(f"{sum(others.values())} of {desk.marks.total()} marks of options are not the rows' own: {shown}")
    found += [
        f"{i}: short option liquidated (margin calls: {desk.watch.calls[i]})" for i in sorted(desk.watch.liquidated)
    ]
    return found


_SOURCES = {
    "black76": "by Black-76 from their volatility",
    "mid": "between bid and ask",
    "one side": "at the only quote",
    "last volatility": "by Black-76 from the last volatility known",
    "payoff": "at what they would pay out, more than they were last",
    "last": "as they were last",
}


def options_in_words(run: PreparedRun) -> dict[str, str]:
    """Return the assumptions about options."""
    if not run.chains:
        return {}
    section = run.config.options
    words = {
        "settlement": f"in cash at {settlement_in_words(run.option_settlements)}; exercise costs "
        f"{section.exercise_bps} bps, at most {section.fee_cap_pct}% of the payoff, long or short",
        "shorts": "options may not be written",
    }
    if section.allow_short:
        words["shorts"] = (
            f"a short option binds (max({section.initial_margin} x index - out of the money, "
            f"{section.min_initial_margin} x index) + mark) per unit, and is bought back at a row's ask once the money "
            f"of its wallet is not above the same with {section.maintenance_margin} and "
            f"{section.min_maintenance_margin}, for {section.liquidation_bps} bps of the underlying"
        )
    return words
