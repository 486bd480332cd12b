"""The guard: looks at equity, trips breakers, and carries out what they and an operator's commands demand."""

from collections.abc import Mapping, Sequence

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import (
    CancelIntent,
    Cashflow,
    Fill,
    OrderKind,
    Reason,
    ReduceOnlyIntent,
    SanitizedOrder,
    Side,
)
from backtester.core.folds import Ledger
from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.market import Dues
from backtester.core.numbers import decimal, floor_to
from backtester.core.order_terms import Terms
from backtester.core.risk_events import AlertState, ClosingIntent, Control, RiskAlert
from backtester.core.round_trips import RoundTrip, RoundTrips
from backtester.core.rules import RuleBook
from backtester.core.topics import T_CASHFLOWS, T_CONTROL, T_DUES, T_FILLS, T_ORDERS_INTENT, T_RISK_ALERT
from backtester.risk.breakers import Breaker, BreakerTerms, DailyLoss, Drawdown, LosingStreak, Measure, State
from backtester.risk.exposure import rough_lots
from backtester.risk.open_orders import OpenOrders
from backtester.risk.restrictions import Level, Restrictions

_TAG = "risk"
_REDUCES = Terms(reduce_only=True)


class Guard:
    """Looks in DUES, when all is marked and nothing decided yet, at ticks that bring a price.

    It asks for DUES only where something is held or in force. What it wants closed or taken back are intents, which go
    through risk as any other; what did not come about is asked for again at the next look.
    """

    def __init__(
        self,
        terms: Sequence[BreakerTerms],
        restrictions: Restrictions,
        open_orders: OpenOrders,
        rules: RuleBook,
        *,
        ledger: Ledger,
        board: Board,
        bus: Bus,
    ) -> None:
        """Wire the guard; ledger, open_orders and restrictions are those that risk folds, and only read here."""
        self._streak = LosingStreak()
        measures: Mapping[str, Measure] = {
            "daily_loss": DailyLoss(),
            "drawdown": Drawdown(),
            "consecutive_losses": self._streak,
        }
        self.breakers = [Breaker(one, measures[one.name]) for one in terms]
        self._trips = RoundTrips(ledger.instruments, rules, self._on_trip)
        self._restrictions = restrictions
        self._open_orders = open_orders
        self._rules = rules
        self._ledger = ledger
        self._board = board
        self._bus = bus
        self._restricted: set[int] = set()  # the orders that must only reduce
        self._asked: dict[int | InstrumentId, int] = {}  # an order or a position, and when something was last asked
        bus.subscribe(T_FILLS, self.on_fill)
        bus.subscribe(T_CASHFLOWS, self.on_cashflow)
        bus.subscribe(T_DUES, self.on_dues)
        bus.subscribe(T_RISK_ALERT, self.on_alert)
        bus.subscribe(T_CONTROL, self.on_control)

    # --- looking -------------------------------------------------------------------------------------------------

    def on_fill(self, fill: Fill) -> None:
        """Follow trades; look at the next tick."""
        self._trips.on_fill(fill)
        self._board.want_dues(0)

    def on_cashflow(self, flow: Cashflow) -> None:  # noqa: ARG002 - equity is what counts
        """Look at the next tick."""
        self._board.want_dues(0)

    def _on_trip(self, trip: RoundTrip) -> None:
        self._streak.closed(trip.net_units)

    def on_dues(self, dues: Dues) -> None:
        """Look at equity, and at what is still to be done."""
        if dues.ts not in self._board.price_time.values():  # nothing moved: other feeds must not change a run
            self._board.want_dues(0)
            return
        equity = self._ledger.equity_units(self._board.price_units)
        for breaker in self.breakers:
            if breaker.look(dues.ts, equity):
                self._announce(breaker, dues.ts, equity)
        self._enforce()
        in_force = self._restrictions.level or any(b.state is not State.ARMED for b in self.breakers)
        if self._ledger.positions or in_force:
            self._board.want_dues(0)

    def _announce(self, breaker: Breaker, ts: int, equity: int) -> None:
        state = AlertState.ARMED if breaker.state is State.ARMED else AlertState.TRIPPED
        numbers = breaker.numbers() | {"equity": f"{decimal(equity, 8):f}"}
        terms = breaker.terms
        self._bus.publish(
            T_RISK_ALERT, RiskAlert(ts=ts, breaker=terms.name, state=state, action=terms.action, numbers=numbers)
        )

    # --- acting --------------------------------------------------------------------------------------------------

    def on_alert(self, alert: RiskAlert) -> None:  # noqa: ARG002 - the restrictions know it already
        """Carry out what is in force now."""
        self._enforce()

    def on_control(self, control: Control) -> None:  # noqa: ARG002 - the restrictions know it already
        """Carry out what is in force now; look again at the next tick."""
        self._enforce()
        self._board.want_dues(0)

    def _enforce(self) -> None:
        level = self._restrictions.level
        if level < Level.REDUCE_ONLY:
            return
        for order in [*self._open_orders.sliced(), *self._open_orders.working()]:
            if level >= Level.FLAT:
                if not _closes(order):
                    self._take_back(order)
            elif not order.terms.only_reduces:
                self._restrict(order)
        if level >= Level.FLAT:
            for instrument in sorted(self._ledger.positions):
                self._close(self._ledger.instruments[instrument])

    def _restrict(self, order: SanitizedOrder) -> None:
        """Take back what may open; what closes for now must only reduce, and is cut to the position when it executes.

        It is no replacement: it keeps its place and what it has seen, and neither a limit nor the venue can refuse it.
        """
        spec = self._ledger.instruments[order.instrument]
        closes = self._ledger.position(spec.id).qty_units * order.side.sign < 0
        if spec.is_spot and order.side is Side.SELL:
            return
        if not closes:
            self._take_back(order)
        elif order.order_id not in self._restricted:  # once is enough: the exchange cannot refuse it
            self._restricted.add(order.order_id)
            self._bus.publish(
                T_ORDERS_INTENT, ReduceOnlyIntent(ts=self._board.now, instrument=spec.id, order_id=order.order_id)
            )

    def _take_back(self, order: SanitizedOrder) -> None:
        if self._may_ask(order.order_id):
            why = self._restrictions.refusal()
            self._bus.publish(
                T_ORDERS_INTENT,
                CancelIntent(
                    ts=self._board.now,
                    instrument=order.instrument,
                    order_id=order.order_id,
                    reason=Reason.NONE if why is None else why.reason,
                ),
            )

    def _close(self, spec: Instrument) -> None:
        """Send market orders over what none closes yet of a position, as far and as large as the venue takes them."""
        held = self._ledger.position(spec.id).qty_units
        closing = sum(self._open_orders.leaves(o) for o in self._open_orders.working(spec.id) if _closes(o))
        limits = self._rules[spec.id].at(self._board.now).at_market
        price = self._board.price_units[spec.listed]
        most = limits.max_qty_units or abs(held)
        if limits.max_notional_units:
            most = min(most, rough_lots(spec, limits.max_notional_units, price))
        most, left = floor_to(most, limits.lot_units), floor_to(abs(held) - closing, limits.lot_units)
        parts = []
        while left >= limits.min_qty_units and most > 0:
            qty = min(most, left)
            if spec.notional_units(qty, price) < limits.min_notional_units:
                break
            parts.append(qty)
            left -= qty
        if not parts or not self._may_ask(spec.id):
            return
        for qty in parts:
            self._bus.publish(
                T_ORDERS_INTENT,
                ClosingIntent(
                    ts=self._board.now,
                    instrument=spec.id,
                    side=Side.SELL if held > 0 else Side.BUY,
                    qty=decimal(qty, spec.scale.qty),
                    tag=_TAG,
                    terms=_REDUCES,
                ),
            )

    def _may_ask(self, what: int | InstrumentId) -> bool:
        """Ask once per tick: what was asked for is under way."""
        asked, self._asked[what] = self._asked.get(what), self._board.now
        return asked != self._board.now


def _closes(order: SanitizedOrder) -> bool:
    own_limit = order.tag == _TAG and order.terms.at_once  # of options, which have no market orders
    return order.terms.reduce_only and (order.kind is OrderKind.MARKET or own_limit)
