"""Figures of several runs side by side, and which of them is better where that has a meaning."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from backtester.report.figures import Metric

HIGHER: Final = frozenset({
    "total_return", "cagr", "sharpe", "sortino", "calmar", "omega", "max_drawdown", "max_drawdown_daily",
    "avg_drawdown", "win_rate", "profit_factor", "payoff_ratio", "expectancy", "expectancy_r", "sqn", "recovery_factor",
    "final_equity", "net_pnl", "realised_pnl", "gross_pnl", "funding", "upi",
})  # fmt: skip
"""More of it is better; drawdowns are below zero."""
LOWER: Final = frozenset({"fees", "ulcer_index", "max_consecutive_losses", "interest", "liquidation_fees"})
"""Less of it is better."""
_OVER_RISK: Final = frozenset({"sharpe", "sortino", "calmar", "upi"})
_SHORT: Final = frozenset({"short_run", "small_sample"})


def side_by_side(metrics: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row per figure that any of the runs has, in their order.

    Returns:
        name; values and reasons (one per run); currency; for two runs that both have a number: difference (second less
        first, money as exact text), and better: "first", "second", "same", or null where neither direction is better or
        nobody can say (`unclear` says why: within its standard error, of too little, or ratios of losses, of which more
        risk makes less). For more runs: best, the places of the best.
        A figure of other currencies, or of another definition, has no difference and no best; `why` says so.
    """
    names = list(dict.fromkeys(name for one in metrics for name, entry in one.items() if _is_metric(entry)))
    return [_row(name, [one.get(name) for one in metrics], metrics) for name in names]


def _is_metric(entry: Any) -> bool:
    return isinstance(entry, Mapping) and "definition_id" in entry and "value" in entry


def _row(name: str, entries: Sequence[Metric | None], metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    there = [entry for entry in entries if entry is not None]
    row: dict[str, Any] = {"name": name, "values": [None if one is None else one["value"] for one in entries]}
    reasons = [("not written" if one is None else one.get("reason")) for one in entries]
    row |= {"reasons": reasons} if any(reasons) else {}
    currencies = {str(one["currency"]) for one in there if "currency" in one}
    row |= {"currency": next(iter(currencies))} if len(currencies) == 1 else {}
    if len(currencies) > 1:
        return row | {"why": f"other currencies: {', '.join(sorted(currencies))}"}
    if len({one["definition_id"] for one in there}) > 1:
        return row | {"why": "another definition"}
    numbers = [_number(value) for value in row["values"]]
    known = [number for number in numbers if number is not None]
    if len(known) != len(entries):
        return row
    if len(numbers) == 2:
        unclear = _unclear(name, there, known, metrics)
        return row | _difference(name, known, unclear, as_money=bool(currencies))
    sign = 0 if _unclear(name, there, known, metrics) else _direction(name)
    best = max(sign * number for number in known)
    places = [place for place, number in enumerate(known) if sign * number == best]
    return row | ({"best": places} if sign and len(places) < len(known) else {})


def _difference(name: str, known: Sequence[Decimal], unclear: str, *, as_money: bool) -> dict[str, Any]:
    gap, sign = known[1] - known[0], _direction(name)
    found: dict[str, Any] = {"difference": f"{gap:f}" if as_money else float(gap), "better": None}
    if gap == 0:
        found["better"] = "same"
    elif unclear:
        found["unclear"] = unclear
    elif sign:
        found["better"] = "second" if gap * sign > 0 else "first"
    return found


def _unclear(name: str, there: Sequence[Metric], known: Sequence[Decimal], metrics: Sequence[Mapping[str, Any]]) -> str:
    """Return why nobody can say which is better, though more or less of it is; empty where one can."""
    if not _direction(name):
        return ""
    if name in _OVER_RISK and max(known) <= 0:
        return "no meaning when both lose" if len(known) == 2 else "no meaning when all lose"
    if any(one.get("flag") in _SHORT for one in there):
        return "of too short a run"
    if any(f"{name}_se" in one for one in metrics):
        error = _error(name, metrics)
        if error is None:
            return "no standard error"
        if len(known) == 2 and abs(float(known[1] - known[0])) <= error:
            return f"within its standard error, {error:.2g}"
    return ""


def _error(name: str, metrics: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the standard error of a difference, where each figure has one of its own (`sharpe` has `sharpe_se`)."""
    errors = [one.get(f"{name}_se", {}).get("value") for one in metrics]
    if any(error is None for error in errors):
        return None
    return math.sqrt(sum(float(error) ** 2 for error in errors))


def _direction(name: str) -> int:
    return 1 if name in HIGHER else -1 if name in LOWER else 0


def _number(value: Any) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        return Decimal(str(value))
    except ArithmeticError:  # a time, or another text
        return None
