"""Times in which nothing may be opened: dated ones, and such as come again every day or week."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from backtester.core.events import Reason
from backtester.core.time import DAY, MINUTE, WEEK, format_time, grid_offset_us
from backtester.risk.order_validation import Refusal


class WeeklyWindow(NamedTuple):
    """Minutes of a day, on some days of the week (0 is Monday). end <= begin: over midnight, into the next day."""

    begin: int
    end: int
    weekdays: tuple[int, ...]


def weekly_spans(window: WeeklyWindow) -> list[tuple[int, int]]:
    """Return a window as minutes [begin, end) of the week, which begins on Monday; cut at the end of the week."""
    day, week = DAY // MINUTE, WEEK // MINUTE
    length = (window.end - window.begin) % day or day
    spans = []
    for weekday in window.weekdays:
        begin = weekday * day + window.begin
        end = begin + length
        spans.append((begin, min(end, week)))
        if end > week:
            spans.append((0, end - week))
    return spans


class Blackouts:
    """Dated spans [from, to) in µs that do not overlap, and weekly windows."""

    def __init__(self, dated: Iterable[tuple[int, int]], weekly: Iterable[WeeklyWindow]) -> None:
        self._dated = sorted(dated)
        self._weekly = sorted(span for window in weekly for span in weekly_spans(window))

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
