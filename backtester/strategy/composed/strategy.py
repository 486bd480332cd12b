"""A composed strategy at work: a signal whose rules, exits and sizes come from a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np

from backtester.strategy.composed.recipe import SIDES, Level, Made, Recipe
from backtester.strategy.features import Feature, Frame
from backtester.strategy.features.frame import Values
from backtester.strategy.signals import ExitPlan, SignalStrategy, Targets


class Composed(SignalStrategy):
    """The base of what `composed` makes of a file: the recipe with the values of its parameters put in."""

    recipe: ClassVar[Recipe]

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        self._made: Made = self.recipe.made(params)
        self.min_change = self._made.min_change

    @final
    def features(self) -> list[Feature]:
        """What the file names, and a column for each of its rules."""
        return self._made.features

    @final
    def outputs(self) -> list[str]:
        """The rules, and what they read: for the log."""
        return self._made.outputs

    @property
    def plan(self) -> ExitPlan:
        """The exits as data."""
        return self._made.plan

    @final
    def targets(self, frame: Frame) -> Targets:
        """What forbids to hold anything comes first; a row that enters both sides enters none."""
        made = self._made
        flat = made.flat.answer(frame).yes if made.flat else np.zeros(frame.rows, dtype=bool)
        allowed = made.filter.answer(frame).yes & ~flat
        leaves = {side: leave.answer(frame).yes for side, leave in made.exits.items()}
        wanted = dict.fromkeys(SIDES, np.zeros(frame.rows, dtype=bool))
        for side, entry in made.entries.items():
            wanted[side] = entry.when.answer(frame).yes & allowed
            if side in leaves:
                wanted[side] &= ~leaves[side]
        long, short = wanted["long"] & ~wanted["short"], wanted["short"] & ~wanted["long"]
        sizes = [_size(level, frame) for level in (made.exposure.long, made.exposure.short)]
        return Targets(
            exposure=np.select([flat, long, short], [0.0, sizes[0], -sizes[1]], np.nan),
            tag=self._tags(frame, {"long": long, "short": short}),
            reason=np.select([flat, long, short], ["exit", "long", "short"], ""),
            stop=_of_side(made.stop, frame, short),
            trail=_level(made.trail.long if made.trail else None, frame),
            trail_short=_level(made.trail.short if made.trail else None, frame),
            exit_long=leaves.get("long"),
            exit_short=leaves.get("short"),
            values={text: frame[column] for text, column in made.shown.items()},
        )

    def _tags(self, frame: Frame, wanted: Mapping[str, Any]) -> Any:
        """Return each entry's tag, with the value of the column that tells one signal from the next."""
        entries = self._made.entries
        if not any(entry.tag or entry.tag_by for entry in entries.values()):
            return ""
        tags = np.full(frame.rows, "", dtype=object)
        for side, entry in entries.items():
            tags[wanted[side]] = entry.tag
            if entry.tag_by:
                name = entry.tag or side
                tags[wanted[side]] = [f"{name}-{value!r}" for value in frame[entry.tag_by][wanted[side]].tolist()]
        return tags


def composed_files(cls: type) -> list[Path]:
    """Return the files that a composed strategy is made of: its own, and those of its parts."""
    return [cls.recipe.file, *cls.recipe.catalogue.files] if issubclass(cls, Composed) else []


def _size(level: float | str, frame: Frame) -> Values:
    """Return an exposure as a column; a column of the frame is cut to [0, 1]."""
    if isinstance(level, str):
        return np.clip(frame[level], 0.0, 1.0)
    return np.full(frame.rows, level)


def _level(name: str | None, frame: Frame) -> Values | None:
    return None if name is None else frame[name]


def _of_side(level: Level | None, frame: Frame, short: Any) -> Values | None:
    """Return the price of each row's side."""
    return None if level is None else np.where(short, frame[level.short], frame[level.long])
