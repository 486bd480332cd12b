"""The bus: `publish` queues, `drain` delivers, first in first out, to subscribers in the order they were wired."""

import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar, cast

import msgspec

from backtester.core.errors import EngineError
from backtester.core.events import Event
from backtester.core.market import MarketEvent
from backtester.core.topics import ALL_TOPICS, Topic

E = TypeVar("E")
Handler = Callable[[E], None] | Callable[[E], Awaitable[None]]
LogTap = Callable[[Topic[Any], Event], None]

_CHAIN_SHOWN: Final = 12


class DrainBudgetError(EngineError):
    """One drain delivered more events than a tick can mean: handlers are answering each other without end."""

    def __init__(self, budget: int, chain: list[str]) -> None:
        super().__init__(
            f"one drain delivered more than {budget} events; the last of the chain: {' → '.join(chain)}",
            hint="a handler answers its own events without end; the usual cause is an on_fill or "
            "on_order_update that always sends a new order",
        )
        self.budget, self.chain = budget, chain


class Subscription:
    """A handler's place on a topic. Paused, it keeps its place in the order and receives nothing."""

    __slots__ = ("_bus", "_topic", "active", "handler", "name")

    def __init__(self, bus: "Bus", topic: Topic[Any], handler: Callable[[Any], Any], name: str) -> None:
        self._bus = bus
        self._topic = topic
        self.handler = handler
        self.name = name
        self.active = True

    def pause(self) -> None:
        """Receive nothing until resumed: a phase that interests nobody is not published."""
        if self.active:
            self.active = False
            self._bus.rewire(self._topic)

    def resume(self) -> None:
        """Receive again what is published from now on."""
        if not self.active:
            self.active = True
            self._bus.rewire(self._topic)


class Bus:
    """One queue for all topics, with a budget per drain, and the counter that numbers logged events.

    A published event is stamped with the event that was being delivered when it was published: its cause.
    handlers: who would receive what is published on a topic now; read only for all others.
    """

    def __init__(self, *, budget: int = 100_000) -> None:
        self._budget = budget
        self._queue: deque[tuple[tuple[Callable[[Any], Any], ...], Any]] = deque()
        self._subscriptions: dict[Topic[Any], list[Subscription]] = {topic: [] for topic in ALL_TOPICS}
        self.handlers: dict[Topic[Any], tuple[Callable[[Any], Any], ...]] = dict.fromkeys(ALL_TOPICS, ())
        self._tap: LogTap | None = None
        self._current: Any = None
        self._last_event_id = 0
        self._failure: BaseException | None = None
        self._on_overrun: Callable[[], None] | None = None
        self.has_async_handlers = False

    def subscribe(self, topic: Topic[E], handler: Handler[E], name: str = "") -> Subscription:
        """Deliver what is published on a topic to a handler, after those that were wired before it."""
        owner = getattr(handler, "__self__", None)
        subscription = Subscription(self, topic, handler, name or type(owner).__name__ if owner else name)
        self._subscriptions[topic].append(subscription)
        self.has_async_handlers |= inspect.iscoroutinefunction(handler)
        self.rewire(topic)
        return subscription

    def tap_log(self, tap: LogTap) -> None:
        """Hand every event of a logged topic to `tap` at the moment it is published."""
        self._tap = tap

    def rewire(self, topic: Topic[Any]) -> None:
        """Resolve the handler table of one topic; called when a subscription changes."""
        self.handlers[topic] = tuple(s.handler for s in self._subscriptions[topic] if s.active)

    def wiring(self) -> dict[Topic[Any], list[str]]:
        """Return the subscribers' names of each topic, in the order of delivery."""
        return {topic: [s.name for s in subscriptions] for topic, subscriptions in self._subscriptions.items()}

    def publish(self, topic: Topic[E], event: E) -> None:
        """Queue an event; on a logged topic, number it, name its cause and write it to the log first."""
        if topic.logged:
            event = cast(E, self._stamp(topic, cast(Event, event)))
        handlers = self.handlers[topic]
        if handlers:
            self._queue.append((handlers, event))

    def deliver(self, topic: Topic[E], event: E) -> None:
        """Publish an event of an unlogged topic to a quiet bus and drain: the same order, without the queue.

        For the clock's phases, which follow each other with nothing in between.
        """
        self._current = event
        for handler in self.handlers[topic]:
            handler(event)
        if self._queue or self._failure is not None:
            self.drain()

    def deliver_all(self, topic: Topic[E], events: Sequence[E]) -> None:
        """Publish events of an unlogged topic to a quiet bus and drain: the same order, for what they cause is queued
        behind the last of them, and it leaves as much of the budget.
        """
        handlers = self.handlers[topic]
        for event in events:
            self._current = event
            for handler in handlers:
                handler(event)
        if self._queue or self._failure is not None:
            self.drain(spent=len(events))
        self._current = None

    def _stamp(self, topic: Topic[Any], event: Event) -> Event:
        self._last_event_id += 1
        current = self._current
        cause: int | str | None = None
        if isinstance(current, Event):
            cause = current.event_id
        elif isinstance(current, MarketEvent):
            cause = current.cause()
        elif current is not None:
            cause = f"{type(current).__name__.lower()}/{current.ts}"
        stamped = msgspec.structs.replace(event, event_id=self._last_event_id, cause_id=cause)
        if self._tap is not None:
            self._tap(topic, stamped)
        return stamped

    def drain(self, spent: int = 0) -> None:
        """Deliver until the queue is empty; every handler here is a plain function. spent: how much of the budget is.

        Raises:
            DrainBudgetError: handlers keep answering each other.
        """
        queue = self._queue
        left = self._budget - spent
        while queue:
            handlers, event = queue.popleft()
            self._current = event
            for handler in handlers:
                handler(event)
            left -= 1
            if left < 0:
                self._overrun(event)
                left = self._budget
        self._current = None
        if self._failure is not None:
            self._raise_failure()

    def fail(self, error: BaseException) -> None:
        """Raise an error once everything published has been delivered: what is in the log is then in every fold."""
        self._failure = self._failure or error

    def on_overrun(self, silence: Callable[[], None]) -> None:
        """Call `silence` when a drain passes its budget, so that the rest can be delivered before it is an error."""
        self._on_overrun = silence

    def abandon(self) -> None:
        """Forget what is queued: the engine itself failed, and nothing more may be delivered."""
        self._queue.clear()

    def _overrun(self, event: Any) -> None:
        error = DrainBudgetError(self._budget, self._chain(event))
        if self._on_overrun is None or self._failure is not None:
            raise error
        self.fail(error)
        self._on_overrun()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    async def drain_async(self) -> None:
        """Deliver as `drain` does, awaiting in line each handler that is a coroutine function."""
        queue = self._queue
        left = self._budget
        while queue:
            handlers, event = queue.popleft()
            self._current = event
            for handler in handlers:
                pending = handler(event)
                if pending is not None:
                    await pending
            left -= 1
            if left < 0:
                self._overrun(event)
                left = self._budget
        self._current = None
        if self._failure is not None:
            self._raise_failure()

    async def settle(self) -> None:
        """Drain in the way that this bus's handlers need."""
        if self.has_async_handlers:
            await self.drain_async()
        else:
            self.drain()

    def _chain(self, event: Any) -> list[str]:
        waiting = [type(queued).__name__ for _, queued in list(self._queue)[: _CHAIN_SHOWN - 1]]
        return [type(event).__name__, *waiting]
