"""What a file says, ready to be made into a strategy: its parameters, and the parts with their values put in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from backtester.config.loading import validated
from backtester.core.errors import UsageError
from backtester.strategy.base import StrategyParams
from backtester.strategy.composed.catalogue import Catalogue, unknown
from backtester.strategy.composed.conditions import Group
from backtester.strategy.composed.document import ConditionsSection, Document
from backtester.strategy.composed.workshop import Workshop, at
from backtester.strategy.features import Feature
from backtester.strategy.signals import ExitPlan

SIDES = ("long", "short")
_WORDS = {"about", "require", "params"}  # where "$name" stands for nothing


class Level(NamedTuple):
    """A number or a column for each side."""

    long: Any
    short: Any


class Entering(NamedTuple):
    """When a side is entered, and the tag of its trades."""

    when: Group
    tag: str
    tag_by: str


@dataclass(frozen=True, kw_only=True)
class Made:
    """A recipe with values: all that the strategy asks for. shown: columns for the log, by the name in the file."""

    features: list[Feature]
    outputs: list[str]
    shown: dict[str, str]
    entries: dict[str, Entering]
    filter: Group
    flat: Group | None
    exits: dict[str, Group]
    plan: ExitPlan
    stop: Level | None
    trail: Level | None
    exposure: Level
    min_change: float


@dataclass(frozen=True)
class Recipe:
    """A file that was read, and where its parts come from."""

    file: Path
    document: Document
    catalogue: Catalogue = field(repr=False)

    def made(self, params: StrategyParams) -> Made:
        """Return the parts with the values of the parameters put in.

        Raises:
            UsageError: a name is not known, or a value is wrong; the message says where.
            StrategyError: a file of parts cannot be imported.
        """
        try:
            return self._made(params)
        except UsageError as error:
            raise UsageError(f"{self.file.name}: {error.message}", hint=error.hint) from error

    def _made(self, params: StrategyParams) -> Made:
        values = params.model_dump()
        said = put_in(self.document.model_dump(exclude=_WORDS), values) | self.document.model_dump(include=_WORDS)
        document = validated(Document, said, where="with the values of [params]")
        shop = Workshop(document.features, self.catalogue)
        entries = {}
        for side in SIDES:
            entry = getattr(document.entry, side)
            if entry is not None:
                with at(f"entry.{side}"):
                    tag_by = shop.column(entry.tag_by) if entry.tag_by else ""
                entries[side] = Entering(shop.condition(entry.groups, f"entry.{side}"), entry.tag, tag_by)
        exits = {side: getattr(document.exit, side) for side in SIDES}
        with at("exit.plan"):
            rest = dict(document.exit.plan)
            stop, trail = (_level(shop, name, rest.pop(name, None)) for name in ("stop", "trail"))
            plan = validated(ExitPlan, rest, where="the plan")
            _check_plan(plan, stop, trail)
        with at("target"):
            target = document.target
            sides = [target.exposure if own is None else own for own in (target.long, target.short)]
            exposure = Level(*(_size(shop, size) for size in sides))
            for side, size in zip(SIDES, exposure, strict=True):
                if side in entries and size == 0:
                    raise UsageError(
                        f"the exposure of {side} is 0, and [entry.{side}] enters it: nothing would be traded",
                        hint=f"more than 0, or no [entry.{side}]",
                    )
            min_change = _number("min_change", target.min_change, 0, 1)
        made_exits = {s: shop.condition(e.groups, f"exit.{s}") for s, e in exits.items() if e.groups}
        filter_, flat = shop.condition(document.filter.groups, "filter"), _flat(shop, document.exit)
        rules = [feature.name for feature in shop.features if feature.name.startswith("_")]
        return Made(
            features=shop.features,
            outputs=list(dict.fromkeys([*shop.read.values(), *rules])),
            shown=shop.read,
            entries=entries,
            filter=filter_,
            flat=flat,
            exits=made_exits,
            plan=plan,
            stop=stop,
            trail=trail,
            exposure=exposure,
            min_change=min_change,
        )


def put_in(given: Any, values: Mapping[str, Any]) -> Any:
    """Return what a file says with the values of parameters in the place of "$name".

    Raises:
        UsageError: there is no such parameter.
    """
    if isinstance(given, Mapping):
        return {key: put_in(value, values) for key, value in given.items()}
    if isinstance(given, list | tuple):
        return [put_in(value, values) for value in given]
    if not isinstance(given, str) or not given.startswith("$"):
        return given
    if given[1:] not in values:
        raise unknown("parameter", given, [f"${name}" for name in values])
    return values[given[1:]]


def _check_plan(plan: ExitPlan, stop: Level | None, trail: Level | None) -> None:
    """Refuse a plan that says the same twice, or what needs a stop without one."""
    for name, level, percent in (("stop", stop, plan.stop_pct), ("trail", trail, plan.trail_pct)):
        if level is not None and percent is not None:
            raise UsageError(f"{name} and {name}_pct both say where the same price is", hint="leave one of them out")
    if (part := plan.needs_stop()) and stop is None and plan.stop_pct is None and plan.trail_pct is None:
        raise UsageError(f"{part} means nothing without a stop", hint="give the plan a stop_pct, or a stop")


def _flat(shop: Workshop, section: ConditionsSection) -> Group | None:
    return shop.condition(section.groups, "exit") if section.groups else None


def _level(shop: Workshop, name: str, given: Any) -> Level | None:
    """Return the columns of a price for each side: one for both, or { long, short }."""
    if given is None:
        return None
    sides = given if isinstance(given, Mapping) else dict.fromkeys(SIDES, given)
    if set(sides) != set(SIDES) or not all(isinstance(one, str) for one in sides.values()):
        raise UsageError(
            f"{name} = {given!r}, it must name a column, or one for each side",
            hint=f'{name} = {{ long = "swing.last_low", short = "swing.last_high" }}; a distance is {name}_pct',
        )
    return Level(*(shop.column(sides[side]) for side in SIDES))


def _size(shop: Workshop, given: float | str) -> float | str:
    return shop.column(given) if isinstance(given, str) else _number("exposure", given, 0, 1)


def _number(name: str, given: object, least: float, most: float) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not least <= given <= most:
        raise UsageError(f"{name} is {given!r}, it must lie in [{least:g}, {most:g}]")
    return float(given)
