"""When and where an order meets a candle: tables by hand. Prices in units, a candle from 100."""

import pytest

from backtester.sim.matching import NO_FILL, limit_fill_price, stop_fill_price, stop_is_through

BUY, SELL = 1, -1


@pytest.mark.parametrize(
    ("side", "limit", "high", "low", "through", "touched"),
    [
        # a buy rests below: traded through, touched exactly, not reached
        (BUY, 95, 105, 90, 95, 95),
        (BUY, 95, 105, 95, NO_FILL, 95),
        (BUY, 95, 105, 96, NO_FILL, NO_FILL),
        # the whole candle is beyond the limit: the limit, for who came through it took what was offered there
        (BUY, 95, 94, 90, 95, 95),
        (BUY, 95, 90, 90, 95, 95),
        # a sale rests above: the mirror image
        (SELL, 105, 110, 95, 105, 105),
        (SELL, 105, 105, 95, NO_FILL, 105),
        (SELL, 105, 104, 95, NO_FILL, NO_FILL),
        (SELL, 105, 110, 106, 105, 105),
    ],
)
def test_a_limit_fills_when_the_market_trades_through_it(
    side: int, limit: int, high: int, low: int, through: int, touched: int
) -> None:
    assert limit_fill_price(side, limit, high, low, False) == through
    assert limit_fill_price(side, limit, high, low, True) == touched


@pytest.mark.parametrize(
    ("side", "stop", "open_", "high", "low", "price"),
    [
        # a sell stop below: reached, touched, not reached
        (SELL, 95, 100, 105, 90, 95),
        (SELL, 95, 100, 105, 95, 95),
        (SELL, 95, 100, 105, 96, NO_FILL),
        # the market opens beyond it: the open, which is worse
        (SELL, 95, 93, 105, 90, 93),
        (SELL, 95, 95, 105, 95, 95),
        (SELL, 95, 80, 80, 80, 80),
        # a buy stop above: the mirror image
        (BUY, 105, 100, 110, 95, 105),
        (BUY, 105, 100, 105, 95, 105),
        (BUY, 105, 100, 104, 95, NO_FILL),
        (BUY, 105, 107, 110, 95, 107),
        (BUY, 105, 120, 120, 120, 120),
    ],
)
def test_a_stop_fires_when_it_is_reached_and_a_gap_fills_at_the_open(
    side: int, stop: int, open_: int, high: int, low: int, price: int
) -> None:
    assert stop_fill_price(side, stop, open_, high, low) == price


@pytest.mark.parametrize(
    ("side", "stop", "last", "through"),
    [(SELL, 95, 96, False), (SELL, 95, 95, True), (SELL, 95, 94, True), (BUY, 95, 94, False), (BUY, 95, 95, True)],
)
def test_a_stop_is_through_from_its_own_price_on(side: int, stop: int, last: int, through: bool) -> None:
    assert stop_is_through(side, stop, last) is through
