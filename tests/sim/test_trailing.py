"""Trailing stops by hand, and against a search over paths."""

import pytest
from hypothesis import given
from hypothesis.strategies import integers

from backtester.core.numbers import RATE_SCALE
from backtester.sim.matching import NO_FILL
from backtester.sim.paths import trail_on_leg
from backtester.sim.trailing import peak_after, trail_fill_price, trail_fires_at_open, trail_level

BUY, SELL = 1, -1
TENTH = RATE_SCALE // 10


@pytest.mark.parametrize(
    ("side", "peak", "level"),
    [(SELL, 1000, 900), (BUY, 1000, 1100), (SELL, 1001, 901), (BUY, 1001, 1101), (SELL, 1009, 909), (BUY, 1009, 1109)],
)
def test_a_level_is_rounded_to_fire_earlier(side: int, peak: int, level: int) -> None:
    assert trail_level(side, peak, TENTH) == level


@pytest.mark.parametrize(
    ("side", "peak", "activation", "price", "after"),
    [
        (SELL, 100, 0, 110, 110),
        (SELL, 110, 0, 100, 110),
        (BUY, 100, 0, 90, 90),
        (BUY, 90, 0, 100, 90),
        (SELL, 0, 105, 104, 0),
        (SELL, 0, 105, 105, 105),
        (BUY, 0, 95, 96, 0),
        (BUY, 0, 95, 94, 94),
    ],
)
def test_the_best_price_is_followed_from_the_activation_on(
    side: int, peak: int, activation: int, price: int, after: int
) -> None:
    assert peak_after(side, peak, activation, price) == after


@pytest.mark.parametrize(
    ("peak", "candle", "price"),
    [
        (1000, (950, 980, 910), NO_FILL),
        (1000, (950, 980, 900), 900),  # touched
        (1000, (950, 980, 850), 900),
        (1000, (890, 980, 850), 890),  # opens beyond
        (1000, (1000, 1200, 1090), NO_FILL),  # even from 1200 the level is 1080
        (1000, (1000, 1200, 1080), 1080),
        (1000, (1000, 1200, 950), 950),  # up to 1056, down to 950
        (0, (950, 1049, 800), NO_FILL),  # the activation of 1050 is not reached
        (0, (950, 1050, 800), 945),
    ],
)
def test_a_candle_fires_a_sale_at_the_worst_price_of_all_paths(
    peak: int, candle: tuple[int, int, int], price: int
) -> None:
    assert trail_fill_price(SELL, peak, TENTH, 1050 if peak == 0 else 0, *candle) == price


@given(
    peak=integers(80, 120),
    open_=integers(80, 120),
    up=integers(0, 25),
    down=integers(0, 25),
    rate=integers(1, 20),
)
def test_no_path_up_and_down_fires_lower_and_some_path_fires_there(
    peak: int, open_: int, up: int, down: int, rate: int
) -> None:
    high, low, units = open_ + up, open_ - down, rate * RATE_SCALE // 100
    found = trail_fill_price(SELL, peak, units, 0, open_, high, low)
    if trail_fires_at_open(SELL, peak, units, open_):
        assert found == open_
        return
    fired = []
    for top in range(open_, high + 1):  # rise to the top, then fall to the low
        price = trail_on_leg(SELL, max(peak, open_, top), units, top, low)
        if price != NO_FILL:
            fired.append(price)
    assert found == (min(fired) if fired else NO_FILL)


@given(
    peak=integers(1, 10**6),
    open_=integers(1, 10**6),
    up=integers(0, 10**5),
    down=integers(0, 10**5),
    rate=integers(1, RATE_SCALE - 1),
)
def test_a_trailing_stop_fills_inside_the_candle(peak: int, open_: int, up: int, down: int, rate: int) -> None:
    high, low = open_ + up, max(1, open_ - down)
    for side in (BUY, SELL):
        found = trail_fill_price(side, peak, rate, 0, open_, high, low)
        assert found == NO_FILL or low <= found <= high
