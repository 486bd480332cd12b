"""Triggers that watch the mark price: stops, take-profits and trailing stops, where the run declares it."""

from collections.abc import Mapping
from typing import Protocol

from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.market import MarkPrice
from backtester.core.time import timeframe_us
from backtester.execution.orders import WorkingOrder
from backtester.execution.shown_prices import ShownPrices
from backtester.sim.matching import NO_FILL
from backtester.sim.paths import PESSIMISTIC


class Exchange(Protocol):
    """What a mark price does to orders."""

    def trigger(self, working: WorkingOrder) -> None:
        """Let an order enter the market."""

    def enter(self, working: WorkingOrder, last: int) -> None:
        """Let an order that triggered take at what trades next, or rest."""


class MarkTriggers:
    """Orders that wait for a trigger meet the candles of the mark price.

    ambiguous: how many of those may or may not have triggered an order that came within them.
    """

    def __init__(
        self,
        exchange: Exchange,
        book: Mapping[InstrumentId, Mapping[int, WorkingOrder]],
        instruments: Mapping[InstrumentId, Instrument],
        prices: ShownPrices,
        *,
        path: int,
    ) -> None:
        """path: one of sim.paths. prices: where marks are shown."""
        self.ambiguous = 0
        self._exchange = exchange
        self._book = book
        self._instruments = instruments
        self._prices = prices
        self._path = path

    def on_mark(self, mark: MarkPrice) -> None:
        """Trigger what the mark price reached; it executes at what trades next, for which price was traded within the
        span of a mark nobody knows.
        """
        spec = self._instruments.get(mark.instrument)
        if spec is None:
            return
        open_, high, low, price = (
            round(p * 10**spec.scale.price) for p in (mark.open, mark.high, mark.low, mark.price)
        )
        self._prices.mark(spec.id, price)
        began, book = mark.ts - timeframe_us(mark.timeframe), self._book[spec.id]
        for working in [w for w in book.values() if w.waits_for_trigger]:
            if working.order.order_id not in book:
                continue  # its oco group ended a moment ago
            late = working.accepted > began
            if late:
                fires = self._fires_late(working, high, low, price)
            else:
                fires = working.met_at(open_, high, low, True) != NO_FILL
            if fires:
                self._exchange.trigger(working)
                self._exchange.enter(working, self._prices.last(spec.id))
            elif working.is_trailing:
                working.see(price if late else high if working.sign < 0 else low)

    def _fires_late(self, working: WorkingOrder, high: int, low: int, close: int) -> bool:
        """Say whether a mark candle triggers an order that came within it: its close does; what lies between only on
        the pessimistic path, and only against the trader.
        """
        surely = working.met_at(close, close, close, True) != NO_FILL
        reached = surely or working.met_at(working.peak or close, high, low, True) != NO_FILL
        self.ambiguous += reached != surely
        harmful = self._path == PESSIMISTIC and not working.favours_trader
        return reached if harmful else surely
