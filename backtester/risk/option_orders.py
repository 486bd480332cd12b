"""What an order in an option may be: a limit order for a number of contracts, without exits."""

from collections.abc import Mapping, Sequence

from msgspec import structs

from backtester.core.events import LimitOrderIntent, MultiLegIntent, OrderIntent, OrderKind, Reason, Side
from backtester.core.folds import Ledger
from backtester.core.funds import opening_qty
from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.numbers import FLOOR, ceil_to, units_of
from backtester.core.order_terms import Terms, TimeInForce
from backtester.core.risk_events import ClosingIntent
from backtester.risk.order_validation import Refusal, RoundedOrder


def option_refusal(intent: OrderIntent, spec: Instrument, ledger: Ledger) -> Refusal | None:
    """Return why the venue does not take an order in an option, or None."""
    if not isinstance(intent, LimitOrderIntent):
        kind = type(intent).__name__.removesuffix("Intent").removesuffix("Order").lower()
        return Refusal(Reason.LIMIT_ONLY, {"kind": kind, "allowed": "limit orders: gtc, ioc, fok, post_only"})
    if intent.qty is None:
        return Refusal(Reason.BAD_SIZE, {"why": "options are ordered by contracts: qty"})
    if intent.bracket is not None:
        return Refusal(Reason.BAD_BRACKET, {"why": "options have no attached exits"})
    if intent.side is Side.BUY or ledger.margin.options.allow_short or intent.terms.reduce_only:
        return None
    if opening_qty(ledger, spec, intent.side, units_of(intent.qty, spec.scale.qty, FLOOR)) == 0:
        return None
    return Refusal(Reason.SHORT_NOT_ALLOWED, {"options.allow_short": "false"})


def closing_limit(
    intent: ClosingIntent, spec: Instrument, rounded: RoundedOrder, tick: int, prices: Mapping[InstrumentId, int]
) -> tuple[ClosingIntent, RoundedOrder]:
    """Return what closes an option for risk: an order that takes the next row whatever its price, or nothing.

    No call is worth more than its underlying, no put more than its strike.
    """
    most = ceil_to(max(prices[spec.underlying], spec.strike_units), tick)
    limit = tick if intent.side is Side.SELL else most
    terms = Terms(time_in_force=TimeInForce.IOC, reduce_only=True)
    return structs.replace(intent, terms=terms), rounded._replace(
        kind=OrderKind.LIMIT, limit_units=limit, price_units=limit
    )


def singles_of(intent: MultiLegIntent) -> list[LimitOrderIntent]:
    """Return the legs of a combination as orders of their own."""
    return [
        LimitOrderIntent(
            ts=intent.ts,
            event_id=intent.event_id,
            instrument=leg.instrument,
            side=leg.side,
            qty=leg.qty,
            limit_price=leg.limit_price,
            tag=intent.tag,
            terms=intent.terms,
        )
        for leg in intent.legs
    ]


def leg_refusal(spec: Instrument | None, before: Sequence[InstrumentId]) -> Refusal | None:
    """Return why an instrument can be no leg beside those before it, or None."""
    if spec is None or not spec.is_option:
        return Refusal(Reason.UNKNOWN_INSTRUMENT if spec is None else Reason.COMBO, {"why": "legs are options"})
    if spec.id in before:
        return Refusal(Reason.COMBO, {"why": "each leg is another contract"})
    return None
