"""Whether the engine is still the engine: its functions before a strategy was there, and after."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any, Final

_PLAIN: Final = (FunctionType, classmethod, staticmethod, property, type)


class Integrity:
    """Remembers every function and class of the engine's loaded modules; tells which were replaced, and puts them back.

    A strategy that is part of the package is left out: its module has state of its own.
    """

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, str, Any]] = []
        for owner, name in _owners():
            for key, value in list(vars(owner).items()):
                if isinstance(value, _PLAIN):
                    self._before.append((owner, name, key, value))

    def replaced(self) -> list[str]:
        """Return the names of what is not what it was."""
        return [f"{name}.{key}" for owner, name, key, value in self._before if vars(owner).get(key) is not value]

    def restore(self) -> None:
        """Put everything back."""
        for owner, _, key, value in self._before:
            if vars(owner).get(key) is not value:
                setattr(owner, key, value)


@contextmanager
def engine_kept() -> Iterator[None]:
    """Leave the engine as it was, whatever strategies do to it."""
    engine = Integrity()
    try:
        yield
    finally:
        engine.restore()


def _owners() -> Iterator[tuple[ModuleType | type, str]]:
    for name, module in list(sys.modules.items()):
        if not name.startswith("backtester.") or module is None:
            continue
        yield module, name
        for cls in list(vars(module).values()):
            if isinstance(cls, type) and cls.__module__ == name:
                yield cls, f"{name}.{cls.__name__}"


def shadowed(components: object) -> list[str]:
    """Return the methods of a run's components that one object has of its own, instead of those of its class.

    components: a tuple of objects.
    """
    found = []
    for component in components if isinstance(components, tuple) else ():
        cls = type(component)
        own: dict[str, Callable[..., Any]] = getattr(component, "__dict__", {})
        found += [f"{cls.__name__}.{key}" for key, value in own.items() if callable(value) and hasattr(cls, key)]
    return found
