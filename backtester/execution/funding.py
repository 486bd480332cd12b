"""Funding: what is held at a funding time pays or gets its share, once."""

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import Cashflow
from backtester.core.folds import Ledger
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
        """Pay on the position as it is, at the mark of that time; where none is known, at the last price."""
        spec, qty = self._ledger.instruments[due.instrument], self._ledger.position(due.instrument).qty_units
        if not qty:
            return
        mark, decimals = due.mark_units, _MARK_EXPONENT
        if not mark:
            mark, decimals = self._board.price_units[spec.id], spec.scale.price
        amount = terms_of(spec, decimals).payment(qty, mark, due.rate_units)
        self.payments += 1
        self._bus.publish(
            T_CASHFLOWS,
            Cashflow(
                ts=due.ts,
                kind="funding",
                wallet=spec.market,
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
