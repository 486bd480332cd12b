"""The other face of a graph: one candle at a time, for `on_candle`, with the same values bit for bit."""

from collections import deque
from collections.abc import Callable, Sequence
from math import isnan, nan
from typing import Any

import numpy as np

from backtester.core.errors import UsageError
from backtester.core.market import Candle
from backtester.strategy.features.feature import Feature
from backtester.strategy.features.frame import Source
from backtester.strategy.features.graph import FeatureGraph, Output

_Step = Callable[[list[float]], Sequence[float]]  # one value for each output


class FeatureStream:
    """A graph's outputs for the rows of one source, as its candles and those it refers to are pushed.

    Push what closes at one instant in the engine's order: longer candles first, other instruments before the rows'
    own. A row's values are those known at its close.
    """

    def __init__(self, graph: FeatureGraph, source: Source, *, decimals: dict[str, int] | None = None) -> None:
        """Begin before the first candle; decimals: of prices, by instrument, for rules that need them."""
        self._plan = graph.plan_for(source)
        self._source = source
        self._last: dict[Output, float] = {}
        self._seen: dict[Source, int] = {}
        self._columns: dict[Source, list[tuple[Output, str]]] = {s: [] for s in self._plan.sources}
        self._steps: dict[Source, list[tuple[tuple[Output, ...], tuple[Output, ...], _Step]]] = {
            s: [] for s in self._plan.sources
        }
        for node in self._plan.order:
            feature = self._plan.features.get(node.name)
            if feature is None:
                self._columns[node.source].append((Output(node), node.name))
                self._last[Output(node)] = nan
                continue
            step = _step(feature, (decimals or {}).get(node.source.instrument))
            outputs = tuple(Output(node, name) for name in feature.outputs)
            self._steps[node.source].append((outputs, self._plan.inputs[node], step))
            self._last |= dict.fromkeys(outputs, nan)

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
        for output, name in self._columns[source]:
            last[output] = float(getattr(candle, name))
        for outputs, inputs, step in self._steps[source]:
            last.update(zip(outputs, step([last[i] for i in inputs]), strict=True))
        if source != self._source:
            return None
        return {text: None if isnan(last[output]) else last[output] for text, output in self._plan.outputs.items()}

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
        users = [(node.source, i.node) for node, inputs in self._plan.inputs.items() for i in inputs]
        users += [(self._source, output.node) for output in self._plan.outputs.values()]
        return [(user, str(node)) for user, node in users if node.source == source != user]


def _step(feature: Feature, decimals: int | None) -> _Step:
    return _Recurring(feature, decimals) if feature.is_indicator else _Windowed(feature)


class _Recurring:
    """Updates an indicator row by row; a row without a value of each input is none, as in columns."""

    def __init__(self, feature: Feature, decimals: int | None) -> None:
        self._update = feature.made(decimals).update
        self._nothing = (nan,) * len(feature.outputs)

    def __call__(self, values: list[float]) -> Sequence[float]:
        found = self._update(*values)
        if found is None:
            return self._nothing
        each = found if isinstance(found, tuple) else (found,)
        return [nan if value is None else value for value in each]


class _Windowed:
    """Keeps the rows that a formula looks at, and applies it to them."""

    def __init__(self, feature: Feature) -> None:
        self._feature = feature
        self._rows: deque[list[float]] = deque(maxlen=feature.rows)

    def __call__(self, values: list[float]) -> Sequence[float]:
        if not self._rows and any(isnan(value) for value in values):
            return (nan,)
        self._rows.append(values)
        feature = self._feature
        if len(self._rows) < feature.rows:
            return (nan,)
        given: list[Any] = [np.array(column) for column in zip(*self._rows, strict=True)]
        return (float(feature.checked(feature.rule(*given, **feature.params), feature.rows)[-1]),)
