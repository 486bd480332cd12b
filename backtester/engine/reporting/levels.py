"""The stop and the target that each trade began with, from the orders that protected its entry."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backtester.engine.reporting.tables import RunTable

_STOPS: Final = frozenset({"stop", "stop_limit", "trailing_stop"})
_TARGETS: Final = frozenset({"take_profit", "take_profit_limit", "limit"})

Levels = NDArray[np.float64]
_Entry = tuple[str, int, str]  # instrument, time and side: at one instant a trade may end and the next begin


def stops_and_targets(trades: RunTable, fills: RunTable | None, orders: RunTable | None) -> tuple[Levels, Levels]:
    """Return prices of the first stop and the nearest target of each trade, shape (rows,), NaN where there is none."""
    none = np.full(trades.rows, np.nan)
    if fills is None or orders is None or orders.rows == 0:
        return none, none.copy()
    entries: dict[_Entry, int] = {}
    filled = (fills.texts("instrument"), fills.times("ts").tolist(), fills.texts("side"))
    for key, order in zip(zip(*filled, strict=True), fills.numbers("order_id").tolist(), strict=True):
        entries.setdefault(key, int(order))
    stops, targets = _children(orders)
    sides = ["buy" if side == "long" else "sell" for side in trades.texts("side")]
    keys = list(zip(trades.texts("instrument"), trades.times("entry_time").tolist(), sides, strict=True))
    return _levels(keys, entries, stops), _levels(keys, entries, targets)


def _levels(keys: list[_Entry], entries: Mapping[_Entry, int], prices: Mapping[int, float]) -> Levels:
    return np.array([prices.get(entries.get(key, 0), np.nan) for key in keys], dtype=np.float64)


def _children(orders: RunTable) -> tuple[dict[int, float], dict[int, float]]:
    """Return by entry order the price of the first stop and of the first target that hang on it."""
    stops: dict[int, float] = {}
    targets: dict[int, float] = {}
    columns = (orders.numbers(n).tolist() for n in ("order_id", "parent_id", "stop_price", "limit_price"))
    rows = sorted(zip(*columns, orders.texts("kind"), strict=True))
    for _, parent, stop_price, limit_price, kind in rows:
        if parent and kind in _STOPS and stop_price:
            stops.setdefault(int(parent), stop_price)
        elif parent and kind in _TARGETS and (stop_price or limit_price):
            targets.setdefault(int(parent), limit_price if kind == "limit" else stop_price)
    return stops, targets
