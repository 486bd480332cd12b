"""All parts in words: for `bt strategies --parts` and the table of docs/composed.md."""

from typing import NamedTuple

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from backtester.strategy.composed.catalogue import SHIPPED
from backtester.strategy.indicators.registry import INDICATORS


class PartRow(NamedTuple):
    """A part: its kind, its name, what it takes with what is taken when a file does not say it, and what it is."""

    kind: str
    name: str
    takes: str
    about: str


def part_rows() -> list[PartRow]:
    """Return the parts that ship, rules first."""
    rows = []
    for kind, parts in SHIPPED.items():
        for part in parts.values():
            columns = [name if usual is None else f"{name} = {usual}" for name, usual in part.operands.items()]
            rows.append(PartRow(kind, part.name, ", ".join([*columns, *_params(part.params)]), part.about))
    for name, found in INDICATORS.items():
        inputs = f"inputs ({', '.join(found.cls.inputs)})"
        rows.append(PartRow("indicator", name, ", ".join([inputs, *_params(found.params)]), found.about))
    return rows


def _params(model: type[BaseModel]) -> list[str]:
    defaults = ((name, field.get_default()) for name, field in model.model_fields.items())
    return [name if usual in (None, PydanticUndefined) else f"{name} = {usual}" for name, usual in defaults]
