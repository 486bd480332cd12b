"""Where the logs of two runs part: the first event, and the first decision, that is not the same in meaning.

Numbers of lines and events are no meaning, nor is what hangs on them; what the account began with and snapshots of it
are left out, too, for they only say what other lines say.
"""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from backtester.audit.reader import LogLine
from backtester.audit.seeking import LogFile
from backtester.engine.compare.sides import ComparedRun

_LEFT_OUT: Final = frozenset({"account_snapshot", "cashflows:deposit"})
_DECISIONS: Final = (b'"topic":"orders_intent"', b'"topic":"margin_intent"')
_NUMBERS: Final = ("event_id", "cause_id")


class Parting(NamedTuple):
    """Where two logs part. A side is None when its log has nothing more, or nothing so early."""

    first: LogLine | None
    second: LogLine | None


def parting(first: ComparedRun, second: ComparedRun, *, decisions: bool = False) -> Parting | None:
    """Return the first difference in meaning within the time that both runs cover; None when there is none.

    decisions: only of what strategies wanted.
    """
    start = max(first.range[0], second.range[0])
    end = min(first.range[1], second.range[1])
    logs = [run.files.log for run in (first, second)]
    offsets = _common(*logs) if first.range[0] == second.range[0] else [log.at(start) for log in logs]
    ways = [_lines(log, offset, end, decisions) for log, offset in zip(logs, offsets, strict=True)]
    for one, other in zip_longest(*ways):
        if one is None or other is None or _meaning(one) != _meaning(other):
            return _earlier(one, other)
    return None


def fields_that_differ(found: Parting) -> dict[str, list[Any]]:
    """Return by field what the two lines say, where both are of one topic and do not say the same."""
    if found.first is None or found.second is None or found.first.topic != found.second.topic:
        return {}
    one, other = (_flat(_meaning(line)[2]) for line in (found.first, found.second))
    return {key: [one.get(key), other.get(key)] for key in [*one, *other] if one.get(key) != other.get(key)}


def _flat(event: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in event.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def _common(one: LogFile, other: LogFile) -> list[int]:
    """Return the offsets behind the lines that both logs have in common: each digest names all lines before it."""
    low, high = 0, min(last.seq if (last := log.last()) else 0 for log in (one, other))
    while low < high:
        middle = (low + high + 1) // 2
        ours, theirs = one.line(middle), other.line(middle)
        if ours is not None and theirs is not None and ours.h == theirs.h:
            low = middle
        else:
            high = middle - 1
    return [log.offset_of(low + 1) for log in (one, other)]


def _lines(log: LogFile, offset: int, end: int, decisions: bool) -> Iterator[LogLine]:
    for line in log.mentioning(_DECISIONS, offset) if decisions else log.lines(offset):
        if line.tick > end:
            return
        name = line.topic + (f":{line.event['kind']}" if line.topic == "cashflows" else "")
        if line.topic not in _LEFT_OUT and name not in _LEFT_OUT:
            yield line


def _meaning(line: LogLine) -> tuple[int, str, dict[str, Any]]:
    event = {key: value for key, value in line.event.items() if key not in _NUMBERS}
    cause = line.event.get("cause_id")
    if isinstance(cause, str):
        event["cause"] = cause
    return line.tick, line.topic, event


def _earlier(one: LogLine | None, other: LogLine | None) -> Parting:
    """Return both lines when they are of one tick, else the earlier alone: the other run has nothing at its time."""
    if one is not None and other is not None and one.tick != other.tick:
        return Parting(one, None) if one.tick < other.tick else Parting(None, other)
    return Parting(one, other)
