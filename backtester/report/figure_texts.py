"""The rows of figures side by side as text, as precisely as a figure means something."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

Row = Mapping[str, Any]
_COINS: Final = ("BTC", "ETH", "BNB")
_FRACTIONS: Final = frozenset({
    "cagr", "volatility", "max_drawdown_daily", "max_drawdown_realised", "psr", "var_95", "cvar_95", "var_99",
    "cvar_99", "ulcer_index", "exposure_time", "gross_exposure_avg", "net_exposure_avg", "r_coverage",
    "profit_share_best_1pct", "profit_share_best_5pct",
})  # fmt: skip
_FRACTION_ENDINGS: Final = ("_return", "_drawdown", "_rate", "_share", "_pct")
_NOISE: Final = 1e-4  # of the figures themselves


def value_text(row: Row, place: int) -> str:
    """Return the figure of one run; why, when it has none."""
    value = row["values"][place]
    if value is not None:
        return _number(value, row)
    reasons = row.get("reasons") or {}
    return f"none ({reasons[place] or 'no value'})" if reasons else "none"


def difference_text(row: Row) -> str:
    """Return the difference of two runs, "about 0" when it is next to nothing, or why there is none."""
    if "why" in row:
        return str(row["why"])
    if "difference" not in row or row.get("better") == "same":
        return ""
    shown = _number(row["difference"], row, signed=True)
    largest = max(abs(float(value)) for value in row["values"])
    is_noise = abs(float(row["difference"])) < _NOISE * largest or not any(digit in shown for digit in "123456789")
    return "about 0" if is_noise else shown


def verdict_text(row: Row) -> str:
    """Return which of two runs is better, or why nobody can say."""
    if "unclear" in row:
        return str(row["unclear"])
    return {"first": "A is better", "second": "B is better"}.get(row.get("better") or "", "")


def _number(value: Any, row: Row, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return str(value)
    if "currency" in row:
        amount = Decimal(value)
        places = 8 if abs(amount) < 1 and row["currency"] in _COINS else 2
        return f"{amount:{sign},.{places}f}"
    if isinstance(value, str):
        return value
    if row["name"] in _FRACTIONS or row["name"].endswith(_FRACTION_ENDINGS):
        return f"{value:{sign}.2%}"
    if isinstance(value, int) or (value.is_integer() and abs(value) >= 1):
        return f"{value:{sign},.0f}"
    return f"{value:{sign}.4g}"
