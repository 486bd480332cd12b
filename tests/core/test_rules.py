"""Limits of an order that must obey two sets of them."""

from hypothesis import given
from hypothesis.strategies import integers

from backtester.core.rules import OrderLimits, both


def passes(qty: int, lot: int, least: int, most: int) -> bool:
    return qty > 0 and (not lot or qty % lot == 0) and qty >= least and (not most or qty <= most)


@given(
    qty=integers(0, 200),
    lots=integers(1, 12),
    least=integers(0, 60),
    most=integers(0, 150),
    market_lot=integers(0, 12),
    market_least=integers(0, 60),
    market_most=integers(0, 150),
)
def test_a_quantity_passes_both_limits_just_when_it_passes_each(
    qty: int, lots: int, least: int, most: int, market_lot: int, market_least: int, market_most: int
) -> None:
    limits = both(OrderLimits(lots, least, most), OrderLimits(market_lot, market_least, market_most, 7, 8))
    each = passes(qty, lots, least, most) and passes(qty, market_lot, market_least, market_most)
    assert passes(qty, limits.lot_units, limits.min_qty_units, limits.max_qty_units) == each
    assert (limits.min_notional_units, limits.max_notional_units) == (7, 8)
