"""Bands made of ranges, on markets drawn by hand; exponential means and RSI by hand."""

import pytest

from backtester.strategy.indicators.momentum import Rsi
from backtester.strategy.indicators.ranges import Atr, Keltner, Supertrend
from backtester.strategy.indicators.smoothing import Ema, Macd


def test_an_exponential_mean_begins_with_the_plain_one() -> None:
    ema = Ema(3)
    assert [ema.update(price) for price in (1, 2, 6)] == [None, None, 3]
    assert ema.update(9) == 6  # half way, 2 / (3 + 1)
    assert ema.update(float("nan")) is None
    assert ema.update(6) == 6


def test_rsi_is_the_share_of_gains_and_50_when_nothing_moves() -> None:
    rsi = Rsi(2)
    assert [rsi.update(price) for price in (10, 13, 12)] == [None, None, 75]
    assert rsi.update(12) == 75  # a mean gain and loss halved: the share stays
    still = Rsi(2)
    assert [still.update(7) for _ in range(4)] == [None, None, 50, 50]
    as_ta_lib = Rsi(2, flat=0)
    assert [as_ta_lib.update(7) for _ in range(4)] == [None, None, 0, 0]


def test_a_true_range_includes_the_gap_and_needs_a_close_before_it() -> None:
    atr = Atr(2)
    assert atr.update(100, 1, 10) is None
    assert atr.update(15, 13, 14) is None  # 5: from 10 up
    assert atr.update(14, 11, 12) == 4  # (5 + 3) / 2
    assert atr.update(11, 10, 10) == 3  # 2: from 12 down, half way


def test_a_keltner_channel_by_hand() -> None:
    keltner = Keltner(2, atr_window=1, multiple=2.0)
    assert keltner.update(12, 6, 9) is None
    assert keltner.update(13, 10, 13) == pytest.approx((10.5 - 8, 10.5, 10.5 + 8))  # mean of 9 and 12, range 4


def test_a_supertrend_follows_turns_and_never_backs_off() -> None:
    trend = Supertrend(1, multiple=1.0)
    assert trend.update(11, 9, 10) is None
    assert trend.update(12, 10, 12) == (9, 1)  # 11 − 2
    assert trend.update(12, 10, 11) == (9, 1)
    assert trend.update(11, 10, 10) == (9.5, 1)  # 10.5 − 1: nearer
    assert trend.update(12, 9, 10) == (9.5, 1)  # 10.5 − 3 would be farther
    assert trend.update(10, 8, 8) == (11, -1)  # closed below 9.5; 9 + 2 above
    assert trend.update(9, 5, 6) == (11, -1)
    assert trend.update(13, 6, 12) == (3, 1)  # closed above 11; 7 − 4 of the candle before, now nearer than 9.5 − 7


def test_macd_needs_a_faster_and_a_slower_mean() -> None:
    with pytest.raises(ValueError, match="fast \\(26\\) must be less than slow \\(12\\)"):
        Macd(26, 12)
