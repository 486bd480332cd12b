"""Indicators whose next value follows from the last one: a pure step over a tuple of floats.

`step(state, constants, *row) -> state`; the first numbers of a state are the outputs, NaN while they are unknown. `update`
keeps the state, columns run the same step row by row: interpreted, or compiled where a compiler has been registered
from above (this package does not know which). A step uses floats, comparisons, + − × ÷ and other steps, so that
compiling changes no bit.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from backtester.strategy.indicators.base import Column, Indicator

State = tuple[float, ...]
Step = Callable[..., State]
Compiler = Callable[[Callable[..., Any]], Callable[..., Any]]

_compilers: list[Compiler] = []


def register_compiler(compiler: Compiler | None) -> None:
    """Compile the steps of columns from now on, each when it is first needed; None: interpret them again."""
    _compilers[:] = [] if compiler is None else [compiler]
    _compiled.cache_clear()


def smooth(mean: float, value: float, seen: float, window: float, divisor: float) -> float:
    """Return the next exponential mean: the plain mean of the first `window` values, then mean + (value − mean) / divisor.

    Written as a difference, it keeps a constant series constant to the last bit, and forgets every rounding error.
    """
    return mean + (value - mean) / (seen if seen <= window else divisor)


class Recurrence(Indicator):
    """Subclass, set `step`, and make `self._start` and `self._constants` in the constructor."""

    step: ClassVar[Step]
    _start: State
    _constants: tuple[float, ...]

    def _rows(self, *columns: Column) -> tuple[Column, ...]:
        if not _compilers:
            return super()._rows(*columns)
        found = np.empty((len(columns[0]), len(self.outputs)))
        run = close_rows if len(columns) == 1 else range_rows
        _compiled(run)(_compiled(type(self).step), self._start, self._constants, *columns, found)
        return tuple(found.T.copy())


def close_rows(step: Step, state: State, constants: tuple[float, ...], closes: Column, found: Column) -> None:
    """Run a step over one column; found has shape (rows, outputs)."""
    for row in range(len(closes)):
        state = step(state, constants, closes[row])
        for output in range(found.shape[1]):
            found[row, output] = state[output]


def range_rows(
    step: Step, state: State, constants: tuple[float, ...], highs: Column, lows: Column, closes: Column, found: Column
) -> None:
    """Run a step over high, low and close; found has shape (rows, outputs)."""
    for row in range(len(closes)):
        state = step(state, constants, highs[row], lows[row], closes[row])
        for output in range(found.shape[1]):
            found[row, output] = state[output]


@lru_cache(maxsize=None)
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return _compilers[0](function)
