"""Everything that is not a candle: rows of any other kind, for strategies; what of them executes: tape_feed.py."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtester.core.instruments import InstrumentId
from backtester.core.market import MarketEvent
from backtester.core.time import timeframe_us
from backtester.core.topics import Topic
from backtester.data.feeds.records import RECORD_KINDS, RecordRows, starts_of
from backtester.data.schemas import schema_of

Columns = dict[str, NDArray[Any]]


class RecordFeed:
    """The rows of one instrument and kind, each an event, or (option chains) all rows of a time one event."""

    executes = False
    is_chain = False

    def __init__(self, instrument: InstrumentId, kind: str, timeframe: str, batches: Iterator[Columns]) -> None:
        """Wrap batches in time order; timeframe is empty for kinds without one."""
        record = RECORD_KINDS[kind]
        length = timeframe_us(timeframe) if timeframe else 0
        self.instrument = instrument
        self.timeframe = timeframe
        self.topic: Topic[MarketEvent] | None = record.topic
        self.rank = (record.rank, -length, f"{instrument}/{kind}")
        self._events = record.events
        self._delay = length + record.delay
        self._key = schema_of(kind).key
        self._grouped = record.grouped
        self._batches = batches
        self._columns: Columns | None = None
        self._known = np.empty(0, dtype=np.int64)  # when each buffered row is known
        self._starts = np.empty(0, dtype=np.int64)  # the rows with which events begin, of a kind that groups them

    @property
    def times(self) -> NDArray[np.int64]:
        """When each buffered event is known, shape (n,). More rows of the last one may still have to be loaded."""
        return self._known[self._starts] if self._grouped else self._known

    def load(self) -> bool:
        """Buffer one more batch; return False at the end."""
        batch = next(self._batches, None)
        if batch is None:
            return False
        if self._columns is not None and len(self._known):
            batch = {name: np.concatenate([values, batch[name]]) for name, values in self._columns.items()}
        self._hold(batch)
        return True

    def take(self, rows: int) -> tuple[list[MarketEvent] | None, NDArray[np.int64] | None]:
        """Move the first events of the buffer into the current window."""
        return (self.events_of(self.cut(rows)) if rows else []), None

    def events_of(self, rows: RecordRows) -> list[MarketEvent]:
        """Return rows as strategies see them."""
        return self._events(rows)

    def cut(self, events: int) -> RecordRows:
        """Take the rows of the first events, at least one, out of the buffer."""
        assert self._columns is not None
        cut = events
        if self._grouped:
            cut = len(self._known) if events == len(self._starts) else int(self._starts[events])
        window = {name: values[:cut] for name, values in self._columns.items()}
        taken = RecordRows(self.instrument, self.timeframe, self._known[:cut], window)
        self._hold({name: values[cut:] for name, values in self._columns.items()})
        return taken

    def _hold(self, columns: Columns) -> None:
        self._columns = columns
        self._known = columns[self._key] + self._delay
        if self._grouped:
            self._starts = starts_of(self._known)
