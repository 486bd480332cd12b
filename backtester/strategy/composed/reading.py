"""From a file to a strategy class."""

import operator
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import create_model, model_validator

from backtester.config.loading import read_toml, validated
from backtester.core.errors import UsageError
from backtester.strategy.base import StrategyParams
from backtester.strategy.composed.catalogue import Catalogue, unknown
from backtester.strategy.composed.document import Document, ParamEntry
from backtester.strategy.composed.recipe import Recipe
from backtester.strategy.composed.strategy import Composed
from backtester.strategy.params import param

_COMPARED: Final = re.compile(r"\s*(\S+)\s*(<=|>=|<|>)\s*(\S+)\s*")
_SIGNS: Final[Mapping[str, tuple[Callable[[Any, Any], Any], str]]] = {
    "<": (operator.lt, "less than"),
    "<=": (operator.le, "at most"),
    ">": (operator.gt, "more than"),
    ">=": (operator.ge, "at least"),
}


def composed(file: Path) -> type[Composed]:
    """Return the strategy that a TOML file composes; all that it names is looked up, with the defaults put in.

    Raises:
        UsageError: the file is missing, is not TOML, or something in it is not known or wrong.
        StrategyError: a Python file of parts cannot be imported.
    """
    content = read_toml(file)
    if "entry" not in content:
        raise UsageError(
            f"{file} composes no strategy: it has no [entry]",
            hint="parameters of a strategy are given with --params; docs/composed.md shows a composed one",
        )
    document = validated(Document, content, where=str(file))
    params = _params_model(document, file)
    recipe = Recipe(file.resolve(), document, Catalogue(file.parent))
    recipe.made(params())
    _check_use(document, file)
    return type(file.stem, (Composed,), {"__doc__": document.about, "Params": params, "recipe": recipe})


def _params_model(document: Document, file: Path) -> type[StrategyParams]:
    """Return the model of the parameters; its defaults fulfil it.

    Raises:
        UsageError: a bound is wrong, or a default is outside.
    """
    entries = document.parameters
    for name in entries:
        if not name.isidentifier() or name.startswith(("_", "model_")):
            raise UsageError(f"{file}: params.{name} is no name", hint="letters, digits and _, a letter first")
        if hasattr(StrategyParams, name):
            raise UsageError(f"{file}: params.{name}: that name is taken by pydantic", hint=f"call it {name}_ or so")
    fields: dict[str, Any] = {name: (entry.annotation, _field(entry)) for name, entry in entries.items()}
    checks = [_comparison(text, entries, file) for text in document.require]

    def required(params: StrategyParams) -> StrategyParams:
        for check in checks:
            check(params)
        return params

    validators: dict[str, Any] = {"required": model_validator(mode="after")(required)}
    made: type[StrategyParams] = create_model(
        f"{file.stem}Params",
        __base__=StrategyParams,
        __validators__=validators,
        **fields,
    )
    validated(made, {name: entry.default for name, entry in entries.items()}, where=f"{file}: defaults of [params]")
    return made


def _check_use(document: Document, file: Path) -> None:
    """Refuse parameters that change nothing.

    Raises:
        UsageError: a parameter is used nowhere.
    """
    used = set(re.findall(r"'\$(\w+)'", repr(document.model_dump(exclude={"params", "about", "require"}))))
    for name in document.parameters:
        if name not in used:
            raise UsageError(f"{file}: params.{name} is used nowhere", hint=f'write "${name}" in the place of a value')


def _field(entry: ParamEntry) -> Any:
    return param(entry.description, unit=entry.unit, default=entry.default, **entry.bounds)


def _comparison(text: str, entries: Mapping[str, ParamEntry], file: Path) -> Callable[[StrategyParams], None]:
    """Return what raises ValueError where parameters do not compare as they must."""
    parts = _COMPARED.fullmatch(text)
    if parts is None:
        raise UsageError(f"{file}: require {text!r} is no comparison", hint='for example require = ["fast < slow"]')
    left, sign, right = parts.groups()
    for name in (left, right):
        if name not in entries and not _is_number(name):
            error = unknown("parameter", name, list(entries))
            raise UsageError(f"{file}: require {text!r}: {error.message}", hint=error.hint)
        if name in entries and not entries[name].is_number:
            raise UsageError(f"{file}: require {text!r}: {name} is no number", hint="only numbers are compared")
    holds, words = _SIGNS[sign]

    def value(params: StrategyParams, name: str) -> tuple[Any, str]:
        if name not in entries:
            return float(name), name
        found = getattr(params, name)
        return found, f"{name} ({found})"

    def check(params: StrategyParams) -> None:
        (a, shown), (b, other) = value(params, left), value(params, right)
        if not holds(a, b):
            raise ValueError(f"{shown} must be {words} {other}")

    return check


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
