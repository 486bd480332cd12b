"""The side that an order names: in hedge mode it must, elsewhere it may not; what closes a side only reduces."""

from msgspec import structs

from backtester.core.events import OrderIntent, Reason
from backtester.core.instruments import PositionSide, side_id, split_side
from backtester.risk.order_validation import Refusal, SymbolSpecs


def side_refusal(intent: OrderIntent, specs: SymbolSpecs) -> Refusal | None:
    """Return why an order may not name the side that it names, or must name one; None when all is well."""
    listed, side = split_side(intent.instrument)
    if side is None:
        if specs.get(side_id(listed, PositionSide.LONG)) is None:
            return None
        return Refusal(Reason.POSITION_SIDE_REQUIRED, {"futures.position_mode": "hedge", "position_side": "none"})
    if specs.get(intent.instrument) is None and specs.get(listed) is not None:
        why = {"position_side": str(side), "why": "one position of an instrument: not a future, or not hedge mode"}
        return Refusal(Reason.POSITION_SIDE_NOT_ALLOWED, why)
    return None


def held_to_its_side(intent: OrderIntent, specs: SymbolSpecs) -> OrderIntent:
    """Return an order that closes a side as one that only reduces: a side never goes through zero."""
    spec = specs.get(intent.instrument)
    if spec is None or intent.terms.only_reduces or not spec.is_closed_by(intent.side.sign):
        return intent
    return structs.replace(intent, terms=structs.replace(intent.terms, reduce_only=True))
