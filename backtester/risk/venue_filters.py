"""The venue's filters beyond steps, quantities and notionals. Pure: an order and what is open in, a refusal out."""

from collections.abc import Sequence
from typing import Final

from backtester.core.events import OrderKind, Reason, SanitizedOrder, Side
from backtester.core.folds import Ledger
from backtester.core.instruments import Instrument, sides_of
from backtester.core.numbers import CEIL, FLOOR, MONEY_EXPONENT, RATE_SCALE, decimal, fixed, mul_div
from backtester.core.rules import VenueFilters
from backtester.risk.exposure import claims_of, worst_case
from backtester.risk.limits import Asked
from backtester.risk.open_orders import OpenOrders
from backtester.risk.order_validation import Refusal, RoundedOrder, plain

ALGO_KINDS: Final = frozenset(k for k in OrderKind if not k.is_sliced) - {OrderKind.MARKET, OrderKind.LIMIT}


def filters_refusal(
    filters: VenueFilters, asked: Asked, last_units: int | None, ledger: Ledger, open_orders: OpenOrders
) -> Refusal | None:
    """Return why a venue does not take an order, or None.

    last_units: the last price (10^-p), in the place of the venue's average or mark price; None when there is none.
    """
    spec, rounded = asked.spec, asked.rounded
    sides = sides_of(ledger.instruments, spec.listed)
    working = [o for side in sides for o in open_orders.counted(side.id, without=asked.replaces)]
    return (
        _price_refusal(filters, spec, rounded)
        or _band_refusal(filters, spec, asked.side, rounded.limit_units, last_units)
        or _count_refusal(filters, rounded.kind, working)
        or _position_refusal(filters, asked, last_units, ledger, open_orders)
    )


def _price_refusal(filters: VenueFilters, spec: Instrument, rounded: RoundedOrder) -> Refusal | None:
    p = spec.scale.price
    for price in filter(None, (rounded.limit_units, rounded.stop_units)):
        if price < filters.min_price_units:
            return Refusal(
                Reason.BELOW_MIN_PRICE, {"price": fixed(price, p), "min_price": fixed(filters.min_price_units, p)}
            )
        if 0 < filters.max_price_units < price:
            return Refusal(
                Reason.ABOVE_MAX_PRICE, {"price": fixed(price, p), "max_price": fixed(filters.max_price_units, p)}
            )
    return None


def _band_refusal(
    filters: VenueFilters, spec: Instrument, side: Side, limit_units: int, last_units: int | None
) -> Refusal | None:
    if not limit_units or last_units is None:
        return None
    buys = side is Side.BUY
    down, up = (filters.bid_down, filters.bid_up) if buys else (filters.ask_down, filters.ask_up)
    low = mul_div(last_units, down, RATE_SCALE, CEIL)
    high = mul_div(last_units, up, RATE_SCALE, FLOOR) if up else limit_units
    if low <= limit_units <= high:
        return None
    p = spec.scale.price
    return Refusal(
        Reason.PERCENT_PRICE,
        {
            "price": fixed(limit_units, p),
            "last": fixed(last_units, p),
            "multiplier_down": plain(decimal(down, MONEY_EXPONENT)),
            "multiplier_up": plain(decimal(up, MONEY_EXPONENT)),
        },
    )


def _count_refusal(filters: VenueFilters, kind: OrderKind, working: Sequence[SanitizedOrder]) -> Refusal | None:
    if 0 < filters.max_orders <= len(working):
        return Refusal(Reason.MAX_NUM_ORDERS, {"open": str(len(working)), "max_orders": str(filters.max_orders)})
    if filters.max_algo_orders and kind in ALGO_KINDS:
        found = sum(order.kind in ALGO_KINDS for order in working)
        if found >= filters.max_algo_orders:
            return Refusal(
                Reason.MAX_NUM_ALGO_ORDERS, {"open": str(found), "max_algo_orders": str(filters.max_algo_orders)}
            )
    return None


def _position_refusal(
    filters: VenueFilters, asked: Asked, last_units: int | None, ledger: Ledger, open_orders: OpenOrders
) -> Refusal | None:
    """Refuse what would let the position grow too large once it and all open orders of its side have filled."""
    spec, most = asked.spec, filters.max_position_units
    if not asked.opening or not most:
        return None
    prices = {spec.listed: last_units or asked.rounded.price_units}
    others = claims_of(open_orders, ledger, prices, without=asked.replaces, instrument=spec.id)
    low, high = worst_case(ledger, [*others, asked.claim], prices).span[spec.id]
    becomes = high if asked.side is Side.BUY else -low
    if becomes <= most:
        return None
    q = spec.scale.qty
    return Refusal(Reason.MAX_POSITION, {"position": fixed(becomes, q), "max_position": fixed(most, q)})
