"""sma_cross: long while the fast mean is above the slow one, flat while it is below."""

from decimal import Decimal
from typing import Annotated

from pydantic import model_validator

from backtester.core.market import Candle
from backtester.strategy.base import Intents, Strategy, StrategyParams
from backtester.strategy.indicators import Sma
from backtester.strategy.params import param
from backtester.strategy.view import PositionView


class SmaCrossParams(StrategyParams):
    """Two means, and the size of entries: without quantity and equity_pct the run's sizing, else all of the equity."""

    fast: Annotated[int, param("of the fast mean", unit="candles", ge=1)] = 50
    slow: Annotated[int, param("of the slow mean", unit="candles", ge=2)] = 200
    quantity: Annotated[Decimal | None, param("of an entry", unit="base units", gt=0)] = None
    equity_pct: Annotated[Decimal | None, param("of equity an entry takes", unit="percent", gt=0, le=100)] = None

    @model_validator(mode="after")
    def _consistent(self) -> "SmaCrossParams":
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be less than slow ({self.slow})")
        if self.quantity is not None and self.equity_pct is not None:
            raise ValueError("give quantity or equity_pct, not both")
        return self


class SmaCross(Strategy):
    """Buy when the fast mean is strictly above and nothing is held; sell all when strictly below.

    Equality decides nothing, and nothing is decided while an order is open.
    """

    Params = SmaCrossParams

    def __init__(self, params: SmaCrossParams) -> None:
        super().__init__(params)
        self._quantity = params.quantity
        self._fraction = None if params.equity_pct is None else params.equity_pct / 100
        self._states: dict[str, tuple[Sma, Sma, int, PositionView]] = {}

    @property
    def warmup_candles(self) -> int:
        """The slow mean needs as many candles as it averages."""
        return int(self.params.slow)

    def on_start(self) -> None:
        """Make the means of each instrument, and keep its position at hand: it is a live view."""
        for instrument in self.instruments:
            decimals = instrument.scale.price
            fast, slow = Sma(self.params.fast, decimals), Sma(self.params.slow, decimals)
            self._states[instrument.id] = fast, slow, 10**decimals, self.position(instrument.id)

    def on_candle(self, candle: Candle) -> Intents:
        """Compare the means at the close."""
        name = candle.instrument
        fast_mean, slow_mean, scale, position = self._states[name]
        units = round(candle.close * scale)
        fast, slow = fast_mean.update_units(units), slow_mean.update_units(units)
        if slow is None or fast is None or fast == slow:
            return None
        if (fast > slow) is not position.is_flat or self.open_orders(name):
            return None
        if fast < slow:
            return [self.sell(name, position.qty)]
        if self._quantity is not None:
            return [self.buy(name, self._quantity)]
        if self._fraction is None and self.is_sized(name):
            return [self.buy(name)]
        return [self.buy(name, fraction=self._fraction or 1)]
