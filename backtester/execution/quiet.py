"""Where prices may go without a look at the margin: most candles and trades need none."""

from typing import Final

from backtester.core.board import NEVER, Board
from backtester.core.instruments import InstrumentId

WIDTHS: Final = (8, 32, 128, 512)  # of a price: how far it may move; the widest that is safe


class Quiet:
    """Around the prices of all that is held, where neither a call nor a liquidation can come, until something else
    than a price moves. On a tape, trades inside wake nobody.
    """

    def __init__(self, tapes: frozenset[InstrumentId], board: Board) -> None:
        """Begin with nothing known; tapes: the instruments whose trades are looked at one by one."""
        self._bands: dict[InstrumentId, tuple[int, int]] = {}
        self._till = 0
        self._tapes = tapes
        self._board = board

    @property
    def till(self) -> int:
        """Until when it is known; 0 when it is not."""
        return self._till

    def covers(self, instrument: InstrumentId, low: int, high: int, ts: int) -> bool:
        """Say whether nothing can have come of a path between two prices."""
        if ts >= self._till:
            return False
        band = self._bands.get(instrument)
        return band is not None and band[0] <= low and high <= band[1]

    def begin(self, bands: dict[InstrumentId, tuple[int, int]], till: int) -> None:
        """Know the corridors of all that is held."""
        self.forget()
        self._bands, self._till = bands, till
        for instrument, (low, high) in bands.items():
            if instrument in self._tapes:
                self._board.keep_safe(instrument, low - 1, high + 1)

    def forget(self) -> None:
        """Know nothing any more: look at the next tick."""
        for instrument in self._bands:
            self._board.forget_safe(instrument)
        self._bands, self._till = {}, 0
        self._board.want_dues(0)

    def end(self) -> None:
        """Nothing is held: there is nothing to look at."""
        self.forget()
        self._till = NEVER
