"""What the exchange has shown of prices when an order comes: the last that was traded, and the last mark."""

from collections.abc import Mapping

from backtester.core.board import Board
from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.market import MarketOpen


class ShownPrices:
    """The last prices of each listed instrument (10^-p)."""

    def __init__(self, instruments: Mapping[InstrumentId, Instrument], board: Board, *, triggers_on_mark: bool) -> None:
        self._instruments = instruments
        self._board = board
        self._triggers_on_mark = triggers_on_mark
        self._opens: dict[InstrumentId, MarketOpen] = {}
        self._marks: dict[InstrumentId, int] = {}

    def open(self, opened: MarketOpen) -> None:
        """Show an open."""
        self._opens[opened.instrument] = opened

    def mark(self, instrument: InstrumentId, price: int) -> None:
        """Show a mark price."""
        self._marks[instrument] = price

    def open_is_shown(self, instrument: InstrumentId) -> bool:
        """Say whether an open of this very tick is known."""
        shown = self._opens.get(instrument)
        return shown is not None and shown.ts == self._board.now

    def last(self, instrument: InstrumentId) -> int:
        """Return the last price that the exchange has shown: an open of this very tick, else the last close."""
        if self.open_is_shown(instrument):
            return self._opens[instrument].price_units
        if self._instruments[instrument].is_option:
            return 0  # an option has quotes, and no last price
        return self._board.price_units[instrument]

    def watched(self, instrument: InstrumentId, traded: int) -> int:
        """Return the last price that triggers look at; before the first mark, the one that was traded."""
        return self._marks.get(instrument, traded) if self._triggers_on_mark else traded
