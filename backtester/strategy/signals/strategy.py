"""The base of signal strategies: pure functions of frames, run as event strategies over rows computed before."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, final

from backtester.core.errors import BacktesterError, EngineError, StrategyError
from backtester.core.events import Fill, OrderRejected, OrderUpdate
from backtester.core.market import Candle
from backtester.strategy.base import Intents, Strategy
from backtester.strategy.features.cache import ColumnCache
from backtester.strategy.features.feature import Feature
from backtester.strategy.features.frame import Frame, Source, Times
from backtester.strategy.features.graph import FeatureGraph, Plan
from backtester.strategy.signals.desk import Desk
from backtester.strategy.signals.exits import ExitPlan
from backtester.strategy.signals.targets import Targets


class SignalNeeds(NamedTuple):
    """What a signal asks for before it runs: candles of the run's timeframe before the start, and feeds besides."""

    warmup_candles: int
    feeds: tuple[str, ...]


class SignalStrategy(Strategy):
    """Subclass, declare features, and turn a frame of them into targets.

    `targets` is a pure function: of one instrument's rows, without state, seeing nothing but the frame. It is evaluated
    once for each instrument before the run; what it wants at a row is traded when that row's candle has closed.
    min_change: changes of exposure of an open trade that are smaller are not traded.
    """

    min_change: ClassVar[float] = 0.0

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        self._desks: dict[str, Desk] = {}
        self._primed: dict[str, tuple[Source, Times, Targets]] = {}
        self._timeframe = ""

    # --- what a signal says --------------------------------------------------------------------------------------

    def features(self) -> Sequence[Feature]:
        """Return the features that `targets` and other features use."""
        return ()

    def outputs(self) -> Sequence[str] | None:
        """Return which columns `targets` sees besides those of the candles: ("fast", "30m/trend"); None: all features.

        Features that are only meant for longer candles are left out here and so not computed on the short ones.
        """
        return None

    def targets(self, frame: Frame) -> Targets:
        """Return what to hold at each row of a frame. Row i may depend on the rows up to i alone; `bt check` looks."""
        raise NotImplementedError(f"{type(self).__name__} has no targets")

    @property
    def plan(self) -> ExitPlan:
        """How trades end when their target does not end them."""
        return ExitPlan()

    # --- for the engine and for checks ---------------------------------------------------------------------------

    @cached_property
    def graph(self) -> FeatureGraph:
        """The features as a graph."""
        return FeatureGraph(self.features(), self.outputs())

    def needs(self, timeframe: str) -> SignalNeeds:
        """Return what the features need in a run of a timeframe; derived from them.

        Raises:
            UsageError: the features make no graph, or one needs a timeframe shorter than the run's.
        """
        here = Source("", timeframe)
        plan = self.graph.plan_for(here)
        feeds = [_feed(source) for source in plan.sources if source != here]
        return SignalNeeds(max(plan.warmup.values(), default=0), tuple(feeds))

    def plan_for(self, source: Source) -> Plan:
        """Return how the features of a source's rows are computed, and which candles that takes."""
        return self.graph.plan_for(source)

    def evaluated(
        self, frames: Mapping[Source, Frame], source: Source, cache: ColumnCache | None = None
    ) -> tuple[Frame, Targets]:
        """Return the frame of an instrument with its features, and the targets of its rows.

        Raises:
            UsageError: a frame is missing, or a feature failed.
            StrategyError: `targets` failed, or what it returned is none.
        """
        frame = self.graph.compute(frames, source, cache)
        try:
            found = self.targets(frame)
        except BacktesterError:
            raise
        except Exception as error:
            hint = "frames are read-only: make new arrays" if "read-only" in str(error) else ""
            raise StrategyError(
                f"{type(self).__name__} failed in targets of {source}: {type(error).__name__}: {error}", hint=hint
            ) from error
        if not isinstance(found, Targets):
            raise StrategyError(
                f"{type(self).__name__}.targets returned {type(found).__name__}, it must return Targets"
            )
        if found.stop is None and self.plan.stop_pct is None and self.plan.trail_pct is None:
            part = "trail" if found.trail is not None else self.plan.needs_stop()
            if part:
                raise StrategyError(
                    f"{type(self).__name__}: {part} means nothing without a stop",
                    hint="give the plan stop_pct, or the targets stop",
                )
        return frame, found.checked(frame.rows)

    def prime(self, source: Source, times: Times, targets: Targets) -> None:
        """Give the strategy the rows of one of the run's instruments; called by the engine, before the run.

        times: the closes of the source's candles, µs, one for each row of the targets.
        """
        self._timeframe = source.timeframe
        self._primed[source.instrument] = source, times, targets

    # --- as an event strategy ------------------------------------------------------------------------------------

    @final
    def on_start(self) -> None:
        """Open a desk for each instrument."""
        for instrument in self.instruments:
            primed = self._primed.pop(instrument.id, None)
            if primed is None:
                raise EngineError(f"the rows of {instrument.id} were not computed")
            self._desks[instrument.id] = Desk(self, *primed, plan=self.plan, min_change=self.min_change)

    @final
    def on_candle(self, candle: Candle) -> Intents:
        """Trade the row of a candle; candles of other sources are in the features."""
        if candle.timeframe != self._timeframe:
            return None
        desk = self._desks.get(candle.instrument)
        return None if desk is None else desk.on_candle(candle)

    @final
    def on_fill(self, fill: Fill) -> Intents:
        """Tell the instrument's desk."""
        self._desks[fill.instrument].on_fill(fill)
        return None

    @final
    def on_order_update(self, update: OrderUpdate | OrderRejected) -> Intents:
        """Tell the instrument's desk."""
        self._desks[update.instrument].on_update(update)
        return None


def _feed(source: Source) -> str:
    """Return the feed that brings the candles of a source; without an instrument, those of each that is traded."""
    if not source.instrument:
        return source.timeframe
    return f"{source.instrument}/klines:{source.timeframe}"
