"""covered_call: hold a coin, and be short of a weekly call on it that is well out of the money."""

from decimal import Decimal
from typing import Annotated

from backtester.core.instruments import SPOT, InstrumentId, instrument_id
from backtester.core.market import OptionChain
from backtester.core.numbers import MONEY_EXPONENT, decimal, decimal_of
from backtester.core.time import HOUR
from backtester.strategy.base import Intents, Strategy, StrategyParams
from backtester.strategy.params import param


class CoveredCallParams(StrategyParams):
    """What is held, and which call is sold against it."""

    underlying: Annotated[str, param("of the chain and the coin: a symbol", unit="", min_length=1)] = "BTCUSDT"
    delta: Annotated[float, param("of the call that is sold", unit="quote per quote", gt=0, lt=1)] = 0.2
    quantity: Annotated[
        Decimal | None, param("to hold; none: as much as the spot wallet pays for", unit="base units", gt=0)
    ] = None
    fraction: Annotated[Decimal, param("of what is held, against which calls are sold", unit="share", gt=0, le=1)] = (
        Decimal(1)
    )
    give_pct: Annotated[Decimal, param("that the limit lies below the last bid", unit="percent", ge=0, lt=100)] = (
        Decimal(10)
    )
    least_hours: Annotated[int, param("that a call must have to go when it is sold", unit="hours", ge=0)] = 24
    tag: Annotated[str, param("of the orders", unit="")] = "covered_call"


class CoveredCall(Strategy):
    """Buy the coin once; whenever no call is sold, sell the one of the nearest weekly expiry closest to the delta.

    A row of the chain is one try: what does not fill at the next row expires, and the choice is made anew.
    """

    Params = CoveredCallParams

    def __init__(self, params: CoveredCallParams) -> None:
        super().__init__(params)
        self._spot = instrument_id(SPOT, params.underlying)
        self._sold: InstrumentId | None = None

    def on_chain(self, chain: OptionChain) -> Intents:
        """Decide at each row of the chain, after what expires has been settled."""
        if chain.instrument != self.chain(self.params.underlying).name:
            return None
        held = self.position(self._spot)
        if held.is_flat:
            return None if self.open_orders(self._spot) else self._buy()
        if self._sold is not None and not self.position(self._sold).is_flat:
            return self._sell(self._sold, held.qty)
        view = self.chain(self.params.underlying)
        expiry = view.nearest_weekly(self.params.least_hours * HOUR)
        call = None if expiry is None else view.nearest_delta(self.params.delta, expiry, is_call=True)
        if call is None:
            return None
        self._sold = view.instrument(call)
        return self._sell(self._sold, held.qty)

    def _buy(self) -> Intents:
        params = self.params
        if params.quantity is not None:
            return [self.buy(self._spot, params.quantity, tag=params.tag)]
        quote = self.instrument(self._spot).quote
        cash = self.balance(SPOT, quote)
        return [self.buy(self._spot, quote=cash, tag=params.tag)] if cash else None

    def _sell(self, name: InstrumentId, held: Decimal) -> Intents:
        """Sell what is still lacking of the calls, at the next row or not at all."""
        call, view = self.instrument(name), self.chain(self.params.underlying)
        unit = decimal(call.contract_units, MONEY_EXPONENT)
        lot = decimal(self.trading_rules(name).resting.lot_units, call.scale.qty)
        lacking = held * self.params.fraction / unit + self.position(name).qty
        quote = next((q for q in view.quotes if view.instrument(q) == name), None)
        if lacking < lot or quote is None or not quote.bid > 0 or self.open_orders(name):
            return None
        limit = decimal_of(quote.bid) * (100 - self.params.give_pct) / 100
        return [self.sell(name, lacking, limit=limit, time_in_force="ioc", tag=self.params.tag)]
