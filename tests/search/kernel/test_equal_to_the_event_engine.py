"""The standing test: whatever market, wish, cost and size is drawn, the loop has the fills of the event engine."""

from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from backtester.search.kernel.compiling import can_compile
from tests.search.kernel import equality as eq
from tests.support.market import write_candles

tags = st.lists(st.sampled_from(["", "a", "b"]), min_size=1, max_size=20)
flags = st.lists(st.sampled_from([False] * 5 + [True]), min_size=1, max_size=20)


@st.composite
def signals(draw: st.DrawFn, *, shorts: bool) -> Any:
    columns: dict[str, Any] = {"exposure": draw(eq.wishes(shorts))}
    if draw(st.booleans()):
        columns["tag"] = draw(tags)
    if draw(st.booleans()):
        columns["exit_long"] = draw(flags)
    if draw(st.booleans()):
        columns["exit_short"] = draw(flags)
    plan = {
        "max_candles": draw(st.sampled_from([None, None, 1, 4])),
        "cooldown": draw(st.sampled_from([0, 0, 1, 3])),
        "one_trade_per_tag": draw(st.sampled_from([False, False, True])),
    }
    return eq.wanting(columns, plan, draw(st.sampled_from([0.0, 0.0, 0.2])))


def check(tmp_path_factory: pytest.TempPathFactory, market: str, rows: Any, signal: Any, costs: Any) -> None:
    lake = tmp_path_factory.mktemp("equal")
    write_candles(lake, rows, market=market)
    if len(rows) < 15:  # there is nothing to warm up with
        costs = costs | {"start": ""}
    run = eq.prepared(signal, eq.config_for(lake, market, costs))
    slow = eq.in_event_engine(run)
    for compiles in (False, True) if can_compile() else (False,):
        fast = eq.in_loop(run, compiles=compiles)
        if isinstance(fast, str):
            event(fast)
        else:
            event(f"{min(6, fast[0].n_fills)} fills or more")
            eq.assert_equal(fast, slow)


@settings(max_examples=100)
@given(rows=eq.markets(), signal=signals(shorts=True), costs=eq.all_costs)
def test_spot(tmp_path_factory: pytest.TempPathFactory, rows: Any, signal: Any, costs: Any) -> None:
    check(tmp_path_factory, "spot", rows, signal, costs)


@settings(max_examples=100)
@given(rows=eq.markets(), signal=signals(shorts=True), costs=eq.all_costs)
def test_futures_without_leverage(tmp_path_factory: pytest.TempPathFactory, rows: Any, signal: Any, costs: Any) -> None:
    check(tmp_path_factory, "um", rows, signal, costs)


@settings(max_examples=25)
@given(seed=st.integers(0, 100_000), market=st.sampled_from(["spot", "um"]))
def test_restless_signals_over_longer_markets(tmp_path_factory: pytest.TempPathFactory, seed: int, market: str) -> None:
    rows, signal, costs = eq.drawn_by(seed, 300, market)
    check(tmp_path_factory, market, rows, signal, costs)
