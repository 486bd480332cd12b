"""SymbolSpecs: an instrument's rules applied to orders. Pure: a wish and a price in, integers or a refusal out."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from backtester.core.events import LimitOrderIntent, OrderIntent, OrderKind, Reason, Side, StopOrderIntent
from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.numbers import CEIL, FLOOR, MONEY_EXPONENT, ceil_to, decimal, fixed, floor_to, units_of


class Refusal(NamedTuple):
    """Why an order is not sent on, with the numbers that the reason is made of."""

    reason: Reason
    numbers: dict[str, str]


class RoundedOrder(NamedTuple):
    """An order in the instrument's integers. qty 0: sized at the fill. price: what it is valued at (10^-p)."""

    kind: OrderKind
    qty_units: int
    limit_units: int
    stop_units: int
    price_units: int


def plain(value: Decimal) -> str:
    """Return a number for people and machines: plain, no exponent, no padding zeros."""
    return f"{value.normalize():f}"


class SymbolSpecs:
    """Tick, lot, quantity and notional limits of every instrument of a run."""

    def __init__(self, instruments: Mapping[InstrumentId, Instrument]) -> None:
        self._instruments = instruments

    def get(self, instrument: InstrumentId) -> Instrument | None:
        """Return an instrument, or None when it is not in the run."""
        return self._instruments.get(instrument)

    def rounded(self, intent: OrderIntent, last_units: int | None) -> RoundedOrder | Refusal:
        """Round prices and quantity by the venue's rules.

        A limit is never worse than asked, a stop fires no later than asked, a quantity never exceeds what was asked.
        """
        spec = self._instruments[intent.instrument]
        kind, limit, stop = OrderKind.MARKET, 0, 0
        tick, p = spec.rules.tick_units, spec.scale.price
        if isinstance(intent, LimitOrderIntent):
            kind = OrderKind.LIMIT
            limit = self._price(intent.limit_price, p, tick, up=intent.side is Side.SELL)
        elif isinstance(intent, StopOrderIntent):
            kind = OrderKind.STOP
            stop = self._price(intent.stop_price, p, tick, up=intent.side is Side.SELL)
        if kind is not OrderKind.MARKET and (limit or stop) <= 0:
            return Refusal(Reason.BAD_PRICE, {"price": fixed(limit or stop, p)})
        price = limit or stop or last_units
        if price is None:
            return Refusal(Reason.NO_PRICE, {})
        if intent.qty is None:
            return RoundedOrder(kind, 0, limit, stop, price)
        if intent.qty <= 0:
            return Refusal(Reason.BAD_SIZE, {"qty": plain(intent.qty)})
        qty = floor_to(units_of(intent.qty, spec.scale.qty, FLOOR), spec.rules.lot_units)
        refusal = qty_refusal(spec, qty, intent.qty) or notional_refusal(spec, spec.notional_units(qty, price))
        return refusal or RoundedOrder(kind, qty, limit, stop, price)

    @staticmethod
    def _price(price: Decimal, exponent: int, tick: int, *, up: bool) -> int:
        if up:
            return ceil_to(units_of(price, exponent, CEIL), tick)
        return floor_to(units_of(price, exponent, FLOOR), tick)


def qty_refusal(spec: Instrument, qty_units: int, asked: Decimal | None = None) -> Refusal | None:
    """Return why a quantity (10^-q, already whole lots) breaks the rules, or None."""
    rules, q = spec.rules, spec.scale.qty
    numbers = {"qty": fixed(qty_units, q)} | ({} if asked is None else {"asked": plain(asked)})
    least = max(rules.min_qty_units, rules.lot_units)
    if qty_units < least:
        return Refusal(Reason.BELOW_MIN_QTY, numbers | {"min_qty": fixed(least, q)})
    if rules.max_qty_units and qty_units > rules.max_qty_units:
        return Refusal(Reason.ABOVE_MAX_QTY, numbers | {"max_qty": fixed(rules.max_qty_units, q)})
    return None


def notional_refusal(spec: Instrument, notional_units: int) -> Refusal | None:
    """Return why a notional (1e-8 quote) breaks the rules, or None."""
    rules = spec.rules
    notional = plain(decimal(notional_units, MONEY_EXPONENT))
    if notional_units < rules.min_notional_units:
        return Refusal(
            Reason.BELOW_MIN_NOTIONAL,
            {"notional": notional, "min_notional": plain(decimal(rules.min_notional_units, MONEY_EXPONENT))},
        )
    if rules.max_notional_units and notional_units > rules.max_notional_units:
        return Refusal(
            Reason.ABOVE_MAX_NOTIONAL,
            {"notional": notional, "max_notional": plain(decimal(rules.max_notional_units, MONEY_EXPONENT))},
        )
    return None
