"""Whatever is ordered and whatever the market does: limits hold, restrictions let nothing in, flat becomes flat."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from backtester.core.events import CancelIntent, Fill, Side
from backtester.core.risk_events import AlertState, BreakerAction, ControlAction, RiskAlert
from backtester.strategy.ordering import order_intent, replace_intent
from tests.properties.test_order_streams import CENTS, orders
from tests.support.floor import Floor, price

SYMBOL = 3000  # money
GROSS = 4000
ORDER = 2000
MOST = 6
STRICT = (ControlAction.REDUCE_ONLY, ControlAction.FLATTEN, ControlAction.KILL)


class Limited(RuleBasedStateMachine):
    """One instrument under limits, a drawdown breaker and commands; orders whose size is known beforehand."""

    @initialize(
        market=st.sampled_from(["spot", "um"]),
        path=st.sampled_from([0, 1, 2]),
        action=st.sampled_from(list(BreakerAction)),
        limit_pct=st.sampled_from([1, 3, 100]),
        minutes=st.integers(1, 8),
    )
    def opens(self, market: str, path: int, action: BreakerAction, limit_pct: int, minutes: int) -> None:
        self.action = action
        breaker = {"limit_pct": limit_pct, "action": action, "cool_down": f"{minutes}m"}
        limits = {
            "max_order_notional": ORDER,
            "max_symbol_notional": SYMBOL,
            "max_gross_exposure": GROSS,
            "max_open_orders": MOST,
        }
        self.floor = Floor(market=market, path=path, risk=limits | {"drawdown": breaker})
        self.last = 100_00
        self.seen = 0
        self.tripped = False
        self.command = ControlAction.RESUME
        self.allowed = 0  # the largest position that orders may lead to, by the prices at which they were let through
        self.position = 0
        self.traded = False

    @rule(data=st.data(), side=st.sampled_from(list(Side)), group=st.sampled_from(["", "", "a"]))
    def orders(self, data: st.DataObject, side: Side, group: str) -> None:
        floor = self.floor
        wanted = data.draw(orders(self.last, floor.board.now))
        before = len(floor.orders)
        floor.want(order_intent(floor.board.now, floor.spec.id, side, oco=group, **wanted))
        if len(floor.orders) > before:
            self._let_through()

    def _let_through(self) -> None:
        """Orders of a known size were judged at the last price: whatever fills, the position stays below this."""
        by_symbol = SYMBOL * 100 * 1000 // self.last
        self.allowed = max(self.allowed, by_symbol)

    @precondition(lambda self: self.floor.exchange.open_orders())
    @rule(data=st.data(), moved=CENTS, qty=st.none() | st.integers(1, 40_000))
    def replaces(self, data: st.DataObject, moved: int, qty: int | None) -> None:
        order = data.draw(st.sampled_from(self.floor.exchange.open_orders()))
        limit = price(self.last + moved) if order.limit_price_units else None
        if limit is not None or qty is not None:
            size = None if qty is None or order.terms.close_position else price(qty) / 10
            if size is None and limit is None:
                return
            self.floor.want(replace_intent(self.floor.board.now, order, qty=size, limit=limit, stop=None))
            self._let_through()

    @precondition(lambda self: self.floor.exchange.open_orders())
    @rule(data=st.data())
    def cancels(self, data: st.DataObject) -> None:
        order = data.draw(st.sampled_from(self.floor.exchange.open_orders()))
        self.floor.want(CancelIntent(ts=self.floor.board.now, instrument=order.instrument, order_id=order.order_id))

    @rule(action=st.sampled_from([*ControlAction, ControlAction.RESUME, ControlAction.RESUME]))
    def commands(self, action: ControlAction) -> None:
        if action is ControlAction.KILL and self.floor.board.now % 7:
            return  # seldom: nothing comes after it
        self.floor.command(action)
        if self.command is not ControlAction.KILL:
            self.command = action

    @rule(gap=st.integers(-300, 300), up=st.integers(0, 500), down=st.integers(0, 500), where=st.integers(0, 100))
    def a_candle(self, gap: int, up: int, down: int, where: int) -> None:
        open_ = max(40_00, self.last + gap)
        high, low = open_ + up, open_ - min(down, open_ - 30_00)
        must_be_flat = self._flat_is_demanded()
        before = self.position
        self.last = low + (high - low) * where // 100
        self.floor.candle(open_, high, low, self.last)
        if must_be_flat:
            assert self._held() == 0, f"{before} was to be closed at {open_}"

    @rule()
    def a_candle_without_trades(self) -> None:
        held = self._held()
        self.floor.candle(self.last, self.last, self.last, self.last, volume=0.0)
        assert self._held() == held

    def _held(self) -> int:
        return self.floor.account.ledger.position(self.floor.spec.id).qty_units

    def _restricted(self) -> bool:
        return self.command in STRICT or (self.tripped and self.action is not BreakerAction.REJECT_ENTRIES)

    def _flat_is_demanded(self) -> bool:
        by_breaker = self.tripped and self.action is BreakerAction.FLATTEN
        return by_breaker or self.command in (ControlAction.FLATTEN, ControlAction.KILL)

    @invariant()
    def what_was_heard_obeys(self) -> None:
        if not hasattr(self, "floor"):
            return
        for _, event in self.floor.events[self.seen :]:
            if isinstance(event, RiskAlert):
                self.tripped = event.state is AlertState.TRIPPED
            elif isinstance(event, Fill):
                before = abs(self.position)
                self.position += event.side.sign * event.qty_units
                if self._restricted():
                    assert abs(self.position) < before, "an entry filled while nothing may be opened"
                assert abs(self.position) <= max(before, self.allowed), "the position passed its limit"
        self.seen = len(self.floor.events)
        assert self.floor.account.ledger.identity_breaks() == []
        working = self.floor.exchange.open_orders()
        if self._restricted():
            plain = [o for o in working if not o.terms.only_reduces and not (o.side is Side.SELL and self._is_spot())]
            assert plain == [], "what may open still works"

    def _is_spot(self) -> bool:
        return self.floor.spec.is_spot


TestLimited = Limited.TestCase
TestLimited.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
