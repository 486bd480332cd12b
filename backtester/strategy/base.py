"""The base of every event strategy: hooks that receive facts and return what the strategy wants.

A strategy does no I/O, sees only what is closed, and gets randomness only from `self.rng`. Building an intent
(`self.buy(...)`) sends nothing: what a hook returns is sent.
"""

import random
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, ClassVar, cast

from pydantic import BaseModel, ConfigDict

from backtester.core.errors import EngineError
from backtester.core.events import (
    AnyIntent,
    CancelIntent,
    Cashflow,
    Fill,
    MultiLegIntent,
    Note,
    OrderIntent,
    OrderRejected,
    OrderUpdate,
    ReplaceIntent,
    SanitizedOrder,
    Side,
)
from backtester.core.instruments import Asset, Instrument, PositionSide, side_id
from backtester.core.margin_events import MarginAlert, MarginMode, MarginWish, MoveMargin, SetLeverage, SetMarginMode
from backtester.core.market import (
    Candle,
    FundingRate,
    FuturesMetrics,
    IndexPrice,
    MarkPrice,
    OptionChain,
    PremiumIndex,
    Quote,
    Trade,
    VolatilityIndex,
)
from backtester.core.numbers import MONEY_EXPONENT, decimal, decimal_of
from backtester.core.risk_events import RiskAlert
from backtester.core.rules import InstrumentRules
from backtester.core.time import format_time
from backtester.core.transfer_events import TransferIntent
from backtester.strategy.chain_view import ChainView
from backtester.strategy.ordering import Number, combo_intent, order_intent, replace_intent
from backtester.strategy.view import PositionView, StrategyView

Intent = AnyIntent | MarginWish | TransferIntent
Intents = Sequence[Intent] | Iterator[Intent] | None


class _Unbound:
    """Stands where the view will be, until the strategy is in a run."""

    def __getattr__(self, name: str) -> Any:
        raise EngineError("the strategy is not in a run yet: use on_start, not __init__, for what needs one")


