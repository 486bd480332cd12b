"""Three runs over the same data: what they say together, and what is kept when one of them does not end well."""

import json
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.config.band import OPTIMISTIC, PESSIMISTIC, band_configs, changes
from backtester.config.configs import BacktestConfig
from backtester.core.errors import DataError, StrategyError
from backtester.engine.band import BandResult, run_band
from backtester.engine.replay import verify
from tests.support.market import Rows, flat, write_candles
from tests.support.runs import config_of, prepared_run, scripted

BOTH = (100, 107, 94, 100)  # reaches a stop at 95 and a target at 105
MARKET: Rows = [*flat(100, 2), BOTH, *flat(100, 2)]
BRACKET = scripted({0: lambda s: [s.buy("BTCUSDT", 1, stop_loss=95, take_profits=105)]})


def banded(folder: Path, strategy: Any, market: Rows = MARKET, *, before: Any = None, **sections: Any) -> BandResult:
    """Run the band of a strategy on a market; `before` is called with the name of each run."""
    write_candles(folder / "lake", market)
    config = config_of(folder / "lake", ["BTCUSDT"], **sections)
    prepared = {name: prepared_run(strategy, one) for name, one in band_configs(config).items()}

    def shown(name: str) -> Any:
        if before is not None:
            before(name)
        return nullcontext()

    return run_band(prepared, folder / "runs", shown)


def finals(band: BandResult) -> dict[str, float]:
    return {name: float(result.metrics["final_equity"]["value"]) for name, result in band.runs.items()}


def test_a_stop_and_a_target_in_one_candle_are_a_loss_on_one_path_and_a_gain_on_another(tmp_path: Path) -> None:
    band = banded(tmp_path, BRACKET, slippage={"bps": 0}, band={"pessimistic": {"slippage": {"bps": 0}}})
    assert finals(band) == {"pessimistic": 9995, "base": 9995, "optimistic": 10005}
    figures, depends = band.content["figures"], band.content["depends"]
    assert figures["ambiguous_candles"] == {"min": 1, "base": 1, "max": 1}
    assert figures["candles_met"] == {"min": 2, "base": 2, "max": 2}
    assert figures["final_equity"]["min"] == "9995.00000000"
    assert figures["final_equity"]["max"] == "10005.00000000"
    assert (depends["value"], depends["reason"]) == (None, "sign_change")


def test_slippage_alone_is_worked_out_by_hand(tmp_path: Path) -> None:
    script = {0: lambda s: [s.buy("BTCUSDT", 1)], 1: lambda s: [s.sell("BTCUSDT", 1)]}
    market = [*flat(100, 2), *flat(200, 3)]  # bought at 100, sold at 200
    band = banded(tmp_path, scripted(script), market, slippage={"bps": 100})
    # 201 bps: 100 → 102.01, 200 → 195.98; 100 bps: 101 and 198; none: 100 and 200
    assert finals(band) == {"pessimistic": 10_093.97, "base": 10_097, "optimistic": 10_100}
    assert band.content["depends"]["value"] == pytest.approx((100 - 93.97) / 100)


def test_band_json_is_sealed_and_each_of_the_three_can_be_run_again(tmp_path: Path) -> None:
    band = banded(tmp_path, BRACKET)
    assert json.loads((band.path / "band.json").read_bytes()) == band.content
    assert [result.status for result in band.runs.values()] == ["complete"] * 3
    for name, result in band.runs.items():
        assert band.content["runs"][name]["digest"] == result.digest
        bps = {"pessimistic": 1, "base": 0, "optimistic": 0}[name]
        assert verify(result.path).config.slippage.bps == bps
    assert not list((tmp_path / "runs").glob(".*"))


def test_a_run_that_fails_leaves_the_others_and_the_band_says_which(tmp_path: Path) -> None:
    def dislikes_slippage(strategy: Any, fill: Any) -> None:
        if fill.price_units != fill.reference_price_units:
            raise ValueError("too dear")

    strategy = scripted({0: lambda s: [s.buy("BTCUSDT", 1)]}, on_fill=dislikes_slippage)
    band = banded(tmp_path, strategy, slippage={"bps": 0})
    assert {name: result.status for name, result in band.runs.items()} == {
        "pessimistic": "failed",
        "base": "complete",
        "optimistic": "complete",
    }
    assert isinstance(band.runs["pessimistic"].error, StrategyError)
    assert (band.status, band.content["figures"]) == ("failed", None)
    assert band.content["depends"] == {"value": None, "reason": "incomplete"}


def test_runs_over_different_data_are_not_compared(tmp_path: Path) -> None:
    def somebody_writes(name: str) -> None:
        if name == "base":
            write_candles(tmp_path / "lake", [*flat(100, 2), *flat(50, 3)], replace=True)

    with pytest.raises(DataError, match="the lake changed between the three runs") as caught:
        banded(tmp_path, BRACKET, before=somebody_writes)
    assert "BTCUSDT-1m-2024-01.parquet" in caught.value.message


def test_the_ends_move_what_the_models_that_are_used_take() -> None:
    config = BacktestConfig.model_validate(
        {
            "execution": {"participation": "0.00000003", "latency_ms": "0.003"},
            "slippage": {"model": "volume_share", "volume_impact": "0.1"},
        }
    )
    worse, better = (changes(config)[name] for name in (PESSIMISTIC, OPTIMISTIC))
    assert worse["slippage"] == {"bps": 3, "volume_impact": Decimal("0.2")}
    assert better["slippage"] == {"bps": 0, "volume_impact": Decimal("0.05")}
    assert (worse["execution"]["participation"], better["execution"]["participation"]) == (Decimal("1e-8"), 1)
    assert (worse["execution"]["latency_ms"], better["execution"]["latency_ms"]) == (
        Decimal("0.006"),
        Decimal("0.001"),
    )
    assert "impact" not in worse
    assert list(band_configs(config)) == [PESSIMISTIC, "base", OPTIMISTIC]


def test_without_a_cap_only_the_pessimistic_end_has_one() -> None:
    config = BacktestConfig.model_validate({"execution": {"participation": 0}})
    shares = {name: one.execution.participation for name, one in band_configs(config).items()}
    assert shares == {PESSIMISTIC: Decimal("0.1"), "base": 0, OPTIMISTIC: 0}
