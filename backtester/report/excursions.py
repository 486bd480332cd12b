"""The worst and the best that a trade saw, from the candles that lie wholly within it. Definitions: docs/metrics.md."""

from typing import NamedTuple

import numpy as np

from backtester.report.figures import Floats, Ints


class Steps(NamedTuple):
    """The fills of one instrument's trades, in time order, shape (n,), and the position after each.

    trade: number of the trade, rising. ends: last close (µs) of candles that belong to the position before; begins:
    first open of those that belong to the one after. price: of the fill. qty, basis: signed, after it; realised: of the
    trade so far. Money and qty × factor × price have one unit.
    """

    trade: Ints
    ends: Ints
    begins: Ints
    price: Floats
    qty: Floats
    basis: Floats
    realised: Floats


class Contract(NamedTuple):
    """What a quantity is worth: qty × factor × price, of an inverse contract qty × factor / price; gain as there."""

    factor: float
    is_inverse: bool = False
    gain: int = 1

    def profit(self, qty: Floats, basis: Floats, price: Floats) -> Floats:
        """Return the profit of positions at prices, all of one shape."""
        worth = qty * self.factor / price if self.is_inverse else qty * self.factor * price
        return np.asarray(self.gain * (worth - basis))


class Excursions:
    """Takes candles in time order, a batch at a time, and finds the extremes of each trade."""

    def __init__(self, steps: Steps, contract: Contract, timeframe: int) -> None:
        """timeframe: of the candles, µs."""
        self._steps = steps
        self._contract = contract
        follows = steps.trade[1:] == steps.trade[:-1]
        self._held = np.flatnonzero(follows & (steps.qty[:-1] != 0))
        self._begins = steps.begins[self._held]
        self._ends = steps.ends[self._held + 1] - timeframe  # last open
        self._high = np.full(len(self._held), -np.inf)
        self._low = np.full(len(self._held), np.inf)

    def add(self, open_time: Ints, high: Floats, low: Floats) -> None:
        """Take a batch of candles, shape (k,)."""
        first = np.searchsorted(open_time, self._begins, side="left")
        after = np.searchsorted(open_time, self._ends, side="right")
        met = np.flatnonzero(after > first)
        if not len(met):
            return
        cuts = np.column_stack((first[met], after[met])).ravel()
        highest = np.maximum.reduceat(np.append(high, -np.inf), cuts)[::2]
        lowest = np.minimum.reduceat(np.append(low, np.inf), cuts)[::2]
        self._high[met] = np.maximum(self._high[met], highest)
        self._low[met] = np.minimum(self._low[met], lowest)

    def extremes(self, trades: int) -> tuple[Floats, Floats]:
        """Return the worst (<= 0) and the best (>= 0) profit of each of the first `trades` trades, in money.

        Profit is what the trade has realised and what its position would at the extreme, before fees and funding.
        """
        s, held = self._steps, self._held
        worst, best = np.zeros(trades), np.zeros(trades)
        here = s.realised + self._contract.profit(s.qty, s.basis, s.price)
        self._take(worst, best, s.trade, here)
        seen = np.isfinite(self._high)
        held = held[seen]
        for price in (self._high[seen], self._low[seen]):
            self._take(
                worst, best, s.trade[held], s.realised[held] + self._contract.profit(s.qty[held], s.basis[held], price)
            )
        return worst, best

    @staticmethod
    def _take(worst: Floats, best: Floats, trade: Ints, profit: Floats) -> None:
        known = trade < len(worst)
        np.minimum.at(worst, trade[known], profit[known])
        np.maximum.at(best, trade[known], profit[known])
