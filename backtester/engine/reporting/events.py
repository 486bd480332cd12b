"""What a report shows of a log: notes, alerts, control and refusals, found without reading every other line."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

SHOWN_EVENTS: Final = 1_000
SHOWN_NOTES: Final = 20_000

_CHUNK: Final = 1 << 23
_RISK: Final = ("risk_alert", "control", "margin")


@dataclass
class RunEvents:
    """Events of a log that a report shows, the first of each kind, and how many there are in all."""

    risk: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)


def read_events(log: Path) -> RunEvents:
    """Return what a report shows of a run's log; a log that is cut short is read as far as it goes."""
    found = RunEvents()
    for chunk in _whole_lines(log):
        for topic in _RISK:
            for line in _lines_of(chunk, topic):
                found.counts["risk"] += 1
                if len(found.risk) < SHOWN_EVENTS:
                    found.risk.append({"topic": topic, "tick": line["tick"], **line["event"]})
        for line in _lines_of(chunk, "notes"):
            found.counts["notes"] += 1
            if len(found.notes) < SHOWN_NOTES:
                found.notes.append(line["event"])
        _count_refusals(chunk, found.refusals)
    found.risk.sort(key=lambda event: event["tick"])
    return found


def _whole_lines(log: Path) -> Iterator[bytes]:
    """Yield the log in pieces that end with a line."""
    rest = b""
    with log.open("rb") as file:
        while piece := file.read(_CHUNK):
            end = piece.rfind(b"\n") + 1
            if end == 0:
                rest += piece
                continue
            yield rest + piece[:end]
            rest = piece[end:]


def _lines_of(chunk: bytes, topic: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of a topic. Its name is looked for as text: a quote inside of a text is escaped in the log."""
    mark = f'"topic":"{topic}","event":'.encode()
    at = chunk.find(mark)
    while at >= 0:
        start, end = chunk.rfind(b"\n", 0, at) + 1, chunk.find(b"\n", at)
        line = msgspec.json.decode(chunk[start:end])
        if line["topic"] == topic:
            yield line
        at = chunk.find(mark, end)


def _count_refusals(chunk: bytes, refusals: Counter[str]) -> None:
    mark = b'"topic":"orders_rejected"'
    at = chunk.find(mark)
    while at >= 0:
        end = chunk.find(b"\n", at)
        start = chunk.find(b'"reason":"', at, end) + len(b'"reason":"')
        refusals[chunk[start : chunk.find(b'"', start)].decode()] += 1
        at = chunk.find(mark, end)
