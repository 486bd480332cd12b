"""The slicer: sends the parts of TWAP and iceberg orders, and says how the whole ended."""

from dataclasses import dataclass
from typing import Any

from msgspec import structs

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
from backtester.core.transfer_events import TransferIntent


@dataclass(slots=True)
class _Parent:
    """A sliced order at work. It has one part at a time.

    part: the id of the one that is open, 0 when none is. asked: a part was sent that risk has not judged yet.
    slices: how many were due. owes: one of them waits for the end of the part before it. ends: how it ends once its
    last part has.
    """

    order: SanitizedOrder
    filled: int = 0
    part: int = 0
    asked: bool = False
    slices: int = 0
    owes: bool = False
    ends: tuple[Status, Reason] | None = None

    @property
    def due(self) -> int:
        """When the next slice is sent; after the last, when the span is over."""
        return self.order.ts + self.slices * self.order.span // self.order.slices


class Slicer:
    """Keeps the sliced orders. Each part is an intent like any other: risk judges it, the exchange executes it.

    A TWAP sends a slice whenever a timer fires; what is left of the one before is cancelled and part of it. An iceberg
    sends a part when the one before is filled. Until the exchange says that a part has ended it may fill, so nothing
    follows it before, neither a part nor the end of the whole. It hears nothing as long as no sliced order works.
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
        """Begin to slice an order that risk let through; or learn that it must only reduce now."""
        if not order.kind.is_sliced:
            return
        if order.order_id in self._parents:
            parent = self._parents[order.order_id]
            parent.order = structs.replace(order, ts=parent.order.ts)  # its slices are due as they were
            return
        parent = self._parents[order.order_id] = _Parent(order)
        for subscription in self._hearing:
            subscription.resume()
        if order.kind is OrderKind.TWAP:
            self._next_slice(parent)
        self._go_on(parent)

    def on_timer(self, _: TimerFired) -> None:
        """Send the slices that are due, or take back what is in their way; end what is over."""
        now = self._board.now
        for parent in [p for p in self._parents.values() if p.order.kind is OrderKind.TWAP and p.due <= now]:
            if parent.ends is not None:
                continue
            if parent.part and not parent.owes:  # else its cancel is under way
                self._bus.publish(
                    T_ORDERS_INTENT, CancelIntent(ts=now, instrument=parent.order.instrument, order_id=parent.part)
                )
            if parent.slices == parent.order.slices:
                parent.ends = (Status.EXPIRED, Reason.SPAN_OVER)
            else:
                self._next_slice(parent)
            self._go_on(parent)

    def _next_slice(self, parent: _Parent) -> None:
        parent.slices += 1
        parent.owes = True
        self._board.set_timer(parent.due)

    def _go_on(self, parent: _Parent) -> None:
        """Send what is to be sent, or end the whole, unless a part is still open."""
        order = parent.order
        if parent.part or parent.asked:
            return
        if parent.ends is not None:
            self._end(parent, *parent.ends)
        elif order.kind is OrderKind.ICEBERG:
            self._send(parent, shown_qty(order.qty_units, order.display_units, parent.filled))
        elif parent.owes:
            parent.owes = False
            limits = self._rules[order.instrument].at(self._board.now).limits(_part_kind(order))
            qty = slice_qty(order.qty_units, order.slices, parent.slices - 1, parent.filled, limits.lot_units)
            if qty:
                self._send(parent, qty)

    def _send(self, parent: _Parent, qty_units: int) -> None:
        parent.asked = True
        self._bus.publish(T_ORDERS_INTENT, _part(parent.order, qty_units, self._board.now))

    # --- what becomes of them --------------------------------------------------------------------------------------

    def on_part(self, order: AnyOrder) -> None:
        """Learn the id of a part."""
        if isinstance(order, SanitizedOrder) and order.algo_id in self._parents:
            parent = self._parents[order.algo_id]
            parent.part, parent.asked = order.order_id, False

    def on_fill(self, fill: Fill) -> None:
        """Count what is filled; an iceberg shows its next part."""
        parent = self._parent_of(fill.order_id)
        if parent is None:
            return
        parent.filled += fill.qty_units
        if fill.leaves_units == 0:
            parent.part = 0
        if parent.filled >= parent.order.qty_units:
            self._end(parent, Status.FILLED, Reason.PARTS_FILLED, fill.ts)
        else:
            self._go_on(parent)

    def on_update(self, update: OrderUpdate) -> None:
        """A part ended without a fill: a TWAP makes up for it with its next slice, an iceberg ends as it did. Both end
        when their contract has expired.
        """
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
        parent.part, parent.asked = 0, False
        over = parent.order.kind is OrderKind.ICEBERG or reason is Reason.CONTRACT_EXPIRED
        if over and parent.ends is None:
            parent.ends = (status, reason)
        self._go_on(parent)

    def on_intent(self, intent: AnyIntent | TransferIntent) -> None:
        """End an order that is taken back, once its part has ended, which risk takes back."""
        if isinstance(intent, CancelIntent) and (parent := self._parents.get(intent.order_id)) is not None:
            parent.ends = (Status.CANCELLED, intent.reason or Reason.REQUESTED)
            self._go_on(parent)

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
    common: dict[str, Any] = {
        "ts": now,
        "instrument": order.instrument,
        "side": order.side,
        "qty": decimal(qty_units, order.scale.qty),
        "tag": order.tag,
        "client_id": order.client_id,
        "terms": terms,
        "algo_id": order.order_id,
    }
    if order.limit_price_units:
        return LimitOrderIntent(limit_price=order.limit_price, **common)
    return MarketOrderIntent(**common)
