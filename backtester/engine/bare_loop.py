"""The yardstick of `bt bench`: sma_cross as one plain loop, without bus, log, account or tables.

It does the same work on the same candles with the same rounding, so its final equity equals the engine's to the
unit; what it leaves out is what an engine adds.
"""

from collections.abc import Iterator
from typing import NamedTuple

from backtester.core.instruments import Instrument
from backtester.data.columns import CandleColumns
from backtester.sim.sim_models import FeeModel, SlippageModel


class BareResult(NamedTuple):
    """What the loop came to. Money in 1e-8."""

    candles: int
    fills: int
    final_equity_units: int


def run_bare_loop(
    batches: Iterator[CandleColumns],
    spec: Instrument,
    cash: int,
    quantity: int,
    fees: FeeModel,
    slippage: SlippageModel,
    *,
    fast: int,
    slow: int,
) -> BareResult:
    """Hold `quantity` (10^-q) while the fast mean is above the slow one; market orders fill at the next open."""
    scale = float(10**spec.scale.price)
    fast_ring, slow_ring = [0] * fast, [0] * slow
    fast_sum = slow_sum = fast_at = slow_at = seen = fills = qty = 0
    order = 0  # +1: buy at the next open, -1: sell all
    equity = cash
    curve: list[tuple[int, int]] = []
    for batch in batches:
        columns = (batch.open_time.tolist(), batch.open.tolist(), batch.close.tolist(), batch.volume.tolist())
        for open_time, open_, close, volume in zip(*columns, strict=True):
            if order and volume > 0:
                price = slippage.price_units(order, round(open_ * scale))
                notional = spec.notional_units(quantity, price)
                cash -= order * notional + fees.fee_units(notional, False, 0)
                qty = quantity if order > 0 else 0
                order = 0
                fills += 1
            units = round(close * scale)
            equity = cash + spec.notional_units(qty, units) if qty else cash
            curve.append((open_time, equity))
            fast_sum += units - fast_ring[fast_at]
            fast_ring[fast_at] = units
            fast_at = fast_at + 1 if fast_at + 1 < fast else 0
            slow_sum += units - slow_ring[slow_at]
            slow_ring[slow_at] = units
            slow_at = slow_at + 1 if slow_at + 1 < slow else 0
            seen += 1
            if seen >= slow and not order:
                fast_mean, slow_mean = fast_sum / fast, slow_sum / slow
                if fast_mean > slow_mean and not qty:
                    order = 1
                elif fast_mean < slow_mean and qty:
                    order = -1
        curve.clear()
    return BareResult(seen, fills, equity)
