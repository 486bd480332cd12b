"""The board: what everyone may read without asking anybody.

The clock writes the last prices before each MATCH; execution writes which instruments wait for an open, and between
which prices trades are no matter to it; the strategy's host writes the moments it wants to be called at.
Nothing here is logged.
"""

import heapq
from collections.abc import Callable
from typing import Final, NamedTuple

from backtester.core.instruments import InstrumentId
from backtester.core.market import MarketQuote


class Greeks(NamedTuple):
    """Of one base unit of an option, as its chain or a model says: delta in base units, the others per unit of it."""

    delta: float
    gamma: float
    vega: float
    theta: float


NEVER: Final = 2**63 - 1


class Board:
    """Last price of each instrument (10^-p, at its execution feed), and what the clock is asked to watch for."""

    def __init__(self) -> None:
        self.now = 0
        self.after_open = False  # whether strategies are shown what happens at `now` itself, so that its open is over
        self.dues_time = 0  # the last tick whose DUES have passed: boundaries up to it are settled
        self.next_dues = 0  # the first tick that somebody wants DUES at
        self.price_units: dict[InstrumentId, int] = {}
        self.price_time: dict[InstrumentId, int] = {}
        self.opens_wanted: dict[InstrumentId, int] = {}  # how many market orders wait
        self.asleep: dict[InstrumentId, tuple[int, int]] = {}  # prices strictly between matter to nobody
        self._safe: dict[InstrumentId, tuple[int, int]] = {}  # strictly between, no position is in danger
        self.quote_at: dict[InstrumentId, Callable[[int], MarketQuote | None]] = {}  # the last at or before a time
        self.option_mark: Callable[[InstrumentId], None] | None = None  # brings the last mark of an option here
        self.listings: dict[InstrumentId, int] = {}  # options: from when on they are known to be listed
        self._marked: dict[InstrumentId, tuple[list[int], list[int]]] = {}  # options: when they were marked, at what
        self.greeks: dict[InstrumentId, list[tuple[int, Greeks]]] = {}  # options: since when they are known, and which
        self.timers: list[int] = []
        self.expiries: list[int] = []

    def is_listed(self, instrument: InstrumentId) -> bool:
        """Say whether an instrument of the run is known to be listed: an option is not before a row named it."""
        return self.listings.get(instrument, 0) <= self.now

    def want_open(self, instrument: InstrumentId) -> None:
        """Ask for the next open of an instrument: one more market order waits."""
        self.opens_wanted[instrument] = self.opens_wanted.get(instrument, 0) + 1

    def unwant_open(self, instrument: InstrumentId) -> None:
        """One market order less waits."""
        left = self.opens_wanted[instrument] - 1
        if left:
            self.opens_wanted[instrument] = left
        else:
            del self.opens_wanted[instrument]

    def sleep(self, instrument: InstrumentId, above: int, below: int) -> None:
        """Tell the exchange nothing of trades with above < price < below (10^-p) that are safe, until it is woken."""
        low, high = self._safe.get(instrument, (above, below))
        self.asleep[instrument] = (max(above, low), min(below, high))

    def wake(self, instrument: InstrumentId) -> None:
        """Tell the exchange of the next trade, whatever its price."""
        self.asleep.pop(instrument, None)

    def keep_safe(self, instrument: InstrumentId, above: int, below: int) -> None:
        """Tell the exchange of trades that are not above < price < below, whoever sleeps."""
        self._safe[instrument] = (above, below)
        if (band := self.asleep.get(instrument)) is not None:
            self.sleep(instrument, *band)

    def forget_safe(self, instrument: InstrumentId) -> None:
        """No position asks for that any more."""
        self._safe.pop(instrument, None)

    def quote(self, instrument: InstrumentId, time: int) -> MarketQuote | None:
        """Return the last quote of an instrument at or before a time that has come; None: the run reads none."""
        source = self.quote_at.get(instrument)
        return None if source is None else source(time)

    def mark(self, instrument: InstrumentId, price_units: int, time: int) -> None:
        """Note the mark of an option that is held: options have no feed of their own that would say it."""
        self.price_units[instrument], self.price_time[instrument] = price_units, time
        times, units = self._marked.setdefault(instrument, ([0], [0]))
        times.append(time)
        units.append(price_units)

    def take_marks(self) -> dict[InstrumentId, tuple[list[int], list[int]]]:
        """Return the marks noted since the last call, each after the one before it, in time order."""
        taken, self._marked = self._marked, {i: ([t[-1]], [u[-1]]) for i, (t, u) in self._marked.items()}
        return taken

    def want_dues(self, at: int) -> None:
        """Ask for DUES at the first tick at or after a time."""
        self.next_dues = min(self.next_dues, at)

    def set_expiry(self, at: int) -> None:
        """Ask for a tick at a time at which an order ends or a command is given, before anything that comes after."""
        heapq.heappush(self.expiries, at)

    def set_timer(self, at: int) -> None:
        """Ask for a tick at a time; at or before now means the next tick."""
        heapq.heappush(self.timers, at)
