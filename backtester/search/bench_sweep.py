"""What `bt bench sweep` measures: a grid of sma_cross_signal through the account loop, beside a bare compiled loop."""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backtester.config.configs import BacktestConfig
from backtester.config.loading import load_backtest_config
from backtester.core.errors import EngineError, UsageError
from backtester.data.sample import write_sample_lake
from backtester.engine.bench_children import Figures, child, medians, peak_mib
from backtester.engine.signals import signal_frames
from backtester.search.grid import Combination, combinations, parse_grid
from backtester.search.kernel.compiling import can_compile, compiled
from backtester.search.kernel.inputs import wishes_of
from backtester.search.kernel.running import Ground, KernelRuns, Loop, ground_of
from backtester.search.subject import Subject
from backtester.search.trial import NeverStops
from backtester.search.workers import Job, run_jobs
from backtester.strategy.signals import SignalStrategy

_THIS: Final = "backtester.search.bench_sweep"
GRID: Final = ("fast=5:40:5", "slow=50:190:20")
_DAY_CANDLES: Final = 1_440
_ROOM: Final = 262_144
_EVENT_COMBINATIONS: Final = 16


def bench_sweep(candles: int, repeat: int, event_candles: int) -> Figures:
    """Measure in processes of their own; medians over `repeat`.

    Args:
        candles: 1m candles of one symbol.
        repeat: how often.
        event_candles: of the part that runs an event strategy over one process and over two; 0 leaves it out.

    Raises:
        UsageError: Numba is not there.
    """
    if not can_compile():
        raise UsageError("the account loop is only compiled with Numba", hint='pip install "backtester[fast]"')
    with tempfile.TemporaryDirectory(prefix="bt-bench-sweep-") as scratch:
        lake = Path(scratch) / "lake"
        child(_THIS, "lake", str(lake), str(-(-candles // _DAY_CANDLES)))
        child(_THIS, "loop", str(lake), str(candles))  # compiles, and fills the cache on disk
        figures = medians([child(_THIS, "loop", str(lake), str(candles)) for _ in range(repeat)])
        if event_candles:
            figures |= child(_THIS, "event", str(lake), str(event_candles))
    return figures


def _config(lake: str, strategy: str, candles: int) -> BacktestConfig:
    end = np.datetime64("2024-01-01T00:00") + np.timedelta64(candles, "m")
    return load_backtest_config(
        None,
        {
            "run": {"symbols": ["BTCUSDT"], "start": "2024-01-01", "end": f"{end}:00Z"},
            "data": {"dir": lake, "feature_cache_mb": 0},
            "execution": {"participation": 0},
            "fees": {"taker_bps": 1, "maker_bps": 1},  # so that no combination is ruined halfway and then idles
            "strategy": {"name": strategy, "params": {}},
        },
    )


def measure_loop(lake: str, candles: int) -> Figures:
    """Run the grid three ways in this process: all in, the loop alone, and a bare loop over the same targets."""
    subject = Subject(_config(lake, "sma_cross_signal", candles), None)
    grid = list(combinations(parse_grid(GRID)))
    began = time.perf_counter()
    runs = KernelRuns(subject, combinations=len(grid))
    first = runs.run(grid[0])
    if isinstance(first, str):
        raise EngineError(f"the loop did not run: {first}")
    start_s = time.perf_counter() - began
    began = time.perf_counter()
    fills = 0
    for combination in grid:
        found = runs.run(combination)
        if isinstance(found, str):
            raise EngineError(f"the loop did not run: {found}")
        fills += found.n_fills
    all_in = time.perf_counter() - began
    loop_s, bare_s, rows = _loops_alone(subject, grid)
    done = rows * len(grid)
    return {
        "combinations": len(grid),
        "candles": rows,
        "fills": fills,
        "first_s": start_s,
        "all_in_per_s": done / all_in,
        "loop_per_s": done / loop_s,
        "bare_loop_per_s": done / bare_s,
        "share_of_bare_loop": bare_s / loop_s,
        "peak_mib": peak_mib(),
    }


def _loops_alone(subject: Subject, grid: list[Combination]) -> tuple[float, float, int]:
    """Return the seconds of the account loop, and of the bare one, over the targets of a grid; and the candles."""
    loop, bare = Loop(compiles=True), compiled(bare_loop)
    loop_s = bare_s = 0.0
    rows = 0
    ground: Ground | str = ""
    for combination in grid:
        run = subject.prepared(combination.values)
        if isinstance(ground, str) or ground.run.series is not run.series:
            ground = ground_of(run)
        if isinstance(ground, str):
            raise EngineError(ground)
        market, terms = ground.market, ground.terms
        strategy = run.make_strategy(run.sleeves[0])
        assert isinstance(strategy, SignalStrategy)
        _, targets = strategy.evaluated(signal_frames(run, strategy, ground.source), ground.source)
        wishes = wishes_of(strategy, targets)
        if isinstance(wishes, str):
            raise EngineError(wishes)
        fills, daily = np.empty((4, _ROOM), dtype=np.int64), np.zeros(len(market.midnights), dtype=np.int64)
        loop.run(market, wishes, terms, fills, daily)
        began = time.perf_counter()
        loop.run(market, wishes, terms, fills, daily)
        loop_s += time.perf_counter() - began
        given = market.open, market.close, wishes.exposure, terms.cash, terms.slippage, terms.fee_rate, terms.mul
        bare(*given)
        began = time.perf_counter()
        bare(*given)
        bare_s += time.perf_counter() - began
        rows = len(market.close)
    return loop_s, bare_s, rows


def bare_loop(
    opens: NDArray[np.int64],
    closes: NDArray[np.int64],
    exposure: NDArray[np.float64],
    cash: int,
    slippage: int,
    fee_rate: int,
    mul: int,
) -> tuple[int, float]:
    """Hold all or nothing with plain products: what a loop costs that checks nothing. Money in 1e-8."""
    qty, order, peak, worst = 0, 0, float(cash), 0.0
    for i in range(len(closes)):
        if order != 0:
            price = opens[i] + order * (opens[i] * slippage // 100_000_000)
            if order > 0:
                qty = cash // (price * mul + price * mul * fee_rate // 100_000_000 + 1)
            notional = qty * price * mul
            cash -= order * notional + notional * fee_rate // 100_000_000
            qty = qty if order > 0 else 0
            order = 0
        equity = float(cash + qty * closes[i] * mul)
        if equity > peak:
            peak = equity
        elif equity / peak - 1.0 < worst:
            worst = equity / peak - 1.0
        wanted = exposure[i]
        if wanted > 0 and qty == 0:
            order = 1
        elif wanted == 0 and qty > 0:
            order = -1
    return cash, worst


def measure_event(lake: str, candles: int) -> Figures:
    """Run an event strategy over one process and over two."""
    subject = Subject(_config(lake, "sma_cross", candles), None)
    jobs = [Job(one) for one in list(combinations(parse_grid(GRID)))[:_EVENT_COMBINATIONS]]
    seconds = []
    for workers in (1, 2):
        began = time.perf_counter()
        count = len(list(run_jobs(subject, jobs, workers, NeverStops())))
        seconds.append(time.perf_counter() - began)
        if count != len(jobs):
            raise EngineError(f"{count} of {len(jobs)} combinations came back")
    done = candles * len(jobs)
    return {"event_one_per_s": done / seconds[0], "event_two_per_s": done / seconds[1],
            "event_gain": seconds[0] / seconds[1]}  # fmt: skip


def _main(arguments: list[str]) -> Figures:
    match arguments:
        case ["lake", root, days]:
            return {"partitions": len(write_sample_lake(Path(root), days=int(days)))}
        case ["loop", lake, candles]:
            return measure_loop(lake, int(candles))
        case ["event", lake, candles]:
            return measure_event(lake, int(candles))
        case _:
            raise EngineError(f"bench does not know {arguments}")


if __name__ == "__main__":
    figures: dict[str, Any] = _main(sys.argv[1:])
    print(json.dumps(figures))
