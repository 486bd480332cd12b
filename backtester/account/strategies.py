"""What belongs to each of several strategies: a ledger and an equity curve of its own, of its fills and its money."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from backtester.account.equity import ChangeLog, EquityColumns, EquityCurve
from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import Cashflow, Fill
from backtester.core.folds import Ledger
from backtester.core.instruments import Instrument, InstrumentId, split_sleeve
from backtester.core.market import Marks
from backtester.core.topics import T_CASHFLOWS, T_FILLS, T_MARKS
from backtester.core.valuation import Valuation

StrategySink = Callable[[str, EquityColumns], None]
"""Takes a strategy's id, empty for what belongs to none, and rows of its equity curve."""


class _Part:
    def __init__(self, ledger: Ledger, curve: EquityCurve, board: Board) -> None:
        self.ledger = ledger
        self.curve = curve
        self.changes = ChangeLog(curve, board)


class StrategyAccounts:
    """Folds fills and cashflows by whose instrument or wallet they are of, and values each part as the account is.

    What belongs to no strategy is the reserve, under an empty id.
    """

    def __init__(
        self,
        ids: Sequence[str],
        instruments: Mapping[InstrumentId, Instrument],
        valuation: Valuation,
        timeframe: int,
        sink: StrategySink,
        board: Board,
        bus: Bus,
    ) -> None:
        self._parts: dict[str, _Part] = {}
        for owner in (*ids, ""):
            ledger = Ledger(instruments, valuation=valuation)
            curve = EquityCurve(ledger, timeframe, board.now, partial(sink, owner))
            self._parts[owner] = _Part(ledger, curve, board)
        bus.subscribe(T_FILLS, self.on_fill)
        bus.subscribe(T_CASHFLOWS, self.on_cashflow)
        bus.subscribe(T_MARKS, self.on_marks)

    @property
    def ledgers(self) -> dict[str, Ledger]:
        """What each strategy has, by id."""
        return {owner: part.ledger for owner, part in self._parts.items()}

    def on_fill(self, fill: Fill) -> None:
        """Fold a fill into the part whose it is."""
        part = self._parts[split_sleeve(fill.instrument)[1]]
        part.ledger.apply_fill(fill)
        part.changes.on_fill(fill)

    def on_cashflow(self, flow: Cashflow) -> None:
        """Fold money that moved without a trade into the part in whose wallet it did."""
        part = self._parts[split_sleeve(flow.wallet)[1]]
        part.ledger.apply_cashflow(flow)
        part.changes.on_cashflow(flow)

    def on_marks(self, marks: Marks) -> None:
        """Value the boundaries of the ticks that are over."""
        for part in self._parts.values():
            part.curve.value(marks)

    def close(self) -> None:
        """Hand on changes that no window followed."""
        for part in self._parts.values():
            part.curve.close()
