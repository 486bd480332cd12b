"""The past does not depend on the future: the events of the first k candles are a prefix of the events of all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from

from backtester.config.configs import BacktestConfig
from backtester.core.time import format_time
from tests.support.erratic import Erratic
from tests.support.lakes import wandering
from tests.support.market import Row, time_of, write_candles
from tests.support.profiles import examples
from tests.support.runs import config_of, prepared_run, run_prepared, scripted

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
CANDLES = 150
COSTS: dict[str, Any] = {"fees": {"maker_bps": 2, "taker_bps": 5}, "slippage": {"bps": 1}}
GUARDED: dict[str, Any] = {
    "risk": {
        "max_gross_exposure": "0.8x",
        "max_open_orders": 5,
        "blackouts": [{"daily": "00:40-00:50"}],
        "drawdown": {"limit_pct": "0.3", "action": "flatten", "cool_down": "9m"},
        "consecutive_losses": {"limit": 3, "action": "reduce_only", "cool_down": "7m"},
    },
    "control": [
        {"at": "2024-01-01T01:00:30Z", "action": "reduce_only"},
        {"at": "2024-01-01T01:10:00Z", "action": "resume"},
        {"at": "2024-01-01T02:15:00Z", "action": "kill"},
    ],
}
Folder = Callable[[str], Path]


def market(seed: int, symbol: str, candles: int = CANDLES) -> list[Row | None]:
    return wandering(candles, seed * 2 + SYMBOLS.index(symbol), quiet=0.05)


def holed(rows: list[Row | None], seed: int) -> list[Row | None]:
    """The same market with a few candles missing."""
    return [None if (n * 7919 + seed) % 31 == 5 and 0 < n < len(rows) - 1 else row for n, row in enumerate(rows)]


def log(
    folder: Path,
    lake: Path,
    market_: str,
    seed: int,
    end: int,
    timeframe: str = "1m",
    policy: str = "continue",
    guarded: str = "",
) -> list[bytes]:
    run = {"market": market_, "seed": seed, "end": format_time(time_of(end)), "timeframe": timeframe}
    config = config_of(lake, SYMBOLS, run=run, data={"gap_policy": policy, "pause_candles": 6}, **COSTS)
    if guarded:
        config = BacktestConfig.model_validate(config.model_dump() | GUARDED)
    return run_prepared(folder, prepared_run(Erratic, config, busy=0.5)).raw_lines


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One lake per seed: whole markets on spot, markets with holes on um."""
    folder = tmp_path_factory.mktemp("lakes")
    for seed in range(4):
        for symbol in SYMBOLS:
            rows = market(seed, symbol)
            write_candles(folder / str(seed), rows, symbol=symbol)
            write_candles(folder / str(seed), holed(rows, seed), symbol=symbol, market="um")
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, lakes: Path) -> Callable[..., list[bytes]]:
    """Logs of whole runs, made once."""
    made: dict[tuple[Any, ...], list[bytes]] = {}

    def get(seed: int, market_: str, *choices: str) -> list[bytes]:
        key = (seed, market_, *choices)
        if key not in made:
            made[key] = log(tmp_path_factory.mktemp("whole"), lakes / str(seed), market_, seed, CANDLES, *choices)
        return made[key]

    return get


@settings(max_examples=examples(60))
@given(seed=integers(0, 3), market_=sampled_from(["spot", "um"]), cut=integers(1, CANDLES - 1))
def test_the_past_does_not_depend_on_how_long_the_run_goes_on(
    tmp_path_factory: pytest.TempPathFactory,
    lakes: Path,
    whole: Callable[..., list[bytes]],
    seed: int,
    market_: str,
    cut: int,
) -> None:
    part = log(tmp_path_factory.mktemp("part"), lakes / str(seed), market_, seed, cut)
    assert part == whole(seed, market_)[: len(part)]
    assert len(part) >= 2  # the deposit and a snapshot at least


