"""Our traded volume of the last 30 days, by which fee tiers are chosen."""

from collections import deque

from backtester.core.time import DAY

_DAYS = 30


class TradedVolume:
    """A sum of notionals (1e-8 quote) over the current UTC day and the 30 before it, in constant memory."""

    def __init__(self) -> None:
        self._days: deque[tuple[int, int]] = deque()
        self._total = 0

    def copied(self) -> "TradedVolume":
        """Return another of the same fills."""
        other = TradedVolume()
        other._days, other._total = self._days.copy(), self._total
        return other

    def add(self, time: int, notional_units: int) -> None:
        """Count a fill."""
        day = time // DAY
        if self._days and self._days[-1][0] == day:
            self._days[-1] = (day, self._days[-1][1] + notional_units)
        else:
            self._days.append((day, notional_units))
        self._total += notional_units

    def at(self, time: int) -> int:
        """Return the volume by which a fill at this time is charged."""
        oldest = time // DAY - _DAYS
        while self._days and self._days[0][0] < oldest:
            self._total -= self._days.popleft()[1]
        return self._total
