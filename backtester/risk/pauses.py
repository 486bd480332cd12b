"""When no position may be opened in an instrument, because its data had a gap."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from backtester.core.instruments import InstrumentId


class Pauses:
    """Spans [from, to) of ticks per instrument, in order of both bounds."""

    def __init__(self, spans: Mapping[InstrumentId, Sequence[tuple[int, int]]]) -> None:
        self._begins = {instrument: [begin for begin, _ in own] for instrument, own in spans.items()}
        self._ends = {instrument: [end for _, end in own] for instrument, own in spans.items()}

    def since(self, instrument: InstrumentId, now: int) -> int | None:
        """Return the begin of the span that holds now, the latest if there are several, or None."""
        begins = self._begins.get(instrument)
        if begins is None:
            return None
        at = bisect_right(begins, now) - 1
        return begins[at] if at >= 0 and now < self._ends[instrument][at] else None
