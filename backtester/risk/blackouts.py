"""Times in which nothing may be opened: dated ones, and such as come again every day or week."""

from bisect import bisect_right
from collections.abc import Iterable

from backtester.core.events import Reason
from backtester.core.time import MINUTE, WEEK, format_time, grid_offset_us
from backtester.risk.order_validation import Refusal


class Blackouts:
    """Spans [from, to) that do not overlap: dated ones in UTC µs, weekly ones in minutes from Monday 00:00 on."""

    def __init__(self, dated: Iterable[tuple[int, int]], weekly: Iterable[tuple[int, int]]) -> None:
        self._dated = sorted(dated)
        self._weekly = sorted(weekly)

    def refusal(self, now: int) -> Refusal | None:
        """Return why nothing may be opened at an instant, or None."""
        at = bisect_right(self._dated, now, key=lambda span: span[0]) - 1
        if at >= 0 and now < self._dated[at][1]:
            return self._refused(self._dated[at][1])
        minute, rest = divmod((now - grid_offset_us(WEEK)) % WEEK, MINUTE)
        at = bisect_right(self._weekly, minute, key=lambda span: span[0]) - 1
        if at >= 0 and minute < self._weekly[at][1]:
            return self._refused(now + (self._weekly[at][1] - minute) * MINUTE - rest)
        return None

    @staticmethod
    def _refused(until: int) -> Refusal:
        return Refusal(Reason.BLACKOUT, {"until": format_time(until)})
