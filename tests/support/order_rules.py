"""What always holds of orders, fills and money on a trading floor, whatever is ordered and whatever the market does.

The rules read what was heard, event by event, and know nothing of how the exchange works.
"""

from collections import defaultdict

from backtester.core.events import Event, Fill, Liquidity, OrderRejected, OrderUpdate, SanitizedOrder, Side, Status
from backtester.core.topics import T_ORDERS_CHANGED, T_ORDERS_SANITIZED
from backtester.execution.settlement import TAG as SETTLES
from backtester.sim.brackets import max_leverage
from tests.support.floor import MAX_WAIT, Floor

_ORDERS = (T_ORDERS_SANITIZED.name, T_ORDERS_CHANGED.name)


class RuleBroken(AssertionError):
    """The exchange did what no exchange may do."""


def require(holds: bool, broken: str) -> None:
    """Raise RuleBroken unless a rule holds."""
    if not holds:
        raise RuleBroken(broken)


class OrderRules:
    """Follows one floor. live: orders that have not ended, as they were last heard of."""

    def __init__(self, floor: Floor) -> None:
        self.live: dict[int, SanitizedOrder] = {}
        self._floor = floor
        self._seen = 0
        self._accepted: dict[int, int] = {}
        self._ended: set[int] = set()
        self._filled: dict[int, int] = defaultdict(int)
        self._left: dict[int, int] = {}  # after a partial fill, until the exchange says the same
        self._last_part: dict[int, int] = {}  # when an order filled in part
        self._doomed: set[int] = set()  # their group filled
        self._resized: set[int] = set()  # entries of whose exits the trader changed one: its size is as was asked
        self._position = 0

    def check(self, low: int, high: int, *, traded: bool = True) -> None:
        """Judge what was heard since the last time, and what the account says now.

        Args:
            low, high: where the market was meanwhile.
            traded: whether anybody traded meanwhile.
        """
        for topic, event in self._floor.events[self._seen :]:
            self._hear(topic, event)
            if isinstance(event, Fill) and event.tag != SETTLES:  # which is no trade
                require(traded, "filled while nobody traded")
                inside = low <= event.reference_price_units <= high
                require(inside or self._jumped_over(event, low, high), "filled where the market was not")
        self._seen = len(self._floor.events)
        self._money_adds_up()
        working = [order.order_id for order in self._floor.exchange.open_orders()]
        require(sorted(self.live) == working, "an order that works no more did not end, or the other way round")

    def _jumped_over(self, fill: Fill, low: int, high: int) -> bool:
        """Whether a limit that rested was jumped over by the market: it fills at its own price, the worse one."""
        limit = self._floor.orders[fill.order_id].limit_price_units
        beyond = limit < low if fill.side is Side.SELL else limit > high
        return beyond and fill.price_units == limit and fill.liquidity is Liquidity.MAKER

    def _hear(self, topic: str, event: Event) -> None:
        match event:
            case SanitizedOrder() if topic in _ORDERS:
                require(event.order_id not in self._ended, "an order that ended came back")
                left = self._left.pop(event.order_id, None)
                require(left is None or event.qty_units in (0, left), "a partial fill left something else")
                self.live[event.order_id] = event
                if event.parent_id and event.replaces:
                    self._resized.add(event.parent_id)
            case OrderUpdate(status=Status.ACCEPTED):
                require(event.order_id not in self._accepted, "an order was accepted twice")
                self._accepted[event.order_id] = event.ts
            case OrderUpdate(status=Status.CANCELLED | Status.EXPIRED):
                self._ends(event.order_id)
            case OrderRejected(who="execution") if event.reason != "unknown_order":
                require(event.order_id not in self._accepted, "an accepted order was rejected")
                self._ends(event.order_id)
            case Fill() if event.order_id < 0:
                self._liquidates(event)
            case Fill():
                self._fills(event)

    def _ends(self, order_id: int | None) -> None:
        require(order_id in self.live, "an order ended twice")
        assert order_id is not None
        self._ended.add(order_id)
        del self.live[order_id]

    def _fills(self, fill: Fill) -> None:
        require(fill.order_id in self.live, "an order filled after its end")
        order = self.live[fill.order_id]
        require(fill.order_id in self._accepted, "an order filled that was never accepted")
        since = self._accepted[fill.order_id]
        require(fill.ts >= since, "filled before it worked")
        terms = order.terms
        require(not terms.good_till or fill.ts <= terms.good_till, "filled after its time was over")
        if not order.limit_price_units and not order.stop_price_units and not order.trail_units:
            waited_since = self._last_part.get(fill.order_id, since)
            require(fill.ts <= waited_since + MAX_WAIT, "a market order waited too long")
        self._price_is_fair(order, fill)
        self._filled[fill.order_id] += fill.qty_units
        whole = fill.qty_units + fill.leaves_units
        require(not order.qty_units or whole == order.qty_units, "more than was ordered")
        self._consumes(fill)
        self._is_secured(fill)
        before, self._position = self._position, self._position + fill.side.sign * fill.qty_units
        if terms.only_reduces:
            require(abs(self._position) < abs(before), "what only reduces added")
            require(self._position * before >= 0, "what only reduces went through zero")
        if self._floor.spec.is_spot and fill.fee_asset == fill.base:
            self._position -= fill.fee_units
        if order.parent_id and order.parent_id not in self._resized:
            parts = [n for i, n in self._filled.items() if self._floor.orders[i].parent_id == order.parent_id]
            require(sum(parts) <= self._filled[order.parent_id], "exits took more than the entry brought")
        if order.oco and not order.parent_id:
            require(fill.order_id not in self._doomed, "two orders of one group filled")
            self._doomed |= {i for i, o in self.live.items() if o.oco == order.oco} - {fill.order_id}
        if fill.leaves_units == 0:
            self._ends(fill.order_id)
        else:
            self._left[fill.order_id] = fill.leaves_units
            self._last_part[fill.order_id] = fill.ts

    def _liquidates(self, fill: Fill) -> None:
        """The exchange itself closes, and only that."""
        require(fill.order_id in self.live, "a liquidation without an order")
        before, self._position = self._position, self._position + fill.side.sign * fill.qty_units
        require(abs(self._position) < abs(before), "a liquidation added")
        require(self._position * before >= 0, "a liquidation went through zero")
        self._ends(fill.order_id)

    def _is_secured(self, fill: Fill) -> None:
        """A position that grew is no larger than its leverage allows, at the price that it grew at."""
        floor = self._floor
        leverage = floor.account.ledger.margin.leverage_of(floor.spec.id)
        after = abs(self._position + fill.side.sign * fill.qty_units)
        if leverage > 1 and after > abs(self._position):
            size = floor.spec.notional_units(after, fill.price_units)
            require(max_leverage(floor.brackets, size) >= leverage, "a position is too large for its leverage")

    def _consumes(self, fill: Fill) -> None:
        """What trades is there once: at the open, and along the candle what the open left."""
        offered, at_open = self._floor.offered, fill.event_id in self._floor.filled_at_open
        offered[at_open] -= fill.qty_units
        if at_open:
            offered[False] -= fill.qty_units
        require(offered[at_open] >= 0, "took more than there was")

    def _price_is_fair(self, order: SanitizedOrder, fill: Fill) -> None:
        """Slippage as declared, never beyond a limit, and the fee of what it did."""
        allowed = self._floor.slippage.price_units(fill.side.sign, fill.reference_price_units)
        worse = (fill.price_units - fill.reference_price_units) * fill.side.sign
        require(0 <= worse <= abs(allowed - fill.reference_price_units), "slipped otherwise than declared")
        if order.limit_price_units:
            require((order.limit_price_units - fill.price_units) * fill.side.sign >= 0, "worse than its limit")
        else:
            require(fill.liquidity is Liquidity.TAKER, "what has no limit made no market")
        spec = self._floor.spec
        charged = spec.notional_units(fill.qty_units, fill.price_units)
        if spec.is_spot and fill.fee_asset == fill.base:
            charged = spec.base_money(fill.qty_units)
        fee = self._floor.fees.fee_units(charged, fill.liquidity is Liquidity.MAKER, 0)
        require(fill.fee_units == fee, "another fee than declared")

    def _money_adds_up(self) -> None:
        """Per asset, to the last unit; and spot is never overdrawn."""
        ledger, spec = self._floor.account.ledger, self._floor.spec
        require(ledger.identity_breaks() == [], "money does not add up")
        require(ledger.position(spec.id).qty_units == self._position, "another position than the fills made")
        if not spec.is_spot and ledger.margin.leverage_of(spec.id) > 1:
            require(ledger.asset(spec.cash).cash_units >= 0, "futures cost more than the account had")
        if spec.is_spot:
            require(all(account.cash_units >= 0 for account in ledger.assets.values()), "spot is overdrawn")
