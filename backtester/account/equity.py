"""The equity curve: rows handed on in chunks, so that memory does not grow with history."""

from collections.abc import Callable

# ts, then 1e-8 of the account's currency: equity, cash, unrealised profit, exposure (gross notional).
EquityRow = tuple[int, int, int, int, int]
EquitySink = Callable[[list[EquityRow]], None]

CHUNK_ROWS = 16_384


class EquityCurve:
    """Collects rows, times never decreasing. `append` is a list's own: it is the hot path of every run."""

    def __init__(self, sink: EquitySink) -> None:
        self._sink = sink
        self._rows: list[EquityRow] = []
        self.append = self._rows.append

    def flush(self, *, at_least: int = 1) -> None:
        """Hand on the rows when there are at least so many; called between ticks, every few thousand of them."""
        if len(self._rows) >= at_least:
            self._sink(self._rows.copy())
            self._rows.clear()
