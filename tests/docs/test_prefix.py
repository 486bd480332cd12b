"""What docs/run-folder.md and ADR 0004 promise of a log whose range ends earlier."""

from pathlib import Path

from backtester.config.configs import BacktestConfig
from backtester.engine.prepare import prepare
from backtester.engine.run import run_backtest


def log(end: str, runs: Path, lake: Path) -> bytes:
    config = BacktestConfig.model_validate(
        {
            "run": {"symbols": ["BTCUSDT", "ETHUSDT"], "start": "2024-01-02", "end": end},
            "strategy": {"name": "sma_extended", "params": {"fast": 5, "slow": 20}},
            "data": {"dir": str(lake)},
        }
    )
    return (run_backtest(prepare(config), runs).path / "audit.jsonl").read_bytes()


def test_the_log_of_a_run_that_ends_earlier_is_a_prefix(tmp_path: Path, sample_lake: Path) -> None:
    whole = log("2024-01-04", tmp_path, sample_lake)
    for end in ("2024-01-02T00:01", "2024-01-02T07:13", "2024-01-03"):
        assert whole.startswith(log(end, tmp_path, sample_lake))
