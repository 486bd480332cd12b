"""The graph: which feature needs which, in what order, of whose candles; each node is computed once."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from backtester.core.errors import UsageError
from backtester.core.time import timeframe_us
from backtester.strategy.features.cache import ColumnCache, node_key
from backtester.strategy.features.feature import ONLY, Feature, Reference
from backtester.strategy.features.frame import (
    CANDLE_COLUMNS,
    Frame,
    Source,
    Times,
    Values,
    as_known,
    digest_of_values,
    frozen,
    known_counts,
)


class Node(NamedTuple):
    """A column of somebody's candles, or a feature over them."""

    source: Source
    name: str

    def __str__(self) -> str:
        return f"{self.source}/{self.name}"


class Output(NamedTuple):
    """One column of a node."""

    node: Node
    name: str = ONLY


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
        every = [f"{f.name}.{o}" if o else f.name for f in self.features.values() for o in f.outputs]
        self.outputs = {text: Reference.parse(text) for text in (every if outputs is None else outputs)}

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
        self.outputs = {text: self._output(wanted, source, "the outputs") for text, wanted in graph.outputs.items()}
        self.inputs: dict[Node, tuple[Output, ...]] = {}
        for output in self.outputs.values():
            self._collect(output.node)
        nodes = {node: [output.node for output in inputs] for node, inputs in self.inputs.items()}
        try:
            self.order = tuple(TopologicalSorter(nodes).static_order())
        except CycleError as error:
            circle = [str(node) for node in reversed(error.args[1])]
            raise UsageError(
                f"features need each other in a circle: {' needs '.join(circle)}",
                hint="a feature may use what is known before it; break the circle",
            ) from None

    def _collect(self, wanted: Node) -> None:
        waiting = [wanted]
        while waiting:
            node = waiting.pop()
            if node in self.inputs:
                continue
            feature = self.features.get(node.name)
            needed = () if feature is None else feature.inputs
            self.inputs[node] = tuple(self._output(reference, node.source, node.name) for reference in needed)
            waiting += [output.node for output in reversed(self.inputs[node])]

    def _output(self, reference: Reference, at: Source, asked_by: str) -> Output:
        source = Source(reference.instrument or at.instrument, reference.timeframe or at.timeframe)
        name, feature = reference.name, self.features.get(reference.name)
        if feature is None and name not in CANDLE_COLUMNS:
            known = ", ".join((*CANDLE_COLUMNS, *self.features))
            raise UsageError(
                f"{asked_by} needs {name!r}, which is no column and no feature", hint=f"there are: {known}"
            )
        outputs = (ONLY,) if feature is None else feature.outputs
        if reference.output not in outputs:
            named = ", ".join(f"{name}.{output}" if output else name for output in outputs)
            raise UsageError(f"{asked_by} needs {name!r} as {name}.{reference.output}", hint=f"there are: {named}")
        own, other = timeframe_us(at.timeframe), timeframe_us(source.timeframe)
        if other < own:
            raise UsageError(
                f"{asked_by} on {at.timeframe} needs {name!r} of {source.timeframe}: a shorter timeframe has many "
                "values a row",
                hint="compute on the shorter one, and refer to the longer one from there",
            )
        return Output(Node(source, name), reference.output)

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
            below = max((self._rows(needed[i], i.source, node.source) for i, _ in self.inputs[node]), default=1)
            needed[node] = below if feature is None else below + feature.own_rows - 1
        outputs = self.outputs.items()
        return {text: self._rows(needed[node], node.source, self.source) for text, (node, _) in outputs}

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
        columns = {text: work.seen_from(output, self.source) for text, output in self.outputs.items()}
        return frames[self.source].with_columns(columns)


class _Computation:
    """The columns of one plan over given frames, each computed once, and each joined once to the rows of another."""

    def __init__(self, plan: Plan, frames: Mapping[Source, Frame], cache: ColumnCache | None) -> None:
        self._plan = plan
        self._frames = frames
        self._cache = cache
        self._columns: dict[Output, Values] = {}
        self._joined: dict[tuple[Output, Source], Values] = {}
        self._known: dict[tuple[Source, Source], Times] = {}
        self._names: dict[Output, str] = {}  # what each column is, for the cache: a key, or a digest of its content

    def compute(self, node: Node) -> None:
        """Compute the columns of a node whose inputs are there."""
        frame, feature = self._frames[node.source], self._plan.features.get(node.name)
        if feature is None:
            self._columns[Output(node)] = frame[node.name]
            return
        inputs, cache, key = self._plan.inputs[node], self._cache, None
        kept: dict[str, Values | None] = {}
        if cache is not None:
            decimals = frame.decimals if feature.sums_prices else None
            key = node_key(cache, feature, decimals, [self._name(i, node.source) for i in inputs])
        if cache is not None and key is not None:
            self._names |= {Output(node, name): f"{key}.{name}" for name in feature.outputs}
            kept = {name: cache.get(f"{key}.{name}", frame.rows) for name in feature.outputs}
        columns = {name: column for name, column in kept.items() if column is not None}
        if len(columns) < len(feature.outputs):
            columns = _computed(feature, [self.seen_from(i, node.source) for i in inputs], frame)
            if cache is not None and key is not None:
                for name, column in columns.items():
                    cache.put(f"{key}.{name}", column)
        for name, column in columns.items():
            self._columns[Output(node, name)] = frozen(column)

    def seen_from(self, output: Output, at: Source) -> Values:
        """Return a column as it is known at each row of a source."""
        source = output.node.source
        if source == at:
            return self._columns[output]
        if (output, at) not in self._joined:
            if (source, at) not in self._known:
                self._known[source, at] = known_counts(self._frames[source].times, self._frames[at].times)
            self._joined[output, at] = frozen(as_known(self._columns[output], self._known[source, at]))
        return self._joined[output, at]

    def _name(self, output: Output, at: Source) -> str:
        """Return what identifies the content of a column as it is seen from a source."""
        if output not in self._names:
            self._names[output] = digest_of_values(self._columns[output])
        if output.node.source == at:
            return self._names[output]
        times = (digest_of_values(self._frames[source].times) for source in (output.node.source, at))
        return "/".join((self._names[output], *times))


def _computed(feature: Feature, given: list[Values], frame: Frame) -> dict[str, Values]:
    try:
        return feature.computed(given, frame.decimals)
    except UsageError:
        raise
    except Exception as error:
        hint = "rules are pure: they return new arrays and change none" if "read-only" in str(error) else ""
        raise UsageError(
            f"the feature {feature.name} of {frame.source} failed: {type(error).__name__}: {error}", hint=hint
        ) from error
