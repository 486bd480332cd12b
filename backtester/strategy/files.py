"""A user's Python file as a module: imported with its neighbours in reach, and forgotten when another comes."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from backtester.core.errors import StrategyError, UsageError


def load_file(file: Path, *, shown: str) -> ModuleType:
    """Return the module of a file.

    Args:
        file: absolute.
        shown: how the user wrote it.

    Raises:
        UsageError: it is no Python file.
        StrategyError: it has a syntax error, or raised while it was imported; the message names the line.
    """
    spec = importlib.util.spec_from_file_location(f"strategy_file_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{shown} is not a Python file")
    _forget_namesakes(file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # so that its classes can be looked up while it runs, and hashed after
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))  # and there it stays: a hook may import, too
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _failure(error, file, shown) from error
    return module


def _failure(error: BaseException, file: Path, shown: str) -> StrategyError:
    if isinstance(error, SyntaxError):
        where = shown if error.filename in (None, str(file)) else Path(str(error.filename)).name
        written = f": {error.text.strip()}" if error.text else ""
        return StrategyError(
            f"{where}, line {error.lineno}: {type(error).__name__}: {error.msg}{written}", hint="mend that line"
        )
    return StrategyError(f"{shown}, line {_line_in(error, file)}: {type(error).__name__}: {error}")


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
