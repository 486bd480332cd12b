"""Exposure per underlying: sums over holdings at each boundary, with Greeks as they were known then."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backtester.account.exposure import ExposureWindow
from backtester.account.wallets import WalletHistory
from backtester.core.board import Greeks
from backtester.core.instruments import Holding, InstrumentId, holding_of
from backtester.core.time import MINUTE

START = 1_704_067_200_000_000
OPTION = InstrumentId("option:BTC-240126-50000-C")
USDT, UM = holding_of("spot", "USDT"), holding_of("um", "USDT")

parts = st.lists(
    st.tuples(st.sampled_from(["BTC", "ETH", "SOL"]), st.lists(st.integers(-(10**9), 10**9), min_size=4, max_size=4)),
    max_size=5,
)


@given(parts=parts)
def test_rows_are_sums_over_the_holdings_of_each_underlying(parts: list[tuple[str, list[int]]]) -> None:
    ticks = np.array([START + n * MINUTE for n in range(4)])
    window = ExposureWindow(ticks, {})
    for underlying, worth in parts:
        window.add(underlying, np.array(worth), np.array(worth, dtype=np.float64))
    expected = []
    for n in range(4):
        for underlying in sorted({name for name, _ in parts}):
            own = [worth[n] for name, worth in parts if name == underlying]
            if any(own):
                expected.append((START + n * MINUTE, underlying, sum(own), sum(map(abs, own)), float(sum(own))))
    found = window.columns()
    if not expected:
        assert found is None
        return
    assert found is not None
    seen = zip(found.ts.tolist(), found.underlying, found.net.tolist(), found.gross.tolist(), found.delta, strict=True)
    assert list(seen) == expected
    assert not np.any([found.gamma, found.vega, found.theta])


def test_an_option_has_the_greeks_that_were_known_at_each_boundary_and_none_before() -> None:
    ticks = np.array([START + n * MINUTE for n in range(5)])
    known = {
        OPTION: [
            (START + MINUTE, Greeks(0.5, 0.01, 2.0, -3.0)),
            (START + 3 * MINUTE + 1, Greeks(0.25, 0.02, 1.0, -1.0)),
        ]
    }
    window = ExposureWindow(ticks, known)
    window.add_option(OPTION, "BTC", np.array([10, 10, 10, 10, 0]), np.array([2.0, 2.0, 2.0, -4.0, 0.0]))
    window.add("BTC", np.array([5, 5, 5, 5, 5]), np.array([1.0] * 5))
    found = window.columns()
    assert found is not None
    assert math.isnan(found.delta[0])
    assert found.delta[1:].tolist() == [2.0, 2.0, -1.0, 1.0]  # the second is not known at the fourth boundary
    assert found.gamma[1:].tolist() == [0.02, 0.02, -0.04, 0.0]
    assert found.vega[1:].tolist() == [4.0, 4.0, -8.0, 0.0]
    assert found.theta[1:].tolist() == [-6.0, -6.0, 12.0, 0.0]
    assert found.net.tolist() == [15, 15, 15, 15, 5]


moves = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3), st.integers(0, 3)), max_size=12)


@given(moves=moves, windows=st.sets(st.integers(1, 19)), timeframe=st.sampled_from([1, 3]))
def test_balances_are_those_of_the_last_change_before_each_boundary(
    moves: list[tuple[int, int, int]], windows: set[int], timeframe: int
) -> None:
    """Ticks every quarter of a minute; changes come after the boundary of their tick, in seconds."""
    rows: list[tuple[int, Holding, int]] = []
    history = WalletHistory(timeframe * MINUTE, START, lambda *row: rows.append(row))
    history.change(START, START, {USDT: 5})
    ticks = [START + n * MINUTE // 4 for n in range(1, 21)]
    at = {START: {USDT: 5}}
    pending = sorted(moves)
    first = 0
    for number, tick in enumerate(ticks, 1):
        while pending and START + pending[0][0] * 1_000_000 < tick:
            seconds, spot, um = pending.pop(0)
            now = START + seconds * 1_000_000
            settled = max([START, *(t for t in ticks[: number - 1] if t <= now)])
            if now > START:
                history.change(now, settled, {USDT: spot, UM: um})
                at[now] = {USDT: spot, UM: um}
        if number in windows:
            history.value(np.array(ticks[first:number]))
            first = number
    history.value(np.array(ticks[first:]))
    expected, shown = [(START, USDT, 5)], {USDT: 5}
    for tick in ticks:
        if Fraction(tick - START, timeframe * MINUTE).denominator != 1:
            continue
        now = max(t for t in at if t < tick)
        for holding, units in sorted(at[now].items()):
            if shown.get(holding) != units:
                shown[holding] = units
                expected.append((tick, holding, units))
    assert rows == expected
