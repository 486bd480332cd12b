"""A run on one screen: did it make money, how sure is that, what did it cost, what does it hang on, where did it hurt.

Built from what a sealed run's folder says, so that the end of a run, `bt runs show` and report.txt read the same.
"""

import textwrap
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from backtester.core.printable import printable
from backtester.report.account_words import (
    liquidations_in_words,
    portfolio_in_words,
    settlements_in_words,
    strategies_in_words,
)
from backtester.report.in_words import amount, day, has, money, none, percent, ratio

WIDTH: Final = 100
TITLE, FIGURE, ASSUMPTION, WARNING, PLACE = "title", "figure", "assumption", "warning", "place"
_LABEL: Final = 11
_TOLD_AS_TIMES: Final = 2
_TOLD_LEFT_OUT: Final = 0.001

Metrics = Mapping[str, Any]


class Line(NamedTuple):
    """One statement: its label, what it says, and what kind it is."""

    kind: str
    label: str
    text: str


def screen(details: Mapping[str, Any], metrics: Metrics, config: Mapping[str, Any], verdict: str) -> list[Line]:
    """Return what the screen says.

    Args:
        details: run.json. metrics: metrics.json. config: config.toml, parsed.
        verdict: of the run's certificate: proven, found or unproven.
    """
    lines = [Line(TITLE, "", _title(details, config))]
    if details.get("error"):
        lines.append(Line(WARNING, details["status"], str(details["error"])))
    told = {
        "result": _result(metrics),
        "how sure": _how_sure(metrics),
        "trades": _trades(metrics),
        "costs": _costs(metrics),
        "hangs on": _hangs_on(metrics),
        "hurt": _hurt(metrics),
    }
    lines += [Line(FIGURE, label, text) for label, text in told.items() if text]
    made = strategies_in_words(details)
    lines += [Line(FIGURE, "strategies" if not number else "", text) for number, text in enumerate(made)]
    more = settlements_in_words(details) + liquidations_in_words(details, _option_cash(details, config))
    more += [] if made else portfolio_in_words(details["portfolio"])
    lines += [Line(FIGURE, "besides" if not number else "", text) for number, text in enumerate(more)]
    lines += [
        Line(ASSUMPTION, "assumes" if not number else "", f"{key.replace('_', ' ')}: {text}")
        for number, (key, text) in enumerate(details["assumptions"].items())
    ]
    lines += [Line(WARNING, "warning", text) for text in details["warnings"]]
    return [*lines, Line(PLACE, "look-ahead", _VERDICTS.get(verdict, verdict))]


_VERDICTS: Final = {
    "proven": "proven: a check found none (certificate.json)",
    "found": "FOUND: a check showed that this run looks ahead (certificate.json)",
    "unproven": "unproven: nothing shows yet that it does not look ahead; bt check RUN does",
}


def laid_out(lines: list[Line], width: int = WIDTH) -> list[tuple[Line, str]]:
    """Return the lines broken to a width, each with the statement that it belongs to; a path is never broken."""
    found = []
    for line in lines:
        indent = "" if line.kind == TITLE else f"{line.label:<{_LABEL}}"
        broken = textwrap.wrap(
            printable(" ".join(line.text.split())),
            width,
            initial_indent=indent,
            subsequent_indent=" " * len(indent),
            break_long_words=False,
            break_on_hyphens=False,
        )
        found += [(line, text) for text in broken or [indent.rstrip()]]
    return found


def screen_text(lines: list[Line], width: int = WIDTH) -> str:
    """Return the screen as plain text."""
    return "".join(f"{text}\n" for _, text in laid_out(lines, width))


