"""Rules compiled by Numba, kept on disk under a key of everything that they are made of.

Numba's own cache looks at the file of a function alone: a changed rule in another file would go on unnoticed. Here the
key is a digest of the sources of all rules, and of the versions of Python, Numba and NumPy.
"""

import os
import platform
import sys
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import Any, Final, cast

from backtester.core.numbers import mul_div
from backtester.search.kernel.wide import mul_div_wide

_OURS: Final = "backtester."
_DIRECTORY: Final = "BT_KERNEL_CACHE"


def can_compile() -> bool:
    """Say whether Numba is installed and not switched off."""
    return find_spec("numba") is not None and os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")


def rules_of(function: FunctionType) -> list[FunctionType]:
    """Return a function and all of the package that it calls, directly or not; `mul_div` is the one of 128 bits."""
    found: dict[str, FunctionType] = {}
    waiting = [function]
    while waiting:
        one = waiting.pop()
        name = f"{one.__module__}.{one.__qualname__}"
        if name in found:
            continue
        found[name] = one
        waiting += called_by(one).values()
    return [found[name] for name in sorted(found)]


def called_by(function: FunctionType) -> dict[str, FunctionType]:
    """Return the functions of the package that a function calls, under the names that it knows them by."""
    found: dict[str, FunctionType] = {}
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if isinstance(value, FunctionType) and value.__module__.startswith(_OURS):
            found[name] = cast(FunctionType, mul_div_wide) if value is mul_div else value
    return found


def rules_key(function: FunctionType) -> str:
    """Return a digest of the sources of all that a function calls, and of what compiles them."""
    import llvmlite
    import numba
    import numpy

    total = blake2b(digest_size=16)
    for file in sorted({str(sys.modules[one.__module__].__file__) for one in rules_of(function)}):
        total.update(Path(file).read_bytes() + b"\0")
    versions = sys.version, platform.machine(), numba.__version__, numpy.__version__, llvmlite.__version__
    total.update(repr(versions).encode())
    return total.hexdigest()


def cache_folder(key: str) -> Path:
    """Return where what was compiled under a key is kept."""
    own = os.environ.get(_DIRECTORY)
    base = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "backtester"
    return base / "kernels" / key


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function compiled with all the rules that it calls; it holds no lock while it runs.

    Compiling takes some seconds, once for each key; a folder that cannot be written costs them every time.
    """
    import numba

    assert isinstance(function, FunctionType)
    made: dict[FunctionType, Any] = {}

    def build(one: FunctionType, *, keep: bool) -> Any:
        if one not in made:
            known = dict(one.__globals__) | {n: build(f, keep=False) for n, f in called_by(one).items()}
            alone = FunctionType(one.__code__, known, one.__name__, one.__defaults__, one.__closure__)
            alone.__module__, alone.__qualname__ = one.__module__, one.__qualname__
            made[one] = numba.njit(alone, fastmath=False, error_model="python", nogil=True, cache=keep)
        return made[one]

    folder = cache_folder(rules_key(function))
    config: Any = numba.config
    before = config.CACHE_DIR
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config.CACHE_DIR = str(folder)
        whole: Callable[..., Any] = build(function, keep=True)
    except OSError:
        made.clear()
        whole = build(function, keep=False)
    finally:
        config.CACHE_DIR = before
    return whole
