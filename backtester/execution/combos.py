"""Combinations: limit orders that fill all at one row, or none."""

from collections.abc import Iterable, Iterator

from backtester.execution.orders import WorkingOrder


def combos_of(waiting: Iterable[WorkingOrder]) -> Iterator[list[WorkingOrder]]:
    """Yield single orders alone and the legs of each combination together, in the order of their first ids."""
    groups: dict[int, list[WorkingOrder]] = {}
    for working in waiting:
        groups.setdefault(working.order.combo_id or -working.order.order_id, []).append(working)
    yield from groups.values()


def is_whole(legs: list[WorkingOrder]) -> bool:
    """Say whether all legs of a combination are here: they can arrive one after another, at one instant."""
    return len(legs) == legs[0].order.combo_legs
