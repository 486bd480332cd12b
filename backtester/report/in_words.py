"""Figures of metrics.json in words: fractions as percentages, money in its currency, null with its reason."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

_COINS: Final = ("BTC", "ETH", "BNB")
_REASONS: Final = {
    "no_trades": "no trades",
    "no_wins": "no winning trade",
    "no_losses": "no losing trade",
    "no_profit": "no profit",
    "no_gross_profit": "no gross profit",
    "no_variance": "nothing varied",
    "no_downside": "no losing day",
    "no_drawdown": "no drawdown",
    "too_short": "too short a run",
    "too_few": "too few days",
    "ruined": "ruined",
    "overflow": "too large",
}

Metrics = Mapping[str, Any]


def has(metrics: Metrics, name: str) -> bool:
    """Say whether a figure is there and has a value."""
    entry = metrics.get(name)
    return isinstance(entry, Mapping) and entry.get("value") is not None


def percent(metric: Mapping[str, Any], *, sign: bool = True) -> str:
    """Return a fraction as a percentage, or why there is none."""
    value = metric["value"]
    if value is None:
        return none(metric)
    return f"{value:+.2%}" if sign else f"{value:.2%}"


def money(metric: Mapping[str, Any]) -> str:
    """Return an exact amount rounded for people, with its currency."""
    return f"{amount(metric)} {metric['currency']}"


def amount(metric: Mapping[str, Any]) -> str:
    """Return an exact amount rounded for people."""
    places = 8 if metric["currency"] in _COINS else 2
    return f"{Decimal(metric['value']):,.{places}f}"


def ratio(metric: Mapping[str, Any]) -> str:
    """Return a ratio in two places, or why there is none."""
    value = metric["value"]
    return none(metric) if value is None else f"{value:.2f}"


def none(metric: Mapping[str, Any]) -> str:
    """Return what stands where a figure has no meaning."""
    reason = str(metric.get("reason", ""))
    return f"none ({_REASONS.get(reason, reason.replace('_', ' '))})"


def day(text: str) -> str:
    """Return the day of an ISO time."""
    return text[:10]
