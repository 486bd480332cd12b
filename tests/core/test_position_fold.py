"""What fills make of a position: quantities and money are conserved."""

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, tuples

from backtester.core.folds import FLAT, Position, position_after

fills = lists(tuples(integers(-50, 50).filter(bool), integers(1, 10**6)), max_size=40)


@pytest.mark.parametrize(
    ("held", "basis", "qty", "notional", "after", "realised"),
    [
        # opening and adding keep money and realise nothing
        (0, 0, 5, 1000, (5, 1000), 0),
        (0, 0, -5, 1000, (-5, -1000), 0),
        (5, 1000, 3, 900, (8, 1900), 0),
        (-5, -1000, -3, 900, (-8, -1900), 0),
        # a partial close releases the floor of its share: 1000 × 1 / 3 = 333.3
        (3, 1000, -1, 400, (2, 667), 67),
        (-3, -1000, 1, 300, (-2, -667), 33),
        # the last close releases the rest
        (2, 667, -2, 800, (0, 0), 133),
        (-2, -667, 2, 800, (0, 0), -133),
        # through zero: 2 of 5 close with floor(1001 × 2 / 5) = 400, 3 open with 601
        (2, 300, -5, 1001, (-3, -601), 100),
        (-2, -300, 5, 1001, (3, 601), -100),
    ],
)
def test_a_fill_by_hand(held: int, basis: int, qty: int, notional: int, after: tuple[int, int], realised: int) -> None:
    assert position_after(Position(held, basis), qty, notional) == (Position(*after), realised)


@given(fills)
def test_quantity_and_money_are_conserved(stream: list[tuple[int, int]]) -> None:
    position, held, paid, profit = FLAT, 0, 0, 0
    for qty, notional in stream:
        position, realised = position_after(position, qty, notional)
        held += qty
        paid += notional if qty > 0 else -notional
        profit += realised
        assert position.qty_units == held
        assert position.basis_units == paid + profit  # money in the position is what went in plus what was made
        assert (position.qty_units > 0) == (position.basis_units > 0) or position.basis_units == 0


@given(held=integers(2, 1000), basis=integers(1, 10**9), data=tuples(integers(1, 10**6), integers(1, 10**9)))
def test_a_partial_close_releases_the_floor_of_its_share(held: int, basis: int, data: tuple[int, int]) -> None:
    closed, notional = data[0] % (held - 1) + 1, data[1]
    released = floor(Fraction(basis * closed, held))
    long_left, long_profit = position_after(Position(held, basis), -closed, notional)
    short_left, short_profit = position_after(Position(-held, -basis), closed, notional)
    assert long_left == Position(held - closed, basis - released)
    assert short_left == Position(closed - held, released - basis)
    assert long_profit == notional - released == -short_profit


@given(held=integers(1, 1000), basis=integers(1, 10**9), beyond=integers(1, 1000), notional=integers(1, 10**9))
def test_a_fill_through_zero_is_a_close_and_an_open(held: int, basis: int, beyond: int, notional: int) -> None:
    total = held + beyond
    closing = floor(Fraction(notional * held, total))
    after, realised = position_after(Position(held, basis), -total, notional)
    assert after == Position(-beyond, -(notional - closing))
    assert realised == closing - basis
    mirrored, loss = position_after(Position(-held, -basis), total, notional)
    assert mirrored == Position(beyond, notional - closing)
    assert loss == basis - closing
