"""What the venue allows of leverage: the larger a position, the less."""

from backtester.core.events import Reason, Side
from backtester.core.folds import Ledger
from backtester.core.instruments import Instrument
from backtester.core.numbers import MONEY_EXPONENT, fixed
from backtester.core.timeline import Timeline
from backtester.risk.exposure import rough_lots
from backtester.risk.order_validation import Refusal, RoundedOrder
from backtester.sim.brackets import BracketTable, max_leverage, max_size


def leverage_refusal(
    tables: Timeline[BracketTable] | None,
    ledger: Ledger,
    spec: Instrument,
    side: Side,
    rounded: RoundedOrder,
    budget_units: int,
    now: int,
) -> Refusal | None:
    """Return why an order would make a position too large for its leverage, or None; it is judged at its own price.

    Args:
        tables: what the venue allows by date; None where leverage has no limits.
        budget_units: of an order that is sized at its fill, 1e-8 quote; else 0.
    """
    if tables is None:
        return None
    qty = rounded.qty_units or rough_lots(spec, budget_units, rounded.price_units)
    held = ledger.position(spec.id).qty_units
    after = held + side.sign * qty
    if abs(after) <= abs(held):
        return None
    table, leverage = tables.at(now), ledger.margin.leverage_of(spec.id)
    size, most = spec.notional_units(abs(after), rounded.price_units), max_size(tables.at(now), leverage)
    if size <= most:
        return None
    return Refusal(
        Reason.LEVERAGE_BRACKET,
        {
            "notional": fixed(size, MONEY_EXPONENT),
            "leverage": str(leverage),
            "max_leverage": str(max_leverage(table, size)),
            "max_notional": fixed(most, MONEY_EXPONENT),
        },
    )
