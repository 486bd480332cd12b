"""Strategies by name: built in, by entry point `backtester.strategies`, or as path/to/file.py:ClassName."""

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from backtester.core.errors import StrategyError, UsageError
from backtester.strategy.base import Strategy

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


def strategy_names() -> dict[str, str]:
    """Return every registered name and where it leads: module:Class."""
    named = {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
    return dict(sorted({**named, **BUILT_IN}.items()))


def find_strategy(name: str, *, relative_to: Path | None = None) -> FoundStrategy:
    """Return the strategy of a name.

    Args:
        name: built in, an entry point, or file.py:ClassName.
        relative_to: a folder in which a relative file is looked for before the current one.

    Raises:
        UsageError: there is no such strategy, or what was found is not one.
        StrategyError: its module raised while it was imported.
    """
    if not name:
        raise UsageError("no strategy was named", hint=f"--strategy NAME, one of: {', '.join(strategy_names())}")
    file, separator, class_name = name.rpartition(":")
    if separator and file.endswith(".py"):
        return _from_file(Path(file), class_name, relative_to)
    if name.endswith(".py"):
        raise UsageError(f"{name!r} names a file but no class", hint=f"write {name}:ClassName")
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
    except Exception as error:
        raise StrategyError(f"strategy {name!r} cannot be imported from {target}: {error}") from error
    return FoundStrategy(_checked(found, target), name, None)


def _from_file(path: Path, class_name: str, relative_to: Path | None) -> FoundStrategy:
    candidates = [path] if path.is_absolute() or relative_to is None else [relative_to / path, path]
    file = next((p.resolve() for p in candidates if p.is_file()), None)
    if file is None:
        raise UsageError(f"strategy file {path} does not exist")
    spec = importlib.util.spec_from_file_location(f"strategy_file_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    _forget_namesakes(file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # so that its classes can be looked up while it runs, and hashed after
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))  # and there it stays: a hook may import, too
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else _line_in(error, file)
        raise StrategyError(f"{path}, line {line}: {type(error).__name__}: {error}") from error
    found = getattr(module, class_name, None)
    if found is None:
        classes = [n for n, v in vars(module).items() if isinstance(v, type) and issubclass(v, Strategy)]
        there = ", ".join(n for n in classes if n != "Strategy") or "none"
        raise UsageError(f"{path} has no class {class_name!r}", hint=f"strategies in it: {there}")
    return FoundStrategy(_checked(found, f"{path}:{class_name}"), class_name, file)


def _forget_namesakes(file: Path) -> None:
    """Let a strategy import the modules beside it, not those of the same name beside a strategy loaded earlier."""
    installed = (Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve())
    for sibling in file.parent.glob("*.py"):
        loaded = getattr(sys.modules.get(sibling.stem), "__file__", None)
        if not loaded or Path(loaded).resolve() == sibling.resolve():
            continue
        if not any(Path(loaded).resolve().is_relative_to(root) for root in installed):
            del sys.modules[sibling.stem]


def _line_in(error: BaseException, file: Path) -> int | None:
    trace = error.__traceback__
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _checked(found: object, where: str) -> type[Strategy]:
    if isinstance(found, type) and issubclass(found, Strategy):
        return found
    raise UsageError(f"{where} is not a Strategy", hint="a strategy subclasses backtester.strategy.base.Strategy")
