"""A working order at the simulated exchange, and its life as a table."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from backtester.core.errors import EngineError
from backtester.core.events import OrderKind, SanitizedOrder, Side


class State(StrEnum):
    """Where an order is in its life."""

    NEW = "new"
    WORKING = "working"
    TRIGGERED = "triggered"
    FILLED = "filled"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


_MAY_BECOME: Final[dict[State, frozenset[State]]] = {
    State.NEW: frozenset({State.WORKING, State.REJECTED}),
    State.WORKING: frozenset({State.TRIGGERED, State.FILLED, State.CANCELLED, State.EXPIRED}),
    State.TRIGGERED: frozenset({State.FILLED, State.CANCELLED, State.EXPIRED}),
}  # the others are final: they have no row


@dataclass(slots=True)
class WorkingOrder:
    """An order that the exchange knows. waits_for_open: it executes at the market, at the next open that trades."""

    order: SanitizedOrder
    accepted: int  # it meets only candles that open then or later
    deadline: int  # a market order that has not filled by then expires; 0 for orders that rest
    waits_for_open: bool
    takes_at_open: bool = False  # a limit that was through the market when it arrived pays the taker fee
    state: State = State.NEW

    @property
    def sign(self) -> int:
        """+1 buy, -1 sell."""
        return 1 if self.order.side is Side.BUY else -1

    @property
    def is_stop(self) -> bool:
        """Whether it is a stop that has not triggered."""
        return self.order.kind is OrderKind.STOP and not self.waits_for_open

    def become(self, state: State) -> None:
        """Move to the next state of its life.

        Raises:
            EngineError: the table does not allow it.
        """
        if state not in _MAY_BECOME.get(self.state, frozenset()):
            raise EngineError(f"order {self.order.order_id} cannot become {state} after {self.state}")
        self.state = state