def _title(details: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    run, span = config["run"], details["range"]
    names = [name.partition(":") for name in run["symbols"]]
    markets = {market for market, _, _ in names}
    symbols = " ".join(symbol if len(markets) == 1 else f"{market}:{symbol}" for market, _, symbol in names)
    where = f"{run['market']}, " if len(markets) == 1 else ""
    name = details["strategy"]["name"]
    return f"{name} on {symbols} ({where}{run['timeframe']}), {span['start']} to {span['end']}: {details['status']}"


def _result(m: Metrics) -> str:
    said = [f"total return {percent(m['total_return'])}"]
    held = m.get("benchmark")
    if isinstance(held, Mapping) and (other := _value(held.get("total_return"))) is not None:
        said[0] += f" (buy and hold {other:+.2%})"
    if "cagr" in m:
        said.append(f"CAGR {percent(m['cagr'])}")
    said.append(f"{amount(m['initial_equity'])} to {money(m['final_equity'])}")
    return ", ".join(said)


def _how_sure(m: Metrics) -> str:
    if "sharpe" not in m:
        return ""
    said = [f"Sharpe {ratio(m['sharpe'])}"]
    if has(m, "sharpe") and has(m, "sharpe_se"):
        said[0] += f" ± {ratio(m['sharpe_se'])} standard error"
    text = ", ".join([*said, *_resampled(m)])
    if has(m, "deflated_sharpe"):
        deflated = m["deflated_sharpe"]
        text += f"; after {deflated['trials']} trials {deflated['value']:.0%} sure that it is no luck"
    elif "deflated_sharpe" in m and has(m, "sharpe"):
        text += "; not deflated"
    tried = m.get("deflated_sharpe", {}).get("trials") or 1
    if has(m, "trials_overlapping") and (others := m["trials_overlapping"]["value"] - tried) > 0:
        text += f" ({others} other trials on overlapping data are in the ledger, not counted)"
    return text


def _resampled(m: Metrics) -> list[str]:
    """Return what runs drawn from the run's own days came to, or why none were drawn."""
    drawn = m.get("bootstrap", {})
    if drawn.get("reason"):
        return [] if drawn["reason"] == m["sharpe"].get("reason") else [f"resampled: {none(drawn)}"]
    spans = {name: span for name, span in drawn.get("figures", {}).items() if span["p05"] is not None}
    said = []
    if has(m, "sharpe") and (span := spans.get("sharpe")):
        said.append(f"had {span['p05']:.2f} to {span['p95']:.2f}")
    if span := spans.get("total_return"):
        said.append(f"made {span['p05']:+.0%} to {span['p95']:+.0%}")
    if not said:
        return []
    days = f"{drawn['days']} whole days" if "days" in drawn else "whole days"
    text = f"9 of 10 runs resampled from its {days} {' and '.join(said)}"
    if abs(left_out := drawn.get("left_out") or 0.0) >= _TOLD_LEFT_OUT:
        text += f" (without the parts of days at its ends, {left_out:+.2%})"
    return [text]


def _trades(m: Metrics) -> str:
    still_open = f" (+{m['n_open']['value']} open)" if m["n_open"]["value"] else ""
    said = [f"{m['n_trades']['value']}{still_open}"]
    if not m["n_trades"]["value"]:
        return f"none closed{still_open}" if still_open else "none"
    said.append(f"win rate {percent(m['win_rate'], sign=False)}")
    if "profit_factor" in m:
        said.append(f"profit factor {ratio(m['profit_factor'])}")
    if has(m, "expectancy"):
        said.append(f"{money(m['expectancy'])} per trade")
    if has(m, "expectancy_r"):
        said.append(f"{m['expectancy_r']['value']:+.2f} R")
    return ", ".join(said)


def _costs(m: Metrics) -> str:
    currency = m["fees"]["currency"]
    said = [f"fees {amount(m['fees'])}"]
    if liquidation := -_cost_line(m, "liquidation"):
        said[0] += f" ({amount({**m['fees'], 'value': liquidation})} of them for liquidations)"
    if "slippage" in m:
        said.append(f"slippage {amount(m['slippage'])}")
    if "funding" in m:
        said.append(f"funding received less paid {amount(m['funding'])}")
    text = ", ".join(said) + f" {currency}"
    if "cost_share" in m:
        text += f": {_cost_share(m)}"
    return f"{text}; realised {money(m['realised_pnl'])}"


def _cost_share(m: Metrics) -> str:
    """Return what costs are to the profit that the prices made, or to the loss."""
    share, price = m["cost_share"], _cost_line(m, "price_pnl")
    if share["value"] is not None:
        return f"{share['value']:.1%} of the gross profit"
    if share.get("reason") != "no_gross_profit" or price >= 0:
        return none(share)
    costs = -sum(_cost_line(m, name) for name in ("slippage", "fees", "liquidation", "funding"))
    times = costs / -price
    told = f"{times:.1%} of" if times < _TOLD_AS_TIMES else f"{times:.1f} times"
    return f"{told} the gross loss, on top of it"


def _cost_line(m: Metrics, name: str) -> Decimal:
    """Return a line of the way from price profit to net profit; 0 where there is none."""
    lines = m.get("costs", {}).get("lines", ())
    return next((Decimal(one["value"]) for one in lines if one["name"] == name), Decimal(0))


def _hangs_on(m: Metrics) -> str:
    said = []
    if has(m, "exposure_time"):
        said.append(f"in the market {m['exposure_time']['value']:.1%} of the time")
    if has(m, "leverage_max"):
        said.append(f"exposure at most {m['leverage_max']['value']:.2f} of equity")
    if has(m, "profit_share_best_1pct") and has(m, "profit_share_best_5pct"):
        one, five = m["profit_share_best_1pct"], m["profit_share_best_5pct"]
        said.append(
            f"the best 1 % of trades ({one.get('trades', '?')}) made {one['value']:.0%} of the profit, "
            f"the best 5 % ({five.get('trades', '?')}) {five['value']:.0%}"
        )
    return ", ".join(said)


def _hurt(m: Metrics) -> str:
    fall = m["max_drawdown"]
    text = f"max drawdown {percent(fall, sign=bool(fall['value']))}"
    if fall.get("peak") and fall["value"]:
        text += f", {day(fall['peak'])} to {day(fall['trough'])}, "
        text += f"recovered {day(fall['recovered'])}" if fall.get("recovered") else "not recovered"
    if fall.get("flag") == "ruined":
        text += ", ruined"
    months = [one for one in m.get("monthly_returns", ()) if one["return"] is not None]
    if months:
        worst = min(months, key=lambda one: one["return"])
        text += f"; worst month {worst['month']} {worst['return']:+.2%}" + (" (part)" if worst.get("partial") else "")
    return text


def _option_cash(details: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Return what options settle in: the asset of their wallet."""
    held = (name.partition(":") for name in details["portfolio"]["wallets"])
    return next((asset for wallet, _, asset in held if wallet == "option"), str(config["account"]["currency"]))


def _value(entry: Any) -> float | None:
    """Return a figure that stands as a number or as an entry with a value."""
    found = entry.get("value") if isinstance(entry, Mapping) else entry
    return found if isinstance(found, int | float) else None
