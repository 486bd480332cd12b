"""Exits attached to an entry: made at its first fill, grown by the next, kept together, cut by what a target took."""

from backtester.core.events import AttachedOrder, Fill, OrderKind, Reason, SanitizedOrder, Side
from backtester.core.funds import resized
from backtester.core.instruments import Instrument
from backtester.core.numbers import floor_to
from backtester.core.order_terms import Terms
from backtester.core.rules import InstrumentRules
from backtester.sim.sizing import split_lots

_REDUCES = Terms(reduce_only=True)


def group_of(parent_id: int) -> str:
    """Return the oco name of a bracket's exits; no trader's name may begin like this."""
    return f"#{parent_id}"


def brought_by(fill: Fill, spec: Instrument) -> int:
    """Return the quantity (10^-q) that a fill brought into the account: less a fee that was taken from it."""
    return fill.qty_units - (
        fill.fee_units // spec.base_money(1) if spec.is_spot and fill.fee_asset == spec.base else 0
    )


def exits_of(
    parent: SanitizedOrder, brought: int, ts: int, spec: Instrument, rules: InstrumentRules
) -> list[SanitizedOrder]:
    """Return the exits of what fills brought into the account, stops before targets.

    Targets split the quantity by their shares, in whole lots; an exit of no lot is left out.
    """
    stops = [exit_ for exit_ in parent.attached if exit_.kind is not OrderKind.LIMIT]
    targets = [exit_ for exit_ in parent.attached if exit_.kind is OrderKind.LIMIT]
    sizes = split_lots(brought, tuple(target.share_units for target in targets), rules.resting.lot_units)
    sized = [(stop, floor_to(brought, rules.at_market.lot_units)) for stop in stops]
    sized += zip(targets, sizes, strict=True)
    group = group_of(parent.order_id) if stops else ""
    return [_exit(parent, exit_, qty, group, ts, spec) for exit_, qty in sized if qty > 0]


def _exit(
    parent: SanitizedOrder, exit_: AttachedOrder, qty: int, group: str, ts: int, spec: Instrument
) -> SanitizedOrder:
    return SanitizedOrder(
        ts=ts,
        order_id=exit_.order_id,
        instrument=parent.instrument,
        kind=exit_.kind,
        side=Side.SELL if parent.side is Side.BUY else Side.BUY,
        qty_units=qty,
        budget_units=0,
        limit_price_units=exit_.limit_price_units,
        stop_price_units=exit_.stop_price_units,
        trail_units=exit_.trail_units,
        reserve_asset=spec.base if spec.is_spot else spec.settle,
        reserve_units=spec.base_money(qty) if spec.is_spot else 0,
        tag=exit_.tag,
        oco=group,
        terms=_REDUCES,
        parent_id=parent.order_id,
        scale=parent.scale,
    )


def too_small(exit_: SanitizedOrder, spec: Instrument, rules: InstrumentRules, entry_units: int) -> Reason | None:
    """Return why the venue does not take an exit, or None; the least notional does not hold for closing a future."""
    limits = rules.limits(exit_.kind)
    price = exit_.limit_price_units or exit_.stop_price_units or entry_units
    if exit_.qty_units < limits.min_qty_units:
        return Reason.BELOW_MIN_QTY
    if spec.is_spot and spec.notional_units(exit_.qty_units, price) < limits.min_notional_units:
        return Reason.BELOW_MIN_NOTIONAL
    return None


def cut_stop(stop: SanitizedOrder, taken: int, ts: int, spec: Instrument, lot: int) -> SanitizedOrder | None:
    """Return a stop less what a target took, or None when nothing is left to protect."""
    qty = floor_to(max(0, stop.qty_units - taken), lot)
    return resized(stop, qty, ts, spec) if qty else None
