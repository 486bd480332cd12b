"""The life of an order as a table, and the volume by which fees are charged."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, tuples

from backtester.core.errors import EngineError
from backtester.core.time import DAY
from backtester.execution.orders import State, WorkingOrder
from backtester.execution.volume import TradedVolume

ALLOWED = {
    ("new", "working"),
    ("new", "rejected"),
    ("working", "triggered"),
    ("working", "filled"),
    ("working", "cancelled"),
    ("working", "expired"),
    ("triggered", "filled"),
    ("triggered", "cancelled"),
    ("triggered", "expired"),
    ("working", "partly_filled"),
    ("triggered", "partly_filled"),
    ("partly_filled", "partly_filled"),
    ("partly_filled", "filled"),
    ("partly_filled", "cancelled"),
    ("partly_filled", "expired"),
}


class AnOrder:
    """All that an error message needs."""

    order_id = 7


@pytest.mark.parametrize(("before", "after"), list(product(State, State)))
def test_an_order_moves_only_along_the_table(before: State, after: State) -> None:
    working: Any = object.__new__(WorkingOrder)
    working.order, working.state = AnOrder(), before
    if (before.value, after.value) in ALLOWED:
        working.become(after)
        assert working.state is after
    else:
        with pytest.raises(EngineError, match="order 7 cannot become"):
            working.become(after)


def test_volume_is_that_of_today_and_the_thirty_days_before() -> None:
    volume = TradedVolume()
    volume.add(0, 100)
    volume.add(DAY - 1, 10)
    volume.add(DAY, 1)
    assert volume.at(DAY) == 111
    assert volume.at(31 * DAY - 1) == 111
    assert volume.at(31 * DAY) == 1
    assert volume.at(32 * DAY) == 0


@given(lists(tuples(integers(0, 3 * DAY), integers(0, 10**12)), max_size=40))
def test_volume_is_a_sum_over_days(steps: list[tuple[int, int]]) -> None:
    volume, now, made = TradedVolume(), 0, []
    for step, units in steps:
        now += step
        volume.add(now, units)
        made.append((now // DAY, units))
        assert volume.at(now) == sum(units for day, units in made if day >= now // DAY - 30)
