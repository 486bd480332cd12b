"""Exits attached to an entry, as risk lets them through: rounded, with ids, on the right sides of the entry."""

from decimal import Decimal

from backtester.core.events import AttachedOrder, OrderIntent, OrderKind, Reason, Side
from backtester.core.instruments import Instrument
from backtester.core.numbers import FLOOR, MONEY_EXPONENT, RATE_SCALE, fixed, units_of
from backtester.core.order_terms import Bracket
from backtester.risk.order_validation import Refusal, rounded_price


def rate_units(rate: Decimal) -> int:
    """Return a callback rate in 1e-8, at least the smallest and below one."""
    return min(max(1, units_of(rate, MONEY_EXPONENT, FLOOR)), RATE_SCALE - 1)


def attached_orders(
    intent: OrderIntent, bracket: Bracket, spec: Instrument, tick: int, entry_units: int, last_id: int
) -> tuple[AttachedOrder, ...] | Refusal:
    """Return the exits of an entry, the stop first, with the ids that follow last_id.

    entry_units: the price at which the entry is valued (10^-p): a stop must lie on its losing side, targets on the
    other.
    """
    if spec.is_spot and intent.side is Side.SELL:
        return Refusal(Reason.BAD_BRACKET, {"why": "a spot sale opens nothing that could be protected"})
    if spec.is_closed_by(intent.side.sign):
        return Refusal(Reason.BAD_BRACKET, {"why": "what closes a side opens nothing that could be protected"})
    sign, exit_side = intent.side.sign, Side.SELL if intent.side is Side.BUY else Side.BUY
    found: list[tuple[OrderKind, int, int, int, str]] = []  # kind, price, trail, share, name
    if bracket.stop_loss is not None:
        price = rounded_price(bracket.stop_loss, spec.scale.price, tick, exit_side)
        if price <= 0 or (entry_units - price) * sign <= 0:
            return _wrong_side("stop_loss", price, entry_units, spec)
        found.append((OrderKind.STOP, price, 0, RATE_SCALE, "stop"))
    if bracket.stop_trail is not None:
        found.append((OrderKind.TRAILING_STOP, 0, rate_units(bracket.stop_trail), RATE_SCALE, "stop"))
    for target in bracket.targets:
        price = rounded_price(target.price, spec.scale.price, tick, exit_side)
        if price <= 0 or (price - entry_units) * sign <= 0:
            return _wrong_side("take_profit", price, entry_units, spec)
        found.append((OrderKind.LIMIT, price, 0, units_of(target.share, MONEY_EXPONENT, FLOOR), "target"))
    if sum(t.share for t in bracket.targets) == 1:  # shares like a third have no exact units: the last takes the rest
        *others, (kind, price, trail, _, name) = found
        rest = RATE_SCALE - sum(share for kind_, _, _, share, _ in others if kind_ is OrderKind.LIMIT)
        found = [*others, (kind, price, trail, rest, name)]
    return tuple(
        AttachedOrder(
            order_id=last_id + place,
            kind=kind,
            share_units=share,
            limit_price_units=price if kind is OrderKind.LIMIT else 0,
            stop_price_units=price if kind is OrderKind.STOP else 0,
            trail_units=trail,
            tag=f"{intent.tag}.{name}" if intent.tag else name,
            scale=spec.scale,
        )
        for place, (kind, price, trail, share, name) in enumerate(found, start=1)
    )


def _wrong_side(name: str, price: int, entry: int, spec: Instrument) -> Refusal:
    p = spec.scale.price
    return Refusal(Reason.BAD_BRACKET, {name: fixed(price, p), "entry": fixed(entry, p), "why": "wrong side of entry"})
