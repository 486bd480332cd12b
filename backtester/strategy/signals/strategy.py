"""The base of signal strategies: pure functions of frames, run as event strategies over rows computed before."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, final

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

# By instrument, of its rows: the source, the closes of its candles (µs), and a target for each; None: it has no rows.
Rows = Callable[[str], tuple[Source, Times, Targets] | None]


class SignalStrategy(Strategy):
    """Subclass, declare features, and turn a frame of them into targets.

    `targets` is a pure function: of one instrument's rows, without state, seeing nothing but the frame. It is evaluated
    once for each instrument before the run; what it wants at a row is traded when that row's candle has closed.
    min_change: changes of exposure of an open trade that are smaller are not traded.
    """

    min_change: float = 0.0

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        self._desks: dict[str, Desk] = {}
        self._rows: Rows | None = None
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

    def decide_on(self, timeframe: str) -> None:
        """Say in which timeframe the rows are; called by the engine, before it asks for anything."""
        self._timeframe = timeframe

    @property
    def warmup_candles(self) -> int:
        """How many candles the features need, derived from them."""
        return max(self._needed.warmup.values(), default=0)

    @property
    def feeds(self) -> tuple[str, ...]:
        """The longer candles and other instruments that the features use."""
        plan = self._needed
        return tuple(_feed(source) for source in plan.sources if source != plan.source)

    @property
    def _needed(self) -> Plan:
        """The plan of any instrument.

        Raises:
            UsageError: the features make no graph, or one needs a timeframe shorter than the run's.
        """
        if not self._timeframe:
            raise EngineError("a signal is asked what it needs before it knows the timeframe of its rows")
        return self.graph.plan_for(Source("", self._timeframe))

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
            has_trail = found.trail is not None or found.trail_short is not None
            part = "trail" if has_trail else self.plan.needs_stop()
            if part:
                raise StrategyError(
                    f"{type(self).__name__}: {part} means nothing without a stop",
                    hint="give the plan stop_pct, or the targets stop",
                )
        return frame, found.checked(frame.rows)

    def rows_from(self, rows: Rows) -> None:
        """Say who computes the rows of an instrument; called by the engine, before the run begins."""
        self._rows = rows

    # --- as an event strategy ------------------------------------------------------------------------------------

    @final
    def on_start(self) -> None:
        """Compute the rows of each instrument and open a desk for it."""
        if self._rows is None:
            raise EngineError("a signal runs without anybody who computes its rows")
        for instrument in self.instruments:
            rows = self._rows(instrument.id)
            if rows is not None:
                self._desks[instrument.id] = Desk(self, *rows, plan=self.plan, min_change=self.min_change)

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
