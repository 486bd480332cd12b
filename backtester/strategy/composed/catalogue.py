"""Parts and indicators by name: those that ship, those of packages (entry points), and file.py:name beside the file."""

import difflib
from collections.abc import Collection, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Final

from backtester.core.errors import StrategyError, UsageError
from backtester.strategy.composed.formulas import FORMULAS
from backtester.strategy.composed.parts import Kind, Part
from backtester.strategy.composed.rules import RULES
from backtester.strategy.files import load_file
from backtester.strategy.indicators import Indicator
from backtester.strategy.indicators.registry import INDICATORS

ENTRY_POINT_GROUP: Final = "backtester.parts"
SHIPPED: Final[Mapping[Kind, Mapping[str, Part]]] = {"rule": RULES, "formula": FORMULAS}
_DECORATORS: Final[Mapping[Kind, str]] = {"rule": "rule", "formula": "formula_part"}


class Catalogue:
    """What a file may name: all that ships and is installed, and the Python files in its own folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._modules: dict[Path, ModuleType] = {}

    @property
    def files(self) -> tuple[Path, ...]:
        """The Python files that were read for parts."""
        return tuple(self._modules)

    def part(self, kind: Kind, name: str) -> Part:
        """Return the rule or formula of a name.

        Raises:
            UsageError: there is none, or what was found is of another kind.
            StrategyError: its file or package cannot be imported.
        """
        found = SHIPPED[kind].get(name)
        if found is not None:
            return found
        own = self._own(name)
        if isinstance(own, Part) and own.kind == kind:
            return own
        if own is not None:
            said = f"a {own.kind}" if isinstance(own, Part) else "no part"
            raise UsageError(
                f"{kind} {name!r}: what was found is {said}", hint=f"decorate a function with @{_DECORATORS[kind]}"
            )
        raise unknown(kind, name, [*SHIPPED[kind], *_plugins()])

    def indicator(self, name: str) -> type[Indicator]:
        """Return the indicator of a name.

        Raises:
            UsageError: there is none, or what was found is none.
            StrategyError: its file or package cannot be imported.
        """
        if name in INDICATORS:
            return INDICATORS[name].cls
        own = self._own(name)
        if isinstance(own, type) and issubclass(own, Indicator):
            return own
        if own is not None:
            raise UsageError(
                f"indicator {name!r}: what was found is no subclass of Indicator", hint="docs/indicators.md"
            )
        raise unknown("indicator", name, [*INDICATORS, *_plugins()])

    def _own(self, name: str) -> object:
        """Return what a name leads to outside the engine; None for nothing."""
        file, separator, inner = name.rpartition(":")
        if separator and file.endswith(".py"):
            path = (self._folder / file).resolve()
            if not path.is_relative_to(self._folder):
                raise UsageError(
                    f"{name}: the file of a part lies beside the strategy's, or below",
                    hint=f"move it to {self._folder}",
                )
            if not path.is_file():
                raise UsageError(f"{name}: there is no file {path.name} beside the strategy's")
            if path not in self._modules:
                self._modules[path] = load_file(path, shown=file)
            found = vars(self._modules[path]).get(inner)
            if found is None:
                raise UsageError(f"{file} has no {inner!r}")
            return found
        for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
            try:
                return point.load()
            except Exception as error:
                raise StrategyError(f"part {name!r} cannot be imported from {point.value}: {error}") from error
        return None


def unknown(what: str, name: str, known: Collection[str]) -> UsageError:
    """Return the error for a name that is not known, with the nearest one and all that there are."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UsageError(f"{what} {name!r} is not known", hint=f"{hint}there are: {', '.join(known) or 'none'}")


@cache
def _plugins() -> tuple[str, ...]:
    """Return the names of the parts that packages bring along."""
    return tuple(sorted(point.name for point in entry_points(group=ENTRY_POINT_GROUP)))
