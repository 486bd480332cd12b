"""A strategy class that is at hand, and what must be kept so that its run can be made again from its folder.

A class of a module that can be imported is kept by its file, or by naming where it is imported from. One that was
written in a notebook or in the script that runs it is written down as a module of its own: its source, and that of the
classes and functions it uses, with the imports and constants that they name (source_of.py).
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Final

from backtester.api.source_of import SourceNotFound, module_source
from backtester.core.errors import UsageError
from backtester.engine.provenance import PACKAGE_ROOT, modules_below
from backtester.strategy.base import Strategy
from backtester.strategy.registry import FoundStrategy, strategy_names

WRITTEN: Final = "written_strategy.py"


def found_class(cls: type[Strategy]) -> FoundStrategy:
    """Return a strategy class as the registry would.

    Raises:
        UsageError: it is no strategy class.
    """
    if not (isinstance(cls, type) and issubclass(cls, Strategy)):
        raise UsageError(
            f"strategy is {cls!r}: neither a name nor a Strategy class",
            hint='strategy="sma_cross", strategy="my.py:Mine", or a class that subclasses bt.Strategy',
        )
    for name, target in strategy_names().items():
        if target == f"{cls.__module__}:{cls.__qualname__}":
            return FoundStrategy(cls, name, None)
    module = sys.modules.get(cls.__module__)
    file = _file_of(module)
    if module is not None and file is not None and cls.__module__ != "__main__" and _is_in(module, cls):
        if _is_own(file) and "." not in cls.__module__:
            return FoundStrategy(cls, cls.__name__, file)
        line = f"from {cls.__module__} import {cls.__name__}\n"
        return FoundStrategy(cls, cls.__name__, None, _with_helpers(line, {cls.__module__}))
    try:
        source, imported = module_source(cls)
    except SourceNotFound as error:
        return FoundStrategy(cls, cls.__name__, None, unrecorded=str(error))
    return FoundStrategy(cls, cls.__name__, None, _with_helpers(source, imported))


def _with_helpers(source: str, imported: set[str]) -> dict[str, bytes]:
    """Return the module with the files beside which it was written and that it imports; installed ones stand alone."""
    written = {WRITTEN: source.encode()}
    for name in sorted(imported):
        file = _file_of(sys.modules.get(name))
        if file is None or not _is_own(file):
            continue
        folder = file.parents[name.count(".") + (file.name == "__init__.py")]
        main = _file_of(sys.modules.get("__main__"))
        for relative, path in modules_below(folder).items():
            if path != main:
                written.setdefault(relative, path.read_bytes())
    return written


def _file_of(module: ModuleType | None) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if file and Path(file).is_file() else None


def _is_own(file: Path) -> bool:
    """Say whether a module's file is neither the engine's nor installed."""
    installed = [PACKAGE_ROOT, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()]
    return not any(file.is_relative_to(root) for root in installed)


def _is_in(module: ModuleType, cls: type) -> bool:
    return getattr(module, cls.__name__, None) is cls
