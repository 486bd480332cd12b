"""What the clock merges: sources of market records in time order, read a window at a time."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backtester.core.instruments import InstrumentId
from backtester.core.market import MarketCandle, MarketEvent, MarketTrade
from backtester.core.topics import Topic

CANDLE_RANK = 10  # what is known at one instant: references first, then candles that end there, then trades and quotes


class Feed(Protocol):
    """One instrument's records of one kind. `times` says when each buffered record is known.

    Records of equal times belong to one tick, also when more of them have still to be loaded.
    """

    instrument: InstrumentId
    rank: tuple[int, int, str]  # kind, larger timeframe first, instrument
    executes: bool  # the one feed that marks its instrument and meets its orders
    is_chain: bool  # its records mark the contracts of a chain and meet their orders
    topic: Topic[MarketEvent] | None  # where strategies see it; None when only the exchange does

    @property
    def times(self) -> NDArray[np.int64]:
        """When each buffered record becomes known, shape (n,), ascending."""
        ...

    def load(self) -> bool:
        """Buffer one more batch; return False when there is none."""
        ...

    def take(self, rows: int) -> tuple[list[MarketEvent] | None, NDArray[np.int64] | None]:
        """Move the first records out of the buffer into the current window.

        Returns:
            The records as a trader sees them (None without a topic), and the closes in price units, shape (rows,)
            (None when the feed does not execute).
        """
        ...


class ExecutionFeed(Feed, Protocol):
    """The one feed of an instrument that marks it and meets its orders."""

    def market(self, row: int) -> MarketCandle | MarketTrade:
        """Return a row of the current window as the exchange sees it."""
        ...

    def next_open(self, at: int) -> tuple[int, int, float] | None:
        """Return (open time, open in price units) of the first candle that opens at or after `at` and trades, and the
        volume of the last candle before it that traded, -1 when there is none.

        A tape has no opens: its trades themselves are what orders wait for.
        """
        ...
