"""What a venue accepts of an order, in the instrument's integers. The rules change: a run has a timeline of them."""

from collections.abc import Mapping
from math import lcm
from typing import NamedTuple

from backtester.core.events import OrderKind
from backtester.core.instruments import InstrumentId
from backtester.core.timeline import Timeline


class OrderLimits(NamedTuple):
    """Limits of one order. Quantities in 10^-q, notionals in 1e-8; a limit of 0 is none.

    lot_units: the step of quantities, >= 1. min_qty_units: at least one lot.
    """

    lot_units: int
    min_qty_units: int
    max_qty_units: int = 0
    min_notional_units: int = 0
    max_notional_units: int = 0


class VenueFilters(NamedTuple):
    """What a venue asks of an order beyond steps, quantities and notionals; 0 is none.

    min_price_units, max_price_units: of limit and trigger prices, in 10^-p. bid_down .. ask_up: between which multiples
    (1e-8) of the reference price the limit of a purchase, of a sale may lie. max_orders, max_algo_orders: open in the
    instrument at a time; the second counts those with a trigger. max_position_units: what is held and would be bought
    (of a short: sold) by all open orders, in 10^-q.
    """

    min_price_units: int = 0
    max_price_units: int = 0
    bid_down: int = 0
    bid_up: int = 0
    ask_down: int = 0
    ask_up: int = 0
    max_orders: int = 0
    max_algo_orders: int = 0
    max_position_units: int = 0


class InstrumentRules(NamedTuple):
    """The rules of an instrument while they hold.

    tick_units: the step of prices in 10^-p, >= 1. resting: limits of orders with a limit price. at_market: limits of
    market orders, and of those that execute as such once they trigger. filters: None when there are none.
    """

    tick_units: int
    resting: OrderLimits
    at_market: OrderLimits
    filters: VenueFilters | None = None

    def limits(self, kind: OrderKind) -> OrderLimits:
        """Return what an order of this kind must obey."""
        return self.resting if kind.has_limit else self.at_market


RuleBook = Mapping[InstrumentId, Timeline[InstrumentRules]]


def both(lots: OrderLimits, market: OrderLimits) -> OrderLimits:
    """Return the limits that satisfy two sets of quantity limits at once, with the notionals of the second.

    A step of 0 in `market` is none: that of `lots` remains.
    """
    lot = lcm(lots.lot_units, market.lot_units) if market.lot_units else lots.lot_units
    most = [limit for limit in (lots.max_qty_units, market.max_qty_units) if limit]
    return OrderLimits(
        lot,
        max(lot, lots.min_qty_units, market.min_qty_units),
        min(most, default=0),
        market.min_notional_units,
        market.max_notional_units,
    )
