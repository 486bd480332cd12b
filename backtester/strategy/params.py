"""Parameters of strategies as people and machines read them: type, default, unit, what is allowed, and what it is."""

from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo


def param(description: str, *, unit: str, **bounds: Any) -> Any:
    """Return the field of a parameter: Annotated[int, param("of the fast mean", unit="candles", ge=1)].

    bounds: pydantic's gt, ge, lt, le, min_length. unit: what a number counts; empty for texts and switches.
    """
    return Field(description=description, json_schema_extra={"unit": unit}, **bounds)


class Parameter(NamedTuple):
    """One parameter, in words: allowed is empty where its type says all; default is None for none."""

    name: str
    type: str
    default: Any
    unit: str
    allowed: str
    description: str


def parameters_of(model: type[BaseModel]) -> list[Parameter]:
    """Return the parameters of a model, in its order."""
    return [_described(name, field) for name, field in model.model_fields.items()]


def _described(name: str, field: FieldInfo) -> Parameter:
    extra = field.json_schema_extra
    unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    kind, allowed = _type_and_bounds(field.annotation, list(field.metadata))
    return Parameter(name, kind, default, unit, allowed, field.description or "")


def _type_and_bounds(annotation: Any, metadata: list[Any]) -> tuple[str, str]:
    """Return a type's name and what is allowed of it; `X | None` is X or none."""
    bounds = []
    for sign, name in ((">", "gt"), (">=", "ge"), ("<", "lt"), ("<=", "le")):
        bounds += [f"{sign} {getattr(one, name)}" for one in metadata if getattr(one, name, None) is not None]
    if any(getattr(one, "min_length", None) for one in metadata):
        bounds.append("not empty")
    if get_origin(annotation) is Literal:
        values = get_args(annotation)
        return type(values[0]).__name__, ", ".join(str(value) for value in values)
    options = [one for one in get_args(annotation) if one is not type(None)]
    if options and type(None) in get_args(annotation):
        inner = options[0]
        kind, allowed = _type_and_bounds(getattr(inner, "__origin__", inner), _bounds_of(inner))
        return kind, ", ".join(part for part in (*bounds, allowed, "or none") if part)
    return getattr(annotation, "__name__", str(annotation)), ", ".join(bounds)


def _bounds_of(annotation: Any) -> list[Any]:
    """Return the bounds that an Annotated type inside another carries."""
    found: list[Any] = []
    for one in getattr(annotation, "__metadata__", ()):
        found += one.metadata if isinstance(one, FieldInfo) else [one]
    return found
