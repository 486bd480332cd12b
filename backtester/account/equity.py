"""The equity curve: a row per boundary of the run's timeframe and per fill, valued in columns.

Between two changes of the account only marks move. So changes are remembered as they come, and the rows in between
are computed a window of ticks at a time: the same integers as row by row, without a row's worth of Python each.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtester.core.folds import FLAT, Ledger, Position
from backtester.core.instruments import Asset, Instrument, InstrumentId
from backtester.core.market import Marks
from backtester.core.numbers import mul_div_half_even
from backtester.core.time import grid_offset_us

# Arrays of one length: ts, then 1e-8 of the account's currency: equity, cash, unrealised, exposure (gross notional).
EquityColumns = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]
EquitySink = Callable[[EquityColumns], None]
EquityRow = tuple[int, int, int, int, int]

_INT64_SAFE = 2**62


class _Change(NamedTuple):
    """The account after a fill or a cashflow. settled: the last boundary before it."""

    settled: int
    row: EquityRow
    cash_units: int
    positions: dict[InstrumentId, Position]


class EquityCurve:
    """Turns changes of a ledger and windows of marks into equity rows, in time order."""

    def __init__(
        self,
        ledger: Ledger,
        instruments: Mapping[InstrumentId, Instrument],
        currency: Asset,
        timeframe: int,
        start: int,
        sink: EquitySink,
    ) -> None:
        self._ledger = ledger
        self._instruments = instruments
        self._currency = currency
        self._timeframe = timeframe
        self._start = start
        self._sink = sink
        self._changes: list[_Change] = []
        self._cash = 0
        self._positions: dict[InstrumentId, Position] = {}

    def change(self, now: int, settled: int, prices: Mapping[InstrumentId, int]) -> None:
        """Remember the ledger as it is after a fill or a cashflow, and the row that this makes."""
        cash = self._ledger.asset(self._currency).cash_units
        equity, unrealised, exposure = cash, 0, 0
        positions = dict(self._ledger.positions)
        for instrument_id, position in positions.items():
            spec = self._instruments[instrument_id]
            value = spec.notional_units(position.qty_units, prices[instrument_id])
            profit = value - position.basis_units
            equity += value if spec.is_spot else profit
            unrealised += profit
            exposure += abs(value)
        row = (now, equity, cash, unrealised, exposure)
        self._changes.append(_Change(settled, row, cash, positions))

    def value(self, marks: Marks) -> None:
        """Value every boundary of a window, with the rows of its changes between them, and hand the rows on."""
        ticks = marks.ticks
        kept = (ticks > self._start) & ((ticks - grid_offset_us(self._timeframe)) % self._timeframe == 0)
        ticks = ticks[kept]
        changes, self._changes = self._changes, []
        at = np.searchsorted(ticks, [c.settled for c in changes], side="right")
        lengths = np.diff(np.concatenate(([0], at, [len(ticks)])))
        held = [self._positions, *(change.positions for change in changes)]
        cashes = [self._cash, *(change.cash_units for change in changes)]
        closes = {i: marks.closes[i][kept] for i in sorted({i for positions in held for i in positions})}
        kind = self._integers(cashes, held, closes, changes)
        cash = _spread(cashes, lengths, kind)
        equity, unrealised, exposure = cash.copy(), np.zeros_like(cash), np.zeros_like(cash)
        for instrument_id, prices in closes.items():
            spec = self._instruments[instrument_id]
            here = [positions.get(instrument_id, FLAT) for positions in held]
            qty = _spread([p.qty_units * spec.notional_mul for p in here], lengths, kind)
            value = mul_div_half_even(qty, prices, spec.notional_den)
            profit = value - _spread([p.basis_units for p in here], lengths, kind)
            equity += value if spec.is_spot else profit
            unrealised += profit
            exposure += abs(value)
        columns = [ticks.astype(kind), equity, cash, unrealised, exposure]
        if changes:
            rows = zip(*(change.row for change in changes), strict=True)
            columns = [np.insert(c, at, np.array(row, dtype=kind)) for c, row in zip(columns, rows, strict=True)]
            self._cash, self._positions = cashes[-1], held[-1]
        ts, equity, cash, unrealised, exposure = columns
        if len(ts):
            self._sink((ts, equity, cash, unrealised, exposure))

    def _integers(
        self,
        cashes: list[int],
        held: list[dict[InstrumentId, Position]],
        closes: dict[InstrumentId, NDArray[np.int64]],
        changes: list[_Change],
    ) -> type:
        """Return int64 where nothing on the way can pass it, else Python's own integers: slower, never wrong."""
        bound = max(abs(cash) for cash in cashes)
        for instrument_id, prices in closes.items():
            here = [positions.get(instrument_id, FLAT) for positions in held]
            most = max(abs(p.qty_units) for p in here) * self._instruments[instrument_id].notional_mul
            bound += most * int(abs(prices).max(initial=0)) + max(abs(p.basis_units) for p in here)
        bound = max(bound, *(abs(value) for change in changes for value in change.row), 0)
        return np.int64 if bound < _INT64_SAFE else object

    def close(self) -> None:
        """Hand on changes that no window followed."""
        changes, self._changes = self._changes, []
        if changes:
            rows = zip(*(change.row for change in changes), strict=True)
            ts, equity, cash, unrealised, exposure = (np.array(row, dtype=object) for row in rows)
            self._sink((ts, equity, cash, unrealised, exposure))


def _spread(values: list[int], lengths: NDArray[np.int64], kind: type) -> NDArray[Any]:
    """Return each value repeated over its stretch of ticks."""
    return np.repeat(np.array(values, dtype=kind), lengths)
