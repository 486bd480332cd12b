"""What a replacement asks for: the working order's intent again, with what changes."""

from decimal import Decimal
from typing import Any

from backtester.core.events import (
    LimitOrderIntent,
    MarketOrderIntent,
    OrderIntent,
    OrderKind,
    Reason,
    ReplaceIntent,
    SanitizedOrder,
    StopOrderIntent,
    TakeProfitIntent,
    TrailingStopIntent,
)
from backtester.core.numbers import MONEY_EXPONENT, decimal
from backtester.risk.order_validation import Refusal

_STOPS = {
    OrderKind.STOP: StopOrderIntent,
    OrderKind.STOP_LIMIT: StopOrderIntent,
    OrderKind.TAKE_PROFIT: TakeProfitIntent,
    OrderKind.TAKE_PROFIT_LIMIT: TakeProfitIntent,
}


def changed_intent(old: SanitizedOrder, wanted: ReplaceIntent) -> OrderIntent | Refusal:
    """Return the intent of the order that takes the place of `old`; BAD_REPLACE for a price that it does not have."""
    if (fault := _fault(old, wanted)) is not None:
        return Refusal(Reason.BAD_REPLACE, {"why": fault})
    qty = wanted.qty if wanted.qty is not None else old.qty if old.qty_units else None
    budget = decimal(old.budget_units, MONEY_EXPONENT) if old.budget_units and qty is None else None
    common: dict[str, Any] = {
        "ts": wanted.ts,
        "instrument": old.instrument,
        "side": old.side,
        "qty": qty,
        "quote": budget,
        "tag": old.tag,
        "oco": old.oco,
        "client_id": old.client_id,
        "terms": old.terms,
    }
    limit = wanted.limit_price if wanted.limit_price is not None else old.limit_price
    stop = wanted.stop_price if wanted.stop_price is not None else old.stop_price
    if old.kind in _STOPS:
        return _STOPS[old.kind](stop_price=stop, limit_price=limit if old.kind.has_limit else None, **common)
    if old.kind is OrderKind.TRAILING_STOP:
        activation = decimal(old.activation_price_units, old.scale.price) if old.activation_price_units else None
        return TrailingStopIntent(trail=_rate(old), activation_price=activation, **common)
    return LimitOrderIntent(limit_price=limit, **common) if old.kind.has_limit else MarketOrderIntent(**common)


def _fault(old: SanitizedOrder, wanted: ReplaceIntent) -> str | None:
    if old.kind.is_sliced or old.algo_id:
        return "a sliced order is not changed: cancel it and send another"
    if wanted.limit_price is not None and not old.kind.has_limit:
        return f"a {old.kind} order has no limit price"
    if wanted.stop_price is not None and old.kind not in _STOPS:
        return f"a {old.kind} order has no stop price"
    if wanted.qty is not None and old.terms.close_position:
        return "its size is the whole position"
    return None


def _rate(old: SanitizedOrder) -> Decimal:
    return decimal(old.trail_units, MONEY_EXPONENT)
