"""Days of the lake that REST told of before the archive did: to be compared once their files are published."""

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from backtester.core.time import DAY
from backtester.data.downloader.archive_names import read_name
from backtester.data.downloader.planning import Wanted
from backtester.data.downloader.sources.endpoints import asked_range
from backtester.data.gaps import Gap, clipped, without
from backtester.data.manifest import read_manifest
from backtester.data.partition import Partition

LATE: Final = 62 * DAY  # a month and its monthly file; what is not published by then never is, or is asked for by name


def unconfirmed_days(root: Path, request: Wanted, now: int) -> list[Wanted]:
    """Return requests for the ended days of the last LATE of which REST is the only origin, by symbol and range."""
    found = []
    for symbol in request.symbols:
        series = (request.market, request.kind, symbol, request.timeframe)
        own = [partition for partition in read_manifest(root).values() if partition.series == series]
        ranges = [span for partition in own for span in _only_rest(partition)]
        days = [(start // DAY * DAY, -(-end // DAY) * DAY) for start, end in ranges]
        for start, end in clipped(days, (now - LATE) // DAY * DAY, now // DAY * DAY):
            found.append(replace(request, symbols=(symbol,), start=start, end=end))
    return found


def _only_rest(partition: Partition) -> list[Gap]:
    """Return the ranges of a partition that pages of REST asked for and no archive of its sources covers."""
    asked = [span for source in partition.sources if (span := asked_range(source.address)) is not None]
    archived = []
    for source in partition.sources:
        facts = read_name(PurePosixPath(source.address))
        if facts.archive_key and facts.start is not None and facts.end is not None:
            archived.append((facts.start, facts.end))
    return without(clipped(asked, partition.first_time, partition.last_time + 1), archived)
