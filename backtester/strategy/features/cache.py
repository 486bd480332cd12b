"""Which columns are the same: a key from rule, parameters and input data, for a store that somebody else keeps."""

import inspect
import sys
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from types import CodeType
from typing import Any, Protocol

from backtester.strategy.features.feature import Feature
from backtester.strategy.features.frame import Values

_PLAIN = (str, int, float, bool, type(None))


class ColumnCache(Protocol):
    """Columns by key; may forget any of them at any time.

    code: a digest of all sources that take part besides a rule's own module: the engine's and the strategy's.
    """

    @property
    def code(self) -> str:
        """The digest of the sources."""
        ...

    def get(self, key: str, rows: int) -> Values | None:
        """Return the column of so many rows, or None."""
        ...

    def put(self, key: str, column: Values) -> None:
        """Keep a column."""
        ...


def node_key(cache: ColumnCache, feature: Feature, decimals: int | None, inputs: Sequence[str]) -> str | None:
    """Return a digest of all that decides a column; None when a part of it cannot be named: then it is not kept."""
    source = rule_digest(feature.rule)
    params = sorted(feature.params.items())
    if source is None or not all(isinstance(value, _PLAIN) for _, value in params):
        return None
    shown = (cache.code, source, feature.rows, params, decimals, tuple(inputs))
    return blake2b(repr(shown).encode(), digest_size=16).hexdigest()


def rule_digest(rule: Any) -> str | None:
    """Return a digest of a rule's code, its module's source and the plain values it closes over; None if it has others.

    What a rule reads from elsewhere while it runs is not in it: a rule is pure.
    """
    module = _module_source(getattr(rule, "__module__", "") or "")
    name = getattr(rule, "__qualname__", None)
    if module is None or name is None:
        return None
    parts: list[Any] = [module, name]
    if not isinstance(rule, type):
        function = inspect.unwrap(rule)
        code = getattr(function, "__code__", None)
        if code is None:
            return None
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        if not all(isinstance(value, _PLAIN) for value in (*cells, *defaults)):
            return None
        parts += [_code(code), cells, defaults]
    return blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _code(code: CodeType) -> tuple[Any, ...]:
    """Return a function's code without addresses: two lambdas of one line differ here."""
    constants = [_code(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return code.co_code.hex(), constants, code.co_names, code.co_varnames


@lru_cache(maxsize=256)
def _module_source(name: str) -> str | None:
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None or not file.endswith(".py"):
        return None
    try:
        return blake2b(Path(file).read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return None
