"""grid_maker: one bid and one ask around the last trade, moved every so many trades, within a limit of inventory."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import model_validator

from backtester.core.errors import StrategyError
from backtester.core.events import AnyIntent
from backtester.core.market import Trade
from backtester.core.numbers import decimal_of
from backtester.strategy.base import Intents, Strategy, StrategyParams
from backtester.strategy.params import param
from backtester.strategy.view import PositionView

BID, ASK = "bid", "ask"


class GridMakerParams(StrategyParams):
    """Where the quotes lie, how large they are, and when they move."""

    distance_bps: Annotated[
        Decimal, param("of bid and ask from the last trade", unit="basis points", gt=0, lt=10_000)
    ] = Decimal(10)
    requote_trades: Annotated[int, param("after which both are moved", unit="trades", ge=1)] = 100
    order_quote: Annotated[Decimal, param("size of each order", unit="quote currency", gt=0)] = Decimal(100)
    inventory_quote: Annotated[
        Decimal, param("most that is held, long or short, at the last trade", unit="quote currency", gt=0)
    ] = Decimal(500)
    tape: Annotated[Literal["aggTrades", "trades"], param("which tape it reads", unit="")] = "aggTrades"

    @model_validator(mode="after")
    def _consistent(self) -> "GridMakerParams":
        if self.order_quote > self.inventory_quote:
            raise ValueError(
                f"order_quote ({self.order_quote}) must not exceed inventory_quote ({self.inventory_quote})"
            )
        return self


@dataclass
class _State:
    """What the strategy remembers of one instrument. can_short: whether it may sell what it does not hold."""

    position: PositionView
    can_short: bool
    until_quotes: int = 0


class GridMaker(Strategy):
    """One bid and one ask around the last trade, moved every so many trades; what has filled waits for that, too."""

    Params = GridMakerParams

    def __init__(self, params: GridMakerParams) -> None:
        super().__init__(params)
        self._away = params.distance_bps / 10_000
        self._states: dict[str, _State] = {}

    @property
    def feeds(self) -> tuple[str, ...]:
        """The tape."""
        return (str(self.params.tape),)

    def on_start(self) -> None:
        """Keep each instrument's position at hand: it is a live view.

        Raises:
            StrategyError: the money of an instrument is not its quote currency.
        """
        for each in self.instruments:
            if each.is_inverse or each.is_option:
                raise StrategyError(
                    f"grid_maker counts in quote currency, {each.id} does not trade for it",
                    hint="use spot or USD-M futures (um)",
                )
            self._states[each.id] = _State(self.position(each.id), each.is_margined)

    def on_trade(self, trade: Trade) -> Intents:
        """Count trades; when it is time, take back what is open and quote around this one."""
        name = trade.instrument
        state = self._states[name]
        if state.until_quotes > 0:
            state.until_quotes -= 1
            return None
        state.until_quotes = self.params.requote_trades - 1
        price, held = decimal_of(trade.price), state.position.qty
        size, limit = self.params.order_quote / price, self.params.inventory_quote / price
        bid = min(size, limit - held)
        ask = min(size, limit + held if state.can_short else held)
        intents: list[AnyIntent] = [*self.cancel_all(name)]
        if bid > 0:
            intents.append(self.buy(name, bid, limit=price * (1 - self._away), post_only=True, tag=BID))
        if ask > 0:
            intents.append(self.sell(name, ask, limit=price * (1 + self._away), post_only=True, tag=ASK))
        return intents
