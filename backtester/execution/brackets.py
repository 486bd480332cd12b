"""What an execution does to the orders beside it: groups end, exits of an entry come to life, grow, and are cut."""

from collections.abc import Mapping
from typing import Protocol

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import Fill, Liquidity, OrderKind, Reason, SanitizedOrder
from backtester.core.funds import resized
from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.topics import T_ORDERS_CHANGED
from backtester.execution.exchange_rules import ExchangeRules
from backtester.execution.exits import cut_stop, exits_of, too_small
from backtester.execution.orders import WorkingOrder
from backtester.execution.pool import Pool
from backtester.sim.matching import stop_is_through


class Exchange(Protocol):
    """What is done to the orders."""

    def accept(self, working: WorkingOrder, price: int, ts: int) -> None:
        """Take an order into the book."""

    def trigger(self, working: WorkingOrder) -> None:
        """Let an order enter the market."""

    def enter(self, working: WorkingOrder, last: int) -> None:
        """Let an order take at the next trade, or rest."""

    def execute(
        self, working: WorkingOrder, price: int, liquidity: Liquidity, ts: int, pool: Pool
    ) -> list[WorkingOrder]:
        """Fill an order as far as the pool reaches, or end it."""

    def change(self, working: WorkingOrder, order: SanitizedOrder) -> None:
        """Put a changed order in the place of a working one."""

    def cancel(self, working: WorkingOrder) -> None:
        """End an order because another executed."""

    def expire(self, working: WorkingOrder, reason: Reason) -> None:
        """End an order."""


class Brackets:
    """Keeps groups and brackets together. An exit that executes ends what is left of its entry."""

    def __init__(
        self,
        exchange: Exchange,
        book: Mapping[InstrumentId, Mapping[int, WorkingOrder]],
        rules: ExchangeRules,
        instruments: Mapping[InstrumentId, Instrument],
        board: Board,
        bus: Bus,
    ) -> None:
        self._exchange = exchange
        self._book = book
        self._rules = rules
        self._instruments = instruments
        self._board = board
        self._bus = bus

    def executed(self, order: SanitizedOrder, fill: Fill) -> None:
        """End or cut the orders of its group, and what is left of the entry whose exit it is."""
        if order.parent_id and order.kind is OrderKind.LIMIT:
            self._cut_stop(order, fill)
        elif order.oco:
            there = self._book[order.instrument].values()
            for sibling in [w for w in there if (w.order.oco, w.order.instrument) == (order.oco, order.instrument)]:
                if sibling.order.order_id != order.order_id:
                    self._exchange.cancel(sibling)
        self.end_entry_of(order)

    def end_entry_of(self, exit_: SanitizedOrder) -> None:
        """Buy no more of what an exit already sells."""
        entry = self._book[exit_.instrument].get(exit_.parent_id)
        if entry is not None:
            self._exchange.cancel(entry)

    def _cut_stop(self, target: SanitizedOrder, fill: Fill) -> None:
        """Let the stop beside a target protect only what the target left."""
        spec, book = self._instruments[target.instrument], self._book[target.instrument]
        lot = self._rules.rules[target.instrument].at(fill.ts).at_market.lot_units
        for working in [w for w in book.values() if target.oco and w.order.oco == target.oco]:
            if working.order.kind is OrderKind.LIMIT or working.order.instrument != target.instrument:
                continue
            left = cut_stop(working.order, fill.qty_units, fill.ts, spec, lot)
            if left is None:
                self._exchange.cancel(working)
            else:
                self._exchange.change(working, left)

    # --- the exits of an entry -----------------------------------------------------------------------------------

    def bring_to_life(
        self, parent: WorkingOrder, fill: Fill, before: int, watched: int, pool: Pool
    ) -> list[WorkingOrder]:
        """Make the exits of what an entry filled, or let them grow; what its price fills or triggers executes there.

        An exit that the venue would find too small waits for the next fill of its entry, and ends when there is none.

        Args:
            before: what earlier fills brought (10^-q).
            watched: the price that triggers look at (10^-p).

        Returns:
            What came to life and still works.
        """
        spec, price, book = self._instruments[fill.instrument], fill.reference_price_units, self._book[fill.instrument]
        rules = self._rules.rules[fill.instrument].at(fill.ts)
        earlier = {e.order_id: e.qty_units for e in exits_of(parent.order, before, fill.ts, spec, rules)}
        exits = []
        for order in exits_of(parent.order, parent.brought, fill.ts, spec, rules):
            if order.order_id in parent.born:
                self._grow(book.get(order.order_id), order.qty_units - earlier.get(order.order_id, 0), fill.ts)
                continue
            refused = too_small(order, spec, rules, price)
            if refused is not None and parent.order.order_id in book:
                continue
            exit_ = self._born(parent, order, watched)
            if refused is None:
                exits.append(exit_)
            else:
                self._exchange.expire(exit_, refused)
        for exit_ in exits:
            if exit_.order.order_id in book and not exit_.is_trailing:
                self._meet_the_entry(exit_, fill, watched, pool)
        return [exit_ for exit_ in exits if exit_.order.order_id in book]

    def _meet_the_entry(self, exit_: WorkingOrder, fill: Fill, watched: int, pool: Pool) -> None:
        """Let an exit execute where its entry filled, when it is there already."""
        price = fill.reference_price_units
        if not exit_.waits_for_trigger:
            fires = exit_.takes_at(price, False)
        elif fires := stop_is_through(exit_.direction, exit_.order.stop_price_units, watched):
            self._exchange.trigger(exit_)
        if fill.instrument in self._rules.tapes:  # the trade that filled the entry is over for its exits
            if not exit_.waits_for_trigger:
                self._exchange.enter(exit_, price)
        elif fires:
            self._exchange.execute(exit_, price, Liquidity.TAKER, fill.ts, pool)

    def _born(self, parent: WorkingOrder, order: SanitizedOrder, price: int) -> WorkingOrder:
        parent.born.add(order.order_id)
        exit_ = WorkingOrder.of(order, self._board.now)
        self._bus.publish(T_ORDERS_CHANGED, order)
        self._exchange.accept(exit_, price, order.ts)
        return exit_

    def end_unborn(self, parent: WorkingOrder, last: int) -> None:
        """Say of the exits that waited for their entry to fill further that they are too small.

        last: the price at which the venue would value them (10^-p).
        """
        spec, now = self._instruments[parent.order.instrument], self._board.now
        rules = self._rules.rules[spec.id].at(now)
        for order in exits_of(parent.order, parent.brought, now, spec, rules):
            if order.order_id not in parent.born:
                exit_ = self._born(parent, order, last)
                self._exchange.expire(exit_, too_small(order, spec, rules, last) or Reason.OCO)

    def _grow(self, exit_: WorkingOrder | None, more: int, ts: int) -> None:
        """Let an exit cover more; one that was taken back stays away."""
        if exit_ is not None and more:
            spec = self._instruments[exit_.order.instrument]
            self._exchange.change(exit_, resized(exit_.order, exit_.order.qty_units + more, ts, spec))
