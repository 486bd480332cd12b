"""What the animals of the zoo share: being long while they think that it pays, flat otherwise."""

from pydantic import Field

from backtester.strategy import Candle, Intents, Strategy, StrategyParams


class LakeParams(StrategyParams):
    """lake: where the market lies on disk."""

    lake: str = Field(default="")


class Mover(Strategy):
    """Long while `up` says so."""

    Params = LakeParams

    def up(self, candle: Candle) -> bool:
        raise NotImplementedError

    def on_candle(self, candle: Candle) -> Intents:
        name, up, position = candle.instrument, bool(self.up(candle)), self.position(candle.instrument)
        if self.open_orders(name) or up is not position.is_flat:
            return None
        return [self.buy(name, quote=100)] if up else [self.sell(name, position.qty)]
