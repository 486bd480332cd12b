"""The slicer: sends the parts of TWAP and iceberg orders, and says how the whole ended."""

from dataclasses import dataclass

from backtester.algos.schedule import shown_qty, slice_qty
from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import (
    AnyIntent,
    AnyOrder,
    CancelIntent,
    Fill,
    LimitOrderIntent,
    MarketOrderIntent,
    OrderIntent,
    OrderKind,
    OrderRejected,
    OrderUpdate,
    Reason,
    SanitizedOrder,
    Status,
)
from backtester.core.market import TimerFired
from backtester.core.numbers import decimal
from backtester.core.order_terms import Terms, TimeInForce
from backtester.core.rules import RuleBook
from backtester.core.topics import (
    T_FILLS,
    T_ORDERS_CHANGED,
    T_ORDERS_INTENT,
    T_ORDERS_REJECTED,
    T_ORDERS_SANITIZED,
    T_ORDERS_UPDATE,
    T_TIMERS,
)


@dataclass(slots=True)
class _Parent:
    """A sliced order at work. part: the id of its part that is open, 0 when none is. slices: how many were due."""

    order: SanitizedOrder
    filled: int = 0
    part: int = 0
    slices: int = 0

    @property
    def due(self) -> int:
        """When the next slice is sent; after the last, when the span is over."""
        return self.order.ts + self.slices * self.order.span // self.order.slices


