"""The queue at a price: who is ahead, and what a trade leaves."""

from hypothesis import given
from hypothesis.strategies import booleans, integers, lists, sampled_from, tuples

from backtester.sim.queue import BEHIND_ALL, ahead_of, served

sides = sampled_from([1, -1])
prices = integers(95, 105)
amounts = integers(0, 50)


def test_who_joins_the_best_price_stands_behind_what_is_shown() -> None:
    assert ahead_of(1, 100, 100, 7, BEHIND_ALL) == 7
    assert ahead_of(-1, 100, 100, 7, BEHIND_ALL) == 7


def test_who_improves_the_best_price_is_alone() -> None:
    assert ahead_of(1, 101, 100, 7, BEHIND_ALL) == 0
    assert ahead_of(-1, 99, 100, 7, BEHIND_ALL) == 0


def test_deeper_in_the_book_or_without_a_quote_the_assumption_holds() -> None:
    assert ahead_of(1, 99, 100, 7, BEHIND_ALL) == BEHIND_ALL
    assert ahead_of(-1, 101, 100, 7, 3) == 3
    assert ahead_of(1, 99, 0, 0, 3) == 3


def test_a_trade_at_the_price_serves_the_queue_first() -> None:
    assert served(1, 100, 100, True, 5, 7) == (0, 2)
    assert served(1, 100, 100, True, 9, 7) == (2, 0)
    assert served(-1, 100, 100, False, 9, 7) == (2, 0)


def test_behind_everybody_no_trade_at_the_price_brings_the_turn_nearer() -> None:
    assert served(1, 100, 100, True, 9, BEHIND_ALL) == (0, BEHIND_ALL)


def test_a_trade_of_our_own_side_serves_nobody_at_our_price() -> None:
    assert served(1, 100, 100, False, 9, 0) == (0, 0)
    assert served(-1, 100, 100, True, 9, 0) == (0, 0)


def test_a_trade_through_the_price_is_ours_whoever_took() -> None:
    for seller_took in (True, False):
        assert served(1, 100, 99, seller_took, 9, BEHIND_ALL) == (9, 0)
        assert served(-1, 100, 101, seller_took, 9, BEHIND_ALL) == (9, 0)


@given(side=sides, limit=prices, ahead=amounts, trades=lists(tuples(prices, booleans(), amounts), max_size=20))
def test_a_longer_queue_never_gets_more(side: int, limit: int, ahead: int, trades: list[tuple[int, bool, int]]) -> None:
    got, more = [0, 0], [ahead, ahead + 5]
    for price, seller_took, qty in trades:
        for n in (0, 1):
            left, more[n] = served(side, limit, price, seller_took, qty, more[n])
            assert 0 <= left <= qty
            got[n] += left
    assert got[1] <= got[0]
    assert got[0] - got[1] <= 5


@given(side=sides, limit=prices, trades=lists(tuples(prices, booleans(), amounts), max_size=20))
def test_both_sides_are_mirror_images(side: int, limit: int, trades: list[tuple[int, bool, int]]) -> None:
    ahead = mirrored = 20
    for price, seller_took, qty in trades:
        left, ahead = served(side, limit, price, seller_took, qty, ahead)
        same, mirrored = served(-side, -limit, -price, not seller_took, qty, mirrored)
        assert (left, ahead) == (same, mirrored)
