"""Sizes worked by hand, against other people's formulas, and as properties. Units: cents, lots of 0.001, money 1e-8."""

import math
import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, lists, sampled_from

from backtester.core.numbers import BPS, MONEY_SCALE, RATE_SCALE
from backtester.core.time import timeframe_us
from backtester.sim.contracts import Inverse, Linear
from backtester.sim.position_sizing import (
    annualised,
    kelly_rate,
    kelly_rate_of,
    loss_at_stop,
    lots_for_risk,
    realised,
    target_rate,
    true_range,
    wilder_mean,
)

SHIFT = 2 + 3 - 8
PERCENT = RATE_SCALE // 100


def test_risk_per_trade_is_the_risk_over_the_distance_of_the_stop() -> None:
    """Van Tharp's percent risk: 1 % of 10000 is 100; a stop 5 below 100 makes 100 / 5 = 20."""
    assert lots_for_risk(100 * MONEY_SCALE, 100_00, 95_00, 1, 0, 1, Linear(SHIFT)) == 20_000


def test_fees_of_both_sides_are_part_of_the_loss() -> None:
    """Each unit loses 5, and 0.1 % of 100 and of 95: 100 / 5.195 = 19.2492..., in lots of 0.001."""
    qty = lots_for_risk(100 * MONEY_SCALE, 100_00, 95_00, 1, 10 * BPS, 1, Linear(SHIFT))
    assert qty == 19_249
    assert loss_at_stop(qty, 100_00, 95_00, 1, 10 * BPS, Linear(SHIFT)) == 9_999_855_500  # 19.249 × 5.195
    short = lots_for_risk(100 * MONEY_SCALE, 95_00, 100_00, -1, 10 * BPS, 1, Linear(SHIFT))
    assert short == 19_249  # the other way


