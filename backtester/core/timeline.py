"""What held when: versions of a thing by the date from which each holds."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Final, Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")

EVER: Final = -(2**63)  # the date of what always held
_NEVER: Final = 2**63


class Timeline(Generic[T]):
    """Versions by date, UTC µs. At an instant the last version with date <= instant holds, before all dates the first.

    The version found last is remembered with the span in which it holds: as long as nothing changes, a look-up is two
    comparisons.
    """

    __slots__ = ("_current", "_since", "_until", "dates", "values")

    def __init__(self, versions: Iterable[tuple[int, T]]) -> None:
        """Take (date, value) pairs in any order.

        Raises:
            ValueError: there are none, or two of one date.
        """
        ordered = sorted(versions, key=lambda version: version[0])
        self.dates = tuple(date for date, _ in ordered)
        self.values = tuple(value for _, value in ordered)
        if not ordered or len(set(self.dates)) < len(ordered):
            raise ValueError(f"versions need dates of their own, these are {list(self.dates)}")
        self._find(EVER)

    @classmethod
    def constant(cls, value: T) -> "Timeline[T]":
        """Return a timeline of one value that always held."""
        return cls([(EVER, value)])

    def at(self, time: int) -> T:
        """Return what holds at an instant."""
        if self._since <= time < self._until:
            return self._current
        return self._find(time)

    def _find(self, time: int) -> T:
        index = max(0, bisect_right(self.dates, time) - 1)
        self._since = self.dates[index] if index else EVER
        self._until = self.dates[index + 1] if index + 1 < len(self.dates) else _NEVER
        self._current = self.values[index]
        return self._current

    def between(self, start: int, end: int) -> "Timeline[T]":
        """Return the versions that hold somewhere in [start, end), start < end."""
        first = max(0, bisect_right(self.dates, start) - 1)
        last = max(first + 1, bisect_right(self.dates, end - 1))
        return Timeline(zip(self.dates[first:last], self.values[first:last], strict=True))

    def map(self, what: Callable[[T], U]) -> "Timeline[U]":
        """Return the same dates with something made of each value; equal neighbours become one version."""
        made: list[tuple[int, U]] = []
        for date, value in zip(self.dates, map(what, self.values), strict=True):
            if not made or made[-1][1] != value:
                made.append((date, value))
        return Timeline(made)
