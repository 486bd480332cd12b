"""Two logs, line by line: where they part, and what was decided on the way."""

import random
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from backtester.audit.reader import LogLine, read_log
from backtester.core.instruments import split_sleeve
from backtester.core.time import format_time
from backtester.core.topics import T_ORDERS_INTENT

_SHOWN = 300


class Parting(NamedTuple):
    """The first line in which two logs differ; None where one of them has no such line."""

    old: LogLine | None
    new: LogLine | None

    @property
    def seq(self) -> int:
        """Its number."""
        line = self.old or self.new
        assert line is not None
        return line.seq

    @property
    def tick(self) -> int:
        """The earlier of the two instants, UTC µs."""
        return min(line.tick for line in (self.old, self.new) if line is not None)

    @property
    def owner(self) -> str:
        """The id of the strategy, of several, that a line belongs to; empty where it belongs to none or to two."""
        ids = {split_sleeve(str(line.event.get("instrument", "")))[1] for line in (self.old, self.new) if line}
        return ids.pop() if len(ids) == 1 else ""

    def in_words(self) -> str:
        """Say what the line was and what it is."""
        return f"line {self.seq} of the log: was {_shown(self.old)}, is {_shown(self.new)}"


def parting(was: Path, now: Path, *, until: int | None = None, opens: bool = True) -> Parting | None:
    """Return where two logs part; None when they are the same.

    Args:
        until: compare the lines of ticks up to this one (UTC µs); None means all.
        opens: False: the second may end before the opens of that tick.
    """
    lines: Iterator[tuple[LogLine | None, LogLine | None]] = zip_longest(read_log(was), read_log(now))
    for one, other in lines:
        old, new = (None if line and until is not None and line.tick > until else line for line in (one, other))
        if old is None and new is None:
            return None
        if new is None and old is not None and not opens and old.tick == until and "/open/" in _cause(old):
            return None
        if old is None or new is None or old.h != new.h:
            return Parting(old, new)
    return None


def _cause(line: LogLine) -> str:
    return str(line.event.get("cause_id", ""))


def _shown(line: LogLine | None) -> str:
    if line is None:
        return "nothing"
    text = msgspec.json.encode({k: v for k, v in line.event.items() if v not in (None, "", [], {})}).decode()
    cut = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return f"{line.topic} at {format_time(line.tick)} {cut}"


def decision_ticks(log: Path, count: int, luck: random.Random, *, before: int) -> tuple[list[int], int]:
    """Return some of the ticks before an instant in which something was wanted, by chance; and how many there are."""
    chosen: list[int] = []
    seen, last = 0, -1
    for line in read_log(log):
        if line.topic != T_ORDERS_INTENT.name or line.tick == last or line.tick >= before:
            continue
        last = line.tick
        seen += 1
        if len(chosen) < count:
            chosen.append(line.tick)
        elif (place := luck.randrange(seen)) < count:
            chosen[place] = line.tick
    return sorted(chosen), seen


class Decisions(NamedTuple):
    """How the wishes of two logs differ. first: the tick of the first that only one has; None when there is none."""

    was: int
    only_was: int
    only_now: int
    first: int | None


def compare_decisions(was: Path, now: Path) -> Decisions:
    """Return how what was wanted differs, whatever the numbers and causes of the lines."""
    old, new = (Counter(_decisions(path)) for path in (was, now))
    different = [*(old - new), *(new - old)]
    return Decisions(
        old.total(), (old - new).total(), (new - old).total(), min((tick for tick, _ in different), default=None)
    )


def _decisions(path: Path) -> Iterator[tuple[int, bytes]]:
    for line in read_log(path):
        if line.topic == T_ORDERS_INTENT.name:
            event: dict[str, Any] = {k: v for k, v in line.event.items() if k not in ("event_id", "cause_id")}
            yield line.tick, msgspec.json.encode(event)
