"""Signals in whole runs: the rows are the run's candles, the log knows no future, money adds up."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, none, one_of, sampled_from

from backtester.config.configs import BacktestConfig
from backtester.core.errors import DataError, StrategyError, UsageError
from backtester.data.lake import Lake
from backtester.engine.prepare import prepare
from backtester.engine.replay import replay, verify
from backtester.engine.signals import signal_leaks
from backtester.strategy.features import Feature, Frame, formula, indicator
from backtester.strategy.indicators.means import Sma
from backtester.strategy.indicators.pivots import Pivots
from backtester.strategy.signals import ExitPlan, SignalStrategy, Targets
from tests.strategy.signals.drawn import signal
from tests.support.chains import Quote, write_chain
from tests.support.lakes import two_coins, wandering
from tests.support.market import flat, write_candles
from tests.support.profiles import examples
from tests.support.runs import config_of, prepared_run, run_on, run_prepared


def of_name(config: BacktestConfig, name: str) -> BacktestConfig:
    return config.model_copy(update={"strategy": config.strategy.model_copy(update={"name": name})})


def wild(plan: dict[str, Any], seed: int, *, with_levels: bool) -> type[SignalStrategy]:
    """A signal that wants something else at every second row or so, by the row's own time."""

    class Wild(SignalStrategy):
        def features(self) -> list[Feature]:
            return [indicator("swing", Pivots, left=1, right=1), indicator("mean", Sma, "close", window=3)]

        def outputs(self) -> list[str]:
            return ["swing.last_low", "swing.last_high", "mean", "5m/mean"]

        def targets(self, frame: Frame) -> Targets:
            luck = np.array([np.random.default_rng([seed, int(time)]).random(3) for time in frame.times // 1_000_000])
            luck = luck.reshape(-1, 3)
            wanted = np.array([-0.8, -0.3, 0.0, 0.4, 0.9, np.nan, np.nan, np.nan])[(luck[:, 0] * 8).astype(int)]
            wanted = np.where(frame["close"] > np.nan_to_num(frame["5m/mean"]), wanted, np.abs(wanted))
            level = np.where(wanted > 0, frame["swing.last_low"], frame["swing.last_high"])
            levels = {"stop": level, "trail": level} if with_levels else {}
            return Targets(
                exposure=wanted, tag=(luck[:, 1] * 4).astype(int), exit_long=luck[:, 2] > 0.9, confidence=0.3, **levels
            )

        @property
        def plan(self) -> ExitPlan:
            return ExitPlan(**plan)

    return Wild


@settings(max_examples=examples(25))
@given(
    seed=integers(0, 10_000),
    market=sampled_from(["spot", "um"]),
    stop=one_of(none(), sampled_from([0.5, 3.0])),
    ladder=booleans(),
    hold=one_of(none(), integers(1, 9)),
    cooldown=integers(0, 3),
    levels=booleans(),
    once=booleans(),
    latency=sampled_from([0, 70_000]),
    participation=sampled_from(["0", "0.1"]),
)
def test_whatever_a_signal_wants_the_run_is_complete_and_a_shorter_one_is_its_beginning(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    market: str,
    stop: float | None,
    ladder: bool,
    hold: int | None,
    cooldown: int,
    levels: bool,
    once: bool,
    latency: int,
    participation: str,
) -> None:
    folder = tmp_path_factory.mktemp("wild")
    plan: dict[str, Any] = {"max_candles": hold, "cooldown": cooldown, "one_trade_per_tag": once}
    if stop is not None or levels:
        plan |= {"stop_pct": stop, "break_even_r": 1.0}
        plan |= {"ladder": ((0.5, 0.3), (1.5, 0.3))} if ladder else {"trail_pct": 0.7}
    strategy = wild(plan, seed, with_levels=levels)
    two_coins(folder / "lake", 240, seed, market=market)

    def log(end: str) -> bytes:
        config = config_of(
            folder / "lake",
            ["BTCUSDT", "ETHUSDT"],
            run={"market": market, "end": end, "start": "2024-01-01T00:20"},
            execution={"latency_ms": latency, "participation": participation},
            account={"initial_cash": 20_000},
            fees={"taker_bps": 4},
        )
        ran = run_prepared(folder, prepared_run(strategy, config))
        replay(ran.path)
        return b"".join(ran.raw_lines)

    whole = log("2024-01-01T04:00")
    assert whole.startswith(log("2024-01-01T02:37"))


def test_a_run_over_gaps_and_derived_candles_that_lack_parts_has_the_rows_that_it_shows(tmp_path: Path) -> None:
    rows = wandering(300, 5)
    rows[52] = None
    rows[101] = rows[102] = rows[103] = rows[104] = rows[105] = None
    strategy = wild({}, 3, with_levels=False)
    for incomplete in ("drop", "publish"):
        data = {"gap_policy": "continue", "incomplete": incomplete}
        ran = run_on(tmp_path / incomplete, rows, strategy, timeframe="5m", stored="1m", data=data)
        assert len(ran.fills) > 3
        verify(ran.path)


def test_a_signal_that_needs_another_instrument_gets_its_candles_and_the_run_names_them(tmp_path: Path) -> None:
    class Relative(SignalStrategy):
        def features(self) -> list[Feature]:
            return [formula("ratio", lambda own, other: own / other, "close", "spot:ETHUSDT/15m/close")]

        def targets(self, frame: Frame) -> Targets:
            return Targets(exposure=np.where(frame["ratio"] > 2, 0.5, 0.0))

    two_coins(tmp_path / "lake", 300)
    config = config_of(tmp_path / "lake", ["BTCUSDT"], run={"timeframe": "5m"})
    ran = run_prepared(tmp_path, prepared_run(Relative, config))
    assert ran.details["feeds"] == ["spot:BTCUSDT/klines:5m", "spot:ETHUSDT/klines:15m"]
    assert any("ETHUSDT" in one["path"] for one in ran.details["data"])
    verify(ran.path)


def test_candles_of_another_instrument_that_the_lake_lacks_are_named(tmp_path: Path) -> None:
    class Lacking(SignalStrategy):
        def outputs(self) -> list[str]:
            return ["spot:SOLUSDT/1h/close"]

    write_candles(tmp_path / "lake", flat(100, 100))
    with pytest.raises(DataError, match="SOLUSDT"):
        prepared_run(Lacking, config_of(tmp_path / "lake", ["BTCUSDT"]))


def test_features_in_a_circle_refuse_the_run_before_it_begins(tmp_path: Path) -> None:
    class Circular(SignalStrategy):
        def features(self) -> list[Feature]:
            return [formula("a", np.add, "b", "close"), formula("b", np.add, "a", "close")]

    write_candles(tmp_path / "lake", flat(100, 10))
    with pytest.raises(UsageError, match=r"a needs .*b needs .*a|b needs .*a needs .*b"):
        prepared_run(Circular, config_of(tmp_path / "lake", ["BTCUSDT"]))
    assert not (tmp_path / "runs").exists()


def test_a_signal_that_fails_ends_its_run_as_a_hook_that_raises_does(tmp_path: Path) -> None:
    class Failing(SignalStrategy):
        def targets(self, frame: Frame) -> Targets:
            raise RuntimeError("no")

    with pytest.raises(StrategyError, match="Failing failed in targets of spot:BTCUSDT/1m: RuntimeError: no"):
        run_on(tmp_path, flat(100, 10), Failing)
    [folder] = (tmp_path / "runs").glob("*")
    assert '"status": "failed"' in (folder / "run.json").read_text()


def test_the_check_of_a_run_names_the_instruments_on_which_a_signal_looks_ahead(tmp_path: Path) -> None:
    class Ahead(SignalStrategy):
        def targets(self, frame: Frame) -> Targets:
            exposure = np.sign(np.append(np.diff(frame["close"]), 0.0))
            return Targets(exposure=exposure if "BTC" in frame.source.instrument else exposure * 0)

    two_coins(tmp_path / "lake", 200)
    config = config_of(tmp_path / "lake", ["BTCUSDT", "ETHUSDT"])
    run = prepared_run(Ahead, config)
    strategy = run.make_strategy(run.sleeves[0])
    assert isinstance(strategy, SignalStrategy)
    assert list(signal_leaks(run, strategy)) == ["spot:BTCUSDT"]
    honest = prepare(
        config.model_copy(update={"strategy": config.strategy.model_copy(update={"name": "sma_cross_signal"})})
    )
    shipped = honest.make_strategy(honest.sleeves[0])
    assert isinstance(shipped, SignalStrategy)
    assert signal_leaks(honest, shipped) == {}


def test_a_signal_whose_parameters_change_its_features_derives_other_warm_up(tmp_path: Path) -> None:
    two_coins(tmp_path / "lake", 600)
    starts = []
    for slow in (20, 100):
        config = config_of(tmp_path / "lake", ["BTCUSDT"], run={"start": "2024-01-01T08:00"})
        run = prepare(of_name(config, "sma_cross_signal"), params_options={"fast": 5, "slow": slow})
        starts.append((run.start - run.series[0].warmup_start) // 60_000_000)
    assert starts == [20, 100]


def test_of_a_lake_with_other_rows_laid_over_it_no_features_are_kept(tmp_path: Path) -> None:
    class Layered(Lake):
        def __init__(self, lake: Lake) -> None:
            self.__dict__.update(lake.__dict__)

    two_coins(tmp_path / "lake", 300)
    run = prepare(of_name(config_of(tmp_path / "lake", ["BTCUSDT"]), "sma_cross_signal"), params_options={"slow": 60})
    run_prepared(tmp_path, run._replace(lake=Layered(run.lake)))
    assert not (tmp_path / "lake" / "features").exists()
    run_prepared(tmp_path, run)
    assert (tmp_path / "lake" / "features").exists()


def test_a_constant_target_needs_no_array(tmp_path: Path) -> None:
    class Always(SignalStrategy):
        def targets(self, frame: Frame) -> Targets:
            return Targets(exposure=np.float64(0.5))

    assert len(run_on(tmp_path, flat(100, 5), Always).fills) == 1
    assert len(run_on(tmp_path / "drawn", flat(100, 5), signal([0.5])).fills) == 1


def test_an_instrument_without_candles_of_its_own_has_no_rows_and_is_not_traded(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, flat(30_000, 6), timeframe="1h")
    write_chain(lake, [Quote(hour, "BTC-240126-30000-C", 90, 100, mark=95) for hour in range(6)])
    account = {"wallets": {"spot:USDT": "10000", "option:USDT": "1000"}}
    config = config_of(lake, ["spot:BTCUSDT", "option:BTCUSDT"], run={"timeframe": "1h"}, account=account)
    config = config.model_copy(update={"instruments": {}})
    run = prepared_run(signal([0.5]), config)
    assert len(run.instruments) > 1
    ran = run_prepared(tmp_path, run)
    assert {event["instrument"] for event in ran.events("fills")} == {"spot:BTCUSDT"}
    strategy = run.make_strategy(run.sleeves[0])
    assert isinstance(strategy, SignalStrategy)
    assert signal_leaks(run, strategy) == {}
