"""The yardstick of `bt bench ticks`: a bid and an ask on a tape as one plain loop, without bus, log, risk or tables.

It fills by the same rules with the same rounding, so its final equity equals the engine's to the unit; what it leaves
out is what an engine adds.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from numpy.typing import NDArray

from backtester.core.instruments import Instrument
from backtester.sim.sim_models import FeeModel

_FRONT = 0  # nobody is ahead
_BEHIND = 1  # everybody is


class BareTape(NamedTuple):
    """What the loop came to. Money in 1e-8."""

    trades: int
    fills: int
    final_equity_units: int


def run_bare_tape(
    batches: Iterator[dict[str, NDArray[Any]]],
    spec: Instrument,
    cash: int,
    quantity: int,
    fees: FeeModel,
    *,
    every: int,
    away: int,
    start: int,
) -> BareTape:
    """Quote `quantity` (10^-q) on both sides, `away` (10^-p) from the price of every so manyth trade, and fill that."""
    price_scale, qty_scale = float(10**spec.scale.price), float(10**spec.scale.qty)
    bid = ask = bid_left = ask_left = qty = fills = seen = price = 0
    bid_queue = ask_queue = _BEHIND
    since = 0
    for batch in batches:
        columns = (batch[name].tolist() for name in ("time", "price", "quantity", "is_buyer_maker"))
        for now, traded, size, seller_took in zip(*columns, strict=True):
            price = round(traded * price_scale)
            if now > since:
                if bid_left and (price < bid or (price == bid and seller_took and bid_queue == _FRONT)):
                    taken = min(bid_left, round(size * qty_scale))
                    notional = spec.notional_units(taken, bid)
                    cash -= notional + fees.fee_units(notional, True, 0)
                    bid_left, bid_queue, qty, fills = bid_left - taken, _FRONT, qty + taken, fills + 1
                elif ask_left and (price > ask or (price == ask and not seller_took and ask_queue == _FRONT)):
                    taken = min(ask_left, round(size * qty_scale))
                    notional = spec.notional_units(taken, ask)
                    cash += notional - fees.fee_units(notional, True, 0)
                    ask_left, ask_queue, qty, fills = ask_left - taken, _FRONT, qty - taken, fills + 1
            seen += 1
            if seen % every == 0 and now > start:
                bid, ask, bid_left, ask_left = price - away, price + away, quantity, quantity
                bid_queue = ask_queue = _BEHIND
                since = now
    return BareTape(seen, fills, cash + spec.notional_units(qty, price))
