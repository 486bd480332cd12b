"""The other face of a graph: one candle at a time, for `on_candle`, with the same values bit for bit."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from math import isnan, nan
from typing import Any, NamedTuple

import numpy as np

from backtester.core.errors import UsageError
from backtester.core.market import Candle
from backtester.strategy.features.feature import ONLY, Feature
from backtester.strategy.features.frame import Source
from backtester.strategy.features.graph import FeatureGraph, Node, Output

_Step = Callable[[list[float]], Sequence[float]]  # one value for each output


class Row(NamedTuple):
    """The outputs at one close of the rows' own candles, UTC µs; None where there is no value."""

    time: int
    values: dict[str, float | None]


class FeatureStream:
    """A graph's outputs for the rows of one source, as its candles and those it refers to are pushed.

    Push all candles that a run shows, in its order. A row is complete, and handed out, when what closes with it has
    come: longer candles come before it; for another instrument whose candles come after it the row waits. Where
    that candle is missing the row comes with the first of a later instant, its time says so.
    """

    def __init__(self, graph: FeatureGraph, source: Source, *, decimals: Mapping[str, int] | None = None) -> None:
        """Begin before the first candle; decimals: of prices, by instrument, as the frames of a run have them."""
        self._plan = graph.plan_for(source)
        self._source = source
        self._last: dict[Output, float] = {}
        self._steps: dict[Node, _Step] = {}
        for node in self._plan.order:
            feature = self._plan.features.get(node.name)
            if feature is not None:
                self._steps[node] = _step(feature, (decimals or {}).get(node.source.instrument))
            for name in (ONLY,) if feature is None else feature.outputs:
                self._last[Output(node, name)] = nan
        later = [s for s in self._plan.sources if s.timeframe == source.timeframe and s.instrument > source.instrument]
        self._awaited = frozenset((source, *later))
        self._now = -1
        self._settled = True
        self._arrived: dict[Source, Candle] = {}

    def push(self, candle: Candle) -> list[Row]:
        """Take a candle; return the rows that it completes, at most two, oldest first.

        Candles that the graph does not use are ignored.

        Raises:
            UsageError: it comes out of order, or with the row that uses it already handed out.
        """
        source = Source(candle.instrument, candle.timeframe)
        if source not in self._plan.sources:
            return []
        again = candle.ts == self._now and (self._settled or source in self._arrived)
        if candle.ts < self._now or again:
            raise UsageError(
                f"the {source} candle that closes at {candle.ts} µs comes too late, or twice",
                hint="push the candles of a run in its order, longer ones first",
            )
        rows = self._settle() if candle.ts > self._now else []
        self._now, self._settled = candle.ts, False
        self._arrived[source] = candle
        if self._awaited <= self._arrived.keys():
            rows += self._settle()
        return rows

    def _settle(self) -> list[Row]:
        """Compute, in the order of the graph, what the candles of this instant change."""
        last, arrived = self._last, self._arrived
        for node in self._plan.order if arrived else ():
            candle = arrived.get(node.source)
            if candle is None:
                continue
            step = self._steps.get(node)
            if step is None:
                last[Output(node)] = float(getattr(candle, node.name))
                continue
            found = step([last[i] for i in self._plan.inputs[node]])
            for name, value in zip(self._plan.features[node.name].outputs, found, strict=True):
                last[Output(node, name)] = value
        has_row = self._source in arrived
        self._arrived, self._settled = {}, True
        if not has_row:
            return []
        outputs = self._plan.outputs.items()
        return [Row(self._now, {text: None if isnan(last[one]) else last[one] for text, one in outputs})]


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
