"""The graph: which feature needs which, in what order, of whose candles; each node is computed once."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from backtester.core.errors import UsageError
from backtester.core.time import timeframe_us
from backtester.strategy.features.cache import ColumnCache, node_key
from backtester.strategy.features.feature import Feature, Reference
from backtester.strategy.features.frame import (
    CANDLE_COLUMNS,
    Frame,
    Source,
    Times,
    Values,
    as_known,
    digest_of_values,
    known_rows,
)


class Node(NamedTuple):
    """A column of somebody's candles: a stored one or a feature."""

    source: Source
    name: str

    def __str__(self) -> str:
        return f"{self.source}/{self.name}"


class FeatureGraph:
    """Features and the columns wanted of them; see `plan_for`.

    outputs: which columns to hand out, as references (`fast`, `30m/trend`); all features unless given.
    """

    def __init__(self, features: Iterable[Feature], outputs: Sequence[str] | None = None) -> None:
        """Name the features.

        Raises:
            UsageError: a name is given twice, or is that of a candle's column.
        """
        self.features: dict[str, Feature] = {}
        for feature in features:
            if feature.name in self.features or feature.name in CANDLE_COLUMNS:
                taken = "a column of every candle" if feature.name in CANDLE_COLUMNS else "given twice"
                raise UsageError(f"the feature name {feature.name!r} is {taken}", hint="name each feature once")
            self.features[feature.name] = feature
        names = tuple(self.features) if outputs is None else tuple(outputs)
        self.outputs = {text: Reference.parse(text) for text in names}

    def plan_for(self, source: Source) -> "Plan":
        """Return what it takes to compute the outputs on the rows of a source.

        Raises:
            UsageError: an input is not known, comes from a shorter timeframe, or features need each other in a circle.
        """
        return Plan(self, source)

    def compute(self, frames: Mapping[Source, Frame], source: Source, cache: ColumnCache | None = None) -> Frame:
        """Return the frame of a source with all outputs as columns; see `Plan.computed`."""
        return self.plan_for(source).computed(frames, cache)


