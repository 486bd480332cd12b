"""SymbolSpecs: rules applied to orders. Pure: a wish, a price and a time in, integers or a refusal out."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from backtester.core.events import (
    LimitOrderIntent,
    OrderIntent,
    OrderKind,
    Reason,
    Side,
    StopOrderIntent,
    TakeProfitIntent,
    TrailingStopIntent,
)
from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.numbers import CEIL, EXACT, FLOOR, MONEY_EXPONENT, ceil_to, decimal, fixed, floor_to, units_of
from backtester.core.rules import InstrumentRules, OrderLimits, RuleBook


class Refusal(NamedTuple):
    """Why an order is not sent on, with the numbers that the reason is made of."""

    reason: Reason
    numbers: dict[str, str]


class RoundedOrder(NamedTuple):
    """An order in the instrument's integers. qty 0: sized at the fill. price: what it is valued at (10^-p).

    stop: what triggers it; of a trailing stop, what activates it.
    """

    kind: OrderKind
    qty_units: int
    limit_units: int
    stop_units: int
    price_units: int


def plain(value: Decimal) -> str:
    """Return a number for people and machines: plain, no exponent, no padding zeros."""
    return f"{value.normalize():f}"


class SymbolSpecs:
    """Tick, lot, quantity and notional limits of every instrument of a run, as they hold at a time."""

    def __init__(self, instruments: Mapping[InstrumentId, Instrument], rules: RuleBook) -> None:
        self._instruments = instruments
        self._rules = rules

    def get(self, instrument: InstrumentId) -> Instrument | None:
        """Return an instrument, or None when it is not in the run."""
        return self._instruments.get(instrument)

    def rules(self, instrument: InstrumentId, time: int) -> InstrumentRules:
        """Return the rules of an instrument of the run that hold at a time (UTC µs)."""
        return self._rules[instrument].at(time)

    def rounded(self, intent: OrderIntent, last_units: int | None, time: int) -> RoundedOrder | Refusal:
        """Round prices and quantity by the venue's rules of a time (UTC µs).

        A limit or a take-profit is never worse than asked, a stop fires no later than asked, a quantity never exceeds
        what was asked.
        """
        spec = self._instruments[intent.instrument]
        rules = self.rules(spec.id, time)
        kind, wanted_limit, wanted_stop = _kind(intent)
        tick, p = rules.tick_units, spec.scale.price
        limit, stop = (
            0 if price is None else rounded_price(price, p, tick, intent.side) for price in (wanted_limit, wanted_stop)
        )
        for asked, units in ((wanted_limit, limit), (wanted_stop, stop)):
            if asked is not None and units <= 0:
                return Refusal(Reason.BAD_PRICE, {"price": fixed(units, p)})
        price = limit or stop or last_units
        if price is None:
            return Refusal(Reason.NO_PRICE, {})
        wanted = intent.qty
        if wanted is None and intent.quote is not None and spec.is_inverse:
            wanted = contracts_for(spec, intent.quote)
        if wanted is None:
            return RoundedOrder(kind, 0, limit, stop, price)
        if wanted <= 0:
            return Refusal(Reason.BAD_SIZE, {"qty": plain(wanted)})
        limits = rules.limits(kind)
        qty = floor_to(units_of(wanted, spec.scale.qty, FLOOR), limits.lot_units)
        refusal = qty_refusal(spec, limits, qty, wanted) or notional_refusal(limits, spec.notional_units(qty, price))
        return refusal or RoundedOrder(kind, qty, limit, stop, price)

    def valued(self, intent: OrderIntent, rounded: RoundedOrder, last_units: int | None) -> RoundedOrder:
        """Return a rounded order valued at the price at which it costs most: an inverse contract is worth the more coin
        the lower its price, and a purchase may fill below its limit.
        """
        if not self._instruments[intent.instrument].is_inverse or intent.side is Side.SELL or not rounded.limit_units:
            return rounded
        fills = rounded.stop_units or last_units or rounded.limit_units
        return rounded._replace(price_units=min(rounded.limit_units, fills))


def _kind(intent: OrderIntent) -> tuple[OrderKind, Decimal | None, Decimal | None]:
    """Return what an intent makes, its limit, and what triggers or activates it."""
    match intent:
        case LimitOrderIntent():
            return OrderKind.LIMIT, intent.limit_price, None
        case StopOrderIntent():
            kind = OrderKind.STOP if intent.limit_price is None else OrderKind.STOP_LIMIT
            return kind, intent.limit_price, intent.stop_price
        case TakeProfitIntent():
            kind = OrderKind.TAKE_PROFIT if intent.limit_price is None else OrderKind.TAKE_PROFIT_LIMIT
            return kind, intent.limit_price, intent.stop_price
        case TrailingStopIntent():
            return OrderKind.TRAILING_STOP, None, intent.activation_price
        case _:
            return OrderKind.MARKET, None, None


def contracts_for(spec: Instrument, quote: Decimal) -> Decimal:
    """Return how many inverse contracts an amount of quote money is: their worth in it is their size at any price."""
    return EXACT.divide(quote, decimal(spec.contract_units, MONEY_EXPONENT))


def rounded_price(price: Decimal, exponent: int, tick: int, side: Side) -> int:
    """Return a price in 10^-exponent, a multiple of tick: down for a purchase, up for a sale."""
    if side is Side.SELL:
        return ceil_to(units_of(price, exponent, CEIL), tick)
    return floor_to(units_of(price, exponent, FLOOR), tick)


def qty_refusal(spec: Instrument, limits: OrderLimits, qty_units: int, asked: Decimal) -> Refusal | None:
    """Return why a quantity (10^-q, already whole lots) breaks the limits, or None."""
    q = spec.scale.qty
    numbers = {"qty": fixed(qty_units, q), "asked": plain(asked)}
    if qty_units < limits.min_qty_units:
        return Refusal(Reason.BELOW_MIN_QTY, numbers | {"min_qty": fixed(limits.min_qty_units, q)})
    if limits.max_qty_units and qty_units > limits.max_qty_units:
        return Refusal(Reason.ABOVE_MAX_QTY, numbers | {"max_qty": fixed(limits.max_qty_units, q)})
    return None


def notional_refusal(limits: OrderLimits, notional_units: int) -> Refusal | None:
    """Return why a notional (1e-8 quote) breaks the limits, or None."""
    notional = plain(decimal(notional_units, MONEY_EXPONENT))
    if notional_units < limits.min_notional_units:
        return Refusal(
            Reason.BELOW_MIN_NOTIONAL,
            {"notional": notional, "min_notional": plain(decimal(limits.min_notional_units, MONEY_EXPONENT))},
        )
    if limits.max_notional_units and notional_units > limits.max_notional_units:
        return Refusal(
            Reason.ABOVE_MAX_NOTIONAL,
            {"notional": notional, "max_notional": plain(decimal(limits.max_notional_units, MONEY_EXPONENT))},
        )
    return None
