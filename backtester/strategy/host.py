"""The host: brings events to a strategy, and its wishes to the bus. The only way in and out of a strategy."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from backtester.core.bus import Bus
from backtester.core.errors import BacktesterError, Interrupted, StrategyError
from backtester.core.events import (
    TRANSFER,
    AnyOrder,
    Cashflow,
    Fill,
    OrderRejected,
    OrderUpdate,
    SanitizedOrder,
)
from backtester.core.instruments import listed_id
from backtester.core.margin_events import MarginAlert, MarginTermsSet, MarginWish
from backtester.core.market import Candle, MarketEvent, OptionChain, TimerFired
from backtester.core.risk_events import RiskAlert
from backtester.core.time import format_time
from backtester.core.topics import (
    T_CANDLES,
    T_CASHFLOWS,
    T_CHAIN,
    T_FILLS,
    T_FUNDING,
    T_INDEX,
    T_MARGIN,
    T_MARGIN_INTENT,
    T_MARGIN_TERMS,
    T_MARK,
    T_METRICS,
    T_NOTES,
    T_ORDERS_CHANGED,
    T_ORDERS_INTENT,
    T_ORDERS_REJECTED,
    T_ORDERS_SANITIZED,
    T_ORDERS_UPDATE,
    T_PREMIUM,
    T_QUOTES,
    T_RISK_ALERT,
    T_TIMERS,
    T_TRADES,
    T_VOLATILITY,
    Topic,
)
from backtester.core.transfer_events import TransferIntent
from backtester.strategy.base import Strategy, StrategyParams
from backtester.strategy.contract import in_words, line_of, listed_intents
from backtester.strategy.intents import checked_intent
from backtester.strategy.sleeve_port import SleevePort
from backtester.strategy.view import StrategyView

MARKET_HOOKS: Final[dict[str, Topic[Any]]] = {
    "on_candle": T_CANDLES,
    "on_trade": T_TRADES,
    "on_quote": T_QUOTES,
    "on_funding": T_FUNDING,
    "on_mark": T_MARK,
    "on_index": T_INDEX,
    "on_premium": T_PREMIUM,
    "on_metrics": T_METRICS,
    "on_chain": T_CHAIN,
    "on_volatility": T_VOLATILITY,
}
_FAILURES = (Exception, SystemExit, KeyboardInterrupt)  # whatever a strategy raises, the tick is finished without it


class StrategyHost:
    """Runs one strategy: keeps its view current, calls the hooks it overrides, publishes what they return.

    Intents during warm-up (at or before `start`) are dropped and counted.
    """

    def __init__(
        self, strategy: Strategy, name: str, view: StrategyView, bus: Bus | SleevePort, *, start: int, seed: int
    ) -> None:
        self.dropped_in_warmup = 0
        self.dropped_at_the_start = 0
        self._strategy = strategy
        self._name = name
        self._view = view
        self._bus = bus
        self._start = start
        self._silenced = False
        self._notes = strategy.pending_notes
        self._params_before = _values_of(strategy.params)
        self._hears_updates = self._overrides("on_order_update")
        strategy.bind(view, seed)
        self._on_candle = strategy.on_candle
        if view.chains:
            bus.subscribe(T_CHAIN, self.on_chain)
        if self._overrides("on_candle"):
            bus.subscribe(T_CANDLES, self.on_candle)
        for hook, topic in MARKET_HOOKS.items():
            if hook != "on_candle" and self._overrides(hook):
                handler = self._plain_handler(getattr(strategy, hook))
                if hook == "on_chain":
                    handler = self._after_start(handler)
                bus.subscribe(topic, handler, type(self).__name__)
        if self._overrides("on_risk_alert"):
            bus.subscribe(T_RISK_ALERT, self._plain_handler(strategy.on_risk_alert), type(self).__name__)
        if self._overrides("on_margin"):
            bus.subscribe(T_MARGIN, self._plain_handler(strategy.on_margin), type(self).__name__)
        bus.subscribe(T_MARGIN_TERMS, self.on_margin_terms)
        bus.subscribe(T_TIMERS, self.on_timer)
        bus.subscribe(T_ORDERS_SANITIZED, self.on_sanitized)
        bus.subscribe(T_ORDERS_CHANGED, self.on_sanitized)
        bus.subscribe(T_ORDERS_REJECTED, self.on_rejected)
        bus.subscribe(T_ORDERS_UPDATE, self.on_update)
        bus.subscribe(T_FILLS, self.on_fill)
        bus.subscribe(T_CASHFLOWS, self.on_cashflow)
        bus.on_overrun(self.silence)

    def _overrides(self, hook: str) -> bool:
        return getattr(type(self._strategy), hook) is not getattr(Strategy, hook)

    def unfed_hooks(self, topics: set[Any]) -> list[str]:
        """Return the market hooks that the strategy overrides and that none of the run's feeds will call."""
        return [hook for hook, topic in MARKET_HOOKS.items() if self._overrides(hook) and topic not in topics]

    def start(self) -> None:
        """Call on_start."""
        self._call(self._strategy.on_start)

    def stop(self) -> None:
        """Call on_stop; the run is over, it can want nothing any more."""
        hook: Callable[[], Any] = self._strategy.on_stop
        try:
            if hook():
                raise TypeError("on_stop returned something, and after the last tick nothing can be wanted")
        except _FAILURES as error:
            raise self._failure(hook, (), error) from error
        if self._params_before != _values_of(self._strategy.params):
            raise StrategyError(
                f"strategy {self._name} changed a value inside its parameters in the run",
                hint="copy a list or dict of the parameters in __init__ and change the copy",
            )

    def on_candle(self, candle: Candle) -> None:
        """Hot path of every run: one call, one look at what came back."""
        try:
            intents = self._on_candle(candle)
            if intents or self._notes:
                self._send(self._on_candle, intents)
        except _FAILURES as error:
            self._fail(self._on_candle, (candle,), error)

    def on_chain(self, chain: OptionChain) -> None:
        """Remember the last row of a chain that the run trades."""
        if chain.instrument in self._view.chains:
            self._view.chains[chain.instrument] = chain

    def _after_start(self, handle: Callable[[Any], None]) -> Callable[[Any], None]:
        """Leave out the row of a traded chain that is known when the run begins: `self.chain` shows it. What a strategy
        wants it wants after the start, as with candles.
        """

        def later(chain: OptionChain) -> None:
            if chain.ts > self._start or chain.instrument not in self._view.chains:
                handle(chain)

        return later

    def on_timer(self, timer: TimerFired) -> None:
        """Call on_timer, if the strategy asked for this time: others set timers too."""
        if self._view.timer_is_due():
            self._call(self._strategy.on_timer, timer.ts)

    def on_fill(self, fill: Fill) -> None:
        """Fold the fill, forget an order that it ended, then tell the strategy."""
        self._view.ledger.apply_fill(fill)
        orders = self._view.orders[fill.instrument]
        if fill.leaves_units == 0:
            orders.pop(fill.order_id, None)
        elif (order := orders.get(fill.order_id)) is not None and order.qty_units:
            orders[fill.order_id] = structs.replace(order, qty_units=fill.leaves_units)
        self._call(self._strategy.on_fill, fill)

    def on_sanitized(self, order: AnyOrder) -> None:
        """Learn the ids and numbers of our orders, and how the exchange changed them."""
        if isinstance(order, SanitizedOrder):
            self._view.orders[order.instrument][order.order_id] = order

    def on_rejected(self, rejected: OrderRejected) -> None:
        """Forget a refused order, then tell the strategy."""
        if rejected.order_id is not None and rejected.instrument in self._view.orders:
            self._view.orders[rejected.instrument].pop(rejected.order_id, None)
        if self._hears_updates:
            self._call(self._strategy.on_order_update, rejected)

    def on_update(self, update: OrderUpdate) -> None:
        """Forget an ended order, then tell the strategy."""
        if update.status.ends:
            self._view.orders[update.instrument].pop(update.order_id, None)
        if self._hears_updates:
            self._call(self._strategy.on_order_update, update)

    def on_cashflow(self, flow: Cashflow) -> None:
        """Fold money that moved without a trade; tell the strategy that its transfer has arrived."""
        self._view.ledger.apply_cashflow(flow)
        if flow.kind == TRANSFER and flow.amount_units > 0:
            self._call(self._strategy.on_transfer, flow)

    def on_margin_terms(self, terms: MarginTermsSet) -> None:
        """Fold how a position is secured from now on."""
        self._view.ledger.apply_margin(terms)

    def _plain_handler(self, hook: Callable[[Any], Any]) -> Callable[[Any], None]:
        def handle(event: Any) -> None:  # a hot path of runs over trades and quotes: as on_candle
            if self._silenced:
                return
            try:
                intents = hook(event)
                if intents or self._notes:
                    self._send(hook, intents)
            except _FAILURES as error:
                self._fail(hook, (event,), error)

        return handle

    def _call(self, hook: Callable[..., Any], *args: Any) -> None:
        if self._silenced:
            return
        try:
            self._send(hook, hook(*args))
        except _FAILURES as error:
            self._fail(hook, args, error)

    def _send(self, hook: Callable[..., Any], intents: Any) -> None:
        in_warmup = self._view.board.now < self._start
        for note in self._notes if not in_warmup else ():
            self._bus.publish(T_NOTES, note)
        self._notes.clear()
        if intents is None:
            return
        wanted = [self._of_this_run(checked_intent(intent)) for intent in listed_intents(hook, intents)]
        if self._view.board.now <= self._start:
            self.dropped_in_warmup += len(wanted)
            self.dropped_at_the_start += len(wanted) if hook.__name__ == "on_start" else 0
            return
        for intent in wanted:
            if isinstance(intent, MarginWish):
                self._bus.publish(T_MARGIN_INTENT, intent)
            else:
                self._bus.publish(T_ORDERS_INTENT, intent)

    def _of_this_run(self, intent: Any) -> Any:
        """Return an intent for something that the run has.

        Raises:
            UsageError: it is for another instrument.
        """
        if not isinstance(intent, TransferIntent) and intent.instrument not in self._view.instruments:
            self._view.orderable(listed_id(intent.instrument))
        return intent

    def silence(self) -> None:
        """Call no hook any more; go on folding, so that the view stays true to the log."""
        self._silenced = True
        self._on_candle = Strategy.on_candle.__get__(self._strategy)  # the base class wants nothing

    def _fail(self, hook: Callable[..., Any], args: tuple[Any, ...], error: BaseException) -> None:
        """End the run, but not before what is published has reached every fold."""
        if isinstance(error, KeyboardInterrupt):
            failure: BacktesterError = Interrupted(f"interrupted in {hook.__name__} of strategy {self._name}")
        else:
            failure = self._failure(hook, args, error)
        failure.__cause__ = error
        self.silence()
        self._bus.fail(failure)

    def _failure(self, hook: Callable[..., Any], args: tuple[Any, ...], error: BaseException) -> StrategyError:
        """Name strategy, event and the line of the strategy that raised."""
        file = file_of(type(self._strategy))
        traces = [one.__traceback__ for one in (error, error.__cause__) if one is not None]
        own = [f for trace in traces for f in traceback.extract_tb(trace) if f.filename == file]
        defined = getattr(self._strategy, "targets", hook) if hook.__module__.startswith("backtester.") else hook
        where = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else line_of(defined)
        reason, hint = in_words(error)
        return StrategyError(
            f"strategy {self._name} failed in {hook.__name__}{_describe(args)}{where}: {reason}", hint=hint
        )


