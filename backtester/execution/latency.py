"""How long orders and cancels travel to the exchange."""

import random
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from backtester.core.events import AnyOrder
from backtester.core.instruments import InstrumentId, split_id
from backtester.core.margin_events import MarginWish
from backtester.core.transfer_events import Transfer

Sent = AnyOrder | MarginWish | Transfer


class Delay(NamedTuple):
    """A time on the way in µs: fixed, and up to jitter more, drawn evenly."""

    fixed: int
    jitter: int


class InFlight:
    """What is on its way to the exchange, first in, first out: nothing overtakes what was sent before it."""

    def __init__(self, delays: Mapping[InstrumentId, Delay], seed: int) -> None:
        """delays: of the instruments whose orders travel; those of others arrive at once."""
        self._delays = delays
        self._random = random.Random(f"latency {seed}")
        self._queue: deque[tuple[int, Sent]] = deque()

    def send(self, order: Sent, now: int) -> int:
        """Put an order on its way; return when it arrives, `now` when it is there already."""
        delay = self._delay_of(order)
        if delay is None and not self._queue:
            return now
        arrives = now if delay is None else now + delay.fixed + self._random.randint(0, delay.jitter)
        if self._queue:
            arrives = max(arrives, self._queue[-1][0])
        self._queue.append((arrives, order))
        return arrives

    def _delay_of(self, order: Sent) -> Delay | None:
        """Return how long it travels; a transfer as an order of either market does, the longer."""
        if not isinstance(order, Transfer):
            return self._delays.get(order.instrument)
        ends = (order.source, order.target)
        return max((d for i, d in self._delays.items() if split_id(i)[0] in ends), default=None)

    def arrived(self, now: int) -> list[Sent]:
        """Take out what is there by now."""
        found = []
        while self._queue and self._queue[0][0] <= now:
            found.append(self._queue.popleft()[1])
        return found

    def orders(self) -> list[Sent]:
        """Return what is still on its way."""
        return [order for _, order in self._queue]
