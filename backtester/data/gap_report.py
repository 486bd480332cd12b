"""Where a series has gaps, and whether others of its market miss the same: then the exchange was probably down."""

from dataclasses import dataclass
from itertools import pairwise

from backtester.core.time import DAY, timeframe_us
from backtester.data.gaps import clipped
from backtester.data.lake import Lake, series_gaps
from backtester.data.partition import Partition
from backtester.data.schemas import schema_of

SeriesKey = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class GapFinding:
    """One gap [start, end) of a series, UTC µs. missing: candles, or days for kinds kept in days.

    others: series of the same market, kind and timeframe that span this time. also_missing: how many of these lack all
    of it.
    """

    series: SeriesKey
    start: int
    end: int
    missing: int
    others: int
    also_missing: int

    @property
    def everywhere(self) -> bool:
        """Whether every other series lacks it too, of which there must be one."""
        return 0 < self.others == self.also_missing


def find_gaps(lake: Lake, market: str | None = None, symbol: str | None = None) -> list[GapFinding]:
    """Return all gaps between the first and last row of each series, in order of series and time.

    Candles are missing when the grid says so. Kinds kept in days lack days without a partition; of other kinds nothing
    is known.
    """
    series: dict[SeriesKey, list[Partition]] = {}
    for partition in lake.all_partitions():
        series.setdefault(partition.series, []).append(partition)
    gaps = {key: _gaps(own) for key, own in series.items()}
    found = []
    for key in series:
        if (market not in {None, key[0]}) or (symbol not in {None, key[2]}):
            continue
        length = timeframe_us(key[3]) if key[3] else DAY
        for start, end in gaps[key]:
            others = [
                other
                for other, own in series.items()
                if other != key
                and (other[0], other[1], other[3]) == (key[0], key[1], key[3])
                and _spans(own, start, end)
            ]
            also = sum(any(low <= start and end <= high for low, high in gaps[other]) for other in others)
            found.append(GapFinding(key, start, end, (end - start) // length, len(others), also))
    return found


def _gaps(partitions: list[Partition]) -> list[tuple[int, int]]:
    if partitions[0].timeframe:
        return series_gaps(partitions)
    if not schema_of(partitions[0].kind).daily:
        return []
    days = [partition.first_time // DAY * DAY for partition in partitions]
    return clipped([(a + DAY, b) for a, b in pairwise(days)], days[0], days[-1])


def _spans(partitions: list[Partition], start: int, end: int) -> bool:
    return partitions[0].first_time < start and end <= partitions[-1].last_time