def _values_of(params: object) -> object:
    """Return what parameters say now, apart from them: a list in them can be changed, although they are frozen."""
    return params.model_dump() if isinstance(params, StrategyParams) else None


def file_of(cls: type) -> str:
    """Return the file in which a class is defined, empty when there is none."""
    import sys

    return str(getattr(sys.modules.get(cls.__module__), "__file__", "") or "")


def _describe(args: tuple[Any, ...]) -> str:  # noqa: PLR0911 - a table
    match args:
        case (Candle() as candle,):
            return f" at the {candle.timeframe} candle {candle.instrument} {format_time(candle.open_time)}"
        case (Fill() as fill,):
            return f" at the fill of order {fill.order_id} {fill.instrument} {format_time(fill.ts)}"
        case (OrderUpdate() | OrderRejected() as update,):
            return f" at the update of order {update.order_id} {update.instrument} {format_time(update.ts)}"
        case (Cashflow() as flow,):
            return f" at the arrival of transfer {flow.order_id} {format_time(flow.ts)}"
        case (RiskAlert() as alert,):
            return f" at the alert of breaker {alert.breaker} {format_time(alert.ts)}"
        case (MarginAlert() as alert,):
            return f" at the margin alert of {alert.instrument} {format_time(alert.ts)}"
        case (OptionChain() as row,):
            return f" at the row of the chain {row.instrument} that became known at {format_time(row.ts)}"
        case (MarketEvent() as event,):
            return f" at {event.cause()} ({format_time(event.ts)})"
        case (int() as now,):
            return f" at {format_time(now)}"
        case _:
            return ""
