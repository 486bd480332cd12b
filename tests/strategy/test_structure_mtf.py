"""structure_mtf on 50 candles of 1m drawn by hand, with the structure of 3m, and pivots with one candle on each side.

Each candle opens where the one before closed. It reaches 0.4 beyond its close and 0.1 beyond its open, so that a turn
of the closes is a pivot, 0.4 beyond the close that turned.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtester.core.errors import UsageError
from backtester.strategy.features import Source
from backtester.strategy.structure_mtf import StructureMtf, StructureMtfParams
from tests.strategy.features.frames import BTC, columns, frames_of
from tests.support.market import Row
from tests.support.shipped import deals, ran_shipped

PARAMS = {"trend_timeframe": "3m", "pivot_candles": 1}
CLOSES = [
    *[100.0, 101.0, 102.0],
    *[103.0, 104.0, 105.0],  # 3: the first high of 3m, 105.4
    *[104.0, 103.0, 102.0],
    *[101.0, 102.0, 103.0],  # 9: the first low of 3m, 100.6
    *[105.0, 107.0, 109.0],  # 12: a higher high, 109.4
    *[108.0, 107.0, 106.0],
    *[105.0, 104.0, 105.0],  # 18: a higher low, 103.6
    *[106.0, 107.0, 106.0],  # 21: at the close of 23 it is confirmed, and so is the high of 22, 107.4: trend up
    107.0,  # 24: confirms the low of 23, 105.6
    108.0,  # 25: crosses 107.4: long, R is 108 - 105.6 = 2.4
    109.0,  # 26
    111.0,  # 27: reaches 1R at 110.4; stop to 108
    109.0,  # 28
    111.0,  # 29: confirms the low of 28, 108.6, before 2R
    113.0,  # 30: reaches 2R at 112.8; stop to 108.6
    111.0,  # 31
    112.0,  # 32: confirms the low of 31, 110.6: stop there
    110.0,  # 33: falls through it
    111.0,  # 34
    112.8,  # 35: crosses the high of 32, 112.4, in the leg from 103.6, which has had its trade
    *[112.0, 111.0, 112.0],  # 36: at the close of 38 the 3m low of 33, 109.6, is confirmed: another leg
    111.5,  # 39: confirms the high of 38, 112.4
    113.0,  # 40: crosses it: long, stop at the low of 37, 110.6
    112.0,  # 41
    110.0,  # 42: falls through it
    *[109.9, 109.8, 109.7, 109.6, 109.5, 109.4, 109.3],
]


def market(*, mirrored: bool = False) -> list[Row | None]:
    """The candles, or their image in a mirror at 110."""
    rows: list[Row | None] = []
    last = CLOSES[0] - 1
    for close in CLOSES:
        up = 1 if close > last else -1
        ends = last - up * 0.1, close + up * 0.4
        row = (last, max(ends), min(ends), close)
        if mirrored:
            row = (220 - row[0], 220 - row[2], 220 - row[1], 220 - row[3])
        rows.append(tuple(round(price, 2) for price in row))
        last = close
    return rows


LONG = [
    ("up-103.6", 26, "108"),
    ("up-103.6.target", 27, "110.4"),
    ("up-103.6.target", 30, "112.8"),
    ("up-103.6.stop", 33, "110.6"),
    ("up-109.6", 41, "113"),
    ("up-109.6.stop", 42, "110.6"),
]


def test_the_rule_on_fifty_candles(tmp_path: Path) -> None:
    assert len(CLOSES) == 50
    ran = ran_shipped(tmp_path, "structure_mtf", market(), **PARAMS)
    assert [deal[:3] for deal in deals(ran)] == LONG


def test_shorts_are_the_mirror_image(tmp_path: Path) -> None:
    ran = ran_shipped(tmp_path, "structure_mtf", market(mirrored=True), **PARAMS)
    assert [(candle, Decimal(220) - Decimal(price)) for _, candle, price, _ in deals(ran)] == [
        (candle, Decimal(price)) for _, candle, price in LONG
    ]
    assert [tag for tag, *_ in deals(ran)][:2] == ["down-116.4", "down-116.4.target"]
    assert deals(ran)[0][3].startswith("-")


def test_a_third_goes_at_each_of_two_distances_and_the_rest_at_the_stop(tmp_path: Path) -> None:
    quantities = [Decimal(qty) for *_, qty in deals(ran_shipped(tmp_path, "structure_mtf", market(), **PARAMS))[:4]]
    assert quantities[0] == Decimal("92.592")  # 10000 at 108, in lots of 0.001
    assert sum(quantities) == 0
    assert all(abs(qty + Decimal("30.864")) <= Decimal("0.001") for qty in quantities[1:])


def test_the_stop_begins_at_the_swing_goes_to_what_was_paid_and_then_follows(tmp_path: Path) -> None:
    ran = ran_shipped(tmp_path, "structure_mtf", market(), **PARAMS)
    orders = [e for e in ran.events("orders_sanitized") if e.get("tag") == "up-103.6.stop"]
    entry = next(e for e in ran.events("orders_intent") if e.get("tag") == "up-103.6")
    assert entry["bracket"]["stop_loss"] == "105.6"
    assert [order["stop_price"] for order in orders] == ["108.00", "108.60", "110.60"]


def test_without_a_trend_there_is_no_trade(tmp_path: Path) -> None:
    ran = ran_shipped(tmp_path, "structure_mtf", market(), **(PARAMS | {"pivot_candles": 4}))
    assert deals(ran) == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"first_r": 2}, r"first_r \(2.0\) must be less than second_r \(2.0\)"),
        ({"trend_timeframe": "7m"}, "'7m/trend' is not an input of a feature"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, params: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ran_shipped(tmp_path, "structure_mtf", market(), **params)


def swings(values: list[float], side: int, sign: int) -> list[tuple[int, float]]:
    """Row that confirms it, and price, of every high (sign 1) or low (-1) that stands out on both sides."""
    return [
        (at + side, values[at])
        for at in range(side, len(values) - side)
        if all(sign * values[at] > sign * values[other] for other in range(at - side, at + side + 1) if other != at)
    ]


def newest(found: list[tuple[int, float]], row: int) -> list[float]:
    """The two newest prices that are known at a row, oldest first."""
    return [price for confirmed, price in found if confirmed <= row][-2:]


@pytest.mark.parametrize("seed", [1, 2])
def test_with_its_defaults_it_says_what_the_words_of_the_rule_say(seed: int) -> None:
    frames = frames_of(columns(1500, seed=seed), "30m")
    own, long = Source(BTC, "5m"), Source(BTC, "30m")
    _, targets = StructureMtf(StructureMtfParams()).evaluated(frames, own)
    highs, lows = (swings(frames[own][name].tolist(), 3, sign) for name, sign in (("high", 1), ("low", -1)))
    tops, bottoms = (swings(frames[long][name].tolist(), 3, sign) for name, sign in (("high", 1), ("low", -1)))
    closes, ends = frames[own]["close"].tolist(), frames[long].times
    entries = []
    for row in range(1, 1500):
        known = int(np.searchsorted(ends, frames[own].times[row], side="right")) - 1  # the last 30m that has closed
        high, low, top, bottom = newest(highs, row), newest(lows, row), newest(tops, known), newest(bottoms, known)
        if not (high and low) or len(top) < 2 or len(bottom) < 2:
            continue
        if top[1] > top[0] and bottom[1] > bottom[0] and closes[row] > high[-1] >= closes[row - 1]:
            entries.append((row, 1.0, low[-1], f"up-{bottom[1]}"))
        if top[1] < top[0] and bottom[1] < bottom[0] and closes[row] < low[-1] <= closes[row - 1]:
            entries.append((row, -1.0, high[-1], f"down-{top[1]}"))
    rows = np.flatnonzero(~np.isnan(targets.exposure)).tolist()
    assert targets.stop is not None
    assert [(r, targets.exposure[r], targets.stop[r], targets.tag[r]) for r in rows] == entries
    assert {side for _, side, *_ in entries} == {1.0, -1.0}
