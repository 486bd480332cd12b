"""trend_following on 50 candles drawn by hand: means of 2 and 4, ADX and ATR of 2, a mean of 3 ATRs, 6 candles."""

from pathlib import Path

import pytest

from backtester.core.errors import UsageError
from tests.support.shipped import closing_at, deals, ran_shipped

PARAMS = {"fast": 2, "slow": 4, "adx": 2, "min_adx": 40, "atr": 2, "atr_mean": 3, "max_atr": 2, "max_candles": 6}
CLOSES = [
    *[100.0] * 6,  # 0: no trend
    101.0,  # 6: ADX 50, close above both means, but the ATR is 3 times its mean: nothing
    102.0,  # 7: ADX 75, ATR 1.8 times; means 101.5 and 100.75: long
    103.0,  # 8
    104.0,  # 9
    102.0,  # 10: below both means, which are 103 and 102.75: held
    100.0,  # 11: 101 and 102.25: the means have turned, closed; as good a row for a short, but not at this close
    98.0,  # 12: 99 and 101, ADX 73: short
    97.0,  # 13
    98.0,  # 14: 97.5 and 98.25
    97.5,  # 15: 97.75 and 97.625: turned, closed
    98.5,  # 16: 98 and 97.75, ADX 56: long
    97.8,  # 17: ADX 39: flat
    98.6,  # 18: 98.2 and 98.1, ADX 43: long
    98.0,  # 19: 98.3 and 98.225: held, the first candle
    99.0,  # 20
    100.0,  # 21
    101.0,  # 22
    102.0,  # 23
    103.0,  # 24: the sixth: closed; the rows to come say long as before
    *[104.0 + n for n in range(6)],  # 25
    130.0,  # 31: the ATR is 2.5 times its mean: not long
    131.0,  # 32: 0.5 times; 130.5 and 119.5: long
    132.0,  # 33
    133.0,  # 34
    134.0,  # 35
    132.0,  # 36: 133 and 132.75
    130.0,  # 37: 131 and 132.25: turned, closed
    128.0,  # 38: 129 and 131, ADX 67: short
    126.0,  # 39
    124.0,  # 40
    125.0,  # 41
    123.5,  # 42: 124.25 and 124.625
    126.0,  # 43: 124.75 and 124.625: turned, closed; a row for a long, if nothing were held
    123.0,  # 44: 124.5 and 124.375: the close is below both
    126.0,  # 45: ADX 33
    122.9,  # 46: ADX 38
    126.0,  # 47: ADX 40.4; 124.45 and 124.475: the close is above both
    122.5,  # 48: ADX 64; 124.25 and 124.35: short
    126.0,  # 49
]


def traded(folder: Path, **params: object) -> list[tuple[str, int, str]]:
    """What was done at which candle: the open after the close that decided, and which side."""
    ran = ran_shipped(folder, "trend_following", closing_at(CLOSES), **(PARAMS | params))
    return [(tag, candle, "buy" if qty[0] != "-" else "sell") for tag, candle, _, qty in deals(ran)]


def test_the_rule_on_fifty_candles(tmp_path: Path) -> None:
    assert len(CLOSES) == 50
    assert traded(tmp_path) == [
        ("entry", 8, "buy"),
        ("entry.exit", 12, "sell"),
        ("entry", 13, "sell"),
        ("entry.exit", 16, "buy"),
        ("entry", 17, "buy"),
        ("entry.exit", 18, "sell"),
        ("entry", 19, "buy"),
        ("entry.exit", 25, "sell"),
        ("entry", 33, "buy"),
        ("entry.exit", 38, "sell"),
        ("entry", 39, "sell"),
        ("entry.exit", 44, "buy"),
        ("entry", 49, "sell"),
    ]


def test_a_range_too_wide_ends_a_trade(tmp_path: Path) -> None:
    assert traded(tmp_path, max_candles=200)[7:9] == [("entry.exit", 32, "sell"), ("entry", 33, "buy")]


def test_with_a_lower_least_a_weaker_trend_goes_on(tmp_path: Path) -> None:
    assert traded(tmp_path, min_adx=30)[4:7] == [
        ("entry", 17, "buy"),
        ("entry.exit", 23, "sell"),  # 39 at candle 17 does not end it, six candles do
        ("entry", 33, "buy"),
    ]


def test_it_takes_all_of_the_equity_or_what_it_is_told(tmp_path: Path) -> None:
    for exposure, qty in ((1.0, "98.039"), (0.5, "49.019")):  # of 10000 at 102
        ran = ran_shipped(tmp_path / qty, "trend_following", closing_at(CLOSES), **(PARAMS | {"exposure": exposure}))
        assert deals(ran)[0] == ("entry", 8, "102", qty)


def test_on_spot_it_is_long_only(tmp_path: Path) -> None:
    ran = ran_shipped(tmp_path, "trend_following", closing_at(CLOSES), market="spot", **PARAMS)
    assert [candle for tag, candle, *_ in deals(ran) if tag == "entry"] == [8, 17, 19, 33, 44]
    assert {reason for _, reason, _ in ran.refusals} == {"short_not_allowed"}


def test_means_in_the_wrong_order_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"fast \(5\) must be less than slow \(4\)"):
        ran_shipped(tmp_path, "trend_following", closing_at(CLOSES), **(PARAMS | {"fast": 5}))
