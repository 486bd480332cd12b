"""Whatever is ordered, replaced and taken back, and whatever the market does: what always holds."""

from collections import defaultdict
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from backtester.core.events import CancelIntent, Fill, OrderRejected, OrderUpdate, SanitizedOrder, Side, Status
from backtester.core.time import SECOND
from backtester.core.topics import T_ORDERS_CHANGED, T_ORDERS_SANITIZED
from backtester.sim.paths import NEAR_EXTREME_FIRST, OPTIMISTIC, PESSIMISTIC
from backtester.strategy.ordering import order_intent, replace_intent
from tests.support.floor import Floor, price

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
        self.floor = Floor(**choices)
        self.share = choices["participation"]
        self.offered = {True: 2**62, False: 2**62}  # at the open, and along the candle less what was taken there
        self.last = 100_00
        self.seen = 0
        self.live: dict[int, SanitizedOrder] = {}
        self.accepted: dict[int, int] = {}
        self.ended: dict[int, str] = {}
        self.filled: dict[int, int] = defaultdict(int)
        self.left: dict[int, int] = {}  # after a partial fill, until the exchange says the same
        self.doomed: set[int] = set()  # their group filled
        self.position = 0
        self.span = (self.last, self.last)

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

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def cancels(self, data: st.DataObject) -> None:
        order = self.live[data.draw(st.sampled_from(sorted(self.live)))]
        floor = self.floor
        floor.want(CancelIntent(ts=floor.board.now, instrument=order.instrument, order_id=order.order_id))

    @precondition(lambda self: self.live)
    @rule(data=st.data(), qty=st.none() | QTY, moved=CENTS)
    def replaces(self, data: st.DataObject, qty: int | None, moved: int) -> None:
        order = self.live[data.draw(st.sampled_from(sorted(self.live)))]
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
        self.span = (low, high)
        before = self.floor.volume_before
        if self.share:
            per_unit = self.share * 10**self.floor.spec.scale.qty // 10**8
            self.offered = {True: round(before * per_unit) if before >= 0 else 2**62, False: round(volume * per_unit)}
        self.floor.candle(open_, high, low, self.last, volume)

    @rule()
    def a_candle_without_trades(self) -> None:
        self.span = (self.last, self.last)
        self.floor.candle(self.last, self.last, self.last, self.last, volume=0.0)

    @invariant()
    def what_was_heard_obeys_the_rules(self) -> None:
        if not hasattr(self, "floor"):
            return
        for topic, event in self.floor.events[self.seen :]:
            match event:
                case SanitizedOrder() if topic in (T_ORDERS_SANITIZED.name, T_ORDERS_CHANGED.name):
                    assert event.order_id not in self.ended
                    left = self.left.pop(event.order_id, None)
                    assert left is None or event.qty_units in (0, left), "a partial fill left something else"
                    self.live[event.order_id] = event
                case OrderUpdate(status=Status.ACCEPTED):
                    assert event.order_id not in self.accepted
                    self.accepted[event.order_id] = event.ts
                case OrderUpdate(status=Status.CANCELLED | Status.EXPIRED):
                    self._ends(event.order_id, event.status)
                case OrderRejected(who="execution") if event.reason != "unknown_order":
                    assert event.order_id not in self.accepted
                    self._ends(event.order_id, "rejected")
                case Fill():
                    self._fills(event)
        self.seen = len(self.floor.events)
        self._money_adds_up()
        assert sorted(self.live) == [order.order_id for order in self.floor.exchange.open_orders()]

    def _ends(self, order_id: int | None, how: str) -> None:
        assert order_id is not None
        assert order_id not in self.ended, "an order ended twice"
        self.ended[order_id] = how
        del self.live[order_id]

    def _fills(self, fill: Fill) -> None:
        order = self.live[fill.order_id]
        assert fill.ts >= self.accepted[fill.order_id], "filled before it worked"
        low, high = self.span
        assert low <= fill.reference_price_units <= high, "filled where the market was not"
        allowed = self.floor.slippage.price_units(fill.side.sign, fill.reference_price_units)
        worse = (fill.price_units - fill.reference_price_units) * fill.side.sign
        assert 0 <= worse <= abs(allowed - fill.reference_price_units)
        if order.limit_price_units:
            assert (order.limit_price_units - fill.price_units) * fill.side.sign >= 0, "worse than its limit"
        self.filled[fill.order_id] += fill.qty_units
        assert not order.qty_units or fill.qty_units <= order.qty_units, "more than was left of the order"
        self._consumes(fill)
        before, self.position = self.position, self.position + fill.side.sign * fill.qty_units
        if order.terms.only_reduces:
            assert abs(self.position) < abs(before), "what only reduces added"
            assert self.position * before >= 0, "what only reduces went through zero"
        if fill.fee_asset == fill.base:
            self.position -= fill.fee_units
        if order.parent_id:
            taken = sum(n for i, n in self.filled.items() if self.floor.orders[i].parent_id == order.parent_id)
            assert taken <= self.filled[order.parent_id], "exits took more than the entry brought"
        elif order.oco:
            assert fill.order_id not in self.doomed, "two orders of one group filled"
            self.doomed |= {i for i, o in self.live.items() if o.oco == order.oco} - {fill.order_id}
        if fill.leaves_units == 0:
            self._ends(fill.order_id, "filled")
        else:
            self.left[fill.order_id] = fill.leaves_units

    def _consumes(self, fill: Fill) -> None:
        """What trades is there once: at the open, and along the candle what the open left."""
        at_open = fill.event_id in self.floor.filled_at_open
        self.offered[at_open] -= fill.qty_units
        if at_open:
            self.offered[False] -= fill.qty_units
        assert self.offered[at_open] >= 0, "took more than there was"

    def _money_adds_up(self) -> None:
        """Per asset, to the last unit; and spot is never overdrawn."""
        ledger = self.floor.account.ledger
        assert ledger.identity_breaks() == []
        assert ledger.position(self.floor.spec.id).qty_units == self.position
        if self.floor.spec.is_spot:
            assert all(account.cash_units >= 0 for account in ledger.assets.values())


OrderStreams.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestOrderStreams = OrderStreams.TestCase
