"""VWAP and on-balance volume: sessions, candles without trades, exact sums."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis.strategies import integers, lists, tuples

from backtester.core.time import DAY, HOUR, parse_time
from backtester.strategy.indicators.volume import Obv, Vwap

_MONDAY = parse_time("2024-01-01")


def test_vwap_weighs_by_volume_and_begins_anew_with_the_utc_day() -> None:
    vwap = Vwap(decimals=1, volume_decimals=0)
    assert vwap.update(12, 9, 9, 1, _MONDAY) == 10
    assert vwap.update(20, 20, 20, 3, _MONDAY + 23 * HOUR) == 17.5
    assert vwap.update(5, 5, 5, 2, _MONDAY + DAY) == 5


def test_a_session_may_be_a_week_that_begins_on_monday() -> None:
    vwap = Vwap(session="1w")
    sunday = _MONDAY - DAY
    assert vwap.update(8, 8, 8, 1, sunday) == 8
    assert vwap.update(10, 10, 10, 1, _MONDAY) == 10
    assert vwap.update(20, 20, 20, 1, _MONDAY + 6 * DAY) == 15


def test_without_volume_there_is_no_vwap_and_later_no_change() -> None:
    vwap = Vwap()
    assert vwap.update(12, 9, 9, 0, _MONDAY) is None
    assert vwap.update(12, 9, 9, 2, _MONDAY + HOUR) == 10
    assert vwap.update(99, 99, 99, 0, _MONDAY + 2 * HOUR) == 10
    assert vwap.update(12, 9, 9, 0, _MONDAY + DAY) is None
    rows = np.array([[12, 9, 9, 0, _MONDAY], [12, 9, 9, 2, _MONDAY + HOUR]], dtype=float)
    assert np.isnan(vwap.columns(*rows.T)["vwap"]).tolist() == [True, False]


@given(candles=lists(tuples(integers(1, 10**7), integers(0, 10**6)), min_size=1, max_size=30))
def test_vwap_is_the_nearest_float_to_the_exact_one(candles: list[tuple[int, int]]) -> None:
    vwap = Vwap(decimals=8, volume_decimals=3)
    money, volume = 0, 0
    for price, size in candles:
        money, volume = money + price * size, volume + size
        close = price / 10**8
        expected = float(Fraction(money, volume * 10**8)) if volume else None
        assert vwap.update(close, close, close, size / 1000, _MONDAY) == expected


@given(candles=lists(tuples(integers(1, 4), integers(0, 10**9)), min_size=1, max_size=40))
def test_obv_is_the_exact_sum_of_signed_volume(candles: list[tuple[int, int]]) -> None:
    obv, total, last = Obv(volume_decimals=8), 0, 0
    for close, size in candles:
        total += size * ((close > last) - (close < last))
        last = close
        assert obv.update(close, size / 10**8) == float(Fraction(total, 10**8))


def test_obv_stays_where_nothing_is_traded() -> None:
    found = Obv(volume_decimals=1).columns([1.0, 2.0, 3.0, 2.0, 2.0], [0.1, 0.2, 0.0, 0.0, 9.0])["obv"]
    assert found.tolist() == [0.1, 0.3, 0.3, 0.3, 0.3]
