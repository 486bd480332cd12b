"""The simulated exchange: takes sanitized orders, lets them meet the market, and says what happened.

Its rules are the pure functions of `sim`. Where a candle leaves a choice, the choice is against the trader.
"""

from collections.abc import Mapping
from typing import NamedTuple

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import (
    AnyOrder,
    Cashflow,
    Fill,
    Liquidity,
    OrderKind,
    OrderRejected,
    OrderUpdate,
    Reason,
    SanitizedCancel,
    SanitizedOrder,
    Side,
    Status,
)
from backtester.core.folds import Ledger, Reservations
from backtester.core.funds import collateral_units, opening_qty, released_units
from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.market import MarketCandle, MarketOpen
from backtester.core.numbers import FLOOR, floor_to, mul_div
from backtester.core.rules import OrderLimits, RuleBook
from backtester.core.timeline import Timeline
from backtester.core.topics import (
    T_CASHFLOWS,
    T_FILLS,
    T_MARKET,
    T_OPENS,
    T_ORDERS_REJECTED,
    T_ORDERS_SANITIZED,
    T_ORDERS_UPDATE,
)
from backtester.execution.orders import State, WorkingOrder
from backtester.execution.volume import TradedVolume
from backtester.sim.matching import NO_FILL, limit_fill_price, stop_fill_price, stop_is_through
from backtester.sim.sim_models import FeeModel, SlippageModel
from backtester.sim.sizing import cost_of, fee_of, lots_for_budget


class ExchangeRules(NamedTuple):
    """The declared assumptions; rules and fees as they hold at a time.

    max_wait_us: how long a market order of an instrument waits for a trade.
    """

    rules: RuleBook
    fees: Mapping[InstrumentId, Timeline[FeeModel]]
    slippage: SlippageModel
    fee_from_received: bool
    allow_short: bool
    touch_fills: bool
    stop_through_fills: bool
    max_wait_us: Mapping[InstrumentId, int]


