"""A part: a pure function over columns that a composed strategy may name, with what a file needs to know of it."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints, overload

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, create_model

from backtester.core.errors import UsageError
from backtester.strategy.features.frame import Values

Kind = Literal["rule", "formula"]
Function = Callable[..., NDArray[Any]]
Rows = int | Callable[[Mapping[str, Any]], int]


class Reads(NamedTuple):
    """Says which column an argument is where a file does not say it: Annotated[Values, Reads("open_time")]."""

    column: str


@dataclass(frozen=True)
class Part:
    """A rule (columns in, true or false a row out) or a formula (columns in, a number a row out), by name.

    rows: how many rows it looks at for a value, the value's own included; a number, or a function of its parameters.
    past: at which columns it looks in the rows before; None: at all. A rule says nothing where one has no value there.
    """

    kind: Kind
    name: str
    function: Function
    rows: Rows = 1
    past: tuple[str, ...] | None = None

    @property
    def about(self) -> str:
        """What it is, in a sentence."""
        return " ".join((inspect.getdoc(self.function) or "").split("\n\n")[0].split())

    @cached_property
    def operands(self) -> dict[str, str | None]:
        """Its columns by name, and which column is read when a file does not say it."""
        found: dict[str, str | None] = {}
        for name, hint in self._hints.items():
            if _is_column(hint):
                said = [extra.column for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Reads)]
                found[name] = said[0] if said else None
        return found

    @cached_property
    def params(self) -> type[BaseModel]:
        """The pydantic model of its other arguments."""
        given = inspect.signature(self.function).parameters
        fields: dict[str, Any] = {
            name: (hint, ... if given[name].default is inspect.Parameter.empty else given[name].default)
            for name, hint in self._hints.items()
            if not _is_column(hint)
        }
        return create_model(f"{self.name}_params", __config__=ConfigDict(extra="forbid", frozen=True), **fields)

    @cached_property
    def _hints(self) -> dict[str, Any]:
        hints = get_type_hints(self.function, include_extras=True)
        names = inspect.signature(self.function).parameters
        for name in names:
            if name not in hints:
                raise UsageError(
                    f"the part {self.name}: its argument {name} says no type",
                    hint=f"write {name}: Values for a column, {name}: float for a number",
                )
        return {name: hints[name] for name in names}

    def rows_with(self, params: Mapping[str, Any]) -> int:
        """Return how many rows it looks at with these parameters."""
        return self.rows(params) if callable(self.rows) else self.rows


@dataclass(frozen=True)
class Applied:
    """A part with the numbers that stand in place of columns: a feature's rule.

    operands: by name, a number or None where a column comes. A rule gives 1 or 0, and NaN where a column has no value.
    """

    part: Part
    operands: Mapping[str, float | None]

    def __call__(self, *columns: Values, **params: Any) -> Values:
        """Return one value a row.

        Raises:
            UsageError: a rule gave something else than true and false.
        """
        given, shape = iter(columns), columns[0].shape
        arguments = {n: next(given) if v is None else np.broadcast_to(v, shape) for n, v in self.operands.items()}
        found = np.asarray(self.part.function(**arguments, **params))
        if self.part.kind == "formula":
            return found
        if found.dtype != np.bool_:
            raise UsageError(
                f"the rule {self.part.name} gave {found.dtype}, it must give true or false for each row",
                hint="return a comparison: a > b",
            )
        return np.where(self._known(columns, self.part.rows_with(params)), found, np.nan)

    def _known(self, columns: Sequence[Values], rows: int) -> NDArray[np.bool_]:
        """Return where all that the rule looks at has a value, in the rows before, too."""
        names, past = [name for name, value in self.operands.items() if value is None], self.part.past
        known = np.ones(columns[0].shape, dtype=bool)
        for name, column in zip(names, columns, strict=True):
            missing = np.isnan(column)
            known &= ~missing
            if rows > 1 and (past is None or name in past):
                total = np.concatenate(([0], np.cumsum(missing)))
                known[: rows - 1] = False
                known[rows - 1 :] &= total[rows:] == total[: len(total) - rows]
        return known


@overload
def rule(function: Function, /) -> Part: ...
@overload
def rule(*, name: str = "", rows: Rows = 1, past: tuple[str, ...] | None = None) -> Callable[[Function], Part]: ...
def rule(
    function: Function | None = None, /, *, name: str = "", rows: Rows = 1, past: tuple[str, ...] | None = None
) -> Part | Callable[[Function], Part]:
    """Make a function a rule: `@rule`, or `@rule(rows=2)` when it looks at the row before, too.

    Arguments of type `Values` are columns (or numbers, in a file), the others parameters with their types and bounds.
    Where one of its columns has no value, in this row or in those before that it looks at, it says neither yes nor no;
    `past=("a",)` names those that it looks at in rows before, where these are not all. It must be pure, and say nothing
    at row i that depends on rows after i.
    """
    return _decorated("rule", function, name, rows, past)


@overload
def formula_part(function: Function, /) -> Part: ...
@overload
def formula_part(*, name: str = "", rows: Rows = 1) -> Callable[[Function], Part]: ...
def formula_part(
    function: Function | None = None, /, *, name: str = "", rows: Rows = 1
) -> Part | Callable[[Function], Part]:
    """Make a function a formula that features in files may name; see `rule`. It returns a number a row."""
    return _decorated("formula", function, name, rows)


def _decorated(
    kind: Kind, function: Function | None, name: str, rows: Rows, past: tuple[str, ...] | None = None
) -> Part | Callable[[Function], Part]:
    if function is not None:
        return Part(kind, name or function.__name__, function, rows, past)
    return lambda decorated: Part(kind, name or decorated.__name__, decorated, rows, past)


def _is_column(hint: Any) -> bool:
    hint = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return hint is np.ndarray or getattr(hint, "__origin__", None) is np.ndarray
