"""What `bt bench features` measures: columns of features beside pandas, and indicators candle by candle.

Everything is made in memory and measured in one process of its own, so that nothing is warm that is called cold.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import EngineError
from backtester.core.time import parse_time, timeframe_us
from backtester.data.columns import CandleColumns
from backtester.data.resample import derive_candles
from backtester.engine.bare_indicators import WINDOWS, bare_indicators
from backtester.engine.bench_children import Figures, child, medians
from backtester.engine.compiled import compile_indicators
from backtester.strategy.features import FeatureGraph, Frame, Source, candle_frame
from backtester.strategy.indicators.means import Sma
from backtester.strategy.indicators.momentum import Rsi
from backtester.strategy.indicators.ranges import Atr
from backtester.strategy.indicators.recurrence import register_compiler
from backtester.strategy.indicators.smoothing import Ema
from backtester.strategy.structure_mtf import StructureMtf, StructureMtfParams

_THIS: Final = "backtester.engine.bench_features"
_SYMBOL: Final = "spot:MADEUSDT"
_SHORT, _LONG, _DECIMALS = "5m", "30m", 2
_START: Final = parse_time("2017-08-17")
_SEED: Final = 11
_MOST_UPDATES: Final = 200_000
_ROUNDS: Final = 5


def bench_features(rows: int, repeat: int) -> Figures:
    """Measure the features of structure_mtf over synthetic 5m candles beside pandas, and four indicators by updates.

    Args:
        rows: 5m candles.
        repeat: how often all is measured, each time in a new process; medians are reported.

    Raises:
        EngineError: pandas is not installed, or the values differ.
    """
    if find_spec("pandas") is None:
        raise EngineError(
            "bench features compares with pandas, which is not installed", hint="pip install 'backtester[bench]'"
        )
    runs = [child(_THIS, "run", str(rows)) for _ in range(repeat)]
    return {
        "features": f"all of structure_mtf on {_SHORT} candles with those of {_LONG}, made from the same candles",
        "indicators": ", ".join(f"{name} {window}" for name, window in WINDOWS.items()),
        **{name: medians([run[name] for run in runs]) for name in ("frames", "columns", "updates")},
        "repeat": repeat,
    }


def made_up_candles(rows: int) -> CandleColumns:
    """Return synthetic 5m candles in cents, a random walk with wicks, the same each time."""
    raw = np.random.PCG64(_SEED).random_raw(4 * rows).reshape(4, rows)
    close = 1_000_000 + np.cumsum((raw[0] % np.uint64(201)).astype(np.int64) - 100)
    close = np.where(close < 1_000, 2_000 - close, close)  # never below ten
    open_ = np.append(1_000_000, close[:-1])
    high = np.maximum(open_, close) + (raw[1] % np.uint64(80)).astype(np.int64)
    low = np.minimum(open_, close) - (raw[2] % np.uint64(80)).astype(np.int64)
    times = _START + np.arange(rows, dtype=np.int64) * timeframe_us(_SHORT)
    volume = 1.0 + (raw[3] % np.uint64(1000)).astype(np.float64)
    return CandleColumns(times, open_ / 100, high / 100, low / 100, close / 100, volume)


def measure_frames(candles: CandleColumns) -> Figures:
    """Compute the features of structure_mtf, then the same with pandas.

    Raises:
        EngineError: a value differs.
    """
    from backtester.engine.bench_pandas import pandas_features

    cold, found = _timed(lambda: features(candles))
    columns = {"open_time": candles.open_time, "high": candles.high, "low": candles.low, "close": candles.close}
    params = StructureMtfParams()
    judged = pandas_features(columns, params.pivot_candles, _LONG)
    # In turn, and the best of each: what else the machine does slows both.
    pairs = [
        (_timed(lambda: features(candles))[0], _timed(lambda: pandas_features(columns, params.pivot_candles, _LONG))[0])
        for _ in range(_ROUNDS)
    ]
    warm, peer = (min(each) for each in zip(*pairs, strict=True))
    for name, values in judged.items():
        if not np.array_equal(found[name], values, equal_nan=True):
            raise EngineError(f"pandas gives other values of {name}")
    return {
        "rows": len(candles),
        "columns": len(judged),
        "values": int(sum(np.isfinite(values).sum() for values in judged.values())),
        "cold_s": cold,
        "warm_s": warm,
        "pandas_s": peer,
        "ratio": peer / warm,
    }


def features(candles: CandleColumns) -> Frame:
    """Return the frame of structure_mtf: the longer candles are made here, too."""
    strategy = StructureMtf(StructureMtfParams())
    graph = FeatureGraph(strategy.features(), strategy.outputs())
    longer = CandleColumns.concat(
        list(derive_candles(iter([candles]), timeframe_us(_SHORT), timeframe_us(_LONG), start=_START))
    )
    frames = {
        Source(_SYMBOL, timeframe): candle_frame(
            _SYMBOL, timeframe, c.open_time, c.open, c.high, c.low, c.close, c.volume, decimals=_DECIMALS
        )
        for timeframe, c in ((_SHORT, candles), (_LONG, longer))
    }
    return graph.compute(frames, Source(_SYMBOL, _SHORT))


def _indicators() -> dict[str, Any]:
    return {
        "sma": Sma(WINDOWS["sma"], decimals=_DECIMALS),
        "ema": Ema(WINDOWS["ema"]),
        "rsi": Rsi(WINDOWS["rsi"]),
        "atr": Atr(WINDOWS["atr"]),
    }


def indicator_columns(candles: CandleColumns) -> dict[str, NDArray[np.float64]]:
    """Return SMA, EMA, RSI and ATR as columns."""
    return {
        name: made.columns(*[getattr(candles, key) for key in made.inputs])[name]
        for name, made in _indicators().items()
    }


def measure_columns(candles: CandleColumns) -> Figures:
    """Compute SMA, EMA, RSI and ATR as columns: interpreted, and compiled by Numba where it is installed.

    Raises:
        EngineError: compiling changed a value.
    """
    register_compiler(None)
    interpreted, plain = _timed(lambda: indicator_columns(candles))
    figures: Figures = {"rows": len(candles), "interpreted_s": interpreted, "numba": compile_indicators()}
    if figures["numba"]:
        figures["compiled_cold_s"], _ = _timed(lambda: indicator_columns(candles))
        figures["compiled_warm_s"], found = _timed(lambda: indicator_columns(candles))
        register_compiler(None)
        for name, values in plain.items():
            if values.tobytes() != found[name].tobytes():
                raise EngineError(f"compiling changed {name}")
    return figures


def measure_updates(candles: CandleColumns) -> Figures:
    """Update SMA, EMA, RSI and ATR candle by candle, then compute the same in a bare loop.

    Raises:
        EngineError: the last values differ.
    """
    rows = list(zip(candles.high.tolist(), candles.low.tolist(), candles.close.tolist(), strict=True))
    rounds = [(_timed(lambda: _updated(rows)), _timed(lambda: bare_indicators(rows, _DECIMALS))) for _ in range(3)]
    for (_, last), (_, bare) in rounds:
        if last != bare:
            raise EngineError(f"the bare loop ends with {bare}, the indicators with {last}")
    seconds, bare_seconds = (min(taken for taken, _ in each) for each in zip(*rounds, strict=True))
    return {
        "rows": len(rows),
        "us_per_update": seconds / len(rows) * 1e6,
        "bare_loop_us": bare_seconds / len(rows) * 1e6,
        "ratio": bare_seconds / seconds,
    }


def _updated(rows: list[tuple[float, float, float]]) -> tuple[float | None, ...]:
    """Update all four by each row of high, low and close; return the last values."""
    sma, ema, rsi, atr = (made.update for made in _indicators().values())
    last: tuple[float | None, ...] = ()
    for high, low, close in rows:
        last = sma(close), ema(close), rsi(close), atr(high, low, close)
    return last


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()  # of this process alone, all of its threads: on a busy machine, too
    found = work()
    return time.process_time() - began, found


def measure_features(rows: int) -> Figures:
    """Measure all three, the last over at most as many candles as it takes for a steady figure."""
    candles = made_up_candles(rows)
    updated = candles.slice(0, min(rows, _MOST_UPDATES))
    return {
        "frames": measure_frames(candles),
        "columns": measure_columns(candles),
        "updates": measure_updates(updated),
    }


def _main(arguments: list[str]) -> Figures:
    match arguments:
        case ["run", rows]:
            return measure_features(int(rows))
        case _:
            raise EngineError(f"bench does not know {arguments}")


if __name__ == "__main__":
    print(json.dumps(_main(sys.argv[1:])))
