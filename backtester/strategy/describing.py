"""What can be said of a strategy before it runs: parameters, feeds, warm-up, exits; for lists, docs and machines."""

import inspect
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from backtester.core.errors import BacktesterError
from backtester.strategy.base import Strategy, StrategyParams
from backtester.strategy.contract import HOOKS
from backtester.strategy.params import Parameter, parameters_of
from backtester.strategy.registry import BUILT_IN, ENTRY_POINT_GROUP, FoundStrategy, find_strategy, strategy_names
from backtester.strategy.signals import SignalStrategy


class Listed(NamedTuple):
    """A name in the list: where it leads, its sentence; or what is wrong with it."""

    name: str
    target: str
    origin: str
    about: str
    error: str


class Described(NamedTuple):
    """A strategy, with the defaults of its parameters.

    kind: event, signal or composed. exits: of a signal, what is not as usual in its plan, else None. error: why feeds,
    warm-up and exits could not be asked for.
    """

    name: str
    target: str
    kind: str
    about: str
    text: str
    params: list[Parameter]
    feeds: tuple[str, ...]
    warmup_candles: int | None
    exits: dict[str, Any] | None
    hooks: list[str]
    error: str


def listed() -> list[Listed]:
    """Return every registered name; a package that is broken is in the list, with what is wrong."""
    packages = {point.name: getattr(point.dist, "name", "") for point in entry_points(group=ENTRY_POINT_GROUP)}
    found = []
    for name, target in strategy_names().items():
        origin = "built in" if name in BUILT_IN else packages.get(name) or "entry point"
        try:
            about, error = about_of(find_strategy(name).cls), ""
        except BacktesterError as failure:
            about, error = "", failure.message
        found.append(Listed(name, target, origin, about, error))
    return found


def about_of(cls: type[Strategy]) -> str:
    """Return the first sentence or paragraph of a strategy's docstring, on one line; empty without one of its own."""
    text = inspect.cleandoc(cls.__doc__ or "")
    return " ".join(text.split("\n\n")[0].split())


def described(found: FoundStrategy, timeframe: str) -> Described:
    """Return what can be said of a strategy, on candles of a timeframe."""
    cls = found.cls
    feeds: tuple[str, ...] = ()
    warmup, exits, error = None, None, ""
    try:
        strategy = cls(cls.Params())
        if isinstance(strategy, SignalStrategy):
            strategy.decide_on(timeframe)
            exits = strategy.plan.model_dump(exclude_defaults=True)
        feeds, warmup = tuple(strategy.feeds), int(strategy.warmup_candles)
    except BacktesterError as failure:
        error = failure.message
    except Exception as failure:  # a user's code: whatever it is, the rest can be shown
        error = f"{type(failure).__name__}: {failure}"
    kind = "signal" if issubclass(cls, SignalStrategy) else "event"
    return Described(
        name=found.name,
        target=str(found.file) if found.file else f"{cls.__module__}:{cls.__qualname__}",
        kind="composed" if found.is_composed else kind,
        about=about_of(cls),
        text=inspect.cleandoc(cls.__doc__ or ""),
        params=parameters_of(cls.Params) if issubclass(cls.Params, StrategyParams) else [],
        feeds=feeds,
        warmup_candles=warmup,
        exits=exits,
        hooks=[name for name in HOOKS if getattr(cls, name) is not getattr(Strategy, name)],
        error=error,
    )
