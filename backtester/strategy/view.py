"""What a strategy may see of its own account: a read-only fold of the same events that everybody folds."""

from collections.abc import Mapping
from decimal import Decimal

from backtester.core.board import Board
from backtester.core.errors import UsageError
from backtester.core.events import SanitizedOrder
from backtester.core.folds import Ledger, Position
from backtester.core.instruments import Asset, Instrument, InstrumentId
from backtester.core.numbers import MONEY_EXPONENT, decimal


class PositionView:
    """A position as a strategy reads it; exact, made on demand."""

    __slots__ = ("_instrument", "_position", "_price_units")

    def __init__(self, position: Position, instrument: Instrument, price_units: int) -> None:
        self._position = position
        self._instrument = instrument
        self._price_units = price_units

    @property
    def is_flat(self) -> bool:
        """Whether less than one lot is held: nothing that could be sold."""
        return abs(self._position.qty_units) < self._instrument.rules.lot_units

    @property
    def qty(self) -> Decimal:
        """Signed base quantity."""
        return decimal(self._position.qty_units, self._instrument.scale.qty)

    @property
    def average_price(self) -> Decimal | None:
        """Cost basis over quantity, for display and for stops; None when flat."""
        if self._position.qty_units == 0:
            return None
        return decimal(self._position.basis_units, MONEY_EXPONENT) / self.qty

    @property
    def unrealised(self) -> Decimal:
        """Profit at the last price, before fees."""
        value = self._instrument.notional_units(self._position.qty_units, self._price_units)
        return decimal(value - self._position.basis_units, MONEY_EXPONENT)


class StrategyView:
    """Positions, open orders, cash and equity, current before every decision."""

    def __init__(self, board: Board, instruments: Mapping[InstrumentId, Instrument], currency: Asset) -> None:
        self.board = board
        self.instruments = instruments
        self.currency = currency
        self.ledger = Ledger(instruments)
        self.orders: dict[InstrumentId, dict[int, SanitizedOrder]] = {i: {} for i in instruments}
        self._ids: dict[str, InstrumentId] = {str(i): i for i in instruments}
        symbols = [i.symbol for i in instruments.values()]
        self._ids |= {i.symbol: i.id for i in instruments.values() if symbols.count(i.symbol) == 1}

    def resolve(self, name: str) -> InstrumentId:
        """Return the identity that `market:symbol` or an unambiguous bare symbol names in this run.

        Raises:
            UsageError: the run has no such instrument.
        """
        found = self._ids.get(name)
        if found is None:
            raise UsageError(f"{name!r} is not in this run", hint=f"it has: {', '.join(self.instruments)}")
        return found

    def position(self, name: str) -> PositionView:
        """Return the position in an instrument."""
        instrument = self.resolve(name)
        return PositionView(
            self.ledger.position(instrument),
            self.instruments[instrument],
            self.board.price_units.get(instrument, 0),
        )

    def equity_units(self) -> int:
        """Return the account's value at the last prices, in 1e-8 of its currency."""
        return self.ledger.equity_units(self.currency, self.board.price_units)