class StrategyParams(BaseModel):
    """Base of every strategy's parameters: immutable, unknown keys are refused when the config is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Strategy:
    """Subclass, set Params, override the hooks that matter.

    Params: the pydantic model of the parameters. warmup_candles: how many candles the strategy needs before it
    may decide; they are loaded from before the start when the lake has them. feeds: market data that it needs besides
    the run's candles. position_modes: the modes of futures that its orders fit: with hedge they name a position side.
    """

    Params: ClassVar[type[StrategyParams]] = StrategyParams
    position_modes: ClassVar[tuple[str, ...]] = ("one_way",)

    def __init__(self, params: Any) -> None:
        self.params = params
        self.rng = random.Random()
        self._view: StrategyView = cast(StrategyView, _Unbound())
        self.pending_notes: list[Note] = []

    # --- hooks: all optional, each returns intents, an empty list or None ---------------------------------------

    def on_start(self) -> Intents:
        """Once, before the first tick; instruments and parameters are known, prices are not."""

    def on_candle(self, candle: Candle) -> Intents:
        """A candle closed. What is returned can fill from the next open on."""

    def on_trade(self, trade: Trade) -> Intents:
        """A trade was printed."""

    def on_quote(self, quote: Quote) -> Intents:
        """Best bid or ask changed."""

    def on_funding(self, funding: FundingRate) -> Intents:
        """A funding rate was published."""

    def on_mark(self, mark: MarkPrice) -> Intents:
        """A mark price was computed."""

    def on_index(self, index: IndexPrice) -> Intents:
        """An index price was computed."""

    def on_premium(self, premium: PremiumIndex) -> Intents:
        """A premium index was computed."""

    def on_metrics(self, metrics: FuturesMetrics) -> Intents:
        """Open interest and long/short ratios were published."""

    def on_chain(self, chain: OptionChain) -> Intents:
        """An hour of an option chain is over."""

    def on_volatility(self, volatility: VolatilityIndex) -> Intents:
        """An index of implied volatility was computed."""

    def on_fill(self, fill: Fill) -> Intents:
        """One of our orders executed; the position already includes it."""

    def on_order_update(self, update: OrderUpdate | OrderRejected) -> Intents:
        """One of our orders was accepted, triggered, cancelled, expired or rejected."""

    def on_transfer(self, flow: Cashflow) -> Intents:
        """What we moved to another wallet is there; a transfer that was refused is told by `on_order_update`."""

    def on_risk_alert(self, alert: RiskAlert) -> Intents:
        """A breaker tripped or is armed again; what it does about it is under way."""

    def on_margin(self, alert: MarginAlert) -> Intents:
        """A position in futures came near its liquidation, or a part of it was liquidated."""

    def on_timer(self, now: int) -> Intents:
        """A moment asked for with `call_at` has come."""

    def on_stop(self) -> None:
        """Once, after the last tick."""

    @property
    def warmup_candles(self) -> int:
        """How many candles this strategy needs before its first decision."""
        return 0

    @property
    def feeds(self) -> tuple[str, ...]:
        """Which market data this strategy needs besides: ("1h", "fundingRate", "spot:ETHUSDT/klines:1d")."""
        return ()

    # --- what a strategy may ask ---------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """The time of this tick, UTC microseconds."""
        return self._view.board.now

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The instruments that the run names, in rank order, without the contracts of an option chain (`chain`) and
        the sides of hedge mode.
        """
        return self._view.named

    def instrument(self, name: str) -> Instrument:
        """Return an instrument: its assets and scale; name is market:symbol or a symbol."""
        return self._view.instruments[self._view.resolve(name)]

    def trading_rules(self, name: str) -> InstrumentRules:
        """Return the venue's tick and limits that hold now, in the instrument's integers; name as for `instrument`."""
        return self._view.rules(name)

    @property
    def is_hedged(self) -> bool:
        """Whether this run keeps a long and a short position of each future side by side."""
        return bool(self._view.hedged)

    def position(self, name: str, position_side: str = "") -> PositionView:
        """Return the position in an instrument; name is market:symbol or a symbol. In hedge mode a future has two:
        position("BTCUSDT", "long").
        """
        view = self._view
        name = f"{name}@{position_side}" if position_side else name
        return view.positions.get(name) or view.position(name)

    def open_orders(self, name: str, position_side: str = "") -> tuple[SanitizedOrder, ...]:
        """Return our working orders in an instrument, oldest first; in hedge mode of one side, or of both."""
        view = self._view
        orders = view.orders_of(f"{name}@{position_side}" if position_side else name)
        if view.hedged and not position_side and len(sides := view.sides(name)) > 1:
            return tuple(order for _, order in sorted(o for side in sides for o in view.orders[side].items()))
        return tuple(orders.values())

    def leverage(self, name: str) -> int:
        """Return the leverage of a future's positions now; 1 for everything else."""
        return self._view.ledger.margin.leverage_of(self._view.sides(name)[0])

    def margin(self, name: str, position_side: str = "") -> Decimal:
        """Return the margin that a position in a future binds, with what was added; 0 for everything else."""
        instrument = self._view.resolve(f"{name}@{position_side}" if position_side else name)
        is_margined = self._view.instruments[instrument].is_margined
        return decimal(self._view.ledger.margin_of(instrument) if is_margined else 0, MONEY_EXPONENT)

    def chain(self, name: str) -> ChainView:
        """Return the last row of an option chain, BTCUSDT or option:BTCUSDT: what expires when, at which quotes.

        Raises:
            UsageError: the run has no such chain.
        """
        return self._view.chain(name)

    @property
    def equity(self) -> Decimal:
        """Cash plus the value of all positions at the last prices."""
        return decimal(self._view.equity_units(), MONEY_EXPONENT)

    @property
    def cash(self) -> Decimal:
        """Settled money in the account's currency, all wallets together, including what open orders reserve."""
        return decimal(self._view.cash_units(None, self._view.currency), MONEY_EXPONENT)

    def balance(self, wallet: str, asset: str) -> Decimal:
        """Return how much of an asset is held in a market's wallet: balance("um", "USDT")."""
        return decimal(self._view.cash_units(wallet, asset), MONEY_EXPONENT)

    def free(self, wallet: str, asset: str) -> Decimal:
        """Return how much of it nothing binds: no margin of a position, no open order."""
        return decimal(self._view.free_units(wallet, asset), MONEY_EXPONENT)

    def is_sized(self, name: str) -> bool:
        """Say whether the run's `[sizing]` finds the size of entries in an instrument that do not say it themselves."""
        return self._view.resolve(name) in self._view.sized

    def call_at(self, time: int) -> None:
        """Ask for on_timer at a time (UTC microseconds).

        Raises:
            TypeError: the time is not an int.
            ValueError: it is not later than now.
        """
        if not isinstance(time, int) or isinstance(time, bool):
            raise TypeError(f"call_at takes UTC microseconds as an int, this is {time!r}")
        if time <= self.now:
            raise ValueError(
                f"call_at was asked for {format_time(time)}, and it is {format_time(self.now)}: a timer is for later"
            )
        self._view.call_at(time)

    def note(self, text: str, **values: object) -> None:
        """Remember something in the run's log, for people who read it."""
        self.pending_notes.append(Note(ts=self.now, text=text, values={k: str(v) for k, v in values.items()}))

    # --- what a strategy may want --------------------------------------------------------------------------------

    def buy(self, name: str, qty: Number | None = None, **options: Any) -> AnyIntent:
        """Return the wish to buy.

        Args:
            name: market:symbol, or a symbol.
            qty: base quantity; or give quote=money, fraction=share of equity (1 is all), or close_position=True.
                None of them: an entry whose size the run's `[sizing]` finds.
            options: kind: limit=, stop=, take_profit= (prices), trail= (callback rate) with activation=; none of them:
                at the market. Conditions: time_in_force=, good_till=, post_only=, reduce_only=. Exits: stop_loss=,
                stop_trail=, take_profits=. In parts: twap= (a span) with slices=, or limit= with display=.
                position_side= ("long" or "short"): which position of a future, in hedge mode.
                Names: tag=, oco=, client_id=. docs/strategies.md explains them.

        Raises:
            ValueError: arguments that make no order together, or a number that is none.
        """
        return self._order(name, Side.BUY, qty, **options)

    def sell(self, name: str, qty: Number | None = None, **options: Any) -> AnyIntent:
        """Return the wish to sell; arguments as for `buy`."""
        return self._order(name, Side.SELL, qty, **options)

    def _order(
        self, name: str, side: Side, qty: Number | None, *, position_side: str = "", **options: Any
    ) -> OrderIntent:
        instrument = self._view.orderable(name)
        if position_side:  # whether the run has such a side is for risk to say
            instrument = side_id(instrument, PositionSide(position_side))
        return order_intent(self.now, instrument, side, qty, **options)

    def close(self, name: str, tag: str = "close", position_side: str = "") -> list[AnyIntent]:
        """Return what ends a position: cancels of all open orders, and a market order over all that is held; in hedge
        mode of one side, or of both.
        """
        name = f"{name}@{position_side}" if position_side else name
        intents: list[AnyIntent] = list(self.cancel_all(name))
        for instrument in self._view.sides(name):
            position = self.position(instrument)
            if not position.is_flat:
                side = Side.SELL if position.qty > 0 else Side.BUY
                intents.append(order_intent(self.now, instrument, side, abs(position.qty), tag=tag))
        return intents

    def combo(self, legs: Sequence[AnyIntent], tag: str = "") -> MultiLegIntent:
        """Return the wish to fill limit orders in options all at one row, whole, or none of them.

        Raises:
            ValueError: fewer than two, or a leg is more than a plain limit order of a quantity.
        """
        return combo_intent(self.now, legs, tag)

    def replace(
        self,
        order: SanitizedOrder,
        *,
        qty: Number | None = None,
        limit: Number | None = None,
        stop: Number | None = None,
    ) -> ReplaceIntent:
        """Return the wish to put a changed order in the place of a working one, behind all others; None stays.

        It keeps group, tag, client id and conditions. When it is refused, the old order goes on working.

        Raises:
            ValueError: nothing changes, or a number that is none.
        """
        return replace_intent(self.now, order, qty=qty, limit=limit, stop=stop)

    def cancel(self, order: SanitizedOrder) -> CancelIntent:
        """Return the wish to take a working order back."""
        return CancelIntent(ts=self.now, instrument=order.instrument, order_id=order.order_id)

    def cancel_all(self, name: str) -> list[CancelIntent]:
        """Return the wish to take back every working order in an instrument; a sliced order takes its parts along."""
        return [self.cancel(order) for order in self.open_orders(name) if not order.algo_id]

    def set_leverage(self, name: str, leverage: int) -> SetLeverage:
        """Return the wish for another leverage of a future, of both its sides in hedge mode.

        A lower one takes what positions then need from free money; a higher one leaves an isolated position what it
        has: `add_margin` with a negative amount takes it out.
        """
        return SetLeverage(ts=self.now, instrument=self._view.resolve(name), leverage=leverage)

    def set_margin_mode(self, name: str, mode: str) -> SetMarginMode:
        """Return the wish for another margin mode of a future: "isolated" or "cross"; only without position and orders.

        Raises:
            ValueError: there is no such mode.
        """
        return SetMarginMode(ts=self.now, instrument=self._view.resolve(name), mode=MarginMode(mode))

    def add_margin(self, name: str, amount: Number, position_side: str = "") -> MoveMargin:
        """Return the wish to put free money into an isolated position, or with a negative amount to take out what is
        beyond its initial margin.

        Raises:
            ValueError: the amount is no number.
        """
        instrument = self._view.resolve(name)
        if position_side:
            instrument = side_id(instrument, PositionSide(position_side))
        return MoveMargin(ts=self.now, instrument=instrument, amount=decimal_of(amount))

    def transfer(self, asset: str, amount: Number, source: str, target: str, *, tag: str = "") -> TransferIntent:
        """Return the wish to move an amount of an asset between the wallets of two markets: "spot", "um", ...

        Raises:
            ValueError: the amount is no number.
        """
        amount = decimal_of(amount)
        return TransferIntent(ts=self.now, asset=Asset(asset), amount=amount, source=source, target=target, tag=tag)

    # --- for the host ---------------------------------------------------------------------------------------------

    def bind(self, view: StrategyView, seed: int) -> None:
        """Attach the strategy to a run; called once by the host."""
        self._view = view
        self.rng = random.Random(seed)
