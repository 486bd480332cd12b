"""What `bt bench margin` measures: what it costs to watch over cross margin, candle by candle."""

import json
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from backtester.config.loading import load_backtest_config
from backtester.core.errors import EngineError
from backtester.data.downloader.rows import CleanRows, Series, rows_of
from backtester.data.downloader.writing import SeriesWriter
from backtester.data.lake import Lake
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.partition import Source
from backtester.data.sample import SAMPLE_SOURCE, write_sample_lake
from backtester.data.schemas import KLINES
from backtester.engine.bench_children import Figures, child, medians, peak_mib
from backtester.engine.prepare import prepare
from backtester.engine.run import run_backtest

_THIS = "backtester.engine.bench_margin"
_CANDLES_A_DAY = 1440
_COINS = 10
_CASH = 1_000_000  # so much that costs never end the trading
_PARAMS = {"fast": 50, "slow": 200, "quantity": "0.01"}


def bench_margin(candles: int, repeat: int) -> Figures:
    """Measure sma_cross on ten symbols of synthetic 1m candles: as spot, and as futures with 5x cross margin.

    Args:
        candles: per symbol; rounded up to whole days.
        repeat: how often each case runs; medians are reported.
    """
    with tempfile.TemporaryDirectory(prefix="bt-bench-") as scratch:
        child(_THIS, "lake", scratch, str(-(-candles // _CANDLES_A_DAY)))
        # In turn, so that a machine whose speed drifts is unfair to nobody.
        runs = [{market: child(_THIS, "run", scratch, market) for market in ("spot", "um")} for _ in range(repeat)]
    return {
        "strategy": f"sma_cross fast={_PARAMS['fast']} slow={_PARAMS['slow']} on {_COINS} symbols, "
        "spot against futures with 5x cross margin",
        "cases": {market: medians([run[market] for run in runs]) for market in ("spot", "um")},
        "ratio": round(float(median(run["um"]["candles_per_s"] / run["spot"]["candles_per_s"] for run in runs)), 3),
        "repeat": repeat,
    }


def _symbols() -> list[str]:
    return [f"MADE{n}USDT" for n in range(_COINS)]


def _write_lake(root: Path, days: int) -> int:
    """Write the two sample coins, and of them ten of other names, each some minutes later than the one before."""
    write_sample_lake(root, days=days)
    lake = Lake(root)
    names = [column.name for column in KLINES.columns]
    sources = [
        {name: np.concatenate([b[name] for b in batches]) for name in names}
        for batches in (list(lake.read("spot", KLINES.kind, s, "1m", 0, 2**62)) for s in ("BTCUSDT", "ETHUSDT"))
    ]
    written = 0
    with ManifestWriter(root) as writer:
        for n, symbol in enumerate(_symbols()):
            made = {
                name: column if name == KLINES.key else np.roll(column, 37 * n)
                for name, column in sources[n % 2].items()
            }
            for market in ("spot", "um"):
                series = SeriesWriter(writer, Series(market, KLINES.kind, symbol, "1m"))
                series.add(CleanRows(rows_of(KLINES, made), {}, Source(SAMPLE_SOURCE)))
                series.stage()
                series.commit()
                written += len(series.staged)
    return written


def _measure(lake: Path, market: str) -> Figures:
    layer = {
        "run": {"symbols": _symbols(), "market": market},
        "data": {"dir": str(lake)},
        "account": {"initial_cash": _CASH},
        "futures": {"leverage": 5, "margin_mode": "cross"} if market == "um" else {},
        "strategy": {"name": "sma_cross", "params": _PARAMS},
    }
    run = prepare(load_backtest_config(None, layer))
    candles = _COINS * (run.end - run.start) // run.timeframe_us
    with tempfile.TemporaryDirectory(prefix="bt-bench-") as scratch:
        details = run_backtest(run, Path(scratch)).details
    return {
        "candles": candles,
        "fills": details["counts"]["fills"],
        "candles_per_s": candles / details["timings"]["run_s"],
        "peak_mib": peak_mib(),
    }


def _main(arguments: list[str]) -> Figures:
    match arguments:
        case ["lake", root, days]:
            return {"partitions": _write_lake(Path(root), int(days))}
        case ["run", lake, market]:
            return _measure(Path(lake), market)
        case _:
            raise EngineError(f"bench does not know {arguments}")


if __name__ == "__main__":
    print(json.dumps(_main(sys.argv[1:])))
