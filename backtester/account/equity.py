"""The equity curve: rows handed on in chunks, so that memory does not grow with history."""

from collections.abc import Callable
from typing import NamedTuple

CHUNK_ROWS = 16_384


class EquityRow(NamedTuple):
    """The account at one instant. Money in 1e-8 of the account's currency; exposure is gross notional."""

    ts: int
    equity_units: int
    cash_units: int
    unrealised_units: int
    exposure_units: int


EquitySink = Callable[[list[tuple[int, int, int, int, int]]], None]


class EquityCurve:
    """Collects rows and hands them to a sink, a chunk at a time."""

    def __init__(self, sink: EquitySink) -> None:
        self._sink = sink
        self._rows: list[tuple[int, int, int, int, int]] = []

    def add(self, row: tuple[int, int, int, int, int]) -> None:
        """Add a row; times never decrease. Takes the fields of EquityRow as a plain tuple: it is the hot path."""
        self._rows.append(row)
        if len(self._rows) >= CHUNK_ROWS:
            self.flush()

    def flush(self) -> None:
        """Hand on what is left."""
        rows, self._rows = self._rows, []
        if rows:
            self._sink(rows)
