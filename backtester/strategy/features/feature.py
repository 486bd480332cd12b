"""What a feature is: a name, its inputs, and one pure rule, either over the last rows or as a recurrence."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, Protocol

import numpy as np

from backtester.core.errors import UsageError
from backtester.core.time import TIMEFRAMES
from backtester.strategy.features.frame import Values


class Recurrence(Protocol):
    """An indicator with two faces that agree bit for bit.

    warmup: how many rows it takes until the first value, that row included, >= 1.
    """

    @property
    def warmup(self) -> int:
        """Rows until the first value."""
        ...

    def update(self, *values: float) -> float | None:
        """Take one row; return the value, or None before there is one."""
        ...

    def columns(self, *values: Values) -> Values:
        """Return the value of each row, NaN before there is one; the object itself does not move."""
        ...


@dataclass(frozen=True)
class Reference:
    """An input as it is written: `close`, `30m/trend`, `spot:ETHUSDT/close`, `spot:ETHUSDT/1h/trend`.

    instrument, timeframe: None means the one in which the reference stands.
    """

    name: str
    timeframe: str | None = None
    instrument: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Return what a text refers to.

        Raises:
            UsageError: it is no reference.
        """
        *where, name = text.split("/")
        instrument = where.pop(0) if where and ":" in where[0] else None
        timeframe = where.pop(0) if where else None
        if where or not name or (timeframe is not None and timeframe not in TIMEFRAMES):
            raise UsageError(
                f"{text!r} is not an input of a feature",
                hint="write a column (close), a feature (fast), 30m/fast, spot:ETHUSDT/close or spot:ETHUSDT/1h/fast",
            )
        return cls(name, timeframe, instrument)


@dataclass(frozen=True)
class Feature:
    """A named column. Make one with `formula` or `recurrence`.

    inputs: see Reference. rule: over arrays of equal length one array of that length; or, when `recurs`, what makes
    a Recurrence. rows: how many rows a formula looks at for a value, the value's own included. params: what the
    rule gets by name besides.
    """

    name: str
    rule: Callable[..., Any]
    inputs: tuple[Reference, ...]
    recurs: bool
    rows: int = 1
    params: Mapping[str, Any] = field(default_factory=dict)

    def made(self, decimals: int | None) -> Recurrence:
        """Return the feature's recurrence, at its beginning.

        decimals: of the instrument's prices, for a rule with a parameter `price_decimals` that was not given.

        Raises:
            UsageError: it needs the decimals and they are not known.
        """
        params = dict(self.params)
        if "price_decimals" in signature(self.rule).parameters and "price_decimals" not in params:
            if decimals is None:
                raise UsageError(
                    f"the feature {self.name} needs price_decimals", hint="give it, or a frame that has it"
                )
            params["price_decimals"] = decimals
        made: Recurrence = self.rule(**params)
        return made

    @property
    def own_rows(self) -> int:
        """How many rows with values of all inputs it takes until the first value of its own; derived, not typed."""
        return self.made(0).warmup if self.recurs else self.rows

    def computed(self, inputs: list[Values], decimals: int | None) -> Values:
        """Return the feature's column; NaN from the beginning until `own_rows` rows with values of all inputs.

        Raises:
            UsageError: what came back is no column of that length.
        """
        length = len(inputs[0])
        first = max(_first_value(values) for values in inputs)
        column = np.full(length, np.nan)
        if first < length:
            given = [values[first:] for values in inputs]
            found = self.made(decimals).columns(*given) if self.recurs else self.rule(*given, **self.params)
            column[first:] = self.checked(found, length - first)
            column[first : first + self.own_rows - 1] = np.nan
        return column

    def checked(self, found: Any, length: int) -> Values:
        """Return what a rule gave as a column.

        Raises:
            UsageError: it is no array of that length.
        """
        column = np.asarray(found, dtype=np.float64)
        if column.shape != (length,):
            raise UsageError(
                f"the feature {self.name} gave shape {column.shape} for {length} rows",
                hint="its rule returns one value a row, as an array",
            )
        return column


def formula(name: str, rule: Callable[..., Any], *inputs: str, rows: int = 1, **params: Any) -> Feature:
    """Return a feature that is a pure function of the last `rows` rows of its inputs.

    The rule gets arrays of equal length and returns one of that length; value i may use the rows i - rows + 1 to i.

    Raises:
        UsageError: no inputs, rows < 1, or a name that is none.
    """
    if rows < 1:
        raise UsageError(f"the feature {name} looks at {rows} rows, it must be at least 1")
    return Feature(_name(name), rule, _references(name, inputs), recurs=False, rows=rows, params=params)


def recurrence(name: str, rule: Callable[..., Any], *inputs: str, **params: Any) -> Feature:
    """Return a feature that is an indicator: `rule(**params)` makes a Recurrence.

    A rule with a parameter `price_decimals` gets the instrument's unless it is given.

    Raises:
        UsageError: no inputs, or a name that is none.
    """
    return Feature(_name(name), rule, _references(name, inputs), recurs=True, params=params)


def _references(name: str, inputs: tuple[str, ...]) -> tuple[Reference, ...]:
    if not inputs:
        raise UsageError(f"the feature {name} has no inputs", hint="a feature is made of columns and other features")
    return tuple(Reference.parse(text) for text in inputs)


def _name(name: str) -> str:
    if not name.isidentifier():
        raise UsageError(f"{name!r} is no name of a feature", hint="letters, digits and _, not beginning with a digit")
    return name


def _first_value(values: Values) -> int:
    """Return the first row that has a value; the length when none has."""
    if len(values) and not np.isnan(values[0]):
        return 0
    there = np.flatnonzero(~np.isnan(values))
    return int(there[0]) if len(there) else len(values)
