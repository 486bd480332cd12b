"""Candles of a shorter stored timeframe against the stored, published ones of a longer one.

Both were published, so they must agree: open, high, low and close exactly, sums within the error of adding floats.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backtester.core.time import grid_offset_us, last_open, timeframe_us
from backtester.data.gap_report import by_series
from backtester.data.lake import Lake
from backtester.data.partition import Partition, SeriesKey
from backtester.data.schemas import Column, Schema, schema_of
from backtester.data.series_rows import Rows, rows_of

EXAMPLES: Final = 20
_PRICES: Final = ("open", "high", "low", "close")
_ROUNDING: Final = 2.0**-53  # the relative error of one float operation


@dataclass(frozen=True, slots=True)
class Difference:
    """One value of one candle that the two timeframes tell differently. derived: from the shorter one."""

    time: int
    column: str
    derived: float
    stored: float


@dataclass(slots=True)
class CrossCheck:
    """What the comparison of two timeframes of a series came to; figures count candles of the longer one.

    compared: all parts were there. incomplete: some parts are missing, so the candle was left out. uncovered: no part
    is there. absent: parts are there, the candle is not. differing: compared, and at least one value differs.
    columns: how many candles differ in each. examples: the first differences.
    """

    series: SeriesKey
    shorter: str
    compared: int = 0
    incomplete: int = 0
    uncovered: int = 0
    absent: int = 0
    differing: int = 0
    columns: dict[str, int] = field(default_factory=dict)
    examples: list[Difference] = field(default_factory=list)


def cross_check(lake: Lake, without: Iterable[str] = ()) -> list[CrossCheck]:
    """Compare every two stored timeframes of a series of which one divides the other, where both have rows.

    Args:
        without: paths of partitions to leave out, because they are damaged; their candles count as missing.

    Returns:
        One result per pair that meets in time, in order of series, the longer timeframe last.

    Raises:
        DataError: a file is missing or is not the one that the manifest records.
    """
    left_out = set(without)
    series = by_series(partition for partition in lake.all_partitions() if partition.path not in left_out)
    found = []
    for short, long in combinations(series, 2):
        if short[:3] == long[:3] and short[3] and timeframe_us(long[3]) % timeframe_us(short[3]) == 0:
            result = _compare(lake, series[short], series[long])
            if result.compared or result.incomplete or result.absent:
                found.append(result)
    return found


def _compare(lake: Lake, short: list[Partition], long: list[Partition]) -> CrossCheck:
    result = CrossCheck(long[0].series, short[0].timeframe)
    schema, length = schema_of(long[0].kind), timeframe_us(long[0].timeframe)
    first, last = short[0].first_time, short[-1].last_time
    reached: int | None = None
    for stored in rows_of(lake, long, start=last_open(first, length), end=last + 1):
        times = stored[schema.key]
        begin = int(times[0]) if reached is None else reached
        reached = int(times[-1]) + length
        parts = _Parts(schema, times, length, length // timeframe_us(result.shorter))
        meeting = [p for p in short if p.last_time >= begin and p.first_time < reached]
        for rows in rows_of(lake, meeting, start=begin, end=reached):
            parts.add(rows)
        parts.compare_with(stored, result)
    return result


class _Parts:
    """Candles of the longer timeframe as the shorter one tells them, while its rows arrive.

    times: open times of the stored candles, shape (n,); expected: parts of a whole candle.
    """

    def __init__(self, schema: Schema, times: NDArray[np.int64], length: int, expected: int) -> None:
        rows = len(times)
        self._schema, self._times, self._length, self._expected = schema, times, length, expected
        self._sums = [column for column in schema.columns if column.name not in (schema.key, *_PRICES)]
        self._counts = np.zeros(rows, dtype=np.int64)
        self._absent: set[int] = set()
        self._values = {
            **{name: np.zeros(rows) for name in ("open", "close")},
            "high": np.full(rows, -np.inf),
            "low": np.full(rows, np.inf),
            **{column.name: np.zeros(rows, dtype=column.dtype) for column in self._sums},
        }
        self._known = {column.name: np.ones(rows, dtype=np.bool_) for column in self._sums}

    def add(self, rows: Rows) -> None:
        """Take rows of the shorter timeframe, in time order."""
        opens = rows[self._schema.key]
        opens = opens - (opens - grid_offset_us(self._length)) % self._length
        at = np.minimum(np.searchsorted(self._times, opens), len(self._times) - 1)
        here = self._times[at] == opens
        self._absent.update(np.unique(opens[~here]).tolist())
        at = at[here]
        if not len(at):
            return
        firsts = np.flatnonzero(np.diff(at, prepend=-1))
        lasts = np.append(firsts[1:], len(at)) - 1
        candles = at[firsts]
        values = {name: rows[name][here] for name in self._values}
        fresh = self._counts[candles] == 0
        self._values["open"][candles[fresh]] = values["open"][firsts][fresh]
        self._values["close"][candles] = values["close"][lasts]
        self._values["high"][candles] = np.maximum(
            self._values["high"][candles], np.maximum.reduceat(values["high"], firsts)
        )
        self._values["low"][candles] = np.minimum(
            self._values["low"][candles], np.minimum.reduceat(values["low"], firsts)
        )
        for column in self._sums:
            known = column.known(values[column.name])
            parts = np.where(known, values[column.name], 0)
            self._values[column.name][candles] += np.add.reduceat(parts, firsts)
            self._known[column.name][candles] &= np.logical_and.reduceat(known, firsts)
        self._counts[candles] += lasts - firsts + 1

    def compare_with(self, stored: Rows, result: CrossCheck) -> None:
        """Enter in the result how the stored candles differ from what the parts say."""
        whole = self._counts == self._expected
        result.compared += int(np.count_nonzero(whole))
        result.incomplete += int(np.count_nonzero(~whole & (self._counts > 0)))
        result.uncovered += int(np.count_nonzero(self._counts == 0))
        result.absent += len(self._absent)
        any_differs = np.zeros(len(whole), dtype=np.bool_)
        found: list[Difference] = []
        for column in self._schema.columns[1:]:
            derived, there = self._values[column.name], stored[column.name]
            differs = whole & self._differs(column, derived, there)
            if not differs.any():
                continue
            any_differs |= differs
            result.columns[column.name] = result.columns.get(column.name, 0) + int(np.count_nonzero(differs))
            for row in np.flatnonzero(differs)[:EXAMPLES].tolist():
                time, pair = int(self._times[row]), (derived[row].item(), there[row].item())
                found.append(Difference(time, column.name, *pair))
        result.differing += int(np.count_nonzero(any_differs))
        found.sort(key=lambda one: one.time)
        result.examples += found[: EXAMPLES - len(result.examples)]

    def _differs(self, column: Column, derived: NDArray[Any], stored: NDArray[Any]) -> NDArray[np.bool_]:
        """Say per candle whether a value differs; every part of a sum may be off by half a unit in its last place."""
        if column.name in _PRICES:
            wrong: NDArray[np.bool_] = derived != stored
            return wrong
        comparable = self._known[column.name] & column.known(stored)
        slack = np.zeros(len(stored))
        if column.dtype == "float64":
            slack = (self._counts + 2) * _ROUNDING * np.maximum(np.abs(derived), np.abs(stored))
        off: NDArray[np.float64] = np.abs(derived - stored)
        return comparable & (off > slack)
