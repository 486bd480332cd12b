"""The recurrences of indicators, compiled by Numba where it is installed (extra `fast`). Equal results, bit for bit."""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from types import FunctionType
from typing import Any

from backtester.strategy.indicators.recurrence import register_compiler

_OURS = "backtester.strategy.indicators"


def compile_indicators() -> bool:
    """Let columns of indicators be compiled from now on; say whether Numba is there to do it.

    A recurrence is compiled when its columns are first asked for, in about a second, once a process.
    """
    if find_spec("numba") is None:
        return False
    register_compiler(_compile)
    return True


@cache
def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function and those of the indicators that it calls; no option that may change a bit."""
    import numba

    assert isinstance(function, FunctionType)
    known = dict(function.__globals__)
    for name in function.__code__.co_names:
        called = known.get(name)
        if isinstance(called, FunctionType) and called.__module__.startswith(_OURS):
            known[name] = _compile(called)
    alone = FunctionType(function.__code__, known, function.__name__, function.__defaults__, function.__closure__)
    compiled: Callable[..., Any] = numba.njit(fastmath=False, error_model="numpy")(alone)
    return compiled