def test_inverse_contracts_lose_coin_at_a_stop() -> None:
    """A contract of 100 USD is worth 0.0025 coin at 40000, and 0.003125 at 32000: a long loses the difference.

    0.1 coin buys 160 of them; short from 40000 to 50000 each loses 0.0025 - 0.002: 200.
    """
    unit = Inverse(100 * MONEY_SCALE)
    assert lots_for_risk(MONEY_SCALE // 10, 40_000, 32_000, 1, 0, 1, unit) == 160
    assert lots_for_risk(MONEY_SCALE // 10, 40_000, 50_000, -1, 0, 1, unit) == 200
    # fees of 0.1 % of 0.0025 and of 0.003125: 0.1 / 0.000630625 = 158.57...
    assert lots_for_risk(MONEY_SCALE // 10, 40_000, 32_000, 1, 10 * BPS, 1, unit) == 158


@pytest.mark.parametrize(("entry", "stop", "side"), [(100_00, 100_00, 1), (100_00, 101_00, 1), (100_00, 99_00, -1)])
def test_a_stop_that_is_not_on_the_losing_side_sizes_nothing(entry: int, stop: int, side: int) -> None:
    assert lots_for_risk(10**12, entry, stop, side, 10 * BPS, 1, Linear(SHIFT)) == 0


@given(
    budget=integers(0, 10**15),
    entry=integers(2, 10**7),
    distance=integers(1, 10**6),
    side=sampled_from([1, -1]),
    fee_rate=integers(0, 100 * BPS),
    lot=integers(1, 5000),
    shift=sampled_from([-3, 0, 2]),
)
def test_the_size_by_risk_loses_no_more_and_a_lot_more_would(
    budget: int, entry: int, distance: int, side: int, fee_rate: int, lot: int, shift: int
) -> None:
    stop = entry - side * min(distance, entry - 1)
    qty = lots_for_risk(budget, entry, stop, side, fee_rate, lot, Linear(shift))
    assert qty % lot == 0
    if qty:
        assert loss_at_stop(qty, entry, stop, side, fee_rate, Linear(shift)) <= budget
    if budget:
        assert loss_at_stop(qty + lot, entry, stop, side, fee_rate, Linear(shift)) > budget


@given(
    budget=integers(0, 10**14),
    more=integers(0, 10**13),
    stop=integers(1, 99_99),
    fee_rate=integers(0, 50 * BPS),
    lot=integers(1, 1000),
)
def test_more_equity_never_sizes_less(budget: int, more: int, stop: int, fee_rate: int, lot: int) -> None:
    sizes = [lots_for_risk(b, 100_00, stop, 1, fee_rate, lot, Linear(SHIFT)) for b in (budget, budget + more)]
    assert sizes == sorted(sizes)


def test_kelly_of_a_coin_that_wins_sixty_percent_at_even_odds_is_a_fifth() -> None:
    """Kelly 1956: f* = p − (1 − p) / b = 0.6 − 0.4 / 1; at 2 to 1, 0.6 − 0.4 / 2."""
    assert kelly_rate(60 * PERCENT, RATE_SCALE) == 20 * PERCENT
    assert kelly_rate(60 * PERCENT, 2 * RATE_SCALE) == 40 * PERCENT
    assert kelly_rate(40 * PERCENT, RATE_SCALE) == -20 * PERCENT


def test_kelly_of_trades_uses_their_average_win_over_their_average_loss() -> None:
    """Three of four win 4 % on average, one loses 2 %: p = 0.75, b = 2, f* = 0.75 − 0.25 / 2 = 0.625."""
    assert kelly_rate_of([2 * PERCENT, 4 * PERCENT, 6 * PERCENT, -2 * PERCENT]) == 625 * PERCENT // 10
    assert kelly_rate_of([-PERCENT, -PERCENT]) < 0
    assert kelly_rate_of([PERCENT, PERCENT]) == RATE_SCALE  # nothing was ever lost: all of it


@given(lists(integers(-RATE_SCALE, RATE_SCALE), min_size=1, max_size=60))
def test_kelly_of_trades_is_kelly_of_their_averages(returns: list[int]) -> None:
    wins, losses = [r for r in returns if r > 0], [-r for r in returns if r <= 0]
    if not wins or not sum(losses):
        return
    p, b = len(wins) / len(returns), statistics.mean(wins) / statistics.mean(losses)
    assert kelly_rate_of(returns) / RATE_SCALE == pytest.approx(p - (1 - p) / b, rel=1e-6, abs=2e-8)


@given(lists(floats(0.01, 1e6), min_size=3, max_size=200))
def test_realised_volatility_is_the_sample_deviation_of_returns(closes: list[float]) -> None:
    returns = [b / a - 1.0 for a, b in pairwise(closes)]
    assert realised(closes) == pytest.approx(statistics.stdev(returns), rel=1e-9, abs=1e-12)


def test_a_year_has_365_days() -> None:
    """1 % a day is 0.01 × √365 a year; 1 % an hour 0.01 × √8760."""
    assert annualised(0.01, timeframe_us("1d")) == pytest.approx(0.01 * math.sqrt(365))
    assert annualised(0.01, timeframe_us("1h")) == pytest.approx(0.01 * math.sqrt(8760))


def test_the_target_over_the_volatility_is_the_share_of_equity() -> None:
    """A target of 20 % over a volatility of 80 % is a quarter."""
    assert target_rate(20 * PERCENT, 0.8, RATE_SCALE) == RATE_SCALE // 4
    assert target_rate(20 * PERCENT, 0.1, RATE_SCALE) == RATE_SCALE
    assert target_rate(20 * PERCENT, 0.0, RATE_SCALE) == RATE_SCALE


@given(lists(integers(1, 10_000), min_size=40, max_size=120), integers(2, 30))
def test_the_average_true_range_is_the_one_of_ta_lib(walk: list[int], window: int) -> None:
    talib = pytest.importorskip("talib")
    import numpy as np

    from backtester.core.instruments import InstrumentId
    from backtester.core.market import Candle
    from backtester.risk.volatility import Volatility

    closes = [price / 7 for price in walk]
    highs, lows = [c * (1 + i % 5 / 50) for i, c in enumerate(closes)], [c * 0.97 for c in closes]
    name = InstrumentId("spot:BTCUSDT")
    measured = Volatility({name: ("atr", window)}, "1m")
    seen = []
    for i, (high, low, close) in enumerate(zip(highs, lows, closes, strict=True)):
        candle = Candle(i + 1, name, "1m", i, close, high, low, close, 1.0)
        measured.on_candle(candle)
        measured.on_candle(Candle(i + 1, name, "5m", i, 1.0, 1e9, 1.0, 1.0, 1.0))  # another timeframe is not its own
        seen.append(measured.value(name))
    judged = talib.ATR(np.array(highs), np.array(lows), np.array(closes), timeperiod=window)
    assert [value is None for value in seen] == [bool(np.isnan(value)) for value in judged]
    assert [value for value in seen if value is not None] == pytest.approx(judged[window:], rel=1e-9)


def test_a_true_range_reaches_to_the_close_before() -> None:
    assert true_range(10.0, 9.0, 12.0) == 3.0
    assert true_range(10.0, 9.0, 8.0) == 2.0
    assert wilder_mean(10.0, 20.0, 5) == 12.0
