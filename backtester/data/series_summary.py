"""What the manifest alone says about each series: range, rows, gaps, outages, repairs, where rows came from."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from backtester.data.gap_report import by_series, missing_ranges, step_of
from backtester.data.gaps import Gap, count_missing, within, without
from backtester.data.lake import Lake
from backtester.data.partition import SYNTHETIC, Partition, SeriesKey


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """One series. first, last: times of its first and last row, UTC µs. bytes: of all its files.

    gaps: ranges between them that are missing and not known. outages: missing ranges that are recorded as outages.
    missing, down: candles (or days, for kinds kept in days) in gaps and in outages. repairs: counts by name.
    origin: archive (with a published checksum), unchecked (archive without one), file, synthetic, joined with `+`.
    sources: how many files.
    """

    series: SeriesKey
    first: int
    last: int
    rows: int
    bytes: int
    partitions: int
    gaps: list[Gap]
    outages: list[Gap]
    missing: int
    down: int
    repairs: dict[str, int]
    origin: str
    sources: int
    synthetic: bool


def summaries(lake: Lake, partitions: Iterable[Partition]) -> list[SeriesSummary]:
    """Return one summary per series, in the order of the partitions."""
    return [_summary(lake, series, own) for series, own in by_series(partitions).items()]


def _summary(lake: Lake, series: SeriesKey, own: list[Partition]) -> SeriesSummary:
    missing = missing_ranges(own)
    known = [(one.start, one.end) for one in lake.outages(*series)]
    gaps, outages = without(missing, known), within(missing, known)
    repairs: Counter[str] = Counter()
    for partition in own:
        repairs.update(partition.repairs)
    return SeriesSummary(
        series=series,
        first=own[0].first_time,
        last=own[-1].last_time,
        rows=sum(partition.rows for partition in own),
        bytes=sum(partition.size for partition in own),
        partitions=len(own),
        gaps=gaps,
        outages=outages,
        missing=count_missing(gaps, step_of(series)),
        down=count_missing(outages, step_of(series)),
        repairs=dict(repairs),
        origin=_origin(own),
        sources=len({source for partition in own for source in partition.sources}),
        synthetic=any(partition.synthetic for partition in own),
    )


def _origin(partitions: list[Partition]) -> str:
    kinds = set()
    for source in {source for partition in partitions for source in partition.sources}:
        if source.address.startswith(SYNTHETIC):
            kinds.add("synthetic")
        elif source.address.startswith(("http://", "https://")):
            kinds.add("rest")
        elif not source.address.startswith("data/"):
            kinds.add("file")
        else:
            kinds.add("archive" if source.published_sha256 else "unchecked")
    return " + ".join(sorted(kinds))
