"""Which market orders of different strategies meet each other at an open, before the rest goes to the market."""

from collections.abc import Iterable, Iterator

from backtester.core.instruments import is_one_strategy
from backtester.execution.orders import WorkingOrder


def pairs(waiting: Iterable[WorkingOrder]) -> Iterator[tuple[WorkingOrder, WorkingOrder]]:
    """Yield each purchase with each sale of another strategy, both in the order of their ids.

    Orders with a limit, and those that live for one moment only, meet the market alone.
    """
    ready = sorted((w for w in waiting if _meets(w)), key=lambda w: w.order.order_id)
    for buy in [w for w in ready if w.sign > 0]:
        for sell in [w for w in ready if w.sign < 0]:
            if not is_one_strategy(buy.order.instrument, sell.order.instrument):
                yield buy, sell


def _meets(working: WorkingOrder) -> bool:
    order = working.order
    return not order.limit_price_units and not order.terms.at_once
