"""Strategies by name: built in, by entry point `backtester.strategies`, or a file: file.py:ClassName, file.toml."""

import difflib
import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from backtester.core.errors import StrategyError, UsageError
from backtester.strategy.base import Strategy
from backtester.strategy.contract import checked_class
from backtester.strategy.files import load_file

BUILT_IN = {
    "buy_and_hold": "backtester.strategy.buy_and_hold:BuyAndHold",
    "covered_call": "backtester.strategy.covered_call:CoveredCall",
    "ema_regime": "backtester.strategy.ema_regime:EmaRegime",
    "funding_carry": "backtester.strategy.funding_carry:FundingCarry",
    "grid_maker": "backtester.strategy.grid_maker:GridMaker",
    "mean_reversion": "backtester.strategy.mean_reversion:MeanReversion",
    "sma_cross": "backtester.strategy.sma_cross:SmaCross",
    "sma_cross_signal": "backtester.strategy.sma_cross_signal:SmaCrossSignal",
    "sma_extended": "backtester.strategy.sma_extended:SMAExtendedStrategy",
    "structure_mtf": "backtester.strategy.structure_mtf:StructureMtf",
    "trend_following": "backtester.strategy.trend_following:TrendFollowing",
}
ENTRY_POINT_GROUP = "backtester.strategies"


class FoundStrategy(NamedTuple):
    """A strategy class, the short name by which runs are named, and the file it came from when outside the package.

    written: of a class that came from no file, the files from which it can be made again, by name; the first defines
    it. unrecorded: why there are none, where they are lacking.
    """

    cls: type[Strategy]
    name: str
    file: Path | None
    written: Mapping[str, bytes] = MappingProxyType({})
    unrecorded: str = ""

    @property
    def is_composed(self) -> bool:
        """Whether its file is no Python, but says what it is made of; its parameters are in it, too."""
        return self.file is not None and self.file.suffix == ".toml"

    @property
    def name_in_folder(self) -> str:
        """How it is named beside its file; empty when it came from none."""
        file = self.file.name if self.file is not None else next(iter(self.written), "")
        return file if self.is_composed or not file else f"{file}:{self.cls.__name__}"


def strategy_names() -> dict[str, str]:
    """Return every registered name and where it leads: module:Class."""
    named = {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
    return dict(sorted({**named, **BUILT_IN}.items()))


def find_strategy(name: str, *, relative_to: Path | None = None) -> FoundStrategy:
    """Return the strategy of a name.

    Args:
        name: built in, an entry point, file.py:ClassName, or the file.toml of a composed one.
        relative_to: a folder in which a relative file is looked for before the current one.

    Raises:
        UsageError: there is no such strategy, or what was found is not one.
        StrategyError: its module raised while it was imported.
    """
    if not name:
        raise UsageError("no strategy was named", hint=f"--strategy NAME, one of: {', '.join(strategy_names())}")
    if name.endswith(".toml"):
        return _composed(Path(name), relative_to)
    file, separator, class_name = name.rpartition(":")
    if separator and file.endswith(".py"):
        return _from_file(Path(file), class_name, relative_to)
    if name.endswith(".py"):
        return _from_file(Path(name), "", relative_to)
    names = strategy_names()
    target = names.get(name)
    if target is None:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(
            f"strategy {name!r} is not known", hint=f"{hint}there are: {', '.join(names)}; or file.py:Class"
        )
    module_name, _, class_name = target.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name, None)
    except (Exception, SystemExit) as error:
        raise StrategyError(
            f"strategy {name!r} cannot be imported from {target}: {type(error).__name__}: {error}"
        ) from error
    cls = checked_class(found, target)
    recipe = getattr(cls, "recipe", None)  # a package's composed one: its file decides as much as code
    return FoundStrategy(cls, name, getattr(recipe, "file", None))


def _from_file(path: Path, class_name: str, relative_to: Path | None) -> FoundStrategy:
    file = _there(path, relative_to)
    module = load_file(file, shown=str(path))
    own = [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Strategy) and value.__module__ == module.__name__
    ]
    if not class_name and len(own) != 1:
        there = f"{len(own)} strategies: {', '.join(own)}" if own else "no strategy"
        hint = f"say which: {path}:{own[0]}" if own else "a strategy subclasses backtester.strategy.Strategy"
        raise UsageError(f"{path} holds {there}", hint=hint)
    found = getattr(module, class_name or own[0], None)
    if found is None or found is Strategy:
        near = difflib.get_close_matches(class_name, own, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(
            f"{path} has no class {class_name!r}", hint=f"{hint}strategies in it: {', '.join(own) or 'none'}"
        )
    return FoundStrategy(checked_class(found, f"{path}:{class_name or own[0]}"), class_name or own[0], file)


def _composed(path: Path, relative_to: Path | None) -> FoundStrategy:
    from backtester.strategy.composed import composed

    file = _there(path, relative_to)
    return FoundStrategy(composed(file), file.stem, file)


def _there(path: Path, relative_to: Path | None) -> Path:
    """Return a file, looked for in a folder first.

    Raises:
        UsageError: there is none.
    """
    candidates = [path] if path.is_absolute() or relative_to is None else [relative_to / path, path]
    file = next((p.resolve() for p in candidates if p.is_file()), None)
    if file is None:
        raise UsageError(f"strategy file {path} does not exist")
    return file
