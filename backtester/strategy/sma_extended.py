"""sma_extended: an SMA crossover with a stop, a target, a cooldown and a daily loss limit."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated

from pydantic import model_validator

from backtester.core.events import Fill, OrderRejected, OrderUpdate, Reason, Side, Status
from backtester.core.market import Candle
from backtester.core.time import DAY
from backtester.strategy.base import Intents, Strategy, StrategyParams
from backtester.strategy.indicators import Sma
from backtester.strategy.params import param

_EQUITY_PCT = Decimal(40)
ENTRY, STOP, TARGET, EXIT = "entry", "stop", "target", "exit"


class SMAExtendedParams(StrategyParams):
    """Two means, the size of an entry, its exits, and when there is none."""

    fast: Annotated[int, param("of the fast mean", unit="candles", ge=1)] = 240
    slow: Annotated[int, param("of the slow mean", unit="candles", ge=2)] = 1440
    equity_pct: Annotated[
        Decimal | None, param("of equity an entry takes; none: [sizing], else 40", unit="percent", gt=0, le=100)
    ] = None
    stop_loss_pct: Annotated[Decimal, param("from the entry price down to the stop", unit="percent", gt=0, lt=100)] = (
        Decimal(3)
    )
    take_profit_pct: Annotated[
        Decimal, param("from the entry price up to the target", unit="percent", gt=0, lt=100)
    ] = Decimal(6)
    cooldown_candles: Annotated[int, param("after an exit without a new entry", unit="candles", ge=0)] = 120
    daily_loss_limit_pct: Annotated[
        Decimal,
        param("that equity may fall from UTC midnight; then no entry until the next", unit="percent", gt=0, lt=100),
    ] = Decimal(3)

    @model_validator(mode="after")
    def _consistent(self) -> "SMAExtendedParams":
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be less than slow ({self.slow})")
        return self


@dataclass
class _State:
    """What the strategy remembers of one instrument."""

    fast: Sma
    slow: Sma
    was_above: bool | None = None
    cooldown_left: int = 0
    leaving: bool = field(default=False)


class SMAExtendedStrategy(Strategy):
    """Buy when the fast mean crosses above the slow one; leave at the stop, the target, or the cross below.

    Stop and target are placed from on_fill, sized to what was filled; the first of them to fill cancels the other.
    """

    Params = SMAExtendedParams

    def __init__(self, params: SMAExtendedParams) -> None:
        super().__init__(params)
        self._fraction = (params.equity_pct or _EQUITY_PCT) / 100
        self._stop_factor = 1 - params.stop_loss_pct / 100
        self._target_factor = 1 + params.take_profit_pct / 100
        self._loss_factor = 1 - params.daily_loss_limit_pct / 100
        self._states: dict[str, _State] = {}
        self._day = -1
        self._day_floor = Decimal(0)
        self._halted = False

    @property
    def warmup_candles(self) -> int:
        """The slow mean, and one more candle to see it crossed."""
        return int(self.params.slow) + 1

    def on_start(self) -> None:
        """Make the state of each instrument."""
        for instrument in self.instruments:
            decimals = instrument.scale.price
            self._states[instrument.id] = _State(Sma(self.params.fast, decimals), Sma(self.params.slow, decimals))

    def on_candle(self, candle: Candle) -> Intents:
        """Watch the day's loss, then the means."""
        name = candle.instrument
        state = self._states[name]
        position = self.position(name)
        self._watch_the_day(candle.ts, moved=not position.is_flat)
        fast, slow = state.fast.update(candle.close), state.slow.update(candle.close)
        state.cooldown_left = max(0, state.cooldown_left - 1)
        if fast is None or slow is None or fast == slow:
            return None
        above, crossed = fast > slow, state.was_above is not None and (fast > slow) != state.was_above
        state.was_above = above
        if not position.is_flat:
            return self._leave(name, state) if not above and not state.leaving else None
        if above and crossed and not self._halted and not state.cooldown_left and not self.open_orders(name):
            if self.params.equity_pct is None and self.is_sized(name):
                return [self.buy(name, tag=ENTRY)]
            return [self.buy(name, fraction=self._fraction, tag=ENTRY)]
        return None

    def on_fill(self, fill: Fill) -> Intents:
        """Protect an entry; after an exit, rest."""
        self._watch_the_day(self.now, moved=True)
        state = self._states[fill.instrument]
        if fill.side is Side.BUY:
            group = f"exit-{fill.order_id}"
            return [
                self.sell(fill.instrument, fill.qty, stop=fill.price * self._stop_factor, tag=STOP, oco=group),
                self.sell(fill.instrument, fill.qty, limit=fill.price * self._target_factor, tag=TARGET, oco=group),
            ]
        if self.position(fill.instrument).is_flat:
            state.leaving = False
            state.cooldown_left = self.params.cooldown_candles
        return None

    def on_order_update(self, update: OrderUpdate | OrderRejected) -> Intents:
        """A position without a stop is not held: a stop that was refused, or an exit that expired, is sent again."""
        state = self._states[update.instrument]
        if isinstance(update, OrderRejected):
            if update.tag == STOP and not state.leaving:
                return self._leave(update.instrument, state)
            if update.tag == EXIT and update.reason is not Reason.BELOW_MIN_NOTIONAL:
                state.leaving = False
            return None
        if update.status is Status.EXPIRED and update.tag == EXIT:
            state.leaving = False
        return None

    def _leave(self, name: str, state: _State) -> Intents:
        state.leaving = True
        return self.close(name, tag=EXIT)

    def _watch_the_day(self, now: int, *, moved: bool) -> None:
        """Stop entries for the day once equity has fallen by the limit; look only when it can have moved."""
        day = now // DAY
        if day != self._day:
            self._day, self._halted = day, False
            self._day_floor = self.equity * self._loss_factor
        elif moved and not self._halted and self.equity <= self._day_floor:
            self._halted = True
            self.note("daily loss limit reached: no entries until the next UTC day", equity=self.equity)
