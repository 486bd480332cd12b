"""Composed in TOML, a shipped strategy has the fills of its class, to the unit, tags included."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers

from backtester.config.configs import BacktestConfig
from backtester.engine.prepare import prepare
from backtester.engine.replay import replay, verify
from tests.docs.pages import ROOT
from tests.support.lakes import two_coins
from tests.support.real import import_real
from tests.support.runs import FREE, Ran, merged, run_prepared

COMPOSED = ROOT / "configs" / "composed"
CLASSES = {"sma_cross": "sma_cross_signal", "trend_following": "trend_following", "structure_mtf": "structure_mtf"}
QUICK: dict[str, dict[str, Any]] = {
    "sma_cross": {"fast": 5, "slow": 12},
    "trend_following": {"fast": 5, "slow": 12, "adx": 5, "atr": 5, "atr_mean": 8, "max_candles": 20},
    "structure_mtf": {"pivot_candles": 2, "trend_timeframe": "15m"},
}


def ran(folder: Path, lake: Path, strategy: str, params: dict[str, Any], **sections: Any) -> Ran:
    base = {
        "run": {"symbols": ["BTCUSDT"]},
        "strategy": {"name": strategy, "params": params},
        "data": {"dir": str(lake), "gap_policy": "continue"},
    }
    return run_prepared(folder, prepare(BacktestConfig.model_validate(merged(base, sections))))


def fills(run: Ran) -> list[dict[str, Any]]:
    """Every fill, without what names its place in the log."""
    return [{k: v for k, v in e.items() if k not in {"event_id", "cause_id"}} for e in run.events("fills")]


def compared(folder: Path, lake: Path, name: str, params: dict[str, Any], **sections: Any) -> tuple[Ran, int]:
    """The run of the file, and how many fills it has in common with the class: all."""
    written = ran(folder, lake, CLASSES[name], params, **sections)
    made = ran(folder, lake, str(COMPOSED / f"{name}.toml"), params, **sections)
    assert fills(made) == fills(written)
    assert made.details["final"] == written.details["final"]
    return made, len(fills(made))


@pytest.mark.parametrize("name", sorted(CLASSES))
@pytest.mark.parametrize(
    ("market", "symbol", "files"),
    [
        ("spot", "BTCUSDT", "archive/data/spot/daily/klines/BTCUSDT/1m/*.zip"),
        ("um", "FILUSDT", "archive/data/futures/um/monthly/klines/FILUSDT/1m/FILUSDT-1m-2023-06.zip"),
    ],
)
def test_on_real_candles(tmp_path: Path, real_data: Path, name: str, market: str, symbol: str, files: str) -> None:
    lake = import_real(sorted(real_data.glob(files))[:3], tmp_path / "lake")
    run = {"market": market, "symbols": [symbol]}
    made, count = compared(tmp_path, lake, name, QUICK[name], run=run)
    assert count >= 20
    replay(made.path)
    verify(made.path)


@settings(max_examples=15)
@given(seed=integers(0, 1000), fast=integers(1, 6), more=integers(1, 12))
def test_on_markets_that_wander_and_pause(
    tmp_path_factory: pytest.TempPathFactory, seed: int, fast: int, more: int
) -> None:
    folder = tmp_path_factory.mktemp("wander")
    two_coins(folder / "lake", 300, seed, quiet=0.1)
    run = {"symbols": ["BTCUSDT", "ETHUSDT"]}
    means = {"fast": fast, "slow": fast + more}
    compared(folder, folder / "lake", "sma_cross", means, run=run, **FREE)
    compared(folder, folder / "lake", "trend_following", QUICK["trend_following"] | means, run=run, **FREE)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_the_warm_up_of_a_file_is_derived_as_that_of_the_class(tmp_path: Path, name: str) -> None:
    two_coins(tmp_path / "lake", 240)
    needs = []
    for strategy in (CLASSES[name], str(COMPOSED / f"{name}.toml")):
        config = {"run": {"symbols": ["BTCUSDT"]}, "strategy": {"name": strategy, "params": QUICK[name]}}
        prepared = prepare(BacktestConfig.model_validate(config | {"data": {"dir": str(tmp_path / "lake")}}))
        made = prepared.make_strategy(prepared.sleeves[0])
        needs.append((made.warmup_candles, made.feeds))
    assert needs[0] == needs[1]
