"""What is wrong with rows: rules that were broken, how often, and where first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

EXAMPLES: Final = 3
WRONG_COLUMNS: Final = "wrong_columns"


class Indexed(Protocol):
    """Something with a value for each row."""

    def __getitem__(self, row: int, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Problem:
    """One rule that rows broke. name: in `rules.RULES`; rule: in words, with the column.

    lines: where, from 1, in order. examples: the values at the first few of them.
    """

    name: str
    rule: str
    lines: NDArray[np.int64]
    examples: tuple[str, ...]

    def __str__(self) -> str:
        places = ", ".join(
            f"line {line}{': ' + text if text else ''}"
            for line, text in zip(self.lines[:EXAMPLES].tolist(), self.examples, strict=False)
        )
        more = f", and {len(self.lines) - EXAMPLES} more" if len(self.lines) > EXAMPLES else ""
        return f"{self.rule}: {places}{more}"


@dataclass(slots=True)
class Problems:
    """All broken rules of one file. bad: per parsed row; lines that gave no row count in `lost`."""

    bad: NDArray[np.bool_]
    found: list[Problem] = field(default_factory=list)
    lost: int = 0

    def mark(self, name: str, rule: str, mask: NDArray[Any], lines: NDArray[np.int64], values: Indexed) -> None:
        """Record a broken rule for the rows of a mask, unless they are bad already; `values` are shown as examples."""
        fresh = mask & ~self.bad
        if not fresh.any():
            return
        where = np.flatnonzero(fresh)
        self.found.append(Problem(name, rule, lines[where], tuple(_shown(values[int(i)]) for i in where[:EXAMPLES])))
        self.bad |= fresh

    def lose(self, unsplit: Sequence[tuple[int, str]]) -> None:
        """Record lines, number and text, that could not even be split into columns."""
        if unsplit:
            shown = tuple(_shown(text) for _, text in unsplit[:EXAMPLES])
            lines = np.array([line for line, _ in unsplit], dtype=np.int64)
            self.found.append(Problem(WRONG_COLUMNS, "wrong number of columns", lines, shown))
            self.lost += len(unsplit)

    @property
    def count(self) -> int:
        """How many rows are bad or lost."""
        return int(np.count_nonzero(self.bad)) + self.lost


def joined_problems(parts: Sequence[Problems]) -> Problems:
    """Return the problems of one file from those of its parts, in order."""
    if len(parts) == 1:
        return parts[0]
    bad = np.concatenate([part.bad for part in parts])
    return Problems(bad, joined_found([part.found for part in parts]), sum(part.lost for part in parts))


def joined_found(parts: Sequence[Sequence[Problem]]) -> list[Problem]:
    """Return the broken rules of one file from those of its parts, in order; lines that gave no row come last."""
    if len(parts) == 1:
        return list(parts[0])
    by_rule: dict[str, list[Problem]] = {}
    for part in parts:
        for problem in part:
            by_rule.setdefault(problem.rule, []).append(problem)
    joined = []
    for rule, found in by_rule.items():
        examples = [text for problem in found for text in problem.examples]
        lines = np.concatenate([problem.lines for problem in found])
        joined.append(Problem(found[0].name, rule, lines, tuple(examples[:EXAMPLES])))
    return sorted(joined, key=lambda problem: problem.name == WRONG_COLUMNS)


def _shown(value: Any) -> str:
    text = str(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 60 else text[:57] + "..."
