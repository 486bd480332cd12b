"""The worst that fills can make of the positions: every open purchase fills and no sale, or the other way round.

All is valued at the last prices: what prices do afterwards is no matter of orders.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from backtester.core.events import SanitizedOrder, Side
from backtester.core.folds import Ledger
from backtester.core.instruments import Instrument, InstrumentId
from backtester.risk.open_orders import OpenOrders


class Claim(NamedTuple):
    """What an order may add to one side of an instrument. group: of its claims only the largest counts.

    price_units: its own price (10^-p), for an instrument that has no last price yet.
    """

    instrument: InstrumentId
    group: str
    side: Side
    qty_units: int
    price_units: int


class WorstCase(NamedTuple):
    """Notionals in 1e-8 of the account's currency. span: by instrument the least and the most that may be held, in
    10^-q. symbol: by listed instrument, its sides together.
    """

    span: Mapping[InstrumentId, tuple[int, int]]
    symbol: Mapping[InstrumentId, int]
    gross: int
    net: int


def rough_lots(spec: Instrument, money_units: int, price_units: int) -> int:
    """Return the quantity (10^-q) that money (1e-8 of what it settles in) is worth at a price (10^-p), rounded down."""
    if spec.is_inverse:
        return money_units * price_units // spec.notional_mul
    return money_units * spec.notional_den // (price_units * spec.notional_mul)


def claims_of(
    open_orders: OpenOrders,
    ledger: Ledger,
    prices: Mapping[InstrumentId, int],
    *,
    without: int,
    instrument: InstrumentId | None = None,
) -> list[Claim]:
    """Return what the open orders of one instrument, or of all, may add; what only reduces adds nothing. An order and
    what shall replace it are a group: together they fill no more than the larger.

    prices: the last ones, 10^-p. without: the id of an order that is left out, with all whose place it takes.
    """
    left_out = open_orders.place(without)
    places = [(open_orders.place(order.order_id), order) for order in open_orders.exposed(instrument)]
    return [
        claim_of(order, open_orders.leaves(order), place, ledger.instruments[order.instrument], prices)
        for place, order in places
        if not order.terms.only_reduces and place != left_out
    ]


def claim_of(
    order: SanitizedOrder, leaves: int, place: int, spec: Instrument, prices: Mapping[InstrumentId, int]
) -> Claim:
    """Return the claim of one order; one that is sized at its fill is worth its money at its own price.

    place: of the order whose place it takes, or its own.
    """
    price = order.limit_price_units or order.stop_price_units or order.activation_price_units or prices[spec.listed]
    if not leaves and order.budget_units:
        leaves = rough_lots(spec, order.budget_units, price)
    return Claim(spec.id, order.oco or f"#{place}", order.side, leaves, price)


def worst_case(ledger: Ledger, claims: Sequence[Claim], prices: Mapping[InstrumentId, int]) -> WorstCase:
    """Return the worst case of positions and claims at these prices (10^-p)."""
    most: dict[tuple[InstrumentId, Side, str], int] = {}
    for claim in claims:
        key = (claim.instrument, claim.side, claim.group)
        most[key] = max(most.get(key, 0), claim.qty_units)
    adds: dict[tuple[InstrumentId, Side], int] = {}
    own = {ledger.instruments[claim.instrument].listed: claim.price_units for claim in claims} | dict(prices)
    for (instrument, side, _), qty in most.items():
        adds[instrument, side] = adds.get((instrument, side), 0) + qty
    spans: dict[InstrumentId, tuple[int, int]] = {}
    symbol: dict[InstrumentId, int] = {}
    low_sum = high_sum = 0
    for instrument in sorted({*ledger.positions, *(instrument for instrument, _ in adds)}):
        spec, held = ledger.instruments[instrument], ledger.position(instrument).qty_units
        low, high = held - adds.get((instrument, Side.SELL), 0), held + adds.get((instrument, Side.BUY), 0)
        if spec.is_spot:  # more than is held cannot be sold
            low = max(0, low)
        spans[instrument] = (low, high)
        low_value, high_value = (
            ledger.valuation.worth(spec.settle, spec.notional_units(qty, own[spec.listed]), prices)
            for qty in (low, high)
        )
        symbol[spec.listed] = symbol.get(spec.listed, 0) + max(abs(low_value), abs(high_value))
        low_sum, high_sum = low_sum + low_value, high_sum + high_value
    return WorstCase(spans, symbol, sum(symbol.values()), max(abs(low_sum), abs(high_sum)))
