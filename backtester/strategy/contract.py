"""What a strategy class must be before it can run, and what it may not return: one clear message for each mistake."""

import difflib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from backtester.core.errors import BacktesterError, StrategyError, UsageError
from backtester.core.events import Event
from backtester.strategy.base import Strategy, StrategyParams
from backtester.strategy.intents import short
from backtester.strategy.signals import SignalStrategy

HOOKS: Final = tuple(name for name in vars(Strategy) if name.startswith("on_"))
_WITHOUT_ARGUMENT: Final = ("on_start", "on_stop")
_CHANGE_HINT: Final = "what a hook is given is read-only: keep what changes in attributes of the strategy"


def checked_class(found: object, where: str) -> type[Strategy]:
    """Return a class that can run as a strategy.

    Args:
        found: what a name led to.
        where: how the user wrote it.

    Raises:
        UsageError: it is no strategy.
        StrategyError: its parameters, its constructor or a hook are not as they must be; the message names the line.
    """
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise UsageError(f"{where} is not a Strategy", hint="a strategy subclasses backtester.strategy.base.Strategy")
    _check_params(found, where)
    _check_constructor(found, where)
    for hook in HOOKS:
        _check_hook(found, hook, where)
    if issubclass(found, SignalStrategy):
        _check_signal(found, where)
    return found


def misspelt_hooks(cls: type[Strategy]) -> list[str]:
    """Return a warning for each method that looks like a hook and is none: nobody ever calls it."""
    found = []
    for base in cls.__mro__:
        if base.__module__.startswith("backtester.") or base is object:
            continue
        for name, value in vars(base).items():
            if not inspect.isfunction(value) or name in HOOKS or not name.lstrip("_").startswith("on"):
                continue
            near = difflib.get_close_matches(name, HOOKS, n=1, cutoff=0.7)
            if near or name.startswith("on_"):
                meant = f"did you mean {near[0]}?" if near else f"the hooks are: {', '.join(HOOKS)}"
                found.append(f"strategy {cls.__name__}: {name}{line_of(value)} is no hook and is never called; {meant}")
    return found


def line_of(function: Any) -> str:
    """Return where a function is defined, in brackets; empty when it is nowhere."""
    code = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__code__", None)
    return f" ({Path(code.co_filename).name}, line {code.co_firstlineno})" if code is not None else ""


def listed_intents(hook: Any, intents: Any) -> Any:
    """Return what a hook returned, which is a list, a tuple or a generator.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(intents, list | tuple | Iterator):  # a set has no order that a run could repeat
        return intents
    name = hook.__name__
    if isinstance(intents, Event):
        raise TypeError(f"{name} returned one {type(intents).__name__}, not a list of intents: return [self.buy(...)]")
    if isinstance(intents, set | frozenset):
        raise TypeError(f"{name} returned a set, not a list of intents: a set has no order that a run could repeat")
    raise TypeError(f"{name} returned {short(intents)}, not a list of intents; return [self.buy(...)] or None")


def in_words(error: BaseException) -> tuple[str, str]:
    """Return what an error of a hook says, in one sentence, and what to do about it."""
    if isinstance(error, BacktesterError):
        return error.message, error.hint
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "frozen_instance":
            return f"parameters cannot be changed in a run: {key} was set to {first['input']!r}", _CHANGE_HINT
        return f"{error.title}: {key}: {first['msg']}", ""
    text = str(error)
    if isinstance(error, AttributeError) and text.startswith("immutable type: "):
        return f"{text.partition(': ')[2]} cannot be changed", _CHANGE_HINT
    if isinstance(error, AttributeError) and text.endswith("has no setter"):
        return f"{type(error).__name__}: {text}", _CHANGE_HINT
    return f"{type(error).__name__}: {text}", ""


def _check_params(cls: type[Strategy], where: str) -> None:
    params: Any = cls.Params
    if not (isinstance(params, type) and issubclass(params, StrategyParams)):
        shown = params.__name__ if isinstance(params, type) else short(params)
        raise StrategyError(
            f"{where}: Params is {shown}, it must be a class of parameters",
            hint=f"class {cls.__name__}Params(StrategyParams): ..., and Params = {cls.__name__}Params",
        )


def _check_constructor(cls: type[Strategy], where: str) -> None:
    try:
        inspect.signature(cls).bind(None)
    except TypeError as error:
        raise StrategyError(
            f"{where}: __init__{line_of(cls.__init__)} must take the parameters and nothing else: {error}",
            hint="def __init__(self, params): super().__init__(params)",
        ) from None


def _check_hook(cls: type[Strategy], hook: str, where: str) -> None:
    function = getattr(cls, hook)
    if function is getattr(Strategy, hook):
        return
    shown = "self" if hook in _WITHOUT_ARGUMENT else f"self, {_argument(hook)}"
    hint = f"def {hook}({shown}): ..."
    if not callable(function):
        raise StrategyError(f"{where}: {hook} is {short(function)}, it must be a method", hint=hint)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise StrategyError(
            f"{where}: {hook}{line_of(function)} is async, and a hook is called and not awaited", hint=hint
        )
    static = isinstance(inspect.getattr_static(cls, hook), staticmethod | classmethod)
    given = [None] * (len(shown.split(", ")) - static)
    try:
        inspect.signature(function).bind(*given)
    except TypeError as error:
        what = "nothing" if hook in _WITHOUT_ARGUMENT else f"the {_argument(hook)} alone"
        raise StrategyError(
            f"{where}: {hook}{line_of(function)} cannot be called with {what}: {error}", hint=hint
        ) from None


def _check_signal(cls: type[SignalStrategy], where: str) -> None:
    for hook in HOOKS:
        function = getattr(cls, hook)
        if hook in vars(SignalStrategy) and function is not getattr(SignalStrategy, hook):
            raise StrategyError(
                f"{where}: {hook}{line_of(function)} would take the place of what executes the signal",
                hint="a signal says all in features, targets and plan; for hooks subclass Strategy",
            )


def _argument(hook: str) -> str:
    return next(reversed(inspect.signature(getattr(Strategy, hook)).parameters))