class Plan:
    """The nodes that the outputs need on one source's rows, in an order in which each comes after its inputs."""

    def __init__(self, graph: FeatureGraph, source: Source) -> None:
        self.source = source
        self.features = graph.features
        self.outputs = {text: self._node(reference, source, "the outputs") for text, reference in graph.outputs.items()}
        self.inputs: dict[Node, tuple[Node, ...]] = {}
        for node in self.outputs.values():
            self._collect(node)
        try:
            self.order = tuple(TopologicalSorter(self.inputs).static_order())
        except CycleError as error:
            circle = [str(node) for node in reversed(error.args[1])]
            raise UsageError(
                f"features need each other in a circle: {' needs '.join(circle)}",
                hint="a feature may use what is known before it; break the circle",
            ) from None

    def _collect(self, output: Node) -> None:
        waiting = [output]
        while waiting:
            node = waiting.pop()
            if node in self.inputs:
                continue
            feature = self.features.get(node.name)
            needed = () if feature is None else feature.inputs
            self.inputs[node] = tuple(self._node(reference, node.source, node.name) for reference in needed)
            waiting += reversed(self.inputs[node])

    def _node(self, reference: Reference, at: Source, asked_by: str) -> Node:
        source = Source(reference.instrument or at.instrument, reference.timeframe or at.timeframe)
        name = reference.name
        if name not in self.features and name not in CANDLE_COLUMNS:
            known = ", ".join((*CANDLE_COLUMNS, *self.features))
            raise UsageError(
                f"{asked_by} needs {name!r}, which is no column and no feature", hint=f"there are: {known}"
            )
        own, other = timeframe_us(at.timeframe), timeframe_us(source.timeframe)
        if other < own:
            raise UsageError(
                f"{asked_by} on {at.timeframe} needs {name!r} of {source.timeframe}: a shorter timeframe has many "
                "values a row",
                hint="compute on the shorter one, and refer to the longer one from there",
            )
        return Node(source, name)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Whose candles are needed, the rows' own first, then sorted."""
        others = sorted({node.source for node in self.inputs} - {self.source})
        return (self.source, *others)

    @cached_property
    def warmup(self) -> dict[str, int]:
        """By output, how many rows of the source it takes until there is a value, however these lie on the grid.

        Derived from what each node looks at. A longer candle must first begin, so up to one of them is lost.
        """
        needed: dict[Node, int] = {}
        for node in self.order:
            feature = self.features.get(node.name)
            below = max((self._rows(needed[i], i.source, node.source) for i in self.inputs[node]), default=1)
            needed[node] = below if feature is None else below + feature.own_rows - 1
        return {text: self._rows(needed[node], node.source, self.source) for text, node in self.outputs.items()}

    @staticmethod
    def _rows(rows: int, of: Source, on: Source) -> int:
        """Return how many rows of `on` it takes to have so many of `of`."""
        length, own = timeframe_us(of.timeframe), timeframe_us(on.timeframe)
        if length == own:
            return rows
        ratio = -(-length // own)
        return rows * ratio + ratio - 1

    def computed(self, frames: Mapping[Source, Frame], cache: ColumnCache | None = None) -> Frame:
        """Return the source's frame with the outputs as columns; values of other sources as known at each row.

        Each node is computed once. With a cache, a column whose rule, parameters and input data were met before is
        read instead.

        Raises:
            UsageError: a frame is missing, or a rule failed.
        """
        for source in self.sources:
            if source not in frames:
                raise UsageError(f"the candles of {source} are needed and were not given")
        work = _Computation(self, frames, cache)
        for node in self.order:
            work.compute(node)
        columns = {text: work.seen_from(node, self.source) for text, node in self.outputs.items()}
        return frames[self.source].with_columns(columns)


class _Computation:
    """The columns of one plan over given frames, each computed once, and each joined once to the rows of another."""

    def __init__(self, plan: Plan, frames: Mapping[Source, Frame], cache: ColumnCache | None) -> None:
        self._plan = plan
        self._frames = frames
        self._cache = cache
        self._columns: dict[Node, Values] = {}
        self._joined: dict[tuple[Node, Source], Values] = {}
        self._known: dict[tuple[Source, Source], Times] = {}
        self._names: dict[Node, str] = {}  # what each column is, for the cache: a key, or a digest of its content

    def compute(self, node: Node) -> None:
        """Compute a column whose inputs are there."""
        frame, feature = self._frames[node.source], self._plan.features.get(node.name)
        if feature is None:
            self._columns[node] = frame[node.name]
            return
        inputs = self._plan.inputs[node]
        key, column = None, None
        if self._cache is not None:
            named = [self._name(i, node.source) for i in inputs]
            key = node_key(self._cache, feature, frame.decimals, named)
            column = None if key is None else self._cache.get(key, frame.rows)
        if column is None:
            column = _computed(feature, [self.seen_from(i, node.source) for i in inputs], frame)
            if self._cache is not None and key is not None:
                self._cache.put(key, column)
        if key is not None:
            self._names[node] = key
        column.setflags(write=False)
        self._columns[node] = column

    def seen_from(self, node: Node, at: Source) -> Values:
        """Return a column as it is known at each row of a source."""
        if node.source == at:
            return self._columns[node]
        if (node, at) not in self._joined:
            pair = node.source, at
            if pair not in self._known:
                self._known[pair] = known_rows(self._frames[node.source].times, self._frames[at].times)
            joined = as_known(self._columns[node], self._known[pair])
            joined.setflags(write=False)
            self._joined[node, at] = joined
        return self._joined[node, at]

    def _name(self, node: Node, at: Source) -> str:
        """Return what identifies the content of a column as it is seen from a source."""
        if node not in self._names:
            self._names[node] = digest_of_values(self._columns[node])
        if node.source == at:
            return self._names[node]
        times = (digest_of_values(self._frames[source].times) for source in (node.source, at))
        return "/".join((self._names[node], *times))


def _computed(feature: Feature, given: list[Values], frame: Frame) -> Values:
    try:
        return feature.computed(given, frame.decimals)
    except UsageError:
        raise
    except Exception as error:
        hint = "rules are pure: they return new arrays and change none" if "read-only" in str(error) else ""
        raise UsageError(
            f"the feature {feature.name} of {frame.source} failed: {type(error).__name__}: {error}", hint=hint
        ) from error
