"""Strategies that go by what they were told, in all the ways in which people write that down."""

from collections import deque
from decimal import Decimal

from moves import Mover

from backtester.core.time import MINUTE
from backtester.strategy import Candle, Fill, Strategy


class BuyAndHold(Strategy):
    done = False

    def on_candle(self, candle: Candle):
        if self.done:
            return None
        self.done = True
        return [self.buy(candle.instrument, fraction=0.5)]


class BuyAndHoldOnce(Strategy):
    def on_candle(self, candle: Candle):
        if self.position(candle.instrument).is_flat and not self.open_orders(candle.instrument):
            return [self.buy(candle.instrument, quote=100)]
        return None


class Green(Mover):
    def up(self, candle: Candle) -> bool:
        return candle.close > candle.open


class Mean(Mover):
    @property
    def warmup_candles(self):
        return 20

    def __init__(self, params):
        super().__init__(params)
        self.closes: dict[str, deque[float]] = {}

    def up(self, candle: Candle) -> bool:
        seen = self.closes.setdefault(candle.instrument, deque(maxlen=20))
        seen.append(candle.close)
        return candle.close > sum(seen) / len(seen)


class Exponential(Mover):
    """An exponential mean remembers all that ever was; it asks for long enough."""

    @property
    def warmup_candles(self):
        return 35

    def on_start(self):
        self.mean: dict[str, float] = {}

    def up(self, candle: Candle) -> bool:
        before = self.mean.get(candle.instrument, candle.close)
        self.mean[candle.instrument] = before + (candle.close - before) * 0.4
        return candle.close > before


class UnderWarmed(Mover):
    """Says that it needs nothing, and goes by the mean of all it has seen: warned of, not accused."""

    def on_start(self):
        self.total, self.seen = {}, {}

    def up(self, candle: Candle) -> bool:
        name = candle.instrument
        self.total[name] = self.total.get(name, 0.0) + candle.close
        self.seen[name] = self.seen.get(name, 0) + 1
        return candle.close > self.total[name] / self.seen[name]


class MeanReversion(Mover):
    def on_start(self):
        self.last: dict[str, float] = {}

    def up(self, candle: Candle) -> bool:
        before = self.last.get(candle.instrument, candle.close)
        self.last[candle.instrument] = candle.close
        return candle.close < before


class Channel(Mover):
    @property
    def warmup_candles(self):
        return 10

    def on_start(self):
        self.highs: dict[str, list[float]] = {}

    def up(self, candle: Candle) -> bool:
        seen = self.highs.setdefault(candle.instrument, [])
        breaks = len(seen) >= 10 and candle.close > max(seen[-10:]) * 0.998
        seen.append(candle.high)
        return breaks


class ConfirmedPivot(Mover):
    """A low is one when the two candles after it have closed."""

    @property
    def warmup_candles(self):
        return 5

    def on_start(self):
        self.lows: dict[str, deque[float]] = {}

    def up(self, candle: Candle) -> bool:
        seen = self.lows.setdefault(candle.instrument, deque(maxlen=5))
        seen.append(candle.low)
        return len(seen) == 5 and seen[2] == min(seen)


class HigherTimeframe(Mover):
    """The last quarter of an hour that has closed."""

    feeds = ("15m",)

    def on_start(self):
        self.rising: dict[str, bool] = {}

    def on_candle(self, candle: Candle):
        if candle.timeframe == "15m":
            self.rising[candle.instrument] = candle.close > candle.open
            return None
        return super().on_candle(candle)

    def up(self, candle: Candle) -> bool:
        return self.rising.get(candle.instrument, False)


class Limits(Strategy):
    def on_candle(self, candle: Candle):
        name = candle.instrument
        wanted = list(self.cancel_all(name))
        if self.position(name).is_flat:
            return [*wanted, self.buy(name, quote=200, limit=round(candle.close * 0.999, 2))]
        return [*wanted, self.sell(name, self.position(name).qty, limit=round(candle.close * 1.001, 2))]


class Brackets(Strategy):
    def on_candle(self, candle: Candle):
        if self.open_orders(candle.instrument) or not self.position(candle.instrument).is_flat:
            return None
        close = candle.close
        return [self.buy(candle.instrument, quote=100, stop_loss=close * 0.995, take_profits=close * 1.005)]


class StopAfterFill(Strategy):
    def on_candle(self, candle: Candle):
        if self.open_orders(candle.instrument) or not self.position(candle.instrument).is_flat:
            return None
        return [self.buy(candle.instrument, quote=100, tag="entry")]

    def on_fill(self, fill: Fill):
        if fill.tag != "entry":
            return None
        return [self.sell(fill.instrument, fill.qty, stop=fill.price * Decimal("0.997"))]


class Trailing(Strategy):
    def on_candle(self, candle: Candle):
        name = candle.instrument
        if self.open_orders(name):
            return None
        if self.position(name).is_flat:
            return [self.buy(name, quote=100)]
        return [self.sell(name, self.position(name).qty, trail=0.004)]


class Slices(Strategy):
    seen = 0

    def on_candle(self, candle: Candle):
        self.seen += 1
        return [self.buy(candle.instrument, 3, twap="6m", slices=3)] if self.seen % 90 == 5 else None


class Timers(Strategy):
    def on_start(self):
        self.call_at(self.now + 45 * MINUTE + 1)

    def on_timer(self, now: int):
        self.call_at(now + 20 * MINUTE)
        name = self.instruments[0].id
        if self.position(name).is_flat:
            return [self.buy(name, quote=100)]
        return self.close(name)


class Pair(Strategy):
    """Holds the one of two that fell more."""

    def on_start(self):
        self.first: dict[str, float] = {}
        self.ratio: dict[str, float] = {}

    def on_candle(self, candle: Candle):
        self.ratio[candle.instrument] = candle.close / self.first.setdefault(candle.instrument, candle.open)
        if len(self.ratio) < len(self.instruments):
            return None
        low = min(sorted(self.ratio), key=self.ratio.__getitem__)
        wanted = [
            i for name in sorted(self.ratio) if name != low and not self.open_orders(name) for i in self.close(name)
        ]
        if self.position(low).is_flat and not self.open_orders(low):
            wanted.append(self.buy(low, quote=100))
        return wanted


class Answers(Strategy):
    """Asks again when it is refused, once."""

    refused = 0

    def on_candle(self, candle: Candle):
        return [self.buy(candle.instrument, quote=7000)] if not self.open_orders(candle.instrument) else None

    def on_order_update(self, update):
        if type(update).__name__ != "OrderRejected" or self.refused > 20:
            return None
        self.refused += 1
        return [self.sell(update.instrument, "0.5")] if not self.position(update.instrument).is_flat else None
