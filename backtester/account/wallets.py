"""What each wallet holds at the boundaries of the run's timeframe: a row for each balance that changed."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from backtester.core.instruments import Holding
from backtester.core.time import grid_offset_us

WalletSink = Callable[[int, Holding, int], None]
"""Takes when, which asset in which wallet, and how much of it there is (1e-8)."""


class WalletHistory:
    """Remembers balances as they change, and hands them on at the next boundary."""

    def __init__(self, timeframe: int, start: int, sink: WalletSink) -> None:
        self._timeframe = timeframe
        self._start = start
        self._sink = sink
        self._shown: dict[Holding, int] = {}
        self._changes: list[tuple[int, dict[Holding, int]]] = []  # the last boundary before each, and all balances

    def change(self, now: int, settled: int, cash: Mapping[Holding, int]) -> None:
        """Remember all balances (1e-8) after a change; of several between two boundaries the last counts."""
        if now <= self._start:
            self._changes = [(settled - 1, dict(cash))]
            return
        if self._changes and self._changes[-1][0] == settled:
            self._changes.pop()
        self._changes.append((settled, dict(cash)))

    def value(self, ticks: NDArray[np.int64]) -> None:
        """Hand on what was known at the boundaries among the ticks of a window; what came after them waits."""
        if not self._changes:
            return
        boundaries = ticks[(ticks - grid_offset_us(self._timeframe)) % self._timeframe == 0]
        boundaries = boundaries[boundaries > self._start]
        found: dict[int, dict[Holding, int]] = {}  # by boundary, the last change before it
        rest = []
        for settled, cash in self._changes:
            at = int(np.searchsorted(boundaries, settled, side="right"))
            if settled < self._start:
                found[self._start] = cash
            elif at < len(boundaries):
                found[int(boundaries[at])] = cash
            else:
                rest = [(settled, cash)]
        self._changes = rest
        for ts, cash in found.items():
            self._show(ts, cash)

    def close(self, now: int) -> None:
        """Hand on what no boundary followed."""
        for _, cash in self._changes:
            self._show(now, cash)
        self._changes = []

    def _show(self, ts: int, cash: Mapping[Holding, int]) -> None:
        for holding, units in sorted(cash.items()):
            if self._shown.get(holding) != units:
                self._shown[holding] = units
                self._sink(ts, holding, units)
