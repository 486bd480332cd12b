"""At what prices trades began and ended."""

import numpy as np
from numpy.typing import NDArray

from backtester.core.instruments import split_id
from backtester.engine.reporting.tables import RunTable

_COLUMNS = (("entry_price", "entry_notional"), ("exit_price", "exit_notional"))


def trade_prices(trades: RunTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean prices of entries and exits, shape (rows,).

    A run from before the table had them: money by quantity, NaN for contracts that are worth a sum of money.
    """
    entry, exit_ = (
        trades.numbers(name) if name in trades else _by_quantity(trades, notional) for name, notional in _COLUMNS
    )
    return entry, exit_


def _by_quantity(trades: RunTable, notional: str) -> NDArray[np.float64]:
    inverse = np.array([split_id(name)[0] == "cm" for name in trades.texts("instrument")], dtype=np.bool_)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(inverse, np.nan, trades.numbers(notional) / trades.numbers("qty")))
