"""Pivots on markets drawn by hand, and against looking at both sides at once."""

import pytest
from hypothesis import given
from hypothesis.strategies import booleans, integers, lists

from backtester.strategy.indicators.pivots import Pivots, Swing


def _swings(pivots: Pivots, highs: list[float], lows: list[float] | None = None) -> list[Swing | None]:
    return [pivots.update(high, low) for high, low in zip(highs, lows or [0.0] * len(highs), strict=True)]


def test_a_pivot_is_known_when_its_right_side_has_closed_and_not_before() -> None:
    highs = [1.0, 2.0, 5.0, 3.0, 2.0, 1.0]
    found = _swings(Pivots(2, 2), highs)
    assert found[:4] == [None] * 4
    assert found[4] == Swing(5.0, None, 5.0, None, None, None)
    assert found[5] == Swing(None, None, 5.0, None, None, None)


def test_the_two_newest_pivots_are_remembered() -> None:
    highs, lows = [1, 3, 2, 4, 2, 6, 5], [0.9, 2, 0.8, 3, 0.7, 5, 4]
    found = _swings(Pivots(1, 1), [float(high) for high in highs], lows)
    assert found[2] == Swing(3, None, 3, None, None, None)
    assert found[3] == Swing(None, 0.8, 3, None, 0.8, None)
    assert found[4] == Swing(4, None, 4, 3, 0.8, None)
    assert found[5] == Swing(None, 0.7, 4, 3, 0.7, 0.8)
    assert found[6] == Swing(6, None, 6, 4, 0.7, 0.8)


@pytest.mark.parametrize(("ties", "expected"), [("none", None), ("first", 5.0)])
def test_of_equal_highs_none_is_a_pivot_or_the_first(ties: str, expected: float | None) -> None:
    found = _swings(Pivots(left=1, right=2, ties=ties), [1.0, 5.0, 5.0, 1.0, 1.0])  # type: ignore[arg-type]
    assert [swing and swing.high for swing in found] == [None, None, None, expected, None]


@given(highs=lists(integers(1, 5), max_size=40), left=integers(1, 4), right=integers(1, 4), is_first=booleans())
def test_they_are_what_stands_out_on_both_sides(highs: list[int], left: int, right: int, is_first: bool) -> None:
    pivots = Pivots(left=left, right=right, ties="first" if is_first else "none")
    mirrored = Pivots(left=left, right=right, ties="first" if is_first else "none")
    tops = [swing and swing.high for swing in _swings(pivots, [float(high) for high in highs])]
    bottoms = [swing and swing.low for swing in _swings(mirrored, [9.0] * len(highs), [-float(h) for h in highs])]
    for row in range(len(highs)):
        at = row - right
        expected = None
        if at >= left:
            before, after = highs[at - left : at], highs[at + 1 : row + 1]
            stands_out = highs[at] > max(before) and (highs[at] >= max(after) if is_first else highs[at] > max(after))
            expected = highs[at] if stands_out else None
        assert tops[row] == expected
        assert bottoms[row] == (None if expected is None else -expected)
