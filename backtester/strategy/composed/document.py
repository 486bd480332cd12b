"""The file of a composed strategy: its sections and keys, before any name in it is looked up."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Entry = dict[str, Any]
Value = bool | int | float | str
Bound = Annotated[float, Field(allow_inf_nan=False)]

_TYPES: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ParamEntry(_Section):
    """A parameter: its default, which also says its type, its bounds, its unit, and what it is."""

    default: Value
    type: Literal["bool", "int", "float", "str"] | None = None
    min: Bound | None = None
    max: Bound | None = None
    above: Bound | None = None
    below: Bound | None = None
    choices: tuple[Value, ...] = ()
    unit: str = ""
    description: str = ""

    @model_validator(mode="after")
    def _bounds_mean_something(self) -> "ParamEntry":
        if not self.bounds:
            return self
        if self.choices:
            raise ValueError("choices say all that is allowed: leave min, max, above and below out")
        if not self.is_number:
            raise ValueError("min, max, above and below are of numbers, and this parameter is none")
        return self

    @property
    def is_number(self) -> bool:
        """Whether its values can be compared with numbers."""
        kind = _TYPES[self.type] if self.type else type(self.default)
        return kind in (int, float)

    @property
    def annotation(self) -> Any:
        """The type of its values."""
        if self.choices:
            return Literal[self.choices]
        return _TYPES[self.type] if self.type else type(self.default)

    @property
    def bounds(self) -> dict[str, int | float]:
        """The bounds of its values, by pydantic's names; whole ones as whole numbers."""
        given = {"ge": self.min, "le": self.max, "gt": self.above, "lt": self.below}
        return {name: int(b) if b == int(b) else b for name, b in given.items() if b is not None}


class ConditionsSection(_Section):
    """Conditions that must all hold, conditions of which one must hold, and conditions of which none may."""

    all: tuple[Entry, ...] = ()
    any: tuple[Entry, ...] = ()
    none: tuple[Entry, ...] = ()

    @property
    def groups(self) -> dict[str, tuple[Entry, ...]]:
        """The conditions by what is asked of them, without empty groups."""
        return {name: found for name in ("all", "any", "none") if (found := getattr(self, name))}


class SideSection(ConditionsSection):
    """When a side is entered; tag: of its trades; tag_by: a column whose value is added to the tag."""

    tag: str = ""
    tag_by: str = ""

    @model_validator(mode="after")
    def _says_when(self) -> "SideSection":
        if not self.groups:
            raise ValueError("an entry needs conditions: all, any or none")
        return self


class EntrySection(_Section):
    """Which sides are entered."""

    long: SideSection | None = None
    short: SideSection | None = None

    @model_validator(mode="after")
    def _one_side(self) -> "EntrySection":
        if self.long is None and self.short is None:
            raise ValueError("a strategy enters something: [entry.long], [entry.short] or both")
        return self


class ExitSection(ConditionsSection):
    """Conditions under which nothing may be held; long, short: that close this side; plan: the exits as data."""

    long: ConditionsSection = ConditionsSection()
    short: ConditionsSection = ConditionsSection()
    plan: Entry = {}


class TargetSection(_Section):
    """How much: exposure of both sides, or of each; a number or a column. min_change: smaller changes do nothing."""

    exposure: float | str = 1.0
    long: float | str | None = None
    short: float | str | None = None
    min_change: float | str = 0.0


class Document(_Section):
    """The whole file. require: comparisons that parameters must fulfil, "fast < slow"."""

    about: Annotated[str, Field(min_length=1)]
    require: tuple[str, ...] = ()
    params: dict[str, ParamEntry | Value] = {}
    features: dict[str, Entry] = {}
    entry: EntrySection
    filter: ConditionsSection = ConditionsSection()
    exit: ExitSection = ExitSection()
    target: TargetSection = TargetSection()

    @property
    def parameters(self) -> dict[str, ParamEntry]:
        """The parameters by name, those given as a bare default, too."""
        entries = self.params.items()
        return {name: e if isinstance(e, ParamEntry) else ParamEntry(default=e) for name, e in entries}
