"""sma_cross_signal: as a signal the rule of sma_cross has the same fills, to the unit."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers

from backtester.config.configs import BacktestConfig
from backtester.core.errors import UsageError
from backtester.data.sample import write_sample_lake
from backtester.engine.prepare import prepare
from backtester.engine.replay import replay, verify
from tests.support.lakes import two_coins
from tests.support.profiles import examples
from tests.support.real import import_real
from tests.support.runs import FREE, Ran, merged, run_prepared


def ran(folder: Path, lake: Path, strategy: str, params: dict[str, Any], **sections: Any) -> Ran:
    base = {
        "run": {"symbols": ["BTCUSDT"]},
        "strategy": {"name": strategy, "params": params},
        "data": {"dir": str(lake)},
    }
    return run_prepared(folder, prepare(BacktestConfig.model_validate(merged(base, sections))))


def fills(run: Ran) -> list[dict[str, Any]]:
    """Every fill, without what names its place in the log and without tags."""
    return [
        {name: value for name, value in event.items() if name not in {"event_id", "cause_id", "tag"}}
        for event in run.events("fills")
    ]


def compared(folder: Path, lake: Path, params: dict[str, Any], **sections: Any) -> list[dict[str, Any]]:
    """The fills, which the two have in common."""
    event = ran(folder, lake, "sma_cross", params, **sections)
    signal = ran(folder, lake, "sma_cross_signal", params, **sections)
    assert fills(signal) == fills(event)
    assert signal.details["final"] == event.details["final"]
    return fills(event)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = tmp_path_factory.mktemp("sample") / "data"
    write_sample_lake(lake)
    return lake


def test_on_the_sample_of_two_instruments_with_costs(tmp_path: Path, sample: Path) -> None:
    run = {"symbols": ["BTCUSDT", "ETHUSDT"], "end": "2024-01-15"}
    costs = {"fees": {"taker_bps": 5}, "slippage": {"bps": "0.5"}, "execution": {"latency_ms": 1500}}
    assert len(compared(tmp_path, sample, {"fast": 20, "slow": 50}, run=run, **costs)) > 100


def test_on_longer_candles_from_a_start_that_leaves_room_for_warm_up(tmp_path: Path, sample: Path) -> None:
    run = {"timeframe": "15m", "start": "2024-01-10T07:05", "end": "2024-02-20"}
    assert len(compared(tmp_path, sample, {"fast": 10, "slow": 40}, run=run)) > 20


def test_with_a_sizing_of_the_run(tmp_path: Path, sample: Path) -> None:
    sizing = {"model": "percent_equity", "percent": 25}
    run = {"timeframe": "5m", "end": "2024-01-20"}
    assert len(compared(tmp_path, sample, {"fast": 10, "slow": 40}, run=run, sizing=sizing)) > 20


@pytest.mark.parametrize(
    ("market", "symbol", "files"),
    [
        ("spot", "BTCUSDT", "archive/data/spot/daily/klines/BTCUSDT/1m/*.zip"),
        ("um", "FILUSDT", "archive/data/futures/um/monthly/klines/FILUSDT/1m/FILUSDT-1m-2023-06.zip"),
    ],
)
def test_on_real_candles(tmp_path: Path, real_data: Path, market: str, symbol: str, files: str) -> None:
    lake = import_real(sorted(real_data.glob(files)), tmp_path / "lake")
    run, data = {"market": market, "symbols": [symbol]}, {"gap_policy": "continue"}
    assert len(compared(tmp_path, lake, {"fast": 10, "slow": 30}, run=run, data=data)) > 50


@settings(max_examples=examples(15))
@given(seed=integers(0, 1000), fast=integers(1, 6), more=integers(1, 12))
def test_on_markets_that_wander_and_pause(
    tmp_path_factory: pytest.TempPathFactory, seed: int, fast: int, more: int
) -> None:
    folder = tmp_path_factory.mktemp("wander")
    two_coins(folder / "lake", 300, seed, quiet=0.1)
    run = {"symbols": ["BTCUSDT", "ETHUSDT"]}
    compared(folder, folder / "lake", {"fast": fast, "slow": fast + more}, run=run, **FREE)


def test_a_run_is_replayed_verified_and_the_log_of_a_shorter_one_is_a_prefix(tmp_path: Path, sample: Path) -> None:
    def until(end: str) -> Ran:
        run = {"symbols": ["BTCUSDT", "ETHUSDT"], "start": "2024-01-02", "end": end}
        return ran(tmp_path, sample, "sma_cross_signal", {"fast": 5, "slow": 20}, run=run)

    whole = until("2024-01-04")
    replay(whole.path)
    verify(whole.path)
    log = (whole.path / "audit.jsonl").read_bytes()
    for end in ("2024-01-02T00:01", "2024-01-02T07:13", "2024-01-03"):
        assert log.startswith((until(end).path / "audit.jsonl").read_bytes())


def test_the_cache_changes_nothing_and_can_be_left_out(tmp_path: Path, sample: Path) -> None:
    logs = set()
    for megabytes in (0, 1, 512, 512):
        run = ran(
            tmp_path,
            sample,
            "sma_cross_signal",
            {"fast": 5, "slow": 20},
            run={"end": "2024-01-03"},
            data={"feature_cache_mb": megabytes},
        )
        logs.add((run.path / "audit.jsonl").read_bytes())
    assert len(logs) == 1
    assert list((sample / "features").glob("*/*.column"))


def test_exposure_is_a_share_of_equity(tmp_path: Path, sample: Path) -> None:
    run = {"end": "2024-01-03"}
    half = ran(tmp_path, sample, "sma_cross_signal", {"fast": 5, "slow": 20, "exposure": 0.4}, run=run)
    event = ran(tmp_path, sample, "sma_cross", {"fast": 5, "slow": 20, "equity_pct": 40}, run=run)
    assert fills(half) == fills(event) != []


def test_means_in_the_wrong_order_are_refused(tmp_path: Path, sample: Path) -> None:
    with pytest.raises(UsageError, match=r"fast \(20\) must be less than slow \(5\)"):
        ran(tmp_path, sample, "sma_cross_signal", {"fast": 20, "slow": 5})
