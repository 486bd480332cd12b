"""Orders of the exchange's own: they close what is liquidated, settled or exercised."""

from backtester.core.events import OrderKind, SanitizedOrder, Side
from backtester.core.instruments import Instrument
from backtester.core.order_terms import Terms


def forced_order(spec: Instrument, side: Side, qty: int, order_id: int, tag: str, ts: int) -> SanitizedOrder:
    """Return a market order that only reduces and binds no funds.

    Args:
        qty: 10^-q, > 0.
        order_id: below 0, for those above are the trader's.
        tag: why the exchange closes.
        ts: when it executes, UTC µs.
    """
    return SanitizedOrder(
        ts=ts,
        order_id=order_id,
        instrument=spec.id,
        kind=OrderKind.MARKET,
        side=side,
        qty_units=qty,
        budget_units=0,
        limit_price_units=0,
        stop_price_units=0,
        reserve_asset=spec.settle,
        reserve_units=0,
        tag=tag,
        oco="",
        terms=Terms(reduce_only=True),
        scale=spec.scale,
    )
