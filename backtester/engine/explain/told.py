"""What is told of a run: a tree of sentences, each with the line of the log that it rests on."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from backtester.audit.reader import LogLine
from backtester.core.printable import printable
from backtester.core.time import format_time


@dataclass(frozen=True, slots=True)
class Told:
    """One sentence, with details and what belongs below it. line: the line of the log behind it, where there is one."""

    title: str
    details: list[str] = field(default_factory=list)
    parts: list["Told"] = field(default_factory=list)
    line: LogLine | None = None

    def walk(self) -> Iterator["Told"]:
        """Yield this and all below it, in reading order."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def as_object(self) -> dict[str, Any]:
        """Return the tree as plain values for JSON; what is empty is left out."""
        found: dict[str, Any] = {"title": self.title}
        if self.line is not None:
            found |= {"seq": self.line.seq, "tick": self.line.tick, "topic": self.line.topic}
        if self.details:
            found["details"] = self.details
        if self.line is not None:
            found["event"] = self.line.event
        if self.parts:
            found["parts"] = [part.as_object() for part in self.parts]
        return found


def plain_lines(told: Told, depth: int = 0) -> list[str]:
    """Return the tree as indented lines: `#N` is the line of the log, `-` a detail."""
    indent = "  " * depth
    lines = [indent + title_text(told), *(f"{indent}  - {printable(detail)}" for detail in told.details)]
    for part in told.parts:
        lines += plain_lines(part, depth + 1)
    return lines


def title_text(told: Told) -> str:
    """Return the title with the line of the log that it rests on, and when that was."""
    title = printable(told.title)
    if told.line is None:
        return title
    return f"#{told.line.seq} {format_time(told.line.event['ts'])} {title}"
