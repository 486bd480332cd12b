"""The simple moving average as a recurrence of a graph."""

from backtester.strategy.features.frame import Values
from backtester.strategy.indicators.sma import Sma, sma


class RollingMean:
    """The exact mean of the last `window` prices, see `strategy/indicators/sma.py`."""

    def __init__(self, window: int, price_decimals: int) -> None:
        self._window = window
        self._decimals = price_decimals
        self._sma = Sma(window, price_decimals)

    @property
    def warmup(self) -> int:
        """As many rows as it averages."""
        return self._window

    def update(self, price: float) -> float | None:
        """Take a price; return the mean, or None before there is one."""
        return self._sma.push(price)

    def columns(self, prices: Values) -> Values:
        """Return the mean at each row."""
        return sma(prices, self._window, self._decimals)
