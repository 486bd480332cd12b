"""Whatever is ordered, replaced and taken back, and whatever the market does: what always holds."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from backtester.core.events import CancelIntent, Side
from backtester.core.time import SECOND
from backtester.execution.simulated import SimulatedExchange
from backtester.risk.exposure import rough_lots
from backtester.sim.paths import NEAR_EXTREME_FIRST, OPTIMISTIC, PESSIMISTIC
from backtester.strategy.ordering import order_intent, replace_intent
from tests.support.floor import Floor, price
from tests.support.order_rules import OrderRules
from tests.support.profiles import examples

CENTS = st.integers(-600, 600)
QTY = st.integers(1, 40_000)  # up to 40 coins, 4000 USDT of 10000
KINDS = ["market", "limit", "limit", "stop", "stop_limit", "take_profit", "take_profit_limit", "trail"]


@st.composite
def orders(draw: st.DrawFn, last: int, now: int) -> dict[str, Any]:
    """Arguments of buy or sell around a last price; not all make an order."""
    kind = draw(st.sampled_from(KINDS))
    prices = {name: price(last + draw(CENTS)) for name in ("limit", "stop", "take_profit", "activation")}
    wanted: dict[str, Any] = {name: prices[name] for name in ("limit", "stop", "take_profit") if name in kind}
    if kind == "trail":
        wanted["trail"] = price(draw(st.integers(1, 5)))
        if draw(st.booleans()):
            wanted["activation"] = prices["activation"]
    size = draw(st.sampled_from(["qty", "qty", "qty", "quote", "fraction", "close_position"]))
    if size == "close_position" and kind in ("stop", "take_profit", "trail"):
        wanted["close_position"] = True
    elif size == "quote":
        wanted["quote"] = draw(st.integers(1, 6000))
    elif size == "fraction":
        wanted["fraction"] = price(draw(st.integers(1, 100)))
    else:
        wanted["qty"] = price(draw(QTY)) / 10
    condition = draw(st.sampled_from(["", "", "", "ioc", "fok", "gtd", "post_only", "reduce_only"]))
    if condition in ("ioc", "fok") and "limit" in kind:
        wanted["time_in_force"] = condition
    elif condition == "gtd" and kind != "market":
        wanted["good_till"] = now + draw(st.integers(1, 6)) * 30 * SECOND
    elif condition == "post_only" and kind == "limit":
        wanted["post_only"] = True
    elif condition == "reduce_only":
        wanted["reduce_only"] = True
    return wanted


@st.composite
def exits(draw: st.DrawFn, entry: int, sign: int) -> dict[str, Any]:
    """A stop or a trailing stop, and up to three targets, mostly on the right sides."""
    found: dict[str, Any] = {}
    which = draw(st.sampled_from(["stop_loss", "stop_trail", ""]))
    if which == "stop_loss":
        found[which] = price(entry - sign * draw(st.integers(-20, 500)))
    elif which:
        found[which] = price(draw(st.integers(1, 4)))
    shares = draw(st.sampled_from([(), (100,), (40, 60), (33, 33, 34), (50,)] if which else [(100,), (30, 70)]))
    if shares:
        found["take_profits"] = [(price(entry + sign * draw(st.integers(-20, 500))), price(share)) for share in shares]
    return found


class OrderStreams(RuleBasedStateMachine):
    """One instrument, random orders, random candles."""

    exchange = SimulatedExchange
    terms: ClassVar[Mapping[str, Any]] = {}  # instead of what is drawn

    @initialize(
        market=st.sampled_from(["spot", "um"]),
        path=st.sampled_from([PESSIMISTIC, NEAR_EXTREME_FIRST, OPTIMISTIC]),
        mid=st.booleans(),
        slippage=st.sampled_from([0, 30]),
        touch_fills=st.booleans(),
        stop_through_fills=st.booleans(),
        fee_from_received=st.booleans(),
        participation=st.sampled_from([0, 10**7, 10**8]),
    )
    def opens(self, **choices: Any) -> None:
        self.floor = Floor(exchange=self.exchange, **{**choices, **self.terms})
        self.rules = OrderRules(self.floor)
        self.last = 100_00
        self.span, self.traded = (self.last, self.last), False

    @rule(data=st.data(), side=st.sampled_from(list(Side)), group=st.sampled_from(["", "", "a", "b"]))
    def orders(self, data: st.DataObject, side: Side, group: str) -> None:
        floor = self.floor
        wanted = data.draw(orders(self.last, floor.board.now))
        clear = not wanted.keys() & {"reduce_only", "close_position"}
        if clear and data.draw(st.integers(0, 3)) == 0:
            entry = next((wanted[name] for name in ("limit", "stop", "take_profit") if name in wanted), None)
            cents = self.last if entry is None else int(entry * 100)
            wanted |= data.draw(exits(cents, side.sign))
        client_id = data.draw(st.sampled_from(["", "x", "y"]))
        floor.want(order_intent(floor.board.now, floor.spec.id, side, oco=group, client_id=client_id, **wanted))

    @rule(side=st.sampled_from(list(Side)), near=st.integers(1, 60), far=st.integers(1, 60))
    def a_pair_of_bids_or_offers(self, side: Side, near: int, far: int) -> None:
        now, name = self.floor.board.now, self.floor.spec.id
        limits = [price(self.last - side.sign * away) for away in (near, far)]
        self.floor.want(*(order_intent(now, name, side, 1, limit=limit, oco=f"pair-{now}") for limit in limits))

    @rule(percent=st.integers(90, 100))
    def a_purchase_with_nearly_all_money(self, percent: int) -> None:
        now, spec = self.floor.board.now, self.floor.spec
        cash = self.floor.account.ledger.asset(spec.cash).cash_units
        thousandths = rough_lots(spec, cash * percent // 100, self.last)
        if thousandths > 0:
            self.floor.want(order_intent(now, spec.id, Side.BUY, Decimal(thousandths) / 1000))

    @precondition(lambda self: self.rules.live)
    @rule(data=st.data())
    def cancels(self, data: st.DataObject) -> None:
        order = self.rules.live[data.draw(st.sampled_from(sorted(self.rules.live)))]
        floor = self.floor
        floor.want(CancelIntent(ts=floor.board.now, instrument=order.instrument, order_id=order.order_id))

    @precondition(lambda self: self.rules.live)
    @rule(data=st.data(), qty=st.none() | QTY, moved=CENTS)
    def replaces(self, data: st.DataObject, qty: int | None, moved: int) -> None:
        order = self.rules.live[data.draw(st.sampled_from(sorted(self.rules.live)))]
        limit = price(self.last + moved) if order.limit_price_units else None
        stop = price(self.last + moved) if order.stop_price_units and not limit else None
        size = None if qty is None else price(qty) / 10
        if size is not None or limit or stop:
            self.floor.want(replace_intent(self.floor.board.now, order, qty=size, limit=limit, stop=stop))

    @rule(
        gap=st.integers(-300, 300),
        up=st.integers(0, 500),
        down=st.integers(0, 500),
        where=st.integers(0, 100),
        volume=st.sampled_from([0.001, 0.01, 1.0, 30.0, 1000.0]),
    )
    def a_candle(self, gap: int, up: int, down: int, where: int, volume: float) -> None:
        open_ = max(20_00, self.last + gap)
        high, low = open_ + up, open_ - min(down, open_ - 10_00)
        self.last = low + (high - low) * where // 100
        self.span, self.traded = (low, high), True
        self.floor.candle(open_, high, low, self.last, volume)

    @rule()
    def a_candle_without_trades(self) -> None:
        self.span, self.traded = (self.last, self.last), False
        self.floor.candle(self.last, self.last, self.last, self.last, volume=0.0)

    @invariant()
    def what_was_heard_obeys_the_rules(self) -> None:
        if hasattr(self, "floor"):
            self.rules.check(*self.span, traded=self.traded)


OrderStreams.TestCase.settings = settings(max_examples=examples(60), stateful_step_count=30, deadline=None)
TestOrderStreams = OrderStreams.TestCase


class IsolatedStreams(OrderStreams):
    """The same with leverage, each position by its own margin."""

    terms: ClassVar[Mapping[str, Any]] = {"market": "um", "mid": False, "leverage": 10}


class CrossStreams(OrderStreams):
    """The same with leverage, secured by all that the account has."""

    terms: ClassVar[Mapping[str, Any]] = {"market": "um", "mid": False, "leverage": 4, "cross": True}


IsolatedStreams.TestCase.settings = settings(max_examples=examples(40), stateful_step_count=30, deadline=None)
CrossStreams.TestCase.settings = settings(max_examples=examples(30), stateful_step_count=30, deadline=None)
TestIsolatedStreams = IsolatedStreams.TestCase
TestCrossStreams = CrossStreams.TestCase
