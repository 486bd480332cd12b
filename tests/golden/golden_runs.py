"""The golden runs: what is run, and what of it is remembered."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from backtester.config.configs import BacktestConfig
from backtester.data.sample import write_sample_lake
from backtester.engine.prepare import prepare
from backtester.engine.run import run_backtest

REMEMBERED = Path(__file__).with_name("runs.json")

# On the sample lake, which has the same bytes everywhere. What is not said here is a default: part of the promise.
RUNS: dict[str, dict[str, Any]] = {
    "sma_extended": {
        "run": {"symbols": ["BTCUSDT", "ETHUSDT"]},
        "strategy": {"name": "sma_extended"},
    },
    "sma_cross_15m": {
        "run": {"symbols": ["BTCUSDT"], "timeframe": "15m", "start": "2024-01-15", "end": "2024-03-15"},
        "strategy": {"name": "sma_cross", "params": {"fast": 20, "slow": 50, "equity_pct": "100"}},
        "fees": {"maker_bps": "2", "taker_bps": "5"},
        "slippage": {"bps": "0.5"},
    },
}


def measured(name: str, lake: Path) -> dict[str, Any]:
    """Make a run and return what is remembered of it: digests and headline figures."""
    config = BacktestConfig.model_validate(RUNS[name] | {"data": {"dir": str(lake)}})
    with TemporaryDirectory() as folder:
        result = run_backtest(prepare(config), Path(folder))
    assert result.error is None
    return {
        "digest": result.digest,
        "lines": result.details["log"]["lines"],
        "tables": result.details["tables"],
        "counts": result.details["counts"],
        "final": {key: result.details["final"][key] for key in ("cash", "positions")},
        "metrics": {metric: entry["value"] for metric, entry in result.metrics.items()},
    }


def sample_lake(folder: Path) -> Path:
    """Write the sample lake."""
    write_sample_lake(folder)
    return folder
