"""Corners and legs of a path, by hand."""

import pytest
from hypothesis import given
from hypothesis.strategies import booleans, integers, sampled_from

from backtester.sim.matching import NO_FILL, limit_fill_price, stop_fill_price
from backtester.sim.paths import (
    NEAR_EXTREME_FIRST,
    OPTIMISTIC,
    corners,
    limit_on_leg,
    middle,
    surely_filled,
    trigger_on_leg,
)

BUY, SELL = 1, -1


@pytest.mark.parametrize(
    ("path", "candle", "favour", "first"),
    [
        (NEAR_EXTREME_FIRST, (100, 110, 95), 0, 95),
        (NEAR_EXTREME_FIRST, (100, 105, 90), 0, 105),
        (NEAR_EXTREME_FIRST, (100, 105, 90), -3, 105),
        (NEAR_EXTREME_FIRST, (100, 110, 90), 1, 90),  # sales wait at the high: against them
        (NEAR_EXTREME_FIRST, (100, 110, 90), -1, 110),
        (NEAR_EXTREME_FIRST, (100, 110, 90), 0, 90),
        (OPTIMISTIC, (100, 130, 99), 1, 130),
        (OPTIMISTIC, (100, 101, 70), -1, 70),
        (OPTIMISTIC, (100, 101, 70), 0, 101),
    ],
)
def test_which_extreme_comes_first(path: int, candle: tuple[int, int, int], favour: int, first: int) -> None:
    assert corners(path, *candle, favour)[0] == first
    assert sorted(corners(path, *candle, favour)) == sorted(candle[1:])


@pytest.mark.parametrize(
    ("side", "limit", "start", "end", "through", "touched"),
    [
        (BUY, 95, 100, 90, 95, 95),
        (BUY, 95, 100, 95, NO_FILL, 95),
        (BUY, 95, 100, 96, NO_FILL, NO_FILL),
        (BUY, 95, 90, 100, NO_FILL, NO_FILL),  # the move goes away from it
        (BUY, 95, 95, 90, 95, 95),
        (BUY, 95, 93, 90, 93, 93),  # it starts beyond
        (SELL, 105, 100, 110, 105, 105),
        (SELL, 105, 100, 105, NO_FILL, 105),
        (SELL, 105, 107, 110, 107, 107),
    ],
)
def test_where_a_move_fills_a_limit(side: int, limit: int, start: int, end: int, through: int, touched: int) -> None:
    assert limit_on_leg(side, limit, start, end, False) == through
    assert limit_on_leg(side, limit, start, end, True) == touched


@pytest.mark.parametrize(
    ("direction", "start", "end", "price"),
    [(1, 100, 110, 105), (1, 100, 105, 105), (1, 100, 104, NO_FILL), (1, 107, 110, 107), (-1, 110, 100, 105)],
)
def test_where_a_move_reaches_a_trigger_at_105(direction: int, start: int, end: int, price: int) -> None:
    assert trigger_on_leg(direction, 105, start, end) == price


@pytest.mark.parametrize(
    ("side", "limit", "born", "close", "surely"),
    [
        # a candle from 100 with high 110 and low 90
        (SELL, 105, 95, 100, False),  # the high may have been before
        (SELL, 105, 95, 106, True),  # the close is beyond
        (SELL, 105, 95, 105, False),  # a touch does not fill
        (SELL, 108, 105, 100, True),  # on the way up over 105 it went on to 110
        (SELL, 110, 105, 100, False),
        (BUY, 95, 105, 100, False),
        (BUY, 95, 105, 94, True),
        (BUY, 92, 95, 100, True),
    ],
)
def test_what_every_path_fills(side: int, limit: int, born: int, close: int, surely: bool) -> None:
    assert surely_filled(side, limit, born, 100, 110, 90, close, False) is surely


@given(
    path=sampled_from([NEAR_EXTREME_FIRST, OPTIMISTIC]),
    open_=integers(50, 150),
    up=integers(0, 40),
    down=integers(0, 40),
    price=integers(20, 200),
    side=sampled_from([BUY, SELL]),
    touch=booleans(),
    favour=integers(-2, 2),
)
def test_what_a_candle_reaches_every_path_through_it_meets_at_the_same_price(
    path: int, open_: int, up: int, down: int, price: int, side: int, touch: bool, favour: int
) -> None:
    high, low = open_ + up, open_ - down
    first, second = corners(path, open_, high, low, favour)
    legs = [(open_, first), (first, second)]
    if (price - open_) * side < 0:  # a limit that the open does not decide
        met = [limit_on_leg(side, price, *leg, touch) for leg in legs]
        assert max(met) == limit_fill_price(side, price, high, low, touch)
    if (open_ - price) * side < 0:  # nor a stop
        met = [trigger_on_leg(side, price, *leg) for leg in legs]
        assert max(met) == stop_fill_price(side, price, open_, high, low)


def test_the_middle_is_rounded_against_the_trader() -> None:
    assert [middle(side, 101, 100) for side in (BUY, SELL)] == [101, 100]
    assert [middle(side, 102, 100) for side in (BUY, SELL)] == [101, 101]
