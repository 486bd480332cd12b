"""A strategy that trades at random, in every way there is; its own generator decides."""

from decimal import Decimal

from pydantic import Field

from backtester.core.events import AnyIntent, Fill, OrderRejected, OrderUpdate
from backtester.core.market import Candle
from backtester.core.time import SECOND
from backtester.strategy.base import Intents, Strategy, StrategyParams


class ErraticParams(StrategyParams):
    """busy: how often it acts after a candle, a fraction. warmup: candles that it asks for before the start."""

    busy: float = Field(default=0.3, ge=0, le=1)
    warmup: int = 0


class Erratic(Strategy):
    """Buys, sells, brackets, cancels, notes and sets timers, in all sizes, some of them absurd."""

    Params = ErraticParams

    @property
    def warmup_candles(self) -> int:
        return int(self.params.warmup)

    def on_start(self) -> None:
        self.last: dict[str, float] = {}

    def on_candle(self, candle: Candle) -> Intents:
        self.last[candle.instrument] = candle.close
        if self.rng.random() > self.params.busy:
            return None
        return [intent for _ in range(self.rng.randint(1, 3)) for intent in self._any(candle.instrument, candle.close)]

    def on_fill(self, fill: Fill) -> Intents:
        if self.rng.random() < 0.3:
            up, group = Decimal("1.005"), f"exit-{fill.order_id}"
            act, stop, target = (self.sell, 1 / up, up) if fill.side == "buy" else (self.buy, up, 1 / up)
            return [
                act(fill.instrument, fill.qty, stop=fill.price * stop, oco=group, tag="stop"),
                act(fill.instrument, fill.qty, limit=fill.price * target, oco=group, tag="target"),
            ]
        return None

    def on_order_update(self, update: OrderUpdate | OrderRejected) -> Intents:
        if isinstance(update, OrderRejected) and self.rng.random() < 0.05:
            return self.cancel_all(update.instrument)
        return None

    def on_timer(self, now: int) -> Intents:
        name = self.rng.choice(sorted(self.last))
        return self._any(name, self.last[name])

    def _any(self, name: str, close: float) -> list[AnyIntent]:
        rng = self.rng
        what = rng.randint(0, 13)
        if what == 11:
            return [self.cancel(order) for order in self.open_orders(name) if rng.random() < 0.5]
        if what > 11:
            return [self._sliced(name, Decimal(repr(close)))]
        if what == 10:
            return [self.replace(order, qty=order.qty or 1) for order in self.open_orders(name)[:1]]
        if what == 0:
            return list(self.cancel_all(name))
        if what == 1:
            return self.close(name)
        if what == 2:
            self.note("thinking", equity=self.equity, cash=self.cash)
            return []
        if what == 3:
            self.call_at(self.now + max(1, rng.randint(-60, 200)) * SECOND)
            return []
        act = self.buy if rng.random() < 0.5 else self.sell
        price = Decimal(repr(close)) * (1 + Decimal(rng.randint(-80, 80)) / 10_000)
        options: dict[str, object] = rng.choice(
            [
                {},
                {},
                {"limit": price},
                {"stop": price},
                {"stop": price, "limit": price},
                {"take_profit": price},
                {"trail": "0.003"},
                {"limit": price, "time_in_force": "ioc"},
                {"limit": price, "post_only": True},
                {"limit": price, "good_till": self.now + rng.randint(10, 400) * SECOND},
                {"reduce_only": True},
                {"stop_loss": price, "take_profits": [(price * rng.choice([99, 101]) / 100, "0.6")]},
            ]
        )
        size = rng.choice(["qty", "qty", "quote", "fraction", "none"])
        if size == "none" and "reduce_only" not in options:
            return [act(name, **options)]
        amount = {
            "qty": Decimal(rng.choice([1, 17, 333, 4_000, 60_000])) / 1000,
            "quote": Decimal(rng.choice([0, 7, 350, 2_000, 50_000])),
            "fraction": Decimal(rng.choice([1, 25, 50, 100])) / 100,
        }.get(size, Decimal(1))
        size = "qty" if size == "none" else size
        if rng.random() < 0.7:
            return [act(name, **{size: amount}, **options)]
        group = f"group-{self.now}"
        return [act(name, **{size: amount}, **options, oco=group), act(name, **{size: amount}, **options, oco=group)]

    def _sliced(self, name: str, close: Decimal) -> AnyIntent:
        rng = self.rng
        act = self.buy if rng.random() < 0.5 else self.sell
        qty = Decimal(rng.choice([3, 50, 4_000, 20_000])) / 1000
        price = close * (1 + Decimal(rng.randint(-60, 60)) / 10_000)
        named: dict[str, object] = {"tag": f"whole-{self.now}", "reduce_only": rng.random() < 0.3}
        if rng.random() < 0.5:
            slices = rng.randint(2, 6)
            worst = price if rng.random() < 0.5 else None
            return act(name, qty, twap=f"{slices * rng.randint(1, 4)}m", slices=slices, limit=worst, **named)
        return act(name, qty, limit=price, display=qty / rng.randint(2, 5), **named)
