"""What risk asks of a sliced order before its first part: that each of them could be sent as things are now."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from backtester.core.board import Board
from backtester.core.events import (
    IcebergIntent,
    LimitOrderIntent,
    MarketOrderIntent,
    OrderIntent,
    OrderKind,
    Reason,
    SanitizedOrder,
    TwapIntent,
)
from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.numbers import EXACT, FLOOR, decimal, floor_to, units_of
from backtester.core.time import SECOND
from backtester.risk.order_validation import Refusal, SymbolSpecs, plain


def parent_order(
    intent: TwapIntent | IcebergIntent,
    specs: SymbolSpecs,
    board: Board,
    candle_us: Mapping[InstrumentId, int],
    order_id: int,
) -> SanitizedOrder | Refusal:
    """Return the order as a whole, rounded, or why it or one of its parts could not be sent. It reserves nothing.

    candle_us: length of the candles that execute; an interval must be whole candles, for each slice needs an open.
    """
    spec = specs.get(intent.instrument)
    if spec is None:
        return Refusal(Reason.UNKNOWN_INSTRUMENT, {})
    limits = specs.rules(spec.id, board.now).limits(OrderKind.MARKET if intent.limit_price is None else OrderKind.LIMIT)
    lot, limit, display = limits.lot_units, 0, 0
    if isinstance(intent, IcebergIntent):
        display = floor_to(units_of(intent.display, spec.scale.qty, FLOOR), lot)
    elif (interval := intent.span // intent.slices) % candle_us[spec.id]:
        candle = _seconds(candle_us[spec.id])
        return Refusal(
            Reason.BAD_SPAN, {"interval": _seconds(interval), "candle": candle, "why": "a slice needs a candle's open"}
        )
    assert intent.qty is not None
    qty = floor_to(units_of(intent.qty, spec.scale.qty, FLOOR), lot)
    for part in _parts(intent, intent.qty, qty, display, spec):
        rounded = specs.rounded(_alone(intent, part), board.price_units.get(spec.listed), board.now)
        if isinstance(rounded, Refusal):
            return Refusal(rounded.reason, rounded.numbers | {"part": plain(part)})
        limit = rounded.limit_units
    return SanitizedOrder(
        ts=board.now,
        order_id=order_id,
        instrument=spec.id,
        kind=OrderKind.TWAP if isinstance(intent, TwapIntent) else OrderKind.ICEBERG,
        side=intent.side,
        qty_units=qty,
        budget_units=0,
        limit_price_units=limit,
        stop_price_units=0,
        reserve_asset=spec.settle,
        reserve_units=0,
        tag=intent.tag,
        oco="",
        client_id=intent.client_id,
        terms=intent.terms,
        span=intent.span if isinstance(intent, TwapIntent) else 0,
        slices=intent.slices if isinstance(intent, TwapIntent) else 0,
        display_units=display,
        scale=spec.scale,
    )


def _parts(
    intent: TwapIntent | IcebergIntent, qty: Decimal, qty_units: int, display_units: int, spec: Instrument
) -> Iterator[Decimal]:
    """Yield the smallest slice; or what an iceberg shows, and its last part when that is smaller."""
    if isinstance(intent, TwapIntent):
        yield EXACT.divide(qty, intent.slices)
        return
    yield intent.display
    if display_units and qty_units % display_units:
        yield decimal(qty_units % display_units, spec.scale.qty)


def _alone(intent: TwapIntent | IcebergIntent, qty: Decimal) -> OrderIntent:
    """Return a part as an order of its own."""
    if intent.limit_price is None:
        return MarketOrderIntent(ts=intent.ts, instrument=intent.instrument, side=intent.side, qty=qty)
    return LimitOrderIntent(
        ts=intent.ts, instrument=intent.instrument, side=intent.side, qty=qty, limit_price=intent.limit_price
    )


def _seconds(micros: int) -> str:
    return f"{micros / SECOND:g}s"
