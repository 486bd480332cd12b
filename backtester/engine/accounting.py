"""What run.json says of the account's own books: sums per asset, what assets are worth at the end, open trades.

With the tables it is all that the metrics are made of, so that they can be made again from a sealed folder.
"""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from backtester.core.instruments import split_holding
from backtester.core.numbers import HALF_EVEN, MONEY_EXPONENT, exact_units, fixed, mul_div
from backtester.core.round_trips import RoundTrip
from backtester.core.time import format_time
from backtester.engine.prepare import PreparedRun
from backtester.engine.trade_table import mean_price
from backtester.engine.wiring import Wired

_PRICE_DECIMALS = 12


def accounting_record(run: PreparedRun, wired: Wired) -> dict[str, Any]:
    """Return the books of a run that is over. Money is exact text."""
    prices, conversions = wired.board.price_units, run.valuation.conversions
    trades, sums = wired.trades, {name: _sums(wired, name) for name in ("realised", "fees", "funding")}
    sums |= {
        "slippage": dict(trades.slippage),
        "base_fees": dict(trades.base_fees),
        "liquidation_fees": dict(trades.liquidation_fees),
        "insurance": dict(trades.insurance),
    }
    settles = {i: str(spec.settle) for i, spec in run.instruments.items() if i in trades.touched}
    others = {a for found in sums.values() for a in found} | set(settles.values())
    ratios = {a: conversions[a].ratio(prices) for a in sorted(others - {run.valuation.currency}) if a in conversions}
    return {
        "currency": run.valuation.currency,
        "ratios": {asset: f"{mul}/{den}" for asset, (mul, den) in ratios.items()},
        "settles": dict(sorted(settles.items())),
        "sums": {
            name: {asset: fixed(units, MONEY_EXPONENT) for asset, units in sorted(found.items())}
            for name, found in sums.items()
        },
        "open_trades": [_open_trade(run, wired, trip) for trip in trades.still_open],
        "has_funding": bool(run.margin.brackets),
    }


def _sums(wired: Wired, name: str) -> dict[str, int]:
    """Return one sum of the account per asset, all wallets together, 1e-8 of it."""
    found: dict[str, int] = {}
    for holding, account in wired.account.ledger.assets.items():
        asset = split_holding(holding)[1]
        found[asset] = found.get(asset, 0) + getattr(account, f"{name}_units")
    return found


def _open_trade(run: PreparedRun, wired: Wired, trip: RoundTrip) -> dict[str, Any]:
    """Return a trade that has not closed: what it has realised and what its position would at the last price."""
    spec, ledger = run.instruments[trip.instrument], wired.account.ledger
    mark = wired.board.price_units[spec.listed]
    position = ledger.position(trip.instrument)
    unrealised = ledger.unrealised_units(trip.instrument, mark)
    money = {
        "gross_pnl": trip.gross_units + unrealised,
        "unrealised": unrealised,
        "slippage": trip.slippage_units,
        "fees": trip.fees_units,
        "funding": trip.funding_units,
        "insurance": trip.insurance_units,
        "net_pnl": trip.net_units + unrealised,
    }
    return {
        "instrument": trip.instrument,
        "side": "long" if trip.side == "buy" else "short",
        "entry_time": format_time(trip.entry_time),
        "entry_us": trip.entry_time,
        "entry_price": fixed(mean_price(spec, trip.qty_units, trip.entry_notional_units), _PRICE_DECIMALS),
        "qty": fixed(position.qty_units, spec.scale.qty),
        "mark": fixed(mark, spec.scale.price),
        "currency": str(spec.settle),
        **{name: fixed(units, MONEY_EXPONENT) for name, units in money.items()},
        "entry_tag": trip.entry_tag,
    }


class Worth:
    """What amounts of assets are worth in the account's currency at the last prices of a run."""

    def __init__(self, books: Mapping[str, Any]) -> None:
        """books: the record above."""
        self.currency = str(books["currency"])
        self._ratios = {asset: Fraction(text) for asset, text in books["ratios"].items()}

    def units(self, asset: str, units: int) -> int:
        """Return what an amount (1e-8) is worth, 1e-8, half-even."""
        if asset == self.currency or not units:
            return units
        ratio = self._ratios[asset]
        return mul_div(units, ratio.numerator, ratio.denominator, HALF_EVEN)

    def total(self, amounts: Mapping[str, str]) -> int:
        """Return what amounts by asset, exact text, are worth together."""
        return sum(self.units(asset, units_of(text)) for asset, text in sorted(amounts.items()))


def units_of(text: str) -> int:
    """Return exact text as 1e-8."""
    return exact_units(Decimal(text), MONEY_EXPONENT)
