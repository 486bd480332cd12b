"""Conditions over rows, with three answers: yes, no, and not known where a column has no value."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtester.strategy.features.frame import Frame

Flags = NDArray[np.bool_]


class Answer(NamedTuple):
    """Where a condition holds, and where it does not; neither: it is not known."""

    yes: Flags
    no: Flags


@dataclass(frozen=True)
class Leaf:
    """One rule, by the name of its column."""

    column: str

    def answer(self, frame: Frame) -> Answer:
        """Return where it holds."""
        values = frame[self.column]
        return Answer(values == 1, values == 0)


@dataclass(frozen=True)
class Group:
    """Conditions of which all, any or none must hold; all of no conditions holds everywhere."""

    kind: str
    members: "tuple[Condition, ...]"

    def answer(self, frame: Frame) -> Answer:
        """Return where it holds."""
        every = self.kind == "all"
        yes, no = np.full(frame.rows, every), np.full(frame.rows, not every)
        for member in self.members:
            found = member.answer(frame)
            yes = yes & found.yes if every else yes | found.yes
            no = no | found.no if every else no & found.no
        return Answer(no, yes) if self.kind == "none" else Answer(yes, no)


Condition = Leaf | Group
