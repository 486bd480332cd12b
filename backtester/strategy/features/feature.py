"""What a feature is: a name, its inputs, and one pure rule: a formula over the last rows, or an indicator."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from backtester.core.errors import UsageError
from backtester.core.time import TIMEFRAMES
from backtester.strategy.features.frame import Values
from backtester.strategy.indicators.base import Indicator
from backtester.strategy.indicators.parameters import parameters_model

_PRICES: Final = ("open", "high", "low", "close")
ONLY: Final = ""  # the output of a feature that has one


@dataclass(frozen=True)
class Reference:
    """An input as it is written: `close`, `bands.upper`, `30m/trend`, `spot:ETHUSDT/close`, `spot:ETHUSDT/1h/trend`.

    output: of an indicator with several. timeframe, instrument: None means the one in which the reference stands.
    """

    name: str
    output: str = ONLY
    timeframe: str | None = None
    instrument: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Return what a text refers to.

        Raises:
            UsageError: it is no reference.
        """
        *where, last = text.split("/")
        instrument = where.pop(0) if where and ":" in where[0] else None
        timeframe = where.pop(0) if where else None
        name, _, output = last.partition(".")
        if where or not name or (timeframe is not None and timeframe not in TIMEFRAMES):
            raise UsageError(
                f"{text!r} is not an input of a feature",
                hint="write a column (close), a feature (fast), one of its outputs (bands.upper), 30m/fast, "
                "spot:ETHUSDT/close or spot:ETHUSDT/1h/fast",
            )
        return cls(name, output, timeframe, instrument)


@dataclass(frozen=True)
class Feature:
    """A named column, or several. Make one with `formula` or `indicator`.

    rule: of a formula, a function from arrays of equal length to one of that length; or the class of an indicator.
    outputs: the names of its columns, ONLY for a single one. rows: how many rows a formula looks at for a value, the
    value's own included. params: what the rule gets by name.
    """

    name: str
    rule: Callable[..., Any]
    inputs: tuple[Reference, ...]
    outputs: tuple[str, ...] = (ONLY,)
    rows: int = 1
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_indicator(self) -> bool:
        """Whether it is a recurrence over all rows so far, and no formula over the last ones."""
        return isinstance(self.rule, type) and issubclass(self.rule, Indicator)

    @property
    def sums_prices(self) -> bool:
        """Whether it can use the decimals of its instrument's prices: it sums exactly, and reads prices alone."""
        takes = self.is_indicator and "decimals" in parameters_model(self.rule).model_fields  # type: ignore[arg-type]
        own = all(i.instrument is None and i.name in _PRICES for i in self.inputs)
        return takes and own and "decimals" not in self.params

    def made(self, decimals: int | None) -> Indicator:
        """Return the feature's indicator before its first row; decimals: of its instrument's prices, None: unknown."""
        exact = {"decimals": decimals} if self.sums_prices else {}
        made: Indicator = self.rule(**exact, **self.params)
        return made

    @property
    def own_rows(self) -> int:
        """How many rows with values of all inputs it takes until the first value; derived, not typed."""
        return self.made(None).warmup if self.is_indicator else self.rows

    def computed(self, inputs: list[Values], decimals: int | None) -> dict[str, Values]:
        """Return the feature's columns by output, NaN where there is no value.

        A formula has none before `rows` rows with values of all inputs.

        Raises:
            UsageError: what came back is no column of the same length.
        """
        if self.is_indicator:
            found = self.made(decimals).columns(*inputs)
            return dict(zip(self.outputs, found.values(), strict=True))
        length = len(inputs[0])
        first = max(_first_value(values) for values in inputs)
        column = np.full(length, np.nan)
        if first < length:
            column[first:] = self.checked(self.rule(*[v[first:] for v in inputs], **self.params), length - first)
            column[first : first + self.rows - 1] = np.nan
        return {ONLY: column}

    def checked(self, found: Any, length: int) -> Values:
        """Return what a formula gave as a column.

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
    if not inputs:
        raise UsageError(f"the feature {name} has no inputs", hint="a feature is made of columns and other features")
    if rows < 1:
        raise UsageError(f"the feature {name} looks at {rows} rows, it must be at least 1")
    return Feature(_name(name), rule, _references(inputs), rows=rows, params=params)


def indicator(name: str, cls: type[Indicator], *inputs: str, **params: Any) -> Feature:
    """Return a feature that is an indicator: `cls(**params)` over its own inputs, or over others in their place.

    With several outputs each is a column: `bands.upper`.

    Raises:
        UsageError: another number of inputs than the indicator takes, or a name that is none.
        ValueError: a parameter is missing, unknown or out of bounds.
    """
    wanted = inputs or cls.inputs
    if len(wanted) != len(cls.inputs):
        raise UsageError(
            f"the feature {name} has {len(wanted)} inputs, {cls.__name__} takes {len(cls.inputs)}: "
            f"{', '.join(cls.inputs)}"
        )
    outputs = cls.outputs if len(cls.outputs) > 1 else (ONLY,)
    feature = Feature(_name(name), cls, _references(wanted), outputs, params=params)
    feature.made(None)  # refuses bad parameters here, where they are written
    return feature


def _references(inputs: tuple[str, ...]) -> tuple[Reference, ...]:
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
