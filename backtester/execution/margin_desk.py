"""The margin desk: judges wishes to change how positions are secured, and says what holds from then on."""

from collections import Counter
from collections.abc import Callable, Mapping

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import OrderRejected
from backtester.core.folds import Ledger
from backtester.core.instruments import InstrumentId, secured_alike
from backtester.core.margin_changes import Refused, Standing, changed_terms, terms_in_force
from backtester.core.margin_events import MarginWish
from backtester.core.timeline import Timeline
from backtester.core.topics import T_MARGIN_TERMS, T_ORDERS_REJECTED
from backtester.sim.brackets import BracketTable, max_size


class MarginDesk:
    """Judges by the exchange's own view of the account; refused wishes leave all as it is.

    changes, highest: by listed instrument how many wishes came true, and the highest leverage that one set.
    """

    def __init__(
        self,
        ledger: Ledger,
        brackets: Mapping[InstrumentId, Timeline[BracketTable]],
        free: Callable[[InstrumentId], int],
        board: Board,
        bus: Bus,
    ) -> None:
        """ledger: the exchange's own, which changes here. free: what nothing binds of the
        asset that secures positions in an instrument (1e-8)."""
        self.changes: Counter[InstrumentId] = Counter()
        self.highest: dict[InstrumentId, int] = {}
        self._ledger = ledger
        self._brackets = brackets
        self._free = free
        self._board = board
        self._bus = bus

    def judge(self, wish: MarginWish, orders: int) -> None:
        """Do what is wished, or refuse it; then say what is in force. orders: how many of the instrument work."""
        ledger, now = self._ledger, self._board.now
        spec = ledger.instruments[wish.instrument]
        tables = self._brackets.get(spec.listed)
        standing = Standing(
            ledger,
            self._board.price_units,
            self._free(spec.id),
            orders,
            None if tables is None else lambda leverage: max_size(tables.at(now), leverage),
            now,
        )
        terms = changed_terms(wish, standing)
        if isinstance(terms, Refused):
            self._bus.publish(
                T_ORDERS_REJECTED,
                OrderRejected(
                    ts=now,
                    who="execution",
                    reason=terms.reason,
                    instrument=wish.instrument,
                    order_id=None,
                    tag="",
                    numbers=terms.numbers,
                ),
            )
            # who sent it went by what it wished: what holds puts that right
            terms = [terms_in_force(ledger, side, now) for side in secured_alike(ledger.instruments, spec)]
        else:
            self.changes[spec.listed] += 1
            self.highest[spec.listed] = max(terms[0].leverage, self.highest.get(spec.listed, 0))
        for one in terms:
            ledger.apply_margin(one)
            self._bus.publish(T_MARGIN_TERMS, one)
