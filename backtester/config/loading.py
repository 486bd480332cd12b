"""Read TOML, layer it, and turn every mistake into one sentence.

Order, the later wins: the models' defaults, the file, `--set`, the command's own options.
"""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from backtester.config.configs import BacktestConfig, StrategySection
from backtester.config.risk_section import RiskSection
from backtester.core.errors import UsageError

DEFAULT_CONFIG = Path("configs/backtest.toml")
DEFAULT_RISK = Path("configs/risk.toml")
Layer = dict[str, Any]
M = TypeVar("M", bound=BaseModel)


def read_toml(path: Path) -> Layer:
    """Return the content of a TOML file.

    Raises:
        UsageError: the file is missing, cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Layer:
    """Return base with over laid on top, table by table."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def toml_value(text: str) -> Any:
    """Return what a value on the command line means: a TOML value if it is one, else the text itself."""
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text


def assignment(text: str, option: str, example: str = "fast=20") -> tuple[str, Any]:
    """Split key=value as given to `option`.

    Raises:
        UsageError: there is no key or no equals sign.
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise UsageError(f"{option} {text!r} is not key=value", hint=f"for example {option} {example}")
    return key.strip(), toml_value(value.strip())


def dotted_layer(assignments: Sequence[str]) -> Layer:
    """Return the layer of `--set section.key=value` options; a quoted part may hold dots and colons."""
    layer: Layer = {}
    for text in assignments:
        key, value = assignment(text, "--set")
        try:
            nested = tomllib.loads(f"{key} = 0")
        except tomllib.TOMLDecodeError:
            raise UsageError(
                f"--set {text!r}: {key!r} is not a dotted key", hint="for example --set fees.taker_bps=10"
            ) from None
        layer = merged(layer, _with_leaf(nested, value))
    return layer


def _with_leaf(nested: Layer, value: Any) -> Layer:
    return {k: _with_leaf(v, value) if isinstance(v, dict) else value for k, v in nested.items()}


def load_backtest_config(
    given: Path | Mapping[str, Any] | None, *layers: Mapping[str, Any], below: Mapping[str, Any] | None = None
) -> BacktestConfig:
    """Return the config of a file (default configs/backtest.toml where it exists) with layers laid over it.

    given: the file, or what such a file would hold. below: what it is laid over.

    Raises:
        UsageError: a file cannot be read, a key is unknown, a value has the wrong type or range.
    """
    source = DEFAULT_CONFIG if given is None and DEFAULT_CONFIG.exists() else given
    where = str(source) if isinstance(source, Path) else "the config"
    content = merged(below or {}, read_toml(source) if isinstance(source, Path) else source or {})
    validated(BacktestConfig, content, where=where)  # by itself: a layer must not hide a mistake in the file
    for layer in layers:
        content = merged(content, layer)
    return validated(BacktestConfig, content, where=where)


def with_strategy(config: BacktestConfig, name: str) -> BacktestConfig:
    """Return a config with the strategy of that name; another strategy's parameters are not this one's."""
    if not name or name == config.strategy.name:
        return config
    return config.model_copy(update={"strategy": StrategySection(name=name)})


def risk_layers(path: Path | None) -> tuple[Layer, Layer]:
    """Return the limits of a risk file as layers: what lies below the config's own file, and what lies over it.

    A file that is named wins over `[risk]` of the config; configs/risk.toml, where it exists and none is named, is what
    holds for all that a config leaves out.

    Raises:
        UsageError: the file cannot be read, or is wrong.
    """
    source = path or (DEFAULT_RISK if DEFAULT_RISK.exists() else None)
    if source is None:
        return {}, {}
    layer = {"risk": read_toml(source)}
    validated(RiskSection, layer["risk"], where=str(source))
    return ({}, layer) if path is not None else (layer, {})


def validated(model: type[M], content: Mapping[str, Any], *, where: str) -> M:
    """Return content as a model.

    Raises:
        UsageError: names the key, what it was and what is allowed; of several mistakes, all.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = [_problem(model, dict(details)) for details in error.errors()]
        raise UsageError(
            f"{where}: " + "; ".join(message for message, _ in problems),
            hint="; ".join(hint for _, hint in problems if hint),
        ) from None


def _problem(model: type[BaseModel], details: Mapping[str, Any]) -> tuple[str, str]:
    place = [str(part) for part in details["loc"]]
    key = ".".join(place)
    if details["type"] == "extra_forbidden":
        allowed = _keys_at(model, place[:-1])
        near = difflib.get_close_matches(place[-1], allowed, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return (
            f"unknown key {key!r}",
            f"{hint}allowed: {', '.join(allowed)}" if allowed else "it takes none: leave it out",
        )
    if details["type"] == "missing":
        return f"{key!r} is missing", ""
    message = str(details["msg"]).removeprefix("Value error, ")
    value = details["input"]
    shown = f" = {value!r}" if not isinstance(value, dict | list | BaseModel) else ""
    said = f"{message[:1].lower()}{message[1:]}"
    return (f"{key}{shown}: {said}" if key else said), ""


def _keys_at(model: type[BaseModel], place: Sequence[str]) -> list[str]:
    current: Any = model
    for part in place:
        fields = getattr(current, "model_fields", None)
        annotation = fields[part].annotation if fields and part in fields else current
        models = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)]
        current = models[0] if models else current
    return sorted(getattr(current, "model_fields", {}))