class SimulatedExchange:
    """Matches orders against candles: market orders at opens, stops and limits along the path of each candle.

    The path is pessimistic: what the open decides first, then stops, then limits.
    """

    def __init__(
        self, rules: ExchangeRules, instruments: Mapping[InstrumentId, Instrument], board: Board, bus: Bus
    ) -> None:
        self.ambiguous_candles = 0
        self._rules = rules
        self._instruments = instruments
        self._board = board
        self._bus = bus
        self._ledger = Ledger(instruments)
        self._reservations = Reservations()
        self._volume = TradedVolume()
        self._book: dict[InstrumentId, dict[int, WorkingOrder]] = {i: {} for i in instruments}
        self._opens: dict[InstrumentId, MarketOpen] = {}
        self._market = bus.subscribe(T_MARKET, self.on_market)
        self._market.pause()  # until an order works
        bus.subscribe(T_OPENS, self.on_open)
        bus.subscribe(T_ORDERS_SANITIZED, self.on_order)
        bus.subscribe(T_CASHFLOWS, self.on_cashflow)

    def open_orders(self) -> list[SanitizedOrder]:
        """Return the orders that still work, by id."""
        orders = [w.order for book in self._book.values() for w in book.values()]
        return sorted(orders, key=lambda order: order.order_id)

    # --- orders arrive -------------------------------------------------------------------------------------------

    def on_order(self, order: AnyOrder) -> None:
        """Accept, reject, or take back."""
        if isinstance(order, SanitizedCancel):
            self._on_cancel(order)
            return
        last = self._last_price(order.instrument)
        sign = order.side.sign
        through = order.kind is OrderKind.STOP and stop_is_through(sign, order.stop_price_units, last)
        if through and not self._rules.stop_through_fills:
            self._reject(order, Reason.WOULD_TRIGGER, {"stop": str(order.stop_price)})
            return
        at_market = order.kind is OrderKind.MARKET or through
        working = WorkingOrder(
            order,
            accepted=self._board.now + (1 if self._board.after_open else 0),
            deadline=self._board.now + self._rules.max_wait_us[order.instrument] if at_market else 0,
            waits_for_open=at_market,
            takes_at_open=order.kind is OrderKind.LIMIT and (order.limit_price_units - last) * sign > 0,
        )
        working.become(State.WORKING)
        self._book[order.instrument][order.order_id] = working
        self._reservations.hold(order.order_id, order.reserve_asset, order.reserve_units, order.oco)
        self._market.resume()
        self._update(order, Status.ACCEPTED)
        if through:
            working.become(State.TRIGGERED)
            self._update(order, Status.TRIGGERED, Reason.WOULD_TRIGGER)
        if at_market:
            self._board.want_open(order.instrument)

    def _last_price(self, instrument: InstrumentId) -> int:
        """Return the last price that the exchange has shown: an open of this very tick, else the last close."""
        shown = self._opens.get(instrument)
        if shown is not None and shown.ts == self._board.now:
            return shown.price_units
        return self._board.price_units[instrument]

    def _on_cancel(self, cancel: SanitizedCancel) -> None:
        working = self._book[cancel.instrument].get(cancel.order_id)
        if working is None:
            self._bus.publish(
                T_ORDERS_REJECTED,
                OrderRejected(
                    ts=self._board.now,
                    who="execution",
                    reason=Reason.UNKNOWN_ORDER,
                    instrument=cancel.instrument,
                    order_id=cancel.order_id,
                    tag="",
                    numbers={},
                ),
            )
            return
        self._end(working, State.CANCELLED, Reason.REQUESTED)

    # --- the market moves ----------------------------------------------------------------------------------------

    def on_open(self, opened: MarketOpen) -> None:
        """Fill the market orders that wait for this open."""
        self._opens[opened.instrument] = opened
        for working in [w for w in self._book[opened.instrument].values() if w.waits_for_open]:
            if working.state not in (State.WORKING, State.TRIGGERED):
                continue  # its oco group ended a moment ago
            if opened.ts >= working.deadline:
                self._end(working, State.EXPIRED, Reason.MAX_WAIT)
            else:
                self._execute(working, opened.price_units, Liquidity.TAKER, opened.ts)

    def on_market(self, candle: MarketCandle) -> None:
        """Let the working orders meet a closed candle: at its open, then stops, then limits."""
        book = self._book[candle.instrument]
        if not book:
            return
        for working in [w for w in book.values() if w.waits_for_open]:
            if candle.ts >= working.deadline:
                self._end(working, State.EXPIRED, Reason.MAX_WAIT)
        if candle.volume <= 0:
            return
        resting = [w for w in book.values() if not w.waits_for_open and w.accepted <= candle.open_time]
        hits = [(w, price) for w in resting if (price := self._meets(w, candle)) != NO_FILL]
        at_open = [(w, price) for w, price in hits if self._open_decides(w, candle)]
        later = [(w, price) for w, price in hits if not self._open_decides(w, candle)]
        later.sort(key=lambda hit: not hit[0].is_stop)  # stable: stops first, each kind by age
        stops = [w for w, _ in later if w.is_stop]
        if stops and len(stops) < len(later):
            self.ambiguous_candles += 1
        for working, price in at_open:
            self._meet(working, price, candle.open_time)
        for working, price in later:
            self._meet(working, price, candle.ts)
        for working in resting:
            working.takes_at_open = False

    def _meets(self, working: WorkingOrder, candle: MarketCandle) -> int:
        order, sign = working.order, working.sign
        if working.is_stop:
            return stop_fill_price(sign, order.stop_price_units, candle.open_units, candle.high_units, candle.low_units)
        return limit_fill_price(
            sign,
            order.limit_price_units,
            candle.open_units,
            candle.high_units,
            candle.low_units,
            self._rules.touch_fills,
        )

    def _open_decides(self, working: WorkingOrder, candle: MarketCandle) -> bool:
        """Say whether the order executes at the open itself, before anything else of the candle."""
        if working.is_stop:
            return stop_is_through(working.sign, working.order.stop_price_units, candle.open_units)
        beyond = (working.order.limit_price_units - candle.open_units) * working.sign
        return beyond > 0 or (beyond == 0 and self._rules.touch_fills)

    def _meet(self, working: WorkingOrder, price: int, ts: int) -> None:
        if working.order.order_id not in self._book[working.order.instrument]:
            return  # its oco group ended a moment ago
        if working.is_stop:
            working.become(State.TRIGGERED)
            self._update(working.order, Status.TRIGGERED)
            self._execute(working, price, Liquidity.TAKER, ts)
        else:
            self._execute(working, price, Liquidity.TAKER if working.takes_at_open else Liquidity.MAKER, ts)

    # --- an order executes ---------------------------------------------------------------------------------------

    def _execute(self, working: WorkingOrder, reference: int, liquidity: Liquidity, ts: int) -> None:
        order, sign = working.order, working.sign
        spec = self._instruments[order.instrument]
        price = reference
        if liquidity is Liquidity.TAKER:
            price = self._rules.slippage.price_units(sign, reference)
            if order.limit_price_units:  # a limit is never filled worse than its price
                price = min(price, order.limit_price_units) if sign > 0 else max(price, order.limit_price_units)
        if price <= 0:
            self._end(working, State.EXPIRED, Reason.BAD_PRICE)
            return
        limits = self._rules.rules[spec.id].at(ts).limits(order.kind)
        rate = self._rules.fees[spec.id].at(ts).rate(liquidity is Liquidity.MAKER, self._volume.at(self._board.now))
        received = spec.is_spot and self._rules.fee_from_received and sign > 0
        paid_rate = 0 if spec.is_spot and (received or sign < 0) else rate
        qty = order.qty_units or self._sized(order, spec, limits, price, paid_rate)
        notional = spec.notional_units(qty, price)
        refused = self._fill_refusal(
            order, spec, limits, qty, notional, cost_of(qty, price, 0 if received else rate, spec.shift)
        )
        if refused is not None:
            self._end(working, State.EXPIRED, refused)
            return
        charged = spec.base_money(qty) if received else notional
        fill = Fill(
            ts=ts,
            order_id=order.order_id,
            instrument=order.instrument,
            base=spec.base,
            quote=spec.quote,
            kind=order.kind,
            side=order.side,
            qty_units=qty,
            price_units=price,
            reference_price_units=reference,
            fee_units=fee_of(charged, rate),
            fee_asset=spec.base if received else spec.quote,
            liquidity=liquidity,
            leaves_units=0,
            tag=order.tag,
            scale=order.scale,
        )
        self._volume.add(self._board.now, notional)
        self._ledger.apply_fill(fill)
        self._forget(working, State.FILLED)
        self._bus.publish(T_FILLS, fill)
        if order.oco:
            for sibling in [w for w in self._book[order.instrument].values() if w.order.oco == order.oco]:
                self._end(sibling, State.CANCELLED, Reason.OCO)

    def _sized(self, order: SanitizedOrder, spec: Instrument, limits: OrderLimits, price: int, fee_rate: int) -> int:
        """Return the largest lot that the order's money pays for at this price; a spot sale at most what is held."""
        lot = limits.lot_units
        qty = lots_for_budget(order.budget_units, price, lot, fee_rate, spec.shift)
        if limits.max_qty_units:
            qty = min(qty, floor_to(limits.max_qty_units, lot))
        if spec.is_spot and order.side is Side.SELL:
            free = self._ledger.asset(spec.base).cash_units - self._reservations.total_without(order.order_id)
            qty = min(qty, floor_to(max(0, free) // spec.base_money(1), lot))
        return qty

    def _fill_refusal(
        self, order: SanitizedOrder, spec: Instrument, limits: OrderLimits, qty: int, notional: int, cost: int
    ) -> Reason | None:
        """Return why an order cannot execute now, or None. Quantities given by the trader were checked by risk."""
        if not order.qty_units:
            if qty < limits.min_qty_units:
                return Reason.BELOW_MIN_QTY
            if notional < limits.min_notional_units:
                return Reason.BELOW_MIN_NOTIONAL
        others = self._reservations.total_without(order.order_id)
        if spec.is_spot and order.side is Side.SELL:
            payable = spec.base_money(qty) <= self._ledger.asset(spec.base).cash_units - others
        elif spec.is_spot:
            payable = cost <= self._ledger.asset(spec.quote).cash_units - others
        elif self._opens_forbidden_short(order, spec, qty):
            return Reason.SHORT_NOT_ALLOWED
        else:
            payable = self._can_carry(order, spec, qty, notional, cost, others)
        return None if payable else Reason.INSUFFICIENT_BALANCE

    def _opens_forbidden_short(self, order: SanitizedOrder, spec: Instrument, qty: int) -> bool:
        """Say whether a sale would go below zero where that is not allowed; each of two sales alone may only reduce."""
        short = order.side is Side.SELL and opening_qty(self._ledger, spec, order.side, qty) > 0
        return short and not self._rules.allow_short

    def _can_carry(
        self, order: SanitizedOrder, spec: Instrument, qty: int, notional: int, cost: int, others: int
    ) -> bool:
        """Say whether a futures position after this fill would be covered once over; reducing always may."""
        opening = opening_qty(self._ledger, spec, order.side, qty)
        if opening == 0:
            return True
        free = self._ledger.asset(spec.quote).cash_units - others
        free -= collateral_units(self._ledger, self._instruments, spec.quote)
        free += released_units(self._ledger, spec, qty, opening, notional)
        cost -= mul_div(notional, qty - opening, qty, FLOOR)
        return cost <= free

    # --- an order ends -------------------------------------------------------------------------------------------

    def _forget(self, working: WorkingOrder, state: State) -> None:
        working.become(state)
        order = working.order
        del self._book[order.instrument][order.order_id]
        self._reservations.release(order.order_id)
        if working.waits_for_open:
            self._board.unwant_open(order.instrument)
        if not any(self._book.values()):
            self._market.pause()

    def _end(self, working: WorkingOrder, state: State, reason: Reason) -> None:
        self._forget(working, state)
        self._update(working.order, Status.CANCELLED if state is State.CANCELLED else Status.EXPIRED, reason)

    def _reject(self, order: SanitizedOrder, reason: Reason, numbers: dict[str, str]) -> None:
        self._bus.publish(
            T_ORDERS_REJECTED,
            OrderRejected(
                ts=self._board.now,
                who="execution",
                reason=reason,
                instrument=order.instrument,
                order_id=order.order_id,
                tag=order.tag,
                numbers=numbers,
            ),
        )

    def _update(self, order: SanitizedOrder, status: Status, reason: Reason = Reason.NONE) -> None:
        self._bus.publish(
            T_ORDERS_UPDATE,
            OrderUpdate(
                ts=self._board.now,
                order_id=order.order_id,
                instrument=order.instrument,
                status=status,
                reason=reason,
                tag=order.tag,
            ),
        )

    def on_cashflow(self, flow: Cashflow) -> None:
        """Fold money that moved without a trade."""
        self._ledger.apply_cashflow(flow)
