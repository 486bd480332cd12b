"""Parameters of strategies as people and machines read them: type, default, unit, what is allowed, and what it is."""

from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo


def param(description: str, *, unit: str, **bounds: Any) -> Any:
    """Return the field of a parameter: Annotated[int, param("of the fast mean", unit="candles", ge=1)].

    bounds: pydantic's gt, ge, lt, le, min_length. unit: what a number counts; empty for texts and switches.
    """
    return Field(description=description, json_schema_extra={"unit": unit}, **bounds)


class Parameter(NamedTuple):
    """One parameter. default: None for none. bounds: by pydantic's names: gt, ge, lt, le, min_length. choices: all
    values there are, empty where there are others. optional: None is allowed.
    """

    name: str
    type: str
    default: Any
    unit: str
    description: str
    bounds: dict[str, Any]
    choices: tuple[Any, ...]
    optional: bool

    @property
    def allowed(self) -> str:
        """What is allowed, in words; empty where the type says all."""
        words = [f"{_SIGNS[name]} {bound}" for name, bound in self.bounds.items() if name in _SIGNS]
        words += ["not empty"] if self.bounds.get("min_length") else []
        words += [str(choice) for choice in self.choices]
        return ", ".join([*words, "or none"] if self.optional and words else words)


_SIGNS: Final = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def parameters_of(model: type[BaseModel]) -> list[Parameter]:
    """Return the parameters of a model, in its order."""
    return [_described(name, field) for name, field in model.model_fields.items()]


def _described(name: str, field: FieldInfo) -> Parameter:
    extra = field.json_schema_extra
    kind, bounds, optional = field.annotation, _bounds(field.metadata), False
    if type(None) in get_args(kind):  # X | None, whose bounds may stand inside
        inner = next(one for one in get_args(kind) if one is not type(None))
        marks = [mark for one in getattr(inner, "__metadata__", ()) for mark in getattr(one, "metadata", [one])]
        kind, bounds, optional = getattr(inner, "__origin__", inner), bounds | _bounds(marks), True
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    return Parameter(
        name=name,
        type=type(choices[0]).__name__ if choices else getattr(kind, "__name__", str(kind)),
        default=None if field.is_required() else field.get_default(call_default_factory=True),
        unit=str(extra.get("unit", "")) if isinstance(extra, dict) else "",
        description=field.description or "",
        bounds=bounds,
        choices=choices,
        optional=optional,
    )


def _bounds(marks: Iterable[Any]) -> dict[str, Any]:
    names = (*_SIGNS, "min_length")
    return {name: getattr(m, name) for m in marks for name in names if getattr(m, name, None) is not None}
