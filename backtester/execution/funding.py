"""Funding: what is held at a funding time pays or gets its share, once."""

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import Cashflow
from backtester.core.folds import Ledger
from backtester.core.instruments import Instrument, sides_of
from backtester.core.market import FundingDue
from backtester.core.numbers import fixed
from backtester.core.topics import T_CASHFLOWS, T_FUNDING_DUE
from backtester.sim.contracts import terms_of

_RATE_EXPONENT = 8
_MARK_EXPONENT = 8


class FundingDesk:
    """Moves the money of each funding time; a position that is flat then moves none."""

    def __init__(self, ledger: Ledger, board: Board, bus: Bus) -> None:
        """Wire the desk; ledger: the exchange's own, only read here."""
        self.payments = 0
        self._ledger = ledger
        self._board = board
        self._bus = bus
        bus.subscribe(T_FUNDING_DUE, self.on_due)

    def on_due(self, due: FundingDue) -> None:
        """Pay on what is held of an instrument, each side for itself."""
        for spec in sides_of(self._ledger.instruments, due.instrument):
            self._pay(spec, due)

    def _pay(self, spec: Instrument, due: FundingDue) -> None:
        """Pay on the position as it is, at the mark of that time; where none is known, at the last price."""
        qty = self._ledger.position(spec.id).qty_units
        if not qty:
            return
        mark, decimals = due.mark_units, _MARK_EXPONENT
        if not mark:
            mark, decimals = self._board.price_units[spec.listed], spec.scale.price
        amount = terms_of(spec, decimals).payment(qty, mark, due.rate_units)
        self.payments += 1
        self._bus.publish(
            T_CASHFLOWS,
            Cashflow(
                ts=due.ts,
                kind="funding",
                wallet=spec.wallet,
                asset=spec.settle,
                amount_units=amount,
                instrument=spec.id,
                numbers={
                    "rate": fixed(due.rate_units, _RATE_EXPONENT),
                    "mark": fixed(mark, decimals),
                    "qty": fixed(qty, spec.scale.qty),
                },
            ),
        )
