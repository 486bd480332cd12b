"""The margin gate: lets wishes to change how positions are secured through to the exchange, or refuses them."""

from collections.abc import Callable, Mapping

from msgspec import structs

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import OrderRejected, Reason
from backtester.core.folds import Ledger
from backtester.core.instruments import InstrumentId, is_one_strategy, listed_id, split_side
from backtester.core.margin_changes import Refused, Standing, changed_terms
from backtester.core.margin_events import MarginTermsSet, MarginWish, SetLeverage
from backtester.core.timeline import Timeline
from backtester.core.topics import T_MARGIN_INTENT, T_MARGIN_SANITIZED, T_MARGIN_TERMS, T_ORDERS_REJECTED
from backtester.risk.open_orders import OpenOrders
from backtester.sim.brackets import BracketTable, max_size


class MarginGate:
    """Goes by what it let through at once, so that orders of the same decision are judged by it; the exchange has the
    last word, and says what holds.
    """

    def __init__(
        self,
        ledger: Ledger,
        brackets: Mapping[InstrumentId, Timeline[BracketTable]],
        open_orders: OpenOrders,
        free: Callable[[InstrumentId], int],
        board: Board,
        bus: Bus,
        *,
        unproven: frozenset[InstrumentId] = frozenset(),
    ) -> None:
        """ledger: risk's own, which changes here. free: what nothing binds in a wallet (1e-8). unproven: of what a
        strict run has no leverage table or no mark prices.
        """
        self._ledger = ledger
        self._brackets = brackets
        self._open_orders = open_orders
        self._free = free
        self._board = board
        self._bus = bus
        self._unproven = unproven
        bus.subscribe(T_MARGIN_INTENT, self.on_intent)
        bus.subscribe(T_MARGIN_TERMS, self.on_terms)

    def on_intent(self, wish: MarginWish) -> None:
        """Send a wish on, or refuse it."""
        terms = self._judged(wish)
        if isinstance(terms, Refused):
            self._bus.publish(
                T_ORDERS_REJECTED,
                OrderRejected(
                    ts=self._board.now,
                    who="risk",
                    reason=terms.reason,
                    instrument=wish.instrument,
                    order_id=None,
                    tag="",
                    numbers=terms.numbers,
                ),
            )
            return
        for one in terms:
            self._ledger.apply_margin(one)
        self._bus.publish(T_MARGIN_SANITIZED, structs.replace(wish, ts=self._board.now))

    def on_terms(self, terms: MarginTermsSet) -> None:
        """Fold what holds."""
        self._ledger.apply_margin(terms)

    def _judged(self, wish: MarginWish) -> list[MarginTermsSet] | Refused:
        instruments, board = self._ledger.instruments, self._board
        spec, (listed, side) = instruments.get(wish.instrument), split_side(wish.instrument)
        if spec is None and side is not None and listed in instruments:
            return Refused(Reason.POSITION_SIDE_NOT_ALLOWED, {"position_side": str(side)})
        if spec is None:
            return Refused(Reason.UNKNOWN_INSTRUMENT, {})
        if not spec.is_margined:
            return Refused(Reason.NO_MARGIN, {"market": spec.market})
        if spec.listed not in board.price_units:
            return Refused(Reason.NO_PRICE, {})
        if spec.listed in self._unproven and isinstance(wish, SetLeverage) and wish.leverage > 1:
            return Refused(Reason.MODEL_NOT_READY, {"why": "no leverage table or no mark candles: execution.strict"})
        working = [*self._open_orders.working(), *self._open_orders.sliced()]
        tables = self._brackets.get(spec.listed)
        standing = Standing(
            self._ledger,
            board.price_units,
            self._free(spec.id),
            sum(listed_id(o.instrument) == spec.listed and is_one_strategy(o.instrument, spec.id) for o in working),
            None if tables is None else lambda leverage: max_size(tables.at(board.now), leverage),
            board.now,
        )
        return changed_terms(wish, standing)
