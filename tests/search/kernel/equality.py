"""One signal in both engines: what the standing test of their equality is made of."""

import gc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from backtester.config.configs import BacktestConfig
from backtester.engine.prepare import PreparedRun
from backtester.search.grid import Combination
from backtester.search.kernel.running import Ground, Loop, ground_of
from backtester.search.outcome import FillRow, Outcome
from backtester.search.trial import run_trial
from backtester.strategy.features import Frame
from backtester.strategy.signals import ExitPlan, SignalStrategy, Targets
from tests.support.runs import config_of, prepared_run

ONE = Combination(0, {})
Found = tuple[Outcome, list[FillRow]]


def wanting(columns: Mapping[str, Any], plan: Mapping[str, Any], min_change: float) -> type[SignalStrategy]:
    """A signal of columns drawn before; they begin anew where there are more rows."""

    class Wanting(SignalStrategy):
        def targets(self, frame: Frame) -> Targets:
            return Targets(**{name: np.resize(np.array(values), frame.rows) for name, values in columns.items()})

        @property
        def plan(self) -> ExitPlan:
            return ExitPlan(**plan)

    Wanting.min_change = min_change
    return Wanting


def in_loop(run: PreparedRun, *, compiles: bool) -> Found | str:
    """Run the account loop; or why it cannot."""
    ground = ground_of(run)
    if not isinstance(ground, Ground):
        return ground
    strategy = run.make_strategy(run.sleeves[0])
    assert isinstance(strategy, SignalStrategy)
    _, targets = strategy.evaluated(ground.frames, ground.source)
    return Loop(compiles=compiles).through(ground, strategy, targets, ONE)


def in_event_engine(run: PreparedRun) -> Found:
    """Run the event engine."""
    gc.freeze()  # the run collects garbage once: it need not look at all of pytest
    return run_trial(run, ONE, keep_fills=True)


def assert_equal(loop: Found, event: Found) -> None:
    """Compare fill by fill, then every figure."""
    for place, (ours, theirs) in enumerate(zip(loop[1], event[1], strict=False)):
        assert ours == theirs, f"fill {place}"
    assert len(loop[1]) == len(event[1])
    names = [name for name in Outcome.__struct_fields__ if name != "engine"]
    assert {n: getattr(loop[0], n) for n in names} == {n: getattr(event[0], n) for n in names}


# --- what is drawn ---------------------------------------------------------------------------------------------------

moves = st.integers(-300, 300)
wicks = st.integers(0, 150)
volumes = st.sampled_from([20, 20, 35, 40, 7, 400, 3, 2, 1, 0])  # 7: a jump, 2 and 0: quiet, 1: missing


