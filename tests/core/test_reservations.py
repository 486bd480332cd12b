"""Funds bound by open orders; orders that exclude each other bind them once."""

from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from, tuples

from backtester.core.folds import Reservations
from backtester.core.instruments import Asset

USDT, BTC = Asset("USDT"), Asset("BTC")


def test_single_orders_add_up_and_free_what_they_held() -> None:
    held = Reservations()
    held.hold(1, USDT, 100, "")
    held.hold(2, USDT, 50, "")
    held.hold(3, BTC, 7, "")
    assert (held.total(USDT), held.total(BTC)) == (150, 7)
    assert held.release(1)
    assert held.total(USDT) == 50
    assert not held.release(1)
    assert not held.release(99)


def test_an_oco_group_binds_the_most_of_its_orders() -> None:
    held = Reservations()
    held.hold(1, BTC, 5, "exit")
    held.hold(2, BTC, 8, "exit")
    held.hold(3, BTC, 1, "")
    assert held.total(BTC) == 9
    assert held.extra(BTC, 10, "exit") == 2
    assert held.extra(BTC, 4, "exit") == 0
    assert held.extra(BTC, 4, "") == 4
    assert held.extra(BTC, 4, "another") == 4
    held.release(2)
    assert held.total(BTC) == 6
    held.release(1)
    assert held.total(BTC) == 1


def test_what_others_bind_leaves_out_the_whole_group() -> None:
    held = Reservations()
    held.hold(1, BTC, 5, "exit")
    held.hold(2, BTC, 8, "exit")
    held.hold(3, BTC, 1, "")
    assert held.total_without(1) == held.total_without(2) == 1
    assert held.total_without(3) == 8
    assert held.total_without(99) == 0


def test_a_group_binds_each_asset_by_itself() -> None:
    held = Reservations()
    held.hold(1, BTC, 5, "exit")
    held.hold(2, USDT, 500, "exit")
    assert (held.total(BTC), held.total(USDT)) == (5, 500)


def test_an_order_that_binds_nothing_says_so() -> None:
    held = Reservations()
    held.hold(1, USDT, 0, "")
    assert held.total(USDT) == 0
    assert not held.release(1)


orders = lists(tuples(sampled_from([USDT, BTC]), integers(0, 100), sampled_from(["", "a", "b"])), max_size=12)


@given(orders, lists(integers(0, 11), max_size=20))
def test_totals_are_those_of_a_list_kept_by_hand(placed: list[tuple[Asset, int, str]], ended: list[int]) -> None:
    held, open_orders = Reservations(), {}
    for number, (asset, units, group) in enumerate(placed):
        held.hold(number, asset, units, group)
        open_orders[number] = (asset, units, group or f"alone {number}")
    for number in ended:
        held.release(number)
        open_orders.pop(number, None)
        for asset in (USDT, BTC):
            groups: dict[str, int] = {}
            for its_asset, units, group in open_orders.values():
                if its_asset == asset:
                    groups[group] = max(groups.get(group, 0), units)
            assert held.total(asset) == sum(groups.values())