@settings(max_examples=examples(15))
@given(seed=integers(0, 3), market_=sampled_from(["spot", "um"]), cut=integers(1, CANDLES // 15 - 1))
def test_nor_does_it_when_longer_candles_decide(
    tmp_path_factory: pytest.TempPathFactory,
    lakes: Path,
    whole: Callable[..., list[bytes]],
    seed: int,
    market_: str,
    cut: int,
) -> None:
    part = log(tmp_path_factory.mktemp("part"), lakes / str(seed), market_, seed, cut * 15, "15m")
    assert part == whole(seed, market_, "15m")[: len(part)]


@settings(max_examples=examples(40))
@given(seed=integers(0, 3), cut=integers(1, CANDLES - 1))
def test_nor_does_it_when_entries_pause_after_gaps(
    tmp_path_factory: pytest.TempPathFactory,
    lakes: Path,
    whole: Callable[..., list[bytes]],
    seed: int,
    cut: int,
) -> None:
    choices = ("1m", "pause_entries")
    part = log(tmp_path_factory.mktemp("part"), lakes / str(seed), "um", seed, cut, *choices)
    assert part == whole(seed, "um", *choices)[: len(part)]
    assert any(b"paused_after_gap" in line for line in whole(seed, "um", *choices))


@settings(max_examples=examples(40))
@given(seed=integers(0, 3), market_=sampled_from(["spot", "um"]), cut=integers(1, CANDLES - 1))
def test_nor_does_it_under_limits_breakers_and_commands(
    tmp_path_factory: pytest.TempPathFactory,
    lakes: Path,
    whole: Callable[..., list[bytes]],
    seed: int,
    market_: str,
    cut: int,
) -> None:
    choices = ("1m", "continue", "guarded")
    part = log(tmp_path_factory.mktemp("part"), lakes / str(seed), market_, seed, cut, *choices)
    everything = whole(seed, market_, *choices)
    assert part == everything[: len(part)]
    text = b"".join(everything)
    for said in (b'"state":"tripped"', b'"state":"armed"', b'"tag":"risk"', b'"reason":"blackout"', b'"action":"kill"'):
        assert said in text


@settings(max_examples=examples(25))
@given(seed=integers(0, 3), other=integers(1000, 10**6), cut=integers(1, CANDLES - 1))
def test_candles_that_are_still_to_come_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, lakes: Path, seed: int, other: int, cut: int
) -> None:
    changed = tmp_path_factory.mktemp("changed")
    for symbol in SYMBOLS:
        rows = market(seed, symbol)[:cut] + market(other, symbol)[cut:]
        write_candles(changed, rows, symbol=symbol)
    part = log(tmp_path_factory.mktemp("part"), lakes / str(seed), "spot", seed, cut)
    with_another_future = log(tmp_path_factory.mktemp("other"), changed, "spot", seed, CANDLES)
    assert part == with_another_future[: len(part)]


def test_the_runs_compared_here_do_trade(whole: Callable[..., list[bytes]]) -> None:
    for seed in range(4):
        for market_ in ("spot", "um"):
            assert sum(b'"topic":"fills"' in line for line in whole(seed, market_)) > 5


def test_candles_after_the_end_do_not_change_the_lot_of_a_coin_without_rules(tmp_path: Path) -> None:
    fills = []
    for volume_later in (5.0, 5.125):
        folder = tmp_path / str(volume_later)
        rows: list[Row | None] = [*[(1.0, 1.0, 1.0, 1.0, 5.0)] * 5, (1.0, 1.0, 1.0, 1.0, volume_later)]
        write_candles(folder / "lake", rows, symbol="ABCUSDT")
        config = BacktestConfig.model_validate(
            {
                "run": {"symbols": ["ABCUSDT"], "end": format_time(time_of(4))},
                "strategy": {"name": "inline"},
                "data": {"dir": str(folder / "lake")},
            }
        )
        buys = scripted({0: lambda s: [s.buy("ABCUSDT", quote="7.5")]})
        fills.append(run_prepared(folder, prepared_run(buys, config)).fills)
    assert fills[0] == fills[1] != []
