"""Three runs of one strategy under three sets of assumptions: smallest, base and largest figure, and how much of the
profit hangs on what was assumed. Definitions: docs/fills.md.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from backtester.report.figures import Metric

FIGURES = ("final_equity", "total_return", "max_drawdown", "n_trades", "fees")


def band_figures(metrics: Mapping[str, Mapping[str, Metric]], base: str) -> dict[str, dict[str, Any]]:
    """Return minimum, base and maximum of each headline figure; of money as exact text.

    A figure that has no value in one of the runs has none in the band, for the same reason.
    """
    return {figure: _range({name: found[figure] for name, found in metrics.items()}, base) for figure in FIGURES}


def _range(found: Mapping[str, Metric], base: str) -> dict[str, Any]:
    without = [metric for metric in found.values() if metric["value"] is None]
    if without:
        return {"min": None, "base": None, "max": None, "reason": without[0]["reason"]}
    values = [metric["value"] for metric in found.values()]
    smallest, largest = min(values, key=Decimal), max(values, key=Decimal)
    currency = {"currency": found[base]["currency"]} if "currency" in found[base] else {}
    return {"min": smallest, "base": found[base]["value"], "max": largest, **currency}


def dependence(profits: Mapping[str, Decimal]) -> dict[str, Any]:
    """Return the share of the profit that is not there under all assumptions.

    Args:
        profits: final less initial equity of each run, in the account's currency.

    Returns:
        value: (largest − smallest) / the one that is farther from zero, from 0 to 1; of: "profit" or "loss"; the
        smallest and the largest profit. Null with a reason where a share has no meaning: `sign_change` (one run
        gains, another loses), `no_profit` (all end with what they began with).
    """
    smallest, largest = min(profits.values()), max(profits.values())
    ends = {"min_profit": f"{smallest:f}", "max_profit": f"{largest:f}"}
    if smallest < 0 < largest:
        return {"value": None, "reason": "sign_change", **ends}
    if smallest == largest == 0:
        return {"value": None, "reason": "no_profit", **ends}
    farther = max(abs(smallest), abs(largest))
    return {"value": float((largest - smallest) / farther), "of": "profit" if largest > 0 else "loss", **ends}
