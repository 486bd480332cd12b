"""ema_regime on 50 candles drawn by hand, with means of 1, 3 and 7 candles.

The EMA of 1 is the close; that of 3 goes half the way to the close, that of 7 a quarter of it.
"""

from pathlib import Path

import pytest

from backtester.core.errors import UsageError
from tests.support.market import Row
from tests.support.shipped import closing_at, deals, ran_shipped

PARAMS = {"fast": 1, "slow": 3, "regime": 7}
CLOSES = [
    *[100.0] * 7,  # 0: all means are 100
    100.1,  # 7: slow 100.05, spread 0.05 %: too small
    101.0,  # 8: slow 100.53, spread 0.47 %, regime 100.27: enter
    102.0,  # 9: slow 101.26
    101.0,  # 10: slow 101.13 is over it: leave
    101.0,  # 11: slow 101.07
    98.0,  # 12: slow 99.53, regime 100.25
    98.4,  # 13: slow 98.97
    99.4,  # 14: slow 99.18, spread 0.22 %, but regime 99.69 is above
    104.0,  # 15: slow 101.59, regime 100.77: enter
    104.5,  # 16: slow 103.05; its low takes the stop; still as good a row as the last
    105.0,  # 17: slow 104.02: the same row for long, which has been traded
    104.1,  # 18: slow 104.06, spread 0.04 %: not
    106.0,  # 19: slow 105.03: again
    *[106.0] * 29,  # 20: slow comes near, and is never over it
    90.0,  # 49: through the stop at 103.88
]


def market() -> list[Row | None]:
    rows = closing_at(CLOSES)
    rows[16] = (104.0, 104.5, 101.0, 104.5)
    return rows


def test_the_rule_on_fifty_candles(tmp_path: Path) -> None:
    assert len(CLOSES) == 50
    ran = ran_shipped(tmp_path, "ema_regime", market(), **PARAMS)
    assert [(tag, candle, price) for tag, candle, price, _ in deals(ran)] == [
        ("entry", 9, "101"),
        ("entry.exit", 11, "101"),
        ("entry", 16, "104"),
        ("entry.stop", 16, "101.92"),  # 2 % below 104
        ("entry", 20, "106"),
        ("entry.stop", 49, "103.88"),
    ]


def test_it_takes_all_of_the_equity_or_what_it_is_told(tmp_path: Path) -> None:
    whole = ran_shipped(tmp_path / "whole", "ema_regime", market(), **PARAMS)
    half = ran_shipped(tmp_path / "half", "ema_regime", market(), exposure=0.5, **PARAMS)
    assert deals(whole)[0] == ("entry", 9, "101", "99.009")  # 10000 at 101, in lots of 0.001
    assert deals(half)[0] == ("entry", 9, "101", "49.504")


def test_a_smaller_spread_is_enough_when_told(tmp_path: Path) -> None:
    ran = ran_shipped(tmp_path, "ema_regime", market(), min_spread_pct=0.04, **PARAMS)
    assert deals(ran)[0][:3] == ("entry", 8, "100.1")


def test_it_never_sells_short(tmp_path: Path) -> None:
    falls = closing_at([100.0 - n / 2 for n in range(50)])
    assert deals(ran_shipped(tmp_path, "ema_regime", falls, **PARAMS)) == []


def test_means_in_the_wrong_order_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"fast \(5\) must be less than slow \(3\)"):
        ran_shipped(tmp_path, "ema_regime", market(), fast=5, slow=3)
