"""How figures look on a screen: fractions in percent, money in two places, ratios in two."""

from typing import Final

_PERCENT: Final = frozenset(
    [
        "total_return",
        "cagr",
        "volatility",
        "max_drawdown",
        "max_drawdown_daily",
        "win_rate",
        "exposure_time",
        "time_in_market",
    ]
)
_SHORT: Final = {"total_return": "return", "max_drawdown": "max dd", "n_trades": "trades", "win_rate": "wins"}
_LONG: Final = 1_000_000


def short_name(name: str) -> str:
    """Return a figure's name as the head of a column."""
    return _SHORT.get(name, name)


def figure_text(name: str, text: str) -> str:
    """Return a figure of a summary's row for people; - where it has no value."""
    if not text:
        return "-"
    try:
        value = float(text)
    except ValueError:
        return text
    if name in _PERCENT or name.endswith("_return"):
        return f"{value:.2%}"
    if text.lstrip("-").isdigit():
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= _LONG else f"{value:,.2f}"