class Slicer:
    """Keeps the sliced orders. Each part is an intent like any other: risk judges it, the exchange executes it.

    A TWAP sends a slice whenever a timer fires; what is left of the one before is cancelled and part of it. An iceberg
    sends a part when the one before is filled. It hears nothing as long as no sliced order works.
    """

    def __init__(self, rules: RuleBook, board: Board, bus: Bus) -> None:
        self._rules = rules
        self._board = board
        self._bus = bus
        self._parents: dict[int, _Parent] = {}
        bus.subscribe(T_ORDERS_CHANGED, self.on_parent)
        self._hearing = [
            bus.subscribe(T_ORDERS_INTENT, self.on_intent),
            bus.subscribe(T_ORDERS_SANITIZED, self.on_part),
            bus.subscribe(T_ORDERS_REJECTED, self.on_rejected),
            bus.subscribe(T_ORDERS_UPDATE, self.on_update),
            bus.subscribe(T_FILLS, self.on_fill),
            bus.subscribe(T_TIMERS, self.on_timer),
        ]
        for subscription in self._hearing:
            subscription.pause()

    def open_orders(self) -> list[SanitizedOrder]:
        """Return the sliced orders that have not ended, by id."""
        return [self._parents[order_id].order for order_id in sorted(self._parents)]

    # --- parts are sent --------------------------------------------------------------------------------------------

    def on_parent(self, order: SanitizedOrder) -> None:
        """Begin to slice an order that risk let through."""
        if not order.kind.is_sliced:
            return
        parent = self._parents[order.order_id] = _Parent(order)
        for subscription in self._hearing:
            subscription.resume()
        if order.kind is OrderKind.TWAP:
            self._send_slice(parent)
        else:
            self._send(parent, shown_qty(order.qty_units, order.display_units, 0))

    def on_timer(self, _: TimerFired) -> None:
        """Send the slices that are due; end what is over."""
        now = self._board.now
        for parent in [p for p in self._parents.values() if p.order.kind is OrderKind.TWAP and p.due <= now]:
            if parent.part:
                self._bus.publish(
                    T_ORDERS_INTENT, CancelIntent(ts=now, instrument=parent.order.instrument, order_id=parent.part)
                )
                parent.part = 0
            if parent.slices == parent.order.slices:
                self._end(parent, Status.EXPIRED, Reason.SPAN_OVER)
            else:
                self._send_slice(parent)

    def _send_slice(self, parent: _Parent) -> None:
        order = parent.order
        limits = self._rules[order.instrument].at(self._board.now).limits(_part_kind(order))
        qty = slice_qty(order.qty_units, order.slices, parent.slices, parent.filled, limits.lot_units)
        parent.slices += 1
        self._board.set_timer(parent.due)
        if qty:
            self._send(parent, qty)

    def _send(self, parent: _Parent, qty_units: int) -> None:
        self._bus.publish(T_ORDERS_INTENT, _part(parent.order, qty_units, self._board.now))

    # --- what becomes of them --------------------------------------------------------------------------------------

    def on_part(self, order: AnyOrder) -> None:
        """Learn the id of a part."""
        if isinstance(order, SanitizedOrder) and order.algo_id in self._parents:
            self._parents[order.algo_id].part = order.order_id

    def on_fill(self, fill: Fill) -> None:
        """Count what is filled; an iceberg shows its next part."""
        parent = self._parent_of(fill.order_id)
        if parent is None:
            return
        order = parent.order
        parent.filled += fill.qty_units
        if fill.leaves_units == 0:
            parent.part = 0
        if parent.filled >= order.qty_units:
            self._end(parent, Status.FILLED, Reason.PARTS_FILLED, fill.ts)
        elif order.kind is OrderKind.ICEBERG and not parent.part:
            self._send(parent, shown_qty(order.qty_units, order.display_units, parent.filled))

    def on_update(self, update: OrderUpdate) -> None:
        """A part ended without a fill: a TWAP makes up for it with its next slice, an iceberg ends as it did."""
        parent = self._parent_of(update.order_id)
        if parent is not None and update.status.ends:
            self._lose_part(parent, update.status, update.reason)

    def on_rejected(self, rejected: OrderRejected) -> None:
        """A part was refused, by risk (which gave it no id) or by the exchange."""
        if rejected.reason is Reason.UNKNOWN_ORDER:
            return
        parent = self._parents.get(rejected.algo_id) or self._parent_of(rejected.order_id)
        if parent is not None:
            self._lose_part(parent, Status.EXPIRED, rejected.reason)

    def _lose_part(self, parent: _Parent, status: Status, reason: Reason) -> None:
        parent.part = 0
        if parent.order.kind is OrderKind.ICEBERG:
            self._end(parent, status, reason)

    def on_intent(self, intent: AnyIntent) -> None:
        """End an order that is taken back; risk takes back its parts."""
        if isinstance(intent, CancelIntent) and (parent := self._parents.get(intent.order_id)) is not None:
            self._end(parent, Status.CANCELLED, Reason.REQUESTED)

    def _parent_of(self, part: int | None) -> _Parent | None:
        return next((parent for parent in self._parents.values() if part and parent.part == part), None)

    def _end(self, parent: _Parent, status: Status, reason: Reason, ts: int = 0) -> None:
        order = parent.order
        del self._parents[order.order_id]
        if not self._parents:
            for subscription in self._hearing:
                subscription.pause()
        self._bus.publish(
            T_ORDERS_UPDATE,
            OrderUpdate(
                ts=ts or self._board.now,
                order_id=order.order_id,
                instrument=order.instrument,
                status=status,
                reason=reason,
                tag=order.tag,
                client_id=order.client_id,
            ),
        )


def _part_kind(order: SanitizedOrder) -> OrderKind:
    return OrderKind.LIMIT if order.limit_price_units else OrderKind.MARKET


def _part(order: SanitizedOrder, qty_units: int, now: int) -> OrderIntent:
    """Return the intent of a part: at the market, within the worst price or not at all, or resting at the limit."""
    terms = order.terms
    if order.kind is OrderKind.TWAP and order.limit_price_units:
        terms = Terms(time_in_force=TimeInForce.IOC, reduce_only=terms.reduce_only)
    qty = decimal(qty_units, order.scale.qty)
    if not order.limit_price_units:
        return MarketOrderIntent(
            ts=now,
            instrument=order.instrument,
            side=order.side,
            qty=qty,
            tag=order.tag,
            client_id=order.client_id,
            terms=terms,
            algo_id=order.order_id,
        )
    return LimitOrderIntent(
        ts=now,
        instrument=order.instrument,
        side=order.side,
        qty=qty,
        tag=order.tag,
        client_id=order.client_id,
        terms=terms,
        algo_id=order.order_id,
        limit_price=order.limit_price,
    )
