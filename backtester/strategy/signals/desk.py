"""The desk of one instrument: compares each row's target with what is held, and keeps the exits of the open trade."""

from collections.abc import Sequence
from decimal import Decimal
from math import isnan, nan

from backtester.core.errors import EngineError
from backtester.core.events import (
    AnyIntent,
    Fill,
    OrderKind,
    OrderRejected,
    OrderUpdate,
    Reason,
    SanitizedOrder,
    Status,
)
from backtester.core.market import Candle
from backtester.core.numbers import decimal_of
from backtester.strategy.base import Strategy
from backtester.strategy.features.frame import Source, Times
from backtester.strategy.signals.exits import ExitPlan
from backtester.strategy.signals.targets import Targets, text_of
from backtester.strategy.signals.trade import Trade

ENTRY, EXIT, SIZE, STOP = "entry", ".exit", ".size", ".stop"


class Desk:
    """Turns the rows of one instrument into intents; the same rows at the same candles, always."""

    def __init__(
        self,
        strategy: Strategy,
        source: Source,
        times: Times,
        targets: Targets,
        *,
        plan: ExitPlan,
        min_change: float,
    ) -> None:
        """Take the rows; targets are checked, one for each of `times` (closes, µs)."""
        instrument = source.instrument
        self._timeframe = source.timeframe
        self._strategy = strategy
        self._name = instrument
        self._times = times.data
        self._targets = targets
        self._exposure = targets.exposure.data
        self._plan = plan
        self._keeps_size = targets.stop is not None or plan.stop_pct is not None or plan.trail_pct is not None
        self._keeps_size |= bool(plan.ladder)
        self._min_change = decimal_of(min_change)
        self._position = strategy.position(instrument)
        self._row = 0
        self._trade: Trade | None = None
        self._entering: Trade | None = None
        self._wanted: tuple[float, str] = nan, ""
        self._failed: tuple[float, str] = nan, ""
        self._spent: tuple[float, str] | None = None
        self._rest_until = 0
        self._used_tags: set[str] = set()

    # --- events --------------------------------------------------------------------------------------------------

    def on_candle(self, candle: Candle) -> Sequence[AnyIntent] | None:
        """Compare the row of this candle with what is held.

        Raises:
            EngineError: the candle is not the row that follows.
        """
        row = self._row
        if row >= len(self._times) or self._times[row] != candle.ts:
            raise EngineError(f"{self._name}: the frame has no row {row} for the candle that closes at {candle.ts} µs")
        self._row = row + 1
        target = self._exposure[row]
        self._wanted = target, text_of(self._targets.tag[row])
        if self._spent is not None and self._spent != self._wanted:  # NaN equals nothing: no opinion ends it too
            self._spent = None
        if self._failed != self._wanted:  # another wish came between
            self._failed = nan, ""
        if self._trade is not None and self._position.is_flat:
            self._ended(self._trade)  # settled: an end without a fill
        if self._trade is not None:
            return self._kept(self._trade, row, target, candle)
        if target == 0 or isnan(target) or self._strategy.open_orders(self._name):
            return None
        entry = self._entry(row, target, candle.close)
        return None if entry is None else [entry]

    def on_fill(self, fill: Fill) -> None:
        """Learn that a trade began, changed its size, or ended."""
        trade, position = self._trade, self._position
        if trade is not None and (position.is_flat or position.qty * trade.side < 0):
            self._ended(trade)
            trade = None
        if trade is None:
            self._begun()
        elif trade.resizing is not None and fill.tag == trade.tag + SIZE:
            trade.size, trade.resizing = trade.resizing, None

    def on_update(self, update: OrderUpdate | OrderRejected) -> None:
        """A trade that has lost its stop is closed; an entry that can never be is not sent again."""
        rejected = isinstance(update, OrderRejected)
        if not rejected and not (isinstance(update, OrderUpdate) and update.status is Status.EXPIRED):
            return
        trade, entering = self._trade, self._entering
        if trade is not None and update.tag == trade.tag + STOP:
            order = self._stop_order()
            trade.unprotected = order is None
            trade.stop = trade.stop if order is None else float(order.stop_price)  # a refused move
        elif entering is not None and update.tag == entering.tag:
            self._failed = self._wanted
            if update.reason is Reason.SHORT_NOT_ALLOWED:
                self._spent = self._wanted

    # --- entries -------------------------------------------------------------------------------------------------

    def _entry(self, row: int, target: float, close: float) -> AnyIntent | None:
        """Return the order that opens a trade, or None where the plan forbids one."""
        plan, tag = self._plan, self._wanted[1] or ENTRY
        if self._spent is not None or row < self._rest_until:
            return None
        if plan.one_trade_per_tag and tag in self._used_tags:
            return None
        side = 1 if target > 0 else -1
        stop = self._stop_at(row, side, close)
        if stop is not None and not (close - stop) * side > 0:
            self._spent = self._wanted
            self._strategy.note("no entry: no stop on its losing side", instrument=self._name, close=close, stop=stop)
            return None
        size = decimal_of(abs(target))
        risk = 0.0 if stop is None else abs(close - stop)
        if self._failed != self._wanted:  # an entry that failed is sent again, but said once
            self._note("target", row)
        self._entering = Trade(side, size, tag, close, nan if stop is None else stop, risk, close)
        exits = {} if stop is None else {"stop_loss": stop}
        ladder = [(self._rung(side, close, stop, far), share) for far, share in plan.ladder]
        order = self._strategy.buy if side > 0 else self._strategy.sell
        if size == 1 and self._strategy.is_sized(self._name):
            return order(self._name, tag=self._entering.tag, take_profits=ladder or None, **exits)
        return order(self._name, fraction=size, tag=self._entering.tag, take_profits=ladder or None, **exits)

    def _stop_at(self, row: int, side: int, close: float) -> float | None:
        """Return the price of an entry's stop: the row's, or by the plan; NaN when the row lacks it, None without."""
        if self._targets.stop is not None:
            return float(self._targets.stop[row])
        distance = self._plan.stop_pct or self._plan.trail_pct
        return None if distance is None else close * (1 - side * distance / 100)

    def _rung(self, side: int, close: float, stop: float | None, far: float) -> Decimal:
        """Return the price of a partial exit: in decimals, for a rounding error of floats would cost a tick."""
        decided = decimal_of(close)
        unit = decided / 100
        if self._plan.ladder_in == "r" and stop is not None:
            unit = abs(decided - decimal_of(stop))
        return decided + side * decimal_of(far) * unit

    def _begun(self) -> None:
        if self._entering is None or self._position.is_flat:
            return
        self._trade, self._entering = self._entering, None
        self._trade.opened = self._row
        self._used_tags.add(self._trade.tag)

    def _ended(self, trade: Trade) -> None:
        """A trade that its target did not end spends the target: the same one opens no other."""
        self._trade = None
        self._rest_until = self._row + self._plan.cooldown
        if not trade.by_target:
            self._spent = self._wanted

    # --- the open trade ------------------------------------------------------------------------------------------

    def _kept(self, trade: Trade, row: int, target: float, candle: Candle) -> Sequence[AnyIntent] | None:
        """Return what an open trade needs at a row: its end, another size, or a moved stop."""
        turned = target * trade.side < 0
        flags = self._targets.exit_long if trade.side > 0 else self._targets.exit_short
        if target == 0 or turned or (flags is not None and flags[row]):
            reverse = turned and not (flags is not None and flags[row])
            return self._left(trade, row, "target", reverse_at=candle.close if reverse else None)
        plan = self._plan
        if trade.unprotected:
            return self._left(trade, row, "the stop is gone")
        if plan.max_candles is not None and row - trade.opened + 1 >= plan.max_candles:
            return self._left(trade, row, f"held {plan.max_candles} candles")
        if trade.risk:
            return self._followed(trade, row, candle)
        if self._keeps_size or isnan(target) or abs(target) == float(trade.size):
            return None
        return self._resized(trade, row, decimal_of(abs(target)))

    def _left(self, trade: Trade, row: int, why: str, *, reverse_at: float | None = None) -> Sequence[AnyIntent] | None:
        """Close the trade; where the target has turned, at this close, open the other one with the same list."""
        if self._waits():
            return None
        trade.by_target = why == "target"
        self._note("target" if trade.by_target else f"exit: {why}", row)
        intents = self._strategy.close(self._name, tag=trade.tag + EXIT)
        if reverse_at is not None and not self._plan.cooldown:
            entry = self._entry(row, self._exposure[row], reverse_at)
            intents += [] if entry is None else [entry]
        return intents

    def _followed(self, trade: Trade, row: int, candle: Candle) -> Sequence[AnyIntent] | None:
        """Move the stop in the trade's favour, where the plan says so."""
        targets = self._targets
        levels = targets.trail if trade.side > 0 or targets.trail_short is None else targets.trail_short
        trail = nan if levels is None else float(levels[row])
        wanted = trade.moved_stop(candle, self._plan, self._position.average_price, trail)
        if wanted == trade.stop:
            return None
        if not (candle.close - wanted) * trade.side > 0:
            return self._left(trade, row, "the price is through where the stop moves to")
        order = self._stop_order()
        if order is None:
            return None
        trade.stop = wanted
        return [self._strategy.replace(order, stop=wanted)]

    def _resized(self, trade: Trade, row: int, size: Decimal) -> Sequence[AnyIntent] | None:
        change = size - trade.size
        if abs(change) < self._min_change or self._waits():
            return None
        trade.resizing = size
        self._note("target", row)
        grow, shrink = self._strategy.buy, self._strategy.sell
        if trade.side < 0:
            grow, shrink = shrink, grow
        if change > 0:
            return [grow(self._name, fraction=change, tag=trade.tag + SIZE)]
        return [shrink(self._name, abs(self._position.qty) * -change / trade.size, tag=trade.tag + SIZE)]

    def _waits(self) -> bool:
        """Say whether an order of ours besides the attached exits is on its way."""
        return any(not order.parent_id for order in self._strategy.open_orders(self._name))

    def _stop_order(self) -> SanitizedOrder | None:
        """Return the stop, or what is on its way into its place."""
        orders = self._strategy.open_orders(self._name)
        return next((o for o in reversed(orders) if o.parent_id and o.kind is OrderKind.STOP), None)

    def _note(self, text: str, row: int) -> None:
        """Say in the log which row it was, with its reason and its indicators."""
        strategy = self._strategy
        target = self._targets.row(row, strategy=type(strategy).__name__, timeframe=self._timeframe)
        shown = {name: value for name, value in target.values.items() if value is not None}
        strategy.note(
            text,
            instrument=self._name,
            strategy=target.strategy,
            timeframe=target.timeframe,
            exposure=target.exposure,
            confidence=target.confidence,
            tag=target.tag,
            reason=target.reason,
            **shown,
        )
