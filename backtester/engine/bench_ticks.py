"""What `bt bench ticks` measures: a strategy that hears every trade and quotes both sides, in a process of its own."""

import json
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backtester.config.loading import load_backtest_config
from backtester.core.errors import EngineError
from backtester.core.market import Trade
from backtester.core.numbers import MONEY_EXPONENT, exact_units, fixed
from backtester.core.time import DAY, MINUTE, parse_time
from backtester.data.downloader.rows import CleanRows, Series, rows_of
from backtester.data.downloader.writing import SeriesWriter
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.partition import SYNTHETIC, Source
from backtester.data.schemas import AGG_TRADES, KLINES, Schema
from backtester.engine.bare_tape import run_bare_tape
from backtester.engine.bench_children import Figures, child, medians, peak_mib
from backtester.engine.exchange_setup import exchange_rules
from backtester.engine.feeding import BATCH_ROWS
from backtester.engine.prepare import PreparedRun, prepare
from backtester.engine.run import run_backtest
from backtester.strategy.base import Intents, Strategy, StrategyParams
from backtester.strategy.registry import FoundStrategy

_THIS: Final = "backtester.engine.bench_ticks"
_START: Final = parse_time("2024-01-01")
_SYMBOL: Final = "BTCUSDT"
_SEED: Final = 7
_MEAN_GAP: Final = 20_000  # µs between trades
_PRICE: Final = 400_000  # of the first trade, in tenths
EVERY, AWAY = 1_000, 3  # trades between quotes; how far from the last price they stand, in tenths
QUANTITY: Final = "0.1"
_CASH: Final = 10_000_000


class Requoter(Strategy):
    """Hears every trade; every 1,000 takes back what rests and quotes one bid and one ask around the last price."""

    def on_start(self) -> None:
        """Begin to count."""
        self.heard = 0

    def on_trade(self, trade: Trade) -> Intents:
        """Count, and quote when it is time."""
        self.heard += 1
        if self.heard % EVERY:
            return None
        tenths = round(trade.price * 10)
        name, bid, ask = trade.instrument, Decimal(tenths - AWAY) / 10, Decimal(tenths + AWAY) / 10
        return [
            *self.cancel_all(name),
            self.buy(name, QUANTITY, limit=bid),
            self.sell(name, QUANTITY, limit=ask),
        ]


def bench_ticks(trades: int, repeat: int) -> Figures:
    """Measure trades per second from the first read of the lake to the sealed log, and of a bare loop.

    Args:
        trades: how many; they are synthetic.
        repeat: how often both run; medians are reported.
    """
    with tempfile.TemporaryDirectory(prefix="bt-bench-") as scratch:
        child(_THIS, "lake", scratch, str(trades))
        figures = medians([child(_THIS, "run", scratch) for _ in range(repeat)])
    about = (
        f"a bid and an ask of {QUANTITY}, quoted anew every {EVERY:,} trades, every trade heard; log, risk, equity on"
    )
    return {"strategy": about, **figures, "repeat": repeat}


def write_tape(root: Path, trades: int) -> None:
    """Write synthetic aggTrades of um:BTCUSDT, many of one instant, and the minutes that they make."""
    raw = np.random.PCG64(_SEED).random_raw(3 * trades).reshape(3, trades)
    times = _START + np.cumsum(raw[0] % np.uint64(2 * _MEAN_GAP)).astype(np.int64) // 1000 * 1000  # whole ms
    steps = np.array([-1, 0, 0, 1])[(raw[1] % np.uint64(4)).astype(np.int64)]
    prices = (_PRICE + np.cumsum(steps)) / 10
    quantities = (1 + raw[2] % np.uint64(1000)).astype(np.float64) / 1000
    ids = np.arange(trades)
    columns = {"time": times, "agg_trade_id": ids, "price": prices, "quantity": quantities}
    columns |= {"first_trade_id": ids, "last_trade_id": ids, "is_buyer_maker": (raw[2] >> np.uint64(20)) % 2 == 1}
    days = (times - _START) // DAY
    with ManifestWriter(root) as writer:
        for day in range(int(days[-1]) + 1):
            _write(writer, AGG_TRADES, "", {name: values[days == day] for name, values in columns.items()})
        _write(writer, KLINES, "1m", _minutes(times, prices, quantities))


