"""The other face of a graph: one candle at a time, for `on_candle`, with the same values bit for bit."""

from collections import deque
from collections.abc import Callable
from math import isnan, nan
from typing import Any

import numpy as np

from backtester.core.errors import UsageError
from backtester.core.market import Candle
from backtester.strategy.features.feature import Feature
from backtester.strategy.features.frame import CANDLE_COLUMNS, Source
from backtester.strategy.features.graph import FeatureGraph, Node

_Step = Callable[[list[float]], float]


class FeatureStream:
    """A graph's outputs for the rows of one source, as its candles and those it refers to are pushed.

    Push what closes at one instant in the engine's order: longer candles first, other instruments before the rows'
    own. A row's values are those known at its close.
    """

    def __init__(self, graph: FeatureGraph, source: Source, *, decimals: dict[str, int] | None = None) -> None:
        """Begin before the first candle; decimals: of prices, by instrument, for rules that need them."""
        self._plan = graph.plan_for(source)
        self._source = source
        self._last: dict[Node, float] = dict.fromkeys(self._plan.order, nan)
        self._seen: dict[Source, int] = {}
        self._steps: dict[Source, list[tuple[Node, tuple[Node, ...], _Step]]] = {s: [] for s in self._plan.sources}
        for node in self._plan.order:
            feature = self._plan.features.get(node.name)
            if feature is not None:
                step = _step(feature, (decimals or {}).get(node.source.instrument))
                self._steps[node.source].append((node, self._plan.inputs[node], step))
        self._columns = {
            s: [(node, node.name) for node in self._plan.order if node.source == s and node.name in CANDLE_COLUMNS]
            for s in self._plan.sources
        }

    def push(self, candle: Candle) -> dict[str, float | None] | None:
        """Take a candle; return the outputs of its row, None where there is no value yet.

        None instead of a row: the candle is of another source, or of none that the graph knows.

        Raises:
            UsageError: it comes after a row at which it was known already, or out of order.
        """
        source = Source(candle.instrument, candle.timeframe)
        if source not in self._steps:
            return None
        self._check_order(source, candle)
        last = self._last
        for node, name in self._columns[source]:
            last[node] = float(getattr(candle, name))
        for node, inputs, step in self._steps[source]:
            last[node] = step([last[i] for i in inputs])
        if source != self._source:
            return None
        return {text: None if isnan(last[node]) else last[node] for text, node in self._plan.outputs.items()}

    def _check_order(self, source: Source, candle: Candle) -> None:
        if candle.ts <= self._seen.get(source, -1):
            raise UsageError(f"the {source} candle that closes at {candle.ts} µs does not come after the one before it")
        for own, inputs in self._after(source):
            if candle.ts <= self._seen.get(own, -1):
                raise UsageError(
                    f"the {source} candle that closes at {candle.ts} µs comes after a {own} row that closes then, "
                    f"and that row uses it ({inputs})",
                    hint="push longer candles and other instruments before the rows' own",
                )
        self._seen[source] = candle.ts

    def _after(self, source: Source) -> list[tuple[Source, str]]:
        """Return the sources whose rows use values of another one."""
        return [
            (node.source, str(i))
            for node, inputs in self._plan.inputs.items()
            for i in inputs
            if i.source == source and node.source != source
        ] + [(self._source, text) for text, n in self._plan.outputs.items() if n.source == source != self._source]


def _step(feature: Feature, decimals: int | None) -> _Step:
    if feature.recurs:
        return _Recurring(feature.made(decimals).update)
    return _Windowed(feature)


class _Recurring:
    """Updates an indicator from the first row at which all inputs have values."""

    def __init__(self, update: Callable[..., float | None]) -> None:
        self._update = update
        self._begun = False

    def __call__(self, values: list[float]) -> float:
        if not self._begun:
            if any(isnan(value) for value in values):
                return nan
            self._begun = True
        found = self._update(*values)
        return nan if found is None else found


class _Windowed:
    """Keeps the rows that a formula looks at, and applies it to them."""

    def __init__(self, feature: Feature) -> None:
        self._feature = feature
        self._rows: deque[list[float]] = deque(maxlen=feature.rows)

    def __call__(self, values: list[float]) -> float:
        if not self._rows and any(isnan(value) for value in values):
            return nan
        self._rows.append(values)
        feature = self._feature
        if len(self._rows) < feature.rows:
            return nan
        given: list[Any] = [np.array(column) for column in zip(*self._rows, strict=True)]
        return float(feature.checked(feature.rule(*given, **feature.params), feature.rows)[-1])
