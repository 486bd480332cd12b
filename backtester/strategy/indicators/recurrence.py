"""Indicators whose next value follows from the last one: a pure step over a tuple of floats.

`step(state, constants, *row) -> state`; the first numbers of a state are the outputs, NaN while they are unknown.
`update` keeps the state, columns run the same step row by row: interpreted, or compiled where a compiler has been
registered from above (this package does not know which). A step uses floats, comparisons, + − × ÷ and other steps, so
that compiling changes no bit.
"""

from array import array
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from backtester.strategy.indicators.base import Column, Indicator

State = tuple[float, ...]
Constants = tuple[float, ...]
Step = Callable[..., State]
Compiler = Callable[[Callable[..., Any]], Callable[..., Any]]

_compilers: list[Compiler] = []


def register_compiler(compiler: Compiler | None) -> None:
    """Compile the steps of columns from now on, None: interpret them again. It keeps what it has compiled."""
    _compilers[:] = [] if compiler is None else [compiler]


def smooth(mean: float, value: float, seen: float, window: float, divisor: float) -> float:
    """Return the next exponential mean: the plain mean at first, after `window` values mean + (value − mean) / divisor.

    Written as a difference, it keeps a constant series constant to the last bit, and forgets every rounding error.
    """
    return mean + (value - mean) / (seen if seen <= window else divisor)


class Recurrence(Indicator):
    """Subclass, set `step`, and make `self._start` and `self._constants` in the constructor."""

    step: ClassVar[Step]
    _start: State
    _state: State
    _constants: Constants

    def _rows(self, *columns: Column) -> tuple[Column, ...]:
        width = len(self.outputs)
        if _compilers:
            found = np.empty((len(columns[0]), width))
            run = close_rows if len(columns) == 1 else range_rows
            compiled = _compilers[0]
            compiled(run)(compiled(type(self).step), self._start, self._constants, *columns, found)
        else:
            numbers, step, state, constants = array("d"), type(self).step, self._start, self._constants
            for row in zip(*[column.tolist() for column in columns], strict=True):
                state = step(state, constants, *row)
                numbers.extend(state[:width])
            found = np.array(numbers).reshape(-1, width)
        return tuple(found.T.copy())


def close_rows(step: Step, state: State, constants: Constants, closes: Column, found: Column) -> None:
    """Run a step over one column, to be compiled; found has shape (rows, outputs)."""
    for row in range(len(closes)):
        state = step(state, constants, closes[row])
        for output in range(found.shape[1]):
            found[row, output] = state[output]


def range_rows(
    step: Step, state: State, constants: Constants, highs: Column, lows: Column, closes: Column, found: Column
) -> None:
    """Run a step over high, low and close, to be compiled; found has shape (rows, outputs)."""
    for row in range(len(closes)):
        state = step(state, constants, highs[row], lows[row], closes[row])
        for output in range(found.shape[1]):
            found[row, output] = state[output]
