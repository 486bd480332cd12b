"""Another future: rows that a market could have had, and did not."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backtester.data.schemas import Column, Schema

Columns = dict[str, NDArray[Any]]

_OPPOSITE: Final = {"high": "low", "low": "high", "bid_price": "ask_price", "ask_price": "bid_price"}
_FARTHEST: Final = 10.0  # what prices are at most multiplied or divided by
_AMOUNT: Final = (0.25, 4.0)  # likewise amounts, by chance
_DECIMALS: Final = 8  # of numbers and amounts whose series does not say


class Mirror:
    """Turns the rows of one series upside down, from the first that is given: what rose falls, what was much is little.

    Prices are mirrored at the first one, with a power, so that no fall and no width is as it was; amounts are scaled by
    chance, numbers change sign, flags turn. Times and names stay, and what was nothing or unknown stays so.
    """

    def __init__(self, schema: Schema, power: float, luck: np.random.Generator, decimals: int) -> None:
        """power: 1 mirrors as far as it was, 2 twice as far. decimals: of the series' prices."""
        self._schema = schema
        self._power = power
        self._luck = luck
        self._decimals = decimals
        self._anchor: float | None = None

    def turned(self, columns: Columns) -> Columns:
        """Return rows, at least one, as they might have been; the next call takes those that follow."""
        kept = self._schema.keys
        return {
            column.name: columns[column.name] if column.name in kept else self._column(column, columns)
            for column in self._schema.columns
            if column.name in columns
        }

    def _column(self, column: Column, columns: Columns) -> NDArray[Any]:
        values = columns[column.name]
        if column.role == "price" or "price" in column.name:
            return self._prices(columns.get(_OPPOSITE.get(column.name, column.name), values))
        if column.role == "number":
            return np.round(-values * self._luck.uniform(0.5, 2.0), _DECIMALS)
        if column.role == "amount":
            scaled = np.round(values * self._luck.uniform(*_AMOUNT, len(values)), _DECIMALS)
            return np.where(values > 0, np.maximum(scaled, 10.0**-_DECIMALS), values)
        if column.role == "flag":
            return ~values
        return values

    def _prices(self, prices: NDArray[np.float64]) -> NDArray[np.float64]:
        there = prices > 0  # not NaN
        if not there.any():
            return prices
        if self._anchor is None:
            self._anchor = float(prices[there][0])
        ratio = np.clip((self._anchor / prices[there]) ** self._power, 1 / _FARTHEST, _FARTHEST)
        scale = float(10**self._decimals)
        turned = prices.copy()
        turned[there] = np.maximum(np.rint(self._anchor * ratio * scale), 1) / scale
        return turned
