"""The equity curve as arrays, and its daily grid. Definitions: docs/metrics.md."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from backtester.core.errors import EngineError
from backtester.core.time import DAY
from backtester.report.figures import Floats, Ints

YEAR_US: Final = 365 * DAY
DAYS_A_YEAR: Final = 365


class Flow(NamedTuple):
    """Money that came into the account (1e-8, > 0) or left it, at a time (µs)."""

    ts: int
    units: int


class EquitySeries(NamedTuple):
    """Equity in time order, shape (n,), n >= 1; the first row is from before the first event.

    ts: µs UTC, never falling: what happens at one instant has several rows. equity, exposure (sum of the absolute
    values of all positions): 1e-8 of the account's currency.
    """

    ts: Ints
    equity: Ints
    exposure: Ints

    @property
    def years(self) -> float:
        """How long it is, in years of 365 days."""
        return float(int(self.ts[-1]) - int(self.ts[0])) / YEAR_US


class Daily(NamedTuple):
    """The last equity at or before each 00:00 UTC.

    days: those midnights (µs), shape (n + 1,), with their equity; returns: of the days between them, shape (n,).
    with_ends: the same equity, before it the first of all and after it the last where they are not at a midnight: what
    drawdowns are made of.
    """

    days: Ints
    equity: Floats
    returns: Floats
    with_ends: Floats


def checked(series: EquitySeries) -> EquitySeries:
    """Return a series that metrics may be made of.

    Raises:
        EngineError: it is empty, or its times go back.
    """
    if not len(series.ts):
        raise EngineError("there is no equity to make metrics of")
    if np.any(series.ts[1:] < series.ts[:-1]):
        at = int(np.argmax(series.ts[1:] < series.ts[:-1]))
        raise EngineError(f"equity goes back in time: {int(series.ts[at + 1])} µs comes after {int(series.ts[at])} µs")
    return series


def daily(series: EquitySeries, flows: Sequence[Flow] = ()) -> Daily:
    """Return the daily grid of a series; what is shorter than a day at its ends has a place in `with_ends` alone.

    flows: taken out of the return of their day, as if they had come at its beginning.
    """
    first, last = int(series.ts[0]), int(series.ts[-1])
    days = np.arange(-(-first // DAY) * DAY, last + 1, DAY, dtype=np.int64)
    ends = series.equity[[0, -1]].astype(np.float64)
    if not len(days):
        return Daily(days, np.empty(0), np.empty(0), ends)
    at = np.searchsorted(series.ts, days, side="right") - 1
    if days[0] == first:
        at[0] = 0  # what else happens at the first instant belongs to the first day
    equity = series.equity[at].astype(np.float64)
    into = np.zeros(len(days) - 1)
    for flow in flows:
        day = int(np.searchsorted(days, flow.ts, side="right")) - 1
        if 0 <= day < len(into):
            into[day] += flow.units
    before, after = ends[: int(days[0] != first)], ends[2 - int(days[-1] != last) :]
    return Daily(days, equity, returns_of(equity, into), np.concatenate((before, equity, after)))


def returns_of(equity: Floats, flows: Floats | float = 0.0) -> Floats:
    """Return what each interval made of what it began with: (equity − flow) / equity before − 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((equity[1:] - flows) / equity[:-1] - 1.0)
