"""Where a series has gaps, which of them are known outages, and whether others of its market miss the same.

Then the exchange was probably down, whatever the sources say.
"""

from bisect import bisect_left, bisect_right, insort
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
    wanted = [key for key in series if market in {None, key[0]} and symbol in {None, key[2]}]
    parts = {key: _parts(gaps[key], lake.outages(*key)) for key in wanted}
    shared: dict[tuple[SeriesKey, int, int], tuple[int, int]] = {}
    for family in _families(series).values():
        queries = [(key, start, end) for key in family for start, end, _ in parts.get(key, [])]
        ranges = [(start, end) for _, start, end in queries]
        spans = [(series[key][0].first_time + 1, series[key][-1].last_time) for key in family]
        others = covering(spans, ranges)
        also = covering([gap for key in family for gap in gaps[key]], ranges)
        shared |= {query: (o - 1, a - 1) for query, o, a in zip(queries, others, also, strict=True)}  # not itself
    return [
        GapFinding(series[key][0].series, start, end, (end - start) // step_of(key), reason, *shared[key, start, end])
        for key in wanted
        for start, end, reason in parts[key]
    ]


def covering(ranges: Iterable[Gap], queries: list[Gap]) -> list[int]:
    """Return, per query, how many of the ranges hold all of it; in about n log n, for there may be very many."""
    waiting = sorted(ranges, reverse=True)
    ends: list[int] = []
    counts = [0] * len(queries)
    for at in sorted(range(len(queries)), key=queries.__getitem__):
        start, end = queries[at]
        while waiting and waiting[-1][0] <= start:
            insort(ends, waiting.pop()[1])
        counts[at] = len(ends) - bisect_left(ends, end)
    return counts


def _families(series: Iterable[SeriesKey]) -> dict[tuple[str, str, str], list[SeriesKey]]:
    """Return the series of the same market, kind and timeframe together."""
    families: dict[tuple[str, str, str], list[SeriesKey]] = {}
    for key in series:
        families.setdefault((key[0], key[1], key[3]), []).append(key)
    return families


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
    starts = [start for start, _ in gaps]
    cursor = 0
    for one in outages:  # in time order
        low = max(one.start, cursor)
        cursor = max(cursor, one.end)
        near = gaps[max(0, bisect_right(starts, low) - 1) : bisect_left(starts, one.end)]
        parts += [(start, end, one.reason) for start, end in within(near, [(low, one.end)])]
    return sorted(parts, key=lambda part: part[:2])