@st.composite
def markets(draw: st.DrawFn, *, most: int = 60) -> list[Any]:
    """Rows of candles in cents: jumps, wicks, quiet ones, ones that are missing."""
    drawn = draw(st.lists(st.tuples(moves, moves, wicks, wicks, volumes), min_size=8, max_size=most))
    rows: list[Any] = []
    close = draw(st.sampled_from([5_000, 2_000, 50_000]))
    for gap, body, above, below, volume in drawn:
        open_ = max(500, close + (gap if volume == 7 else gap // 20))
        close = max(500, open_ + body)
        high, low = max(open_, close) + above, max(100, min(open_, close) - below)
        if volume == 1 and rows:
            rows.append(None)
            continue
        if volume == 2:
            high = low = close = open_
        traded = 0.0 if volume == 2 else float(volume * 50)
        rows.append((open_ / 100, high / 100, low / 100, close / 100, traded))
    return rows


sizes = st.sampled_from([1.0, 0.5, 0.3, 1 / 3, 0.123456789012345, 0.001, 0.75])


def wishes(shorts: bool) -> st.SearchStrategy[list[float]]:
    """Exposures: long runs of one wish, and changes of mind."""
    signed = st.tuples(sizes, st.sampled_from([1, -1])).map(lambda pair: pair[0] * pair[1]) if shorts else sizes
    one = st.one_of(signed, signed, st.just(0.0), st.just(float("nan")))
    stretch = st.tuples(one, st.integers(1, 8)).map(lambda pair: [pair[0]] * pair[1])
    return st.lists(stretch, min_size=3, max_size=14).map(lambda parts: [value for part in parts for value in part])


def config_for(
    lake: Path, market: str, costs: Mapping[str, Any], symbols: Sequence[str] = ("BTCUSDT",)
) -> BacktestConfig:
    """A config of drawn costs over a lake."""
    rules = {"tick_size": "0.01", "lot_size": costs["lot"], "min_qty": costs["lot"], "max_qty": costs["max_qty"],
             "min_notional": costs["min_notional"]}  # fmt: skip
    return config_of(
        lake,
        list(symbols),
        run={
            "market": market,
            "timeframe": costs.get("timeframe", "1m"),
            **({"start": costs["start"]} if costs.get("start") else {}),
        },
        account={"initial_cash": costs["cash"]},
        fees={"taker_bps": costs["fee"], "maker_bps": 0},
        slippage={"bps": costs["slippage"]},
        execution={"participation": costs["participation"], "max_wait": costs["max_wait"]},
        risk={"allow_short": costs["allow_short"]},
        data={"gap_policy": "continue"},
        instruments={f"{market}:{symbol}": rules for symbol in symbols},
    )


all_costs = st.fixed_dictionaries(
    {
        "cash": st.sampled_from(["10000", "10000", "137.77", "1234567.89", "0.5"]),
        "fee": st.sampled_from(["0", "10", "4.5", "-1.5", "250"]),
        "slippage": st.sampled_from(["0", "1", "33.33"]),
        "participation": st.sampled_from(["0", "0.1", "1"]),
        "max_wait": st.sampled_from([1, 2, 5]),
        "lot": st.sampled_from(["0.001", "0.001", "0.00001", "0.5"]),
        "max_qty": st.sampled_from(["0", "0", "3"]),
        "min_notional": st.sampled_from(["0", "5", "5", "150"]),
        "allow_short": st.sampled_from([True, True, False]),
        "start": st.sampled_from(["", "2024-01-01T00:05"]),
        "timeframe": st.sampled_from(["1m", "1m", "1m", "3m"]),
    }
)


def prepared(signal: type[SignalStrategy], config: BacktestConfig) -> PreparedRun:
    """Resolve a config for a signal that was drawn."""
    return prepared_run(signal, config)


def drawn_by(seed: int, candles: int, market: str) -> tuple[list[Any], type[SignalStrategy], dict[str, Any]]:
    """A longer market with a restless signal and plain costs, all from a seed: many fills in one case."""
    rng = np.random.default_rng(seed)
    rows: list[Any] = []
    close = 5_000
    for _ in range(candles):
        gap = int(rng.integers(-400, 400)) if rng.random() < 0.05 else int(rng.integers(-10, 10))
        open_ = max(500, close + gap)
        close = max(500, open_ + int(rng.integers(-120, 121)))
        high, low = max(open_, close) + int(rng.integers(0, 60)), max(100, min(open_, close) - int(rng.integers(0, 60)))
        kind = rng.random()
        if kind < 0.02 and rows:
            rows.append(None)
        elif kind < 0.05:
            rows.append((open_ / 100, open_ / 100, open_ / 100, open_ / 100, 0.0))
            close = open_
        else:
            rows.append((open_ / 100, high / 100, low / 100, close / 100, float(rng.integers(100, 90_000))))
    shares = np.array([0.0, np.nan, 1.0, 0.5, 1 / 3, 0.8, *((-1.0, -0.4, -0.9) if market == "um" else (-0.5,))])
    exposure = np.repeat(rng.choice(shares, candles), rng.integers(1, 7, candles))[:candles]
    columns: dict[str, Any] = {"exposure": exposure}
    if rng.random() < 0.5:
        columns["tag"] = rng.integers(0, 6, candles)
    if rng.random() < 0.3:
        columns["exit_long"] = rng.random(candles) < 0.05
    plan = {
        "max_candles": int(rng.integers(2, 12)) if rng.random() < 0.3 else None,
        "cooldown": int(rng.integers(0, 4)) if rng.random() < 0.3 else 0,
    }
    costs = {
        "cash": "10000", "fee": str(rng.choice(["10", "4.5", "-1.5"])),
        "slippage": str(rng.choice(["0", "1", "33.33"])),
        "participation": str(rng.choice(["0", "1"])), "max_wait": int(rng.integers(1, 4)),
        "lot": str(rng.choice(["0.001", "0.00001", "0.5"])), "max_qty": "0", "min_notional": "5",
        "allow_short": bool(rng.random() < 0.8), "start": str(rng.choice(["", "2024-01-01T00:30"])),
        "timeframe": str(rng.choice(["1m", "1m", "3m"])),
    }  # fmt: skip
    return rows, wanting(columns, plan, float(rng.choice([0.0, 0.15]))), costs
