"""The headline figures of a run, each with the id of its definition; null with a reason where one has no meaning.

Definitions: docs/metrics.md. Money is exact text, ratios are floats.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from backtester.core.numbers import MONEY_EXPONENT, fixed
from backtester.core.round_trips import RoundTrip

Metric = dict[str, Any]


@dataclass(slots=True)
class EquityStats:
    """What the equity curve leaves behind when it has been written. Money in 1e-8; max_drawdown <= 0."""

    first_units: int = 0
    last_units: int = 0
    peak_units: int = 0
    max_drawdown: float = 0.0
    lowest_units: int = 0
    rows: int = 0


@dataclass(slots=True)
class TradeStats:
    """Counts and sums over closed trades."""

    n_trades: int = 0
    n_wins: int = 0
    n_losses: int = 0

    def add(self, trade: RoundTrip) -> None:
        """Count a closed trade by its net profit."""
        self.n_trades += 1
        self.n_wins += trade.net_units > 0
        self.n_losses += trade.net_units < 0


def headline(
    equity: EquityStats,
    trades: TradeStats,
    *,
    n_open: int,
    realised: Mapping[str, int],
    fees: Mapping[str, int],
    funding: Mapping[str, int] | None,
    worth: Callable[[str, int], int],
    currency: str,
) -> dict[str, Metric]:
    """Return the metrics of a run.

    Args:
        equity: from the whole curve, its first point before the first event.
        trades: closed round trips.
        n_open: trades that have not closed; they are in equity, not in trade statistics.
        realised: price profit realised per asset, before fees, 1e-8 of it.
        fees: fees paid per asset, 1e-8 of it.
        funding: received less paid per asset, 1e-8 of it; None where nothing has funding.
        worth: what an amount of an asset is worth in the currency at the end.
        currency: the account's.
    """
    values: dict[str, Metric] = {}
    if equity.first_units <= 0:
        values["total_return"] = _null("total_return/1", "bad_start")
    else:
        values["total_return"] = _value("total_return/1", equity.last_units / equity.first_units - 1)
    values["max_drawdown"] = _value("max_drawdown/1", equity.max_drawdown)
    if equity.lowest_units <= 0:
        values["max_drawdown"]["flag"] = "ruined"
    values["n_trades"] = _value("n_trades/1", trades.n_trades)
    values["n_wins"] = _value("n_wins/1", trades.n_wins)
    values["n_losses"] = _value("n_losses/1", trades.n_losses)
    values["n_even"] = _value("n_even/1", trades.n_trades - trades.n_wins - trades.n_losses)
    values["n_open"] = _value("n_open/1", n_open)
    values["win_rate"] = (
        _value("win_rate/1", trades.n_wins / trades.n_trades) if trades.n_trades else _null("win_rate/1", "no_trades")
    )
    values["initial_equity"] = _money("initial_equity/1", equity.first_units, currency)
    values["final_equity"] = _money("final_equity/1", equity.last_units, currency)
    values["realised_pnl"] = _sum("realised_pnl/1", realised, worth, currency)
    values["fees"] = _sum("fees/2", fees, worth, currency)
    if funding is not None:
        values["funding"] = _sum("funding/1", funding, worth, currency)
    return values


def _value(definition: str, value: float | int) -> Metric:
    return {"value": value, "definition_id": definition}


def _money(definition: str, units: int, currency: str) -> Metric:
    return {"value": fixed(units, MONEY_EXPONENT), "currency": currency, "definition_id": definition}


def _sum(definition: str, amounts: Mapping[str, int], worth: Callable[[str, int], int], currency: str) -> Metric:
    """Return a sum in the currency; where it is made of other assets too, what it is made of."""
    found = _money(definition, sum(worth(asset, units) for asset, units in sorted(amounts.items())), currency)
    if any(units for asset, units in amounts.items() if asset != currency):
        found["by_asset"] = {a: fixed(units, MONEY_EXPONENT) for a, units in sorted(amounts.items()) if units}
    return found


def _null(definition: str, reason: str) -> Metric:
    return {"value": None, "reason": reason, "definition_id": definition}
