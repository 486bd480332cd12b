"""One trade of a signal: what its desk remembers of it, and where its stop belongs."""

from dataclasses import dataclass
from decimal import Decimal
from math import isnan

from backtester.core.market import Candle
from backtester.strategy.signals.exits import ExitPlan


@dataclass
class Trade:
    """What the desk knows of a trade. side: +1 long, -1 short. size: the exposure it has reached. close: at which its
    entry was decided. risk: the distance from there to its stop, 0 without one. opened: the row in which it filled.
    """

    side: int
    size: Decimal
    tag: str
    close: float
    stop: float
    risk: float
    best: float
    opened: int = 0
    resizing: Decimal | None = None
    unprotected: bool = False
    by_target: bool = False

    def moved_stop(self, candle: Candle, plan: ExitPlan, paid: Decimal | None, trail: float) -> float:
        """Return where the stop belongs once this candle has closed: nearer than it was, or where it was.

        paid: the average price of the position. trail: the level that the targets name, NaN for none.
        """
        best = candle.high if self.side > 0 else candle.low
        self.best = max(self.best, best) if self.side > 0 else min(self.best, best)
        gained = (self.best - self.close) * self.side
        wanted = self.stop
        if plan.break_even_r is not None and paid is not None and gained >= plan.break_even_r * self.risk:
            wanted = self._nearer(wanted, float(paid))
        if gained >= plan.trail_after_r * self.risk:
            wanted = self._nearer(wanted, trail)
            if plan.trail_pct is not None:
                wanted = self._nearer(wanted, self.best * (1 - self.side * plan.trail_pct / 100))
        return wanted

    def _nearer(self, stop: float, other: float) -> float:
        """Return the one of two stops that risks less; NaN is none."""
        if isnan(other):
            return stop
        return max(stop, other) if self.side > 0 else min(stop, other)
