"""Where one of several strategies meets the bus: it hears only what is its own, under the names that it would have
alone, and what it wants goes out under its own.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from msgspec import structs

from backtester.core.bus import Bus
from backtester.core.events import Cashflow, MultiLegIntent, Note, OrderRejected
from backtester.core.instruments import InstrumentId, in_sleeve, split_sleeve
from backtester.core.topics import T_RISK_ALERT, T_TIMERS, Topic
from backtester.core.transfer_events import TransferIntent

E = TypeVar("E")
Shown = tuple[Topic[Any], InstrumentId, str]
"""Market data: topic, instrument, and timeframe, empty where records have none."""

_OF_ALL: Final = (T_RISK_ALERT, T_TIMERS)  # alerts are the account's; who set a timer knows it


class SleevePort:
    """The bus, as far as a strategy's host needs it.

    A strategy's position in um:BTCUSDT is um:BTCUSDT@id, its money lies in the wallet um@id: nobody else knows of
    either, so that orders, fills, margin and money are its own. It knows them as um:BTCUSDT and um.
    """

    def __init__(self, sleeve: str, shown: Mapping[Shown, int], bus: Bus) -> None:
        """shown: the market data that the strategy sees, each from when on (UTC µs)."""
        self.silences: list[Callable[[], None]] = []
        self._sleeve = sleeve
        self._shown = shown
        self._market = {topic for topic, _, _ in shown}
        self._bus = bus

    def subscribe(self, topic: Topic[E], handler: Callable[[E], None], name: str = "") -> None:
        """Deliver what of a topic is the strategy's own."""
        heard = self._market_handler(topic, handler) if topic in self._market else self._own_handler(handler)
        owner = getattr(handler, "__self__", None)
        self._bus.subscribe(topic, handler if topic in _OF_ALL else heard, name or type(owner).__name__)

    def _market_handler(self, topic: Topic[E], handler: Callable[[E], None]) -> Callable[[E], None]:
        begins = {(instrument, timeframe): at for (on, instrument, timeframe), at in self._shown.items() if on is topic}

        def hear(event: Any) -> None:
            at = begins.get((event.instrument, getattr(event, "timeframe", "")))
            if at is not None and event.ts >= at:
                handler(event)

        return hear

    def _own_handler(self, handler: Callable[[Any], None]) -> Callable[[Any], None]:
        def hear(event: Any) -> None:
            own = self._as_known(event)
            if own is not None:
                handler(own)

        return hear

    def _as_known(self, event: Any) -> Any:
        """Return a trading event under the names that the strategy knows; None when it is not its own."""
        if isinstance(event, Cashflow):
            wallet, sleeve = split_sleeve(event.wallet)
            listed = None if event.instrument is None else InstrumentId(split_sleeve(event.instrument)[0])
            return structs.replace(event, wallet=wallet, instrument=listed) if sleeve == self._sleeve else None
        if isinstance(event, OrderRejected) and not event.instrument:  # a transfer
            return event if event.strategy == self._sleeve else None
        listed_id, sleeve = split_sleeve(event.instrument)
        return structs.replace(event, instrument=InstrumentId(listed_id)) if sleeve == self._sleeve else None

    def publish(self, topic: Topic[E], event: E) -> None:
        """Publish what the strategy wants, under its own names."""
        self._bus.publish(topic, self._as_own(event))

    def _as_own(self, event: Any) -> Any:
        if isinstance(event, Note):
            return structs.replace(event, strategy=self._sleeve)
        if isinstance(event, TransferIntent):
            source, target = (in_sleeve(wallet, self._sleeve) for wallet in (event.source, event.target))
            return structs.replace(event, source=source, target=target)
        instrument = InstrumentId(in_sleeve(event.instrument, self._sleeve))
        if isinstance(event, MultiLegIntent):
            legs = [structs.replace(leg, instrument=in_sleeve(leg.instrument, self._sleeve)) for leg in event.legs]
            return structs.replace(event, instrument=instrument, legs=tuple(legs))
        return structs.replace(event, instrument=instrument)

    def on_overrun(self, silence: Callable[[], None]) -> None:
        """Remember how to silence the strategy when a drain does not end: who wires all of them asks for it."""
        self.silences.append(silence)

    def fail(self, error: BaseException) -> None:
        """End the run with an error once everything published has been delivered."""
        self._bus.fail(error)
