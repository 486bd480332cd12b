"""What a composed file names, made into a graph of features: indicators, formulas, and rules as columns of 1 and 0."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from backtester.config.loading import validated
from backtester.core.errors import UsageError
from backtester.core.time import TIMEFRAMES
from backtester.strategy.composed.catalogue import Catalogue, unknown
from backtester.strategy.composed.conditions import Condition, Group, Leaf
from backtester.strategy.composed.document import Entry
from backtester.strategy.composed.parts import Applied, Part
from backtester.strategy.features import Feature, indicator
from backtester.strategy.features.feature import Reference
from backtester.strategy.features.frame import CANDLE_COLUMNS
from backtester.strategy.indicators.parameters import parameters_model

_PLACE = ("timeframe", "symbol")
_GROUPS = ("all", "any", "none")


class Workshop:
    """Makes features of entries; remembers which columns the rules read."""

    def __init__(self, entries: Mapping[str, Entry], catalogue: Catalogue) -> None:
        """Make the features of `[features]`.

        Raises:
            UsageError: a part, an input or a parameter is not known or wrong; the message says where.
        """
        self.features: list[Feature] = []
        self.read: dict[str, str] = {}
        self._catalogue = catalogue
        self._entries = entries
        for name, entry in entries.items():
            with at(f"features.{name}"):
                self.features.append(self._feature(name, entry))

    def condition(self, groups: Mapping[str, Sequence[Entry]], where: str) -> Group:
        """Return conditions as a tree; each rule is a feature of its own.

        Raises:
            UsageError: as for the features.
        """
        made = {kind: tuple(self._member(e, f"{where}.{kind}[{n}]") for n, e in enumerate(entries))
                for kind, entries in groups.items()}  # fmt: skip
        return Group("all", tuple(Group(kind, members) for kind, members in made.items()))

    def column(self, text: str) -> str:
        """Return the reference of a column that a file names: of a feature with a timeframe, the one on it.

        Raises:
            UsageError: there is no such column.
        """
        reference = Reference.parse(text)
        entry = self._entries.get(reference.name)
        if entry is None and reference.name not in CANDLE_COLUMNS:
            raise unknown("column", text, [*CANDLE_COLUMNS, *self._entries])
        placed = [str((entry or {})[key]) for key in ("symbol", "timeframe") if key in (entry or {})]
        if placed and (reference.timeframe or reference.instrument):
            raise UsageError(
                f"{text!r}: {reference.name} says itself that it is of {' '.join(placed)}",
                hint=f"write {text.rpartition('/')[2]!r}",
            )
        found = "/".join((*placed, text)) if placed else text
        self.read.setdefault(text, found)
        return found

    # --- features ------------------------------------------------------------------------------------------------

    def _feature(self, name: str, entry: Entry) -> Feature:
        if name.startswith("_"):
            raise UsageError(f"{name!r} is no name of a feature", hint="names that begin with _ are those of rules")
        if name in CANDLE_COLUMNS:
            raise UsageError(f"{name!r} is a column of every candle", hint="give the feature another name")
        kind = _one_of(entry, ("indicator", "formula"))
        self._check_place(entry)
        rest = {key: value for key, value in entry.items() if key not in (kind, *_PLACE)}
        if kind == "formula":
            return self._applied(name, self._catalogue.part("formula", str(entry[kind])), rest)
        cls = self._catalogue.indicator(str(entry[kind]))
        inputs = _texts(rest.pop("inputs", [rest.pop("input")] if "input" in rest else []))
        if inputs and len(inputs) != len(cls.inputs):
            raise UsageError(f"{cls.name} reads {', '.join(cls.inputs)}: {len(inputs)} inputs were given")
        params = _params(parameters_model(cls), rest, cls.name, ("input", "inputs", *_PLACE))
        return indicator(name, cls, *(self._input(text) for text in inputs), **params)

    def _check_place(self, entry: Entry) -> None:
        timeframe, symbol = entry.get("timeframe"), entry.get("symbol")
        if timeframe is not None and timeframe not in TIMEFRAMES:
            raise UsageError(f"timeframe {timeframe!r} is not known", hint=f"there are: {', '.join(TIMEFRAMES)}")
        if symbol is not None and ":" not in str(symbol):
            raise UsageError(f"symbol {symbol!r} names no market", hint=f'write "spot:{symbol}" or "um:{symbol}"')

    def _input(self, text: str) -> str:
        """Return an input of a feature; what rules read stays what it was."""
        kept = dict(self.read)
        found = self.column(text)
        self.read = kept
        return found

    def _applied(self, name: str, part: Part, given: Entry, *, reads: bool = False) -> Feature:
        """Return the feature that is a part over its operands."""
        operands: dict[str, float | None] = {}
        inputs = []
        for operand, usual in part.operands.items():
            value = given.get(operand, usual)
            if value is None:
                raise UsageError(f"{part.kind} {part.name} needs {operand!r}", hint=_usage(part))
            if isinstance(value, str):
                operands[operand] = None
                inputs.append(self.column(value) if reads else self._input(value))
            elif isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value):
                operands[operand] = float(value)
            else:
                raise UsageError(f"{operand} = {value!r} is neither a column nor a number", hint=_usage(part))
        if not inputs:
            raise UsageError(f"{part.kind} {part.name} compares numbers alone", hint="name at least one column")
        rest = {key: value for key, value in given.items() if key not in part.operands}
        params = _params(part.params, rest, part.name, tuple(part.operands))
        return Feature(
            name,
            Applied(part, operands),
            tuple(Reference.parse(text) for text in inputs),
            rows=part.rows_with(params),
            params=params,
        )

    # --- conditions ----------------------------------------------------------------------------------------------

    def _member(self, entry: Entry, where: str) -> Condition:
        with at(where):
            kind = _one_of(entry, ("rule", *_GROUPS))
            if kind == "rule":
                part = self._catalogue.part("rule", str(entry["rule"]))
                name = f"_{len(self.features)}_{part.name}"
                rest = {key: value for key, value in entry.items() if key != "rule"}
                self.features.append(self._applied(name, part, rest, reads=True))
                return Leaf(name)
            if len(entry) > 1 or not isinstance(entry[kind], list):
                raise UsageError(f"{kind} is a list of conditions, alone", hint='{ any = [{ rule = "above", ... }] }')
            if not entry[kind]:
                raise UsageError(f"{kind} is empty: it says nothing", hint="give it a condition, or leave it out")
        return Group(kind, tuple(self._member(one, f"{where}.{kind}[{n}]") for n, one in enumerate(entry[kind])))


class at:  # noqa: N801 - reads as a word
    """Puts a place in the file before what went wrong there."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        if isinstance(error, UsageError):
            raise UsageError(f"{self._where}: {error.message}", hint=error.hint) from error
        if isinstance(error, ValidationError | ValueError | TypeError):
            raise UsageError(f"{self._where}: {' '.join(str(error).split())}") from error


def _one_of(entry: object, kinds: Sequence[str]) -> str:
    found = [kind for kind in kinds if kind in entry] if isinstance(entry, Mapping) else []
    if len(found) != 1:
        raise UsageError(f"{entry!r} must say one of: {', '.join(kinds)}", hint="docs/composed.md lists all parts")
    return found[0]


def _texts(given: object) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise UsageError(f"inputs = {given!r}, it must be a list of columns", hint='inputs = ["high", "low", "close"]')
    return given


def _params(model: type[BaseModel], given: Entry, part: str, others: Sequence[str]) -> dict[str, Any]:
    extra = next((key for key in given if key not in model.model_fields), None)
    if extra is not None:
        raise unknown(f"{part}: key", extra, [*model.model_fields, *others])
    made = validated(model, given, where=part)
    return {key: getattr(made, key) for key in made.model_fields_set}


def _usage(part: Part) -> str:
    arguments = [*part.operands, *part.params.model_fields]
    return f"{part.name} takes {', '.join(arguments)}: {part.about}"
