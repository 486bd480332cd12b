"""A working order at the simulated exchange, and its life as a table."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from backtester.core.errors import EngineError
from backtester.core.events import OrderKind, SanitizedOrder
from backtester.sim.matching import limit_fill_price, stop_fill_price
from backtester.sim.queue import BEHIND_ALL
from backtester.sim.trailing import peak_after, trail_fill_price


class State(StrEnum):
    """Where an order is in its life."""

    NEW = "new"
    WORKING = "working"
    TRIGGERED = "triggered"
    PARTLY_FILLED = "partly_filled"
    FILLED = "filled"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


_ENDS: Final = frozenset({State.FILLED, State.CANCELLED, State.EXPIRED})
_MAY_BECOME: Final[dict[State, frozenset[State]]] = {
    State.NEW: frozenset({State.WORKING, State.REJECTED}),
    State.WORKING: _ENDS | {State.TRIGGERED, State.PARTLY_FILLED},
    State.TRIGGERED: _ENDS | {State.PARTLY_FILLED},
    State.PARTLY_FILLED: _ENDS | {State.PARTLY_FILLED},
}  # the others are final: they have no row

_TRIGGERS: Final = frozenset(
    {
        OrderKind.STOP,
        OrderKind.STOP_LIMIT,
        OrderKind.TAKE_PROFIT,
        OrderKind.TAKE_PROFIT_LIMIT,
        OrderKind.TRAILING_STOP,
    }
)
_TAKES_PROFIT: Final = frozenset({OrderKind.TAKE_PROFIT, OrderKind.TAKE_PROFIT_LIMIT})


@dataclass(slots=True)
class WorkingOrder:
    """An order that the exchange knows, with what changes during its life.

    order: with the quantity that is still open; 0 when it is sized at the fill. waits_for_open: it executes at once, at
    the next open, or trade of a tape. waits_for_trigger: it is not in the book yet.
    """

    order: SanitizedOrder
    accepted: int  # it meets only candles that open then or later
    sign: int  # +1 buy, -1 sell
    deadline: int = 0  # what waits for an open expires then
    waits_for_open: bool = False
    waits_for_trigger: bool = False
    takes_at_open: bool = False  # a limit that was through the market when it arrived takes at its first open
    ahead: int = BEHIND_ALL  # on a tape: the quantity that its price serves before it
    peak: int = 0  # the best price that a trailing stop has seen; 0 before its activation
    brought: int = 0  # the quantity that its fills brought into the account
    born: set[int] = field(default_factory=set)  # the exits that its fills brought to life
    state: State = State.NEW

    @classmethod
    def of(cls, order: SanitizedOrder, accepted: int) -> "WorkingOrder":
        """Return a new order, not yet accepted."""
        return cls(order, accepted, order.side.sign, waits_for_trigger=order.kind in _TRIGGERS)

    @property
    def is_trailing(self) -> bool:
        """Whether it is a trailing stop."""
        return self.order.kind is OrderKind.TRAILING_STOP

    @property
    def direction(self) -> int:
        """The move that triggers it: +1 a rise, -1 a fall."""
        return -self.sign if self.order.kind in _TAKES_PROFIT else self.sign

    @property
    def favours_trader(self) -> bool:
        """Whether it waits for a better price: a limit in the book, or a take-profit."""
        return not self.waits_for_trigger or self.order.kind in _TAKES_PROFIT

    def takes_at(self, price: int, touch_fills: bool) -> bool:
        """Say whether its limit lets it execute at once at a price: beyond the limit, or at it when a touch fills."""
        beyond = (self.order.limit_price_units - price) * self.sign
        return beyond > 0 or (beyond == 0 and touch_fills)

    def met_at(self, open_: int, high: int, low: int, touch_fills: bool) -> int:
        """Return where some path from an open over these extremes fills or triggers it, or NO_FILL."""
        order = self.order
        if not self.waits_for_trigger:
            return limit_fill_price(self.sign, order.limit_price_units, high, low, touch_fills)
        if self.is_trailing:
            activation = order.activation_price_units
            return trail_fill_price(self.sign, self.peak, order.trail_units, activation, open_, high, low)
        return stop_fill_price(self.direction, order.stop_price_units, open_, high, low)

    def see(self, price: int) -> None:
        """Let a trailing stop follow."""
        self.peak = peak_after(self.sign, self.peak, self.order.activation_price_units, price)

    def become(self, state: State) -> None:
        """Move to the next state of its life.

        Raises:
            EngineError: the table does not allow it.
        """
        if state not in _MAY_BECOME.get(self.state, frozenset()):
            raise EngineError(f"order {self.order.order_id} cannot become {state} after {self.state}")
        self.state = state
