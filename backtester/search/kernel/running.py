"""Combinations of a signal through the account loop: features once, targets as arrays, the loop without a lock."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import BacktesterError
from backtester.core.instruments import InstrumentId
from backtester.engine.compiled import compile_indicators
from backtester.engine.prepare import PreparedRun
from backtester.engine.signals import signal_frames
from backtester.search.grid import Combination
from backtester.search.kernel.compiling import can_compile, compiled
from backtester.search.kernel.inputs import market_of, terms_of_run, uncovered, wishes_of
from backtester.search.kernel.loop import run_account
from backtester.search.kernel.state import BAILS, FULL, LARGE, Market, Summary, Terms, Wishes
from backtester.search.outcome import FillRow, FillsDigest, Outcome, Trades, outcome_of
from backtester.search.subject import Subject
from backtester.strategy.features.frame import Frame, Source
from backtester.strategy.signals import SignalStrategy, Targets

_ROOM: Final = 16_384
_GROWTH: Final = 8
_CACHE_BYTES: Final = 256_000_000
_GROUND_ROWS: Final = 2_000_000  # of candles in memory, about 150 bytes each
_COMPILED_INDICATORS_FROM: Final = 500_000  # rows in all; below, interpreting them takes less time than compiling


class Ground(NamedTuple):
    """What combinations that need the same of the lake share. frames: of every source."""

    run: PreparedRun
    instrument: InstrumentId
    source: Source
    market: Market
    terms: Terms
    frames: dict[Source, Frame]


class Columns:
    """Features computed before, in memory: those that were not used for longest go."""

    code = "one process, one source"

    def __init__(self, max_bytes: int = _CACHE_BYTES) -> None:
        self._kept: OrderedDict[str, NDArray[np.float64]] = OrderedDict()
        self._left = max_bytes
        self._lock = threading.Lock()

    def get(self, key: str, rows: int) -> NDArray[np.float64] | None:
        """Return the column of a key, or None."""
        with self._lock:
            column = self._kept.get(key)
            if column is None or len(column) != rows:
                return None
            self._kept.move_to_end(key)
            return column

    def put(self, key: str, column: NDArray[np.float64]) -> None:
        """Keep a column."""
        with self._lock:
            before = self._kept.pop(key, None)
            self._left += 0 if before is None else before.nbytes
            self._kept[key] = column
            self._left -= column.nbytes
            while self._left < 0 and self._kept:
                self._left += self._kept.popitem(last=False)[1].nbytes


class KernelRuns:
    """Runs combinations of one subject; threads may share it."""

    def __init__(self, subject: Subject, *, combinations: int = 1) -> None:
        """combinations: how many will come, by which it is judged what is worth compiling."""
        self._subject = subject
        self._combinations = combinations
        self._loop = Loop(compiles=can_compile())
        self._grounds: OrderedDict[str, Ground | str] = OrderedDict()
        self._lock = threading.Lock()
        self._columns = Columns()

    def run(self, combination: Combination) -> Outcome | str:
        """Return what a combination came to; or why the event engine has to run it."""
        found = self._found(combination, keep_fills=False)
        return found if isinstance(found, str) else found[0]

    def fills_of(self, combination: Combination) -> tuple[Outcome, list[FillRow]] | str:
        """Return what a combination came to, and its fills; or why the event engine has to run it."""
        return self._found(combination, keep_fills=True)

    def _found(self, combination: Combination, *, keep_fills: bool) -> tuple[Outcome, list[FillRow]] | str:
        try:
            ground = self._ground(combination)
            if isinstance(ground, str):
                return ground
            run = self._subject.prepared(combination.values)
            strategy = run.make_strategy(run.sleeves[0])
            assert isinstance(strategy, SignalStrategy)
            _, targets = strategy.evaluated(ground.frames, ground.source, self._columns)
        except BacktesterError as error:  # it fails in the event engine, too, which says how
            return f"it failed before it began: {error.message}"
        return self._loop.through(ground, strategy, targets, combination, keep_fills=keep_fills)

    def _ground(self, combination: Combination) -> Ground | str:
        """Return what the combinations that need the same of the lake share, made once."""
        run = self._subject.prepared(combination.values)
        key = repr((run.series, run.feeds))
        with self._lock:
            found = self._grounds.get(key)
            if found is None:
                found = self._grounds[key] = ground_of(run)
                if not isinstance(found, str):
                    self._compile_indicators(sum(frame.rows for frame in found.frames.values()))
                    while len(self._grounds) > max(1, _GROUND_ROWS // len(found.market.close)):
                        self._grounds.popitem(last=False)
            self._grounds.move_to_end(key)
        return found

    def ordered(self, todo: Sequence[Combination]) -> list[Combination]:
        """Return combinations with those together that need the same of the lake, so that it is read once for them."""

        def needs(combination: Combination) -> str:
            try:
                run = self._subject.prepared(combination.values)
            except BacktesterError:
                return ""
            return repr((run.series, run.feeds))

        return sorted(todo, key=needs)

    def _compile_indicators(self, rows: int) -> None:
        """Compile the recurrences of indicators where there is enough to compute."""
        if self._loop.compiles and rows * self._combinations >= _COMPILED_INDICATORS_FROM:
            compile_indicators()


def ground_of(run: PreparedRun) -> Ground | str:
    """Return what combinations share that need the same of the lake as this one; or why the loop cannot run them."""
    why = uncovered(run)
    if why:
        return why
    (instrument,) = run.instruments
    source = Source(str(instrument), run.config.run.timeframe)
    strategy = run.make_strategy(run.sleeves[0])
    assert isinstance(strategy, SignalStrategy)
    frames = signal_frames(run, strategy, source)
    market = market_of(run, frames[source].times)
    if isinstance(market, str):
        return market
    return Ground(run, instrument, source, market, terms_of_run(run), frames)


class Loop:
    """The account loop, compiled where Numba is there, else interpreted: equal results."""

    def __init__(self, *, compiles: bool) -> None:
        self.compiles = compiles
        self._loop: Any = compiled(run_account) if compiles else run_account

    def through(
        self,
        ground: Ground,
        strategy: SignalStrategy,
        targets: Targets,
        combination: Combination,
        *,
        keep_fills: bool = True,
    ) -> tuple[Outcome, list[FillRow]] | str:
        """Return what checked targets come to, and every fill if kept; or why the event engine has to find it."""
        wishes = wishes_of(strategy, targets)
        if isinstance(wishes, str):
            return wishes
        market, room = ground.market, _ROOM
        daily = np.zeros(len(market.midnights), dtype=np.int64)
        while True:
            fills: Any = np.empty((4, room), dtype=np.int64)
            summary = self.run(market, wishes, ground.terms, fills, daily)
            if summary.code != FULL:
                break
            room *= _GROWTH
        if summary.code:
            return BAILS[summary.code]
        columns = fills[:, : summary.n_fills]
        digest = FillsDigest(ground.run.instruments)
        digest.add_columns(str(ground.instrument), columns)
        kept = columns.T.tolist() if keep_fills else []
        rows = [FillRow(ts, str(ground.instrument), *numbers) for ts, *numbers in kept]
        return _outcome(combination, ground, summary, daily, digest), rows

    def run(
        self, market: Market, wishes: Wishes, terms: Terms, fills: NDArray[np.int64], daily: NDArray[np.int64]
    ) -> Summary:
        """Run the loop itself; see `run_account`."""
        used = np.zeros(wishes.tags, dtype=np.int64)
        try:
            if self.compiles:
                return Summary(*self._loop(market, wishes, terms, used, fills, daily))
            return run_account(_listed(market), _listed(wishes), terms, used.tolist(), fills, daily)
        except OverflowError:
            return Summary(LARGE, -1, 0, 0, 0.0, 0, 0, 0, 0, 0, 0, 0, 0)


def _outcome(
    combination: Combination, ground: Ground, summary: Summary, daily: NDArray[np.int64], digest: FillsDigest
) -> Outcome:
    return outcome_of(
        combination.number,
        combination.values,
        engine="kernel",
        bail="",
        first_units=ground.terms.cash,
        last_units=int(summary.final_equity),
        max_drawdown=float(summary.max_drawdown),
        daily=daily,
        trades=Trades(
            n_trades=int(summary.n_trades),
            n_wins=int(summary.n_wins),
            n_losses=int(summary.n_losses),
            won_units=int(summary.won),
            lost_units=int(summary.lost),
            n_open=int(summary.n_open),
        ),
        fees_units=int(summary.fees),
        funding_units=int(summary.funding),
        n_fills=digest.n_fills,
        fills_digest=digest.hexdigest(),
    )


def _listed(columns: Any) -> Any:
    """Return a tuple of arrays as one of lists: interpreted code is faster over Python's own numbers."""
    return type(columns)(*(c.tolist() if isinstance(c, np.ndarray) else c for c in columns))