def _minutes(
    times: NDArray[np.int64], prices: NDArray[np.float64], quantities: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """Return the candles that trades make; every minute between the first and the last has one."""
    minute = (times - _START) // MINUTE
    count = int(minute[-1]) + 1
    starts = np.searchsorted(minute, np.arange(count))
    if len(np.unique(minute)) < count:
        raise EngineError("a minute of the made-up tape has no trade")
    columns: dict[str, NDArray[Any]] = {c.name: c.unknown(count) for c in KLINES.columns}
    columns["open_time"] = _START + np.arange(count, dtype=np.int64) * MINUTE
    columns["open"], columns["close"] = prices[starts], prices[np.append(starts[1:], len(prices)) - 1]
    columns["high"], columns["low"] = np.maximum.reduceat(prices, starts), np.minimum.reduceat(prices, starts)
    columns["volume"] = np.add.reduceat(quantities, starts).round(3)
    return columns


def _write(writer: ManifestWriter, schema: Schema, timeframe: str, columns: dict[str, NDArray[Any]]) -> None:
    series = SeriesWriter(writer, Series("um", schema.kind, _SYMBOL, timeframe))
    series.add(CleanRows(rows_of(schema, columns), {}, Source(f"{SYNTHETIC}ticks-v1")))
    series.stage()
    series.commit()


def measure_ticks(lake: Path) -> Figures:
    """Run the engine and the bare loop over the same trades in this process.

    Raises:
        EngineError: they do not end with the same equity.
    """
    with tempfile.TemporaryDirectory(prefix="bt-bench-") as scratch:
        result = run_backtest(_prepared(lake), Path(scratch))
        if result.error is not None:
            raise result.error
    peak, timings = peak_mib(), result.details["timings"]
    again = _prepared(lake)
    began = time.perf_counter()
    bare = _bare(again)
    bare_seconds = time.perf_counter() - began
    if fixed(bare.final_equity_units, MONEY_EXPONENT) != result.metrics["final_equity"]["value"]:
        raise EngineError(f"the bare loop ends with {bare.final_equity_units}, the engine with something else")
    rate, bare_rate = bare.trades / timings["run_s"], bare.trades / bare_seconds
    return {
        "trades": bare.trades,
        "fills": result.details["counts"]["fills"],
        "log_lines": result.details["log"]["lines"],
        "trades_per_s": rate,
        "tables_s": float(timings["tables_s"]),
        "peak_mib": peak,
        "bare_loop_per_s": bare_rate,
        "share_of_bare_loop": rate / bare_rate,
    }


def _prepared(lake: Path) -> PreparedRun:
    layer = {
        "run": {"market": "um", "symbols": [_SYMBOL]},
        "data": {"dir": str(lake), "feeds": ["aggTrades"]},
        "account": {"initial_cash": _CASH},
        "execution": {"participation": 0},
        "strategy": {"name": "sma_cross"},
    }
    run = prepare(load_backtest_config(None, layer))
    return run.with_strategy(FoundStrategy(Requoter, "requoter", None), StrategyParams())


def _bare(run: PreparedRun) -> Any:
    spec = run.instruments[run.series[0].instrument]
    fees = exchange_rules(run).fees[spec.id].at(run.start)
    names = ("time", "price", "quantity", "is_buyer_maker")
    batches = run.lake.read("um", AGG_TRADES.kind, _SYMBOL, "", run.start, run.end, names=names, batch_rows=BATCH_ROWS)
    cash = exact_units(run.config.account.initial_cash, MONEY_EXPONENT)
    quantity = exact_units(Decimal(QUANTITY), spec.scale.qty)
    away = AWAY * 10**spec.scale.price // 10
    return run_bare_tape(batches, spec, cash, quantity, fees, every=EVERY, away=away, start=run.start)


def _main(arguments: list[str]) -> Figures:
    match arguments:
        case ["lake", root, trades]:
            write_tape(Path(root), int(trades))
            return {"trades": int(trades)}
        case ["run", lake]:
            return measure_ticks(Path(lake))
        case _:
            raise EngineError(f"bench does not know {arguments}")


if __name__ == "__main__":
    print(json.dumps(_main(sys.argv[1:])))
