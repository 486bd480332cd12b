"""What `bt bench engine` measures. Every figure comes from a process of its own."""

import json
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

from backtester.config.loading import load_backtest_config
from backtester.core.errors import EngineError
from backtester.core.numbers import MONEY_EXPONENT, exact_units, fixed
from backtester.data.sample import write_sample_lake
from backtester.engine.bare_loop import run_bare_loop
from backtester.engine.bench_children import Figures, child, medians, peak_mib
from backtester.engine.exchange_setup import exchange_rules
from backtester.engine.feeding import BATCH_ROWS
from backtester.engine.prepare import PreparedRun, prepare
from backtester.engine.run import run_backtest

_THIS = "backtester.engine.bench"
_CANDLES_A_DAY = 1440
_SYMBOLS = ("BTCUSDT", "ETHUSDT")
FAST, SLOW = 50, 200
QUANTITY = "0.01"
_CASH = 1_000_000  # so much that costs never end the trading


def bench_engine(candles: int, repeat: int) -> Figures:
    """Measure sma_cross on synthetic 1m candles read from a lake: one symbol, two symbols, and four times the history.

    Args:
        candles: per symbol; rounded up to whole days.
        repeat: how often each case runs; medians are reported.
    """
    days = -(-candles // _CANDLES_A_DAY)
    with tempfile.TemporaryDirectory(prefix="bt-bench-") as scratch:
        short, long = Path(scratch, "short"), Path(scratch, "long")
        child(_THIS, "lake", str(short), str(days))
        child(_THIS, "lake", str(long), str(4 * days))
        cases = {
            "one symbol": (short, _SYMBOLS[:1]),
            "two symbols": (short, _SYMBOLS),
            "one symbol, 4x candles": (long, _SYMBOLS[:1]),
        }
        # In turn, so that a machine whose speed drifts is unfair to nobody.
        runs = [
            {name: child(_THIS, "engine", str(lake), *symbols) for name, (lake, symbols) in cases.items()}
            for _ in range(repeat)
        ]
    figures = {name: medians([run[name] for run in runs]) for name in cases}
    one, four = figures["one symbol"], figures["one symbol, 4x candles"]
    return {
        "strategy": f"sma_cross fast={FAST} slow={SLOW}, quantity {QUANTITY}, log, risk and equity on",
        "cases": figures,
        "two_symbols_cost_per_candle": _ratio(runs, "one symbol", "two symbols", "candles_per_s"),
        "memory_4x": round(four["peak_mib"] / one["peak_mib"], 3),
        "repeat": repeat,
    }


def _ratio(runs: list[dict[str, Figures]], a: str, b: str, key: str) -> float:
    """Return the median over runs of a's figure divided by b's of the same round."""
    return round(float(median(run[a][key] / run[b][key] for run in runs)), 3)


def measure_engine(lake: Path, symbols: list[str]) -> Figures:
    """Run the engine and the bare loop over the same candles in this process."""
    run = _prepared(lake, symbols)
    with tempfile.TemporaryDirectory(prefix="bt-bench-") as scratch:
        result = run_backtest(run, Path(scratch))
    peak = peak_mib()
    timings = result.details["timings"]
    again = _prepared(lake, symbols)
    began = time.perf_counter()
    bare = [_bare(again, index) for index in range(len(symbols))]
    bare_seconds = time.perf_counter() - began
    if (
        len(symbols) == 1
        and fixed(bare[0].final_equity_units, MONEY_EXPONENT) != result.metrics["final_equity"]["value"]
    ):
        raise EngineError(f"the bare loop ends with {bare[0].final_equity_units}, the engine with something else")
    candles = sum(b.candles for b in bare)
    rate, bare_rate = candles / timings["run_s"], candles / bare_seconds
    return {
        "candles": candles,
        "fills": result.details["counts"]["fills"],
        "log_lines": result.details["log"]["lines"],
        "candles_per_s": rate,
        "tables_s": float(timings["tables_s"]),
        "peak_mib": peak,
        "bare_loop_per_s": bare_rate,
        "share_of_bare_loop": rate / bare_rate,
    }


def _prepared(lake: Path, symbols: list[str]) -> PreparedRun:
    layer = {
        "run": {"symbols": symbols},
        "data": {"dir": str(lake)},
        "account": {"initial_cash": _CASH},
        "strategy": {"name": "sma_cross", "params": {"fast": FAST, "slow": SLOW, "quantity": QUANTITY}},
    }
    return prepare(load_backtest_config(None, layer))


def _bare(run: PreparedRun, index: int) -> Any:
    item, spec = run.series[index], run.instruments[run.series[index].instrument]
    rules = exchange_rules(run)
    fees = rules.fees[spec.id].at(run.start)
    batches = run.lake.read_candles(item.market, item.symbol, item.stored_timeframe, run.start, run.end, BATCH_ROWS)
    cash = exact_units(run.config.account.initial_cash, MONEY_EXPONENT)
    quantity = exact_units(Decimal(QUANTITY), spec.scale.qty)
    return run_bare_loop(batches, spec, cash, quantity, fees, rules.slippage, fast=FAST, slow=SLOW)


def _main(arguments: list[str]) -> Figures:
    match arguments:
        case ["lake", root, days]:
            partitions = write_sample_lake(Path(root), days=int(days))
            return {"partitions": len(partitions)}
        case ["engine", lake, *symbols]:
            return measure_engine(Path(lake), symbols)
        case _:
            raise EngineError(f"bench does not know {arguments}")


if __name__ == "__main__":
    print(json.dumps(_main(sys.argv[1:])))
