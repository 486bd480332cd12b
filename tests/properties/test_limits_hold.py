"""Whatever is ordered and whatever the market does: limits hold, restrictions let nothing in, flat becomes flat."""

from hypothesis import given, settings
from hypothesis import strategies as st

from backtester.core.events import CancelIntent, Fill, Side
from backtester.core.risk_events import AlertState, BreakerAction, ControlAction, RiskAlert
from backtester.strategy.ordering import order_intent, replace_intent
from tests.properties.test_order_streams import CENTS, orders
from tests.support.floor import Floor, price
from tests.support.profiles import examples

SYMBOL = 3000  # money
MINUTES = 20
STRICT = (ControlAction.REDUCE_ONLY, ControlAction.FLATTEN, ControlAction.KILL)
COMMANDS = [None] * 12 + [ControlAction.RESUME] * 3 + [*ControlAction]


class Watched:
    """A floor under limits, a breaker and commands, and what a log reader knows of it."""

    def __init__(self, market: str, path: int, action: BreakerAction, limit_pct: int, minutes: int) -> None:
        self.action = action
        breaker = {"limit_pct": limit_pct, "action": action, "cool_down": f"{minutes}m"}
        limits = {"max_order_notional": 2500, "max_symbol_notional": SYMBOL, "max_open_orders": 8}
        self.floor = Floor(market=market, path=path, risk=limits | {"drawdown": breaker})
        self.tripped = False
        self.command = ControlAction.RESUME
        self.last = 100_00
        self.position = self.allowed = self.seen = self.fills = 0

    def orders(self, data: st.DataObject) -> None:
        """Order, replace or take back; what is let through was judged at the last price."""
        floor, now = self.floor, self.floor.board.now
        working = floor.exchange.open_orders()
        what = data.draw(st.integers(0, 9))
        before = len(floor.orders)
        if what == 0 and working:
            order = data.draw(st.sampled_from(working))
            floor.want(CancelIntent(ts=now, instrument=order.instrument, order_id=order.order_id))
        elif what == 1 and working:
            order = data.draw(st.sampled_from(working))
            limit = price(self.last + data.draw(CENTS)) if order.limit_price_units else None
            size = None if order.terms.close_position else price(data.draw(st.integers(1, 2500)))
            if limit is not None or size is not None:
                floor.want(replace_intent(now, order, qty=size, limit=limit, stop=None))
        else:
            wanted = data.draw(orders(self.last, now))
            if "qty" in wanted:
                wanted["qty"] = price(data.draw(st.integers(1, 2500)))
            side, group = data.draw(st.sampled_from(list(Side))), data.draw(st.sampled_from(["", "", "", "a"]))
            floor.want(order_intent(now, floor.spec.id, side, oco=group, **wanted))
        if len(floor.orders) > before:
            self.allowed = max(self.allowed, SYMBOL * 100 * 1000 // self.last)
        self.check()

    def minute(self, data: st.DataObject) -> None:
        """Let a candle pass; whoever must be flat is so after it, when it traded."""
        flat = self.flat_is_demanded()
        open_ = max(40_00, self.last + data.draw(st.integers(-300, 300)))
        low, high = open_ - data.draw(st.integers(0, 500)), open_ + data.draw(st.integers(0, 500))
        self.last = data.draw(st.integers(low, high))
        trades = data.draw(st.integers(0, 6)) > 0
        self.floor.candle(open_, high, low, self.last, volume=1.0 if trades else 0.0)
        self.check()
        assert not (flat and trades and self.position), "what was to be closed is held"
        self.allowed = 0 if self.position == 0 and not self.floor.exchange.open_orders() else self.allowed

    def give(self, command: ControlAction) -> None:
        """Command something; nothing comes after a kill."""
        self.floor.command(command)
        if self.command is not ControlAction.KILL:
            self.command = command
        self.check()

    def restricted(self) -> bool:
        return self.command in STRICT or (self.tripped and self.action is not BreakerAction.REJECT_ENTRIES)

    def flat_is_demanded(self) -> bool:
        by_breaker = self.tripped and self.action is BreakerAction.FLATTEN
        return by_breaker or self.command in (ControlAction.FLATTEN, ControlAction.KILL)

    def check(self) -> None:
        """Read on in the log."""
        for _, event in self.floor.events[self.seen :]:
            if isinstance(event, RiskAlert):
                self.tripped = event.state is AlertState.TRIPPED
            elif isinstance(event, Fill):
                before, self.position = self.position, self.position + event.side.sign * event.qty_units
                self.fills += 1
                if self.restricted():
                    assert abs(self.position) < abs(before), "an entry filled while nothing may be opened"
                    assert self.position * before >= 0, "an exit opened the other side"
                assert abs(self.position) <= max(abs(before), self.allowed), "the position passed its limit"
        self.seen = len(self.floor.events)
        if self.restricted():
            may_open = [o for o in self.floor.exchange.open_orders() if not o.terms.only_reduces]
            assert all(self.floor.spec.is_spot and order.side is Side.SELL for order in may_open)
        assert self.floor.account.ledger.identity_breaks() == []


@settings(max_examples=examples(60))
@given(
    data=st.data(),
    market=st.sampled_from(["spot", "um", "um"]),
    path=st.sampled_from([0, 1, 2]),
    action=st.sampled_from(list(BreakerAction)),
    limit_pct=st.sampled_from([1, 2, 100]),
    minutes=st.integers(1, 8),
)
def test_limits_hold_and_restrictions_let_nothing_in(
    data: st.DataObject, market: str, path: int, action: BreakerAction, limit_pct: int, minutes: int
) -> None:
    watched = Watched(market, path, action, limit_pct, minutes)
    for _ in range(MINUTES):
        for _ in range(data.draw(st.integers(0, 3))):
            watched.orders(data)
        command = data.draw(st.sampled_from(COMMANDS))
        if command is not None:
            watched.give(command)
        watched.minute(data)
