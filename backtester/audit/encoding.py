"""How an event becomes the `event` object of a log line: one writer per event class, made from its fields.

A field annotated with a unit (`PriceUnits`, ...) is written without its `_units` suffix, in plain fixed-point at
that unit's scale; unlogged fields are left out, as are omitted ones while they are empty; keys stand in the order of
the class.
"""

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from functools import cache, lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from backtester.core.errors import EngineError
from backtester.core.events import MONEY, OMITTED, PRICE, QTY, RATE, UNLOGGED
from backtester.core.numbers import MONEY_EXPONENT, fixed

EventWriter = Callable[[Any], str]

_CONTAINERS: dict[Any, str] = {dict: "mapping", tuple: "rows"}
_encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=4096)  # identities, assets and tags come again and again
def text(value: str) -> str:
    """Return a string as JSON."""
    return _encode(value).decode()


def optional_decimal(value: Decimal | None) -> str:
    """Return a decimal in plain fixed-point as JSON, or null."""
    return "null" if value is None else f'"{value:f}"'


def flat_object(values: dict[str, str]) -> str:
    """Return a flat object of texts as JSON, in the order in which it was made."""
    return _encode(values).decode()


@lru_cache(maxsize=4096)  # nearly all are the same few
def sparse(value: msgspec.Struct) -> str:
    """Return a struct that leaves out its defaults as JSON."""
    return _encode(value).decode()


def nested(value: msgspec.Struct | None) -> str:
    """Return a struct inside an event as JSON, or null."""
    return "null" if value is None else event_writer(value.__class__)(value)


@cache
def event_writer(cls: type) -> EventWriter:
    """Return the function that writes events of a class as JSON.

    The function is generated once per class as a single f-string: writing a line is a hot path of busy runs.
    """
    names: dict[str, Any] = {
        "fixed": fixed,
        "text": text,
        "decimal": optional_decimal,
        "mapping": flat_object,
        "rows": _rows,
        "sparse": sparse,
        "nested": nested,
    }
    content = ""
    hints = get_type_hints(cls, include_extras=True)
    for name in cls.__struct_fields__:  # type: ignore[attr-defined]
        hint = hints[name]
        plain, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        if UNLOGGED in marks:
            continue
        unit = next((mark for mark in marks if mark != OMITTED), None)
        part = f'"{name.removesuffix("_units")}":' + _expression(cls, name, plain, unit)
        if OMITTED in marks:
            names[f"some_{name}"] = _compiled(cls, f",{part}", names)
            content += f'{{some_{name}(e) if e.{name} else ""}}'
        else:
            content += f",{part}" if content else part
    return _compiled(cls, f"{{{{{content}}}}}", names)


def _compiled(cls: type, content: str, names: dict[str, Any]) -> EventWriter:
    """Return the function that writes an event `e` as the content of an f-string in single quotes."""
    made = dict(names)
    exec(compile(f"def write(e):\n    return f'{content}'\n", f"<log line of {cls.__name__}>", "exec"), made)
    writer: EventWriter = made["write"]
    return writer


def _expression(cls: type, name: str, hint: Any, unit: str | None) -> str:
    """Return the piece of an f-string (in single quotes) that writes one field."""
    origin = get_origin(hint)
    kinds = set(get_args(hint)) if origin in (Union, UnionType) else {hint}
    bare = {getattr(kind, "__supertype__", kind) for kind in kinds}
    if unit in (PRICE, QTY):
        piece = f'"{{fixed(e.{name}, e.scale.{unit})}}"'
    elif unit in (MONEY, RATE):
        piece = f'"{{fixed(e.{name}, {MONEY_EXPONENT})}}"'
    elif bare == {int}:
        piece = f"{{e.{name}}}"
    elif bare == {str}:
        piece = f"{{text(e.{name})}}"
    elif bare <= {int, str, NoneType}:
        piece = f'{{"null" if e.{name} is None else e.{name} if e.{name}.__class__ is int else text(e.{name})}}'
    elif isinstance(hint, type) and issubclass(hint, StrEnum):
        piece = f'"{{e.{name}._value_}}"'
    elif bare <= {Decimal, NoneType}:
        piece = f"{{decimal(e.{name})}}"
    elif len(structs := [kind for kind in bare if _is_struct(kind)]) == 1 and bare <= {structs[0], NoneType}:
        omits = structs[0].__struct_config__.omit_defaults
        piece = f"{{{'sparse' if omits else 'nested'}(e.{name})}}"
    elif origin in _CONTAINERS:
        piece = f"{{{_CONTAINERS[origin]}(e.{name})}}"
    else:
        raise EngineError(f"{cls.__name__}.{name}: the log has no way to write {hint}")
    return piece


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _rows(rows: tuple[Any, ...]) -> str:
    return "[" + ",".join(event_writer(row.__class__)(row) for row in rows) + "]"
