"""The golden runs: what is run, and what of it is remembered."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from backtester.config.configs import BacktestConfig
from backtester.data.sample import write_sample_lake
from backtester.engine.prepare import prepare
from backtester.engine.run import run_backtest
from tests.support.real import import_real

REMEMBERED = Path(__file__).with_name("runs.json")
REMEMBERED_REAL = Path(__file__).with_name("real.json")

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

# On a month of real candles of a future, for who has them: what each shipped strategy decides there.
_ON_FIL = {"run": {"market": "um", "symbols": ["FILUSDT"], "timeframe": "5m"}, "data": {"gap_policy": "continue"}}
_SIGNALS = ("buy_and_hold", "ema_regime", "mean_reversion", "structure_mtf", "trend_following")
REAL_RUNS: dict[str, dict[str, Any]] = {name: _ON_FIL | {"strategy": {"name": name}} for name in _SIGNALS}
REAL_RUNS["structure_mtf_sized"] = REAL_RUNS["structure_mtf"] | {"sizing": {"model": "risk_per_trade", "percent": 1}}

# Figures that come of + − × ÷ and square roots alone: they have the same bits on every machine.
FIGURES = (
    *("initial_equity", "final_equity", "net_pnl", "realised_pnl", "fees", "funding", "slippage", "cost_share"),
    *("total_return", "volatility", "sharpe", "sortino", "max_drawdown", "exposure_time", "turnover_annual", "beta"),
    *("n_trades", "n_wins", "n_losses", "n_even", "n_open", "win_rate", "profit_factor", "expectancy_r"),
)


def measured(name: str, lake: Path) -> dict[str, Any]:
    """Make a run and return what is remembered of it: digests and headline figures."""
    run = RUNS.get(name) or REAL_RUNS[name]
    config = BacktestConfig.model_validate(run | {"data": {**run.get("data", {}), "dir": str(lake)}})
    with TemporaryDirectory() as folder:
        result = run_backtest(prepare(config), Path(folder))
    assert result.error is None
    return {
        "digest": result.digest,
        "lines": result.details["log"]["lines"],
        "tables": result.details["tables"],
        "counts": result.details["counts"],
        "final": {key: result.details["final"][key] for key in ("cash", "positions")},
        "metrics": {name: result.metrics[name]["value"] for name in FIGURES if name in result.metrics},
    }


def sample_lake(folder: Path) -> Path:
    """Write the sample lake."""
    write_sample_lake(folder)
    return folder


def real_lake(real_data: Path, folder: Path) -> Path:
    """Import the month of real candles."""
    return import_real([real_data / "archive/data/futures/um/monthly/klines/FILUSDT/1m/FILUSDT-1m-2023-06.zip"], folder)
