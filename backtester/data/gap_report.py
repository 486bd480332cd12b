"""Where a series has gaps, which of them are known outages, and whether others of its market miss the same.

Then the exchange was probably down, whatever the sources say.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from backtester.core.time import DAY, timeframe_us
from backtester.data.gaps import Gap, clipped, within, without
from backtester.data.lake import Lake, series_gaps
from backtester.data.partition import Outage, Partition, SeriesKey
from backtester.data.schemas import schema_of

LONG = 2  # candles: a longer gap is more than one that was lost on the way


@dataclass(frozen=True, slots=True)
class GapFinding:
    """One gap [start, end) of a series, UTC µs. missing: candles, or days for kinds kept in days.

    reason: of a gap that is a recorded outage, what the sources said; None when the gap is unknown.
    others: series of the same market, kind and timeframe that span this time. also_missing: how many of these lack all
    of it.
    """

    series: SeriesKey
    start: int
    end: int
    missing: int
    reason: str | None
    others: int
    also_missing: int

    @property
    def everywhere(self) -> bool:
        """Whether every other series lacks it too, of which there must be one."""
        return 0 < self.others == self.also_missing

    @property
    def long(self) -> bool:
        """Whether it is longer than two candles, or two days."""
        return self.missing > LONG


def find_gaps(lake: Lake, market: str | None = None, symbol: str | None = None) -> list[GapFinding]:
    """Return all gaps between the first and last row of each series, in order of series and time.

    A gap of which a part is a recorded outage is cut there. Candles are missing when the grid says so. Kinds kept in
    days lack days without a partition; of other kinds nothing is known.
    """
    series = by_series(lake.all_partitions())
    gaps = {key: missing_ranges(own) for key, own in series.items()}
    found = []
    for key, own in series.items():
        if (market not in {None, key[0]}) or (symbol not in {None, key[2]}):
            continue
        length = step_of(key)
        for start, end, reason in _parts(gaps[key], lake.outages(*key)):
            others = peers(series, key, start, end)
            also = sum(any(low <= start and end <= high for low, high in gaps[other]) for other in others)
            found.append(GapFinding(own[0].series, start, end, (end - start) // length, reason, len(others), also))
    return found


def by_series(partitions: Iterable[Partition]) -> dict[SeriesKey, list[Partition]]:
    """Return partitions by series, in the order given."""
    series: dict[SeriesKey, list[Partition]] = {}
    for partition in partitions:
        series.setdefault(partition.series, []).append(partition)
    return series


def missing_ranges(partitions: list[Partition]) -> list[Gap]:
    """Return the gaps of one series, at least one partition: candles by the grid, whole days of kinds kept in days."""
    if partitions[0].timeframe:
        return series_gaps(partitions)
    if not schema_of(partitions[0].kind).daily:
        return []
    days = [partition.first_time // DAY * DAY for partition in partitions]
    return clipped([(a + DAY, b) for a, b in pairwise(days)], days[0], days[-1])


def step_of(series: SeriesKey) -> int:
    """Return the unit in which gaps of a series are counted: its timeframe, or a day."""
    return timeframe_us(series[3]) if series[3] else DAY


def peers(series: Mapping[SeriesKey, list[Partition]], key: SeriesKey, start: int, end: int) -> list[SeriesKey]:
    """Return the other series of the same market, kind and timeframe that begin before a range and end after it."""
    return [
        other
        for other, own in series.items()
        if other != key
        and (other[0], other[1], other[3]) == (key[0], key[1], key[3])
        and own[0].first_time < start
        and end <= own[-1].last_time
    ]


def _parts(gaps: list[Gap], outages: list[Outage]) -> list[tuple[int, int, str | None]]:
    """Return the gaps cut at recorded outages, in time order, each with the reason of its outage."""
    unknown = without(gaps, [(one.start, one.end) for one in outages])
    parts: list[tuple[int, int, str | None]] = [(start, end, None) for start, end in unknown]
    left = gaps
    for one in outages:
        known = (one.start, one.end)
        parts += [(start, end, one.reason) for start, end in within(left, [known])]
        left = without(left, [known])
    return sorted(parts, key=lambda part: part[:2])
