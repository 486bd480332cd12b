"""The published funding times of a run, each in a tick of its own where there is none."""

from collections.abc import Sequence

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.market import Expiry, FundingDue
from backtester.core.topics import T_EXPIRIES, T_FUNDING_DUE


class FundingSchedule:
    """Tells the exchange of each funding time once: after all that was traded up to it, before anybody decides."""

    def __init__(self, dues: Sequence[FundingDue], board: Board, bus: Bus) -> None:
        """Wire the schedule; dues: in time order."""
        self._left = list(reversed(dues))
        self._board = board
        self._bus = bus
        self._ask()
        bus.subscribe(T_EXPIRIES, self.on_expiry)

    def on_expiry(self, expiry: Expiry) -> None:
        """Tell of the times that have come."""
        told = False
        while self._left and self._left[-1].ts <= expiry.ts:
            self._bus.publish(T_FUNDING_DUE, self._left.pop())
            told = True
        if told:
            self._ask()

    def _ask(self) -> None:
        if self._left:
            self._board.set_expiry(self._left[-1].ts)
