"""What gaps mean for a run: whether it may run over them, how long entries pause after them, and what is said.

An outage that `bt data repair` recorded is a gap that nobody can mend: it does not refuse a run, but counts like any
other for all else.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from backtester.config.configs import DataSection
from backtester.core.errors import GapError
from backtester.core.instruments import InstrumentId, expiry_of, split_id
from backtester.core.time import DAY, format_time, last_open, timeframe_us
from backtester.data.gaps import clipped, without
from backtester.data.lake import Lake
from backtester.data.schemas import KLINES, schema_of
from backtester.engine.feed_plan import FeedName, PlannedFeed

_SHOWN = 10
_LONG = 2  # candles: a longer gap is warned of whatever the policy


class RunGap(NamedTuple):
    """Rows [start, end) that a run would read and the lake does not have; timeframe as stored, empty for days.

    known: no source has them, as recorded by `bt data repair`. executes: orders would have met these candles.
    """

    series: FeedName
    start: int
    end: int
    known: bool
    executes: bool

    @property
    def length(self) -> int:
        """The length of what is missing one by one: a candle, or a day for kinds that are kept in days."""
        return timeframe_us(self.series.timeframe) if self.series.timeframe else DAY

    @property
    def missing(self) -> int:
        """How many candles, or days, are missing."""
        return -(-(self.end - self.start) // self.length)


def gaps_of_run(
    lake: Lake, executing: Mapping[InstrumentId, str], feeds: Iterable[PlannedFeed], start: int, end: int
) -> list[RunGap]:
    """Return all gaps in what a run reads between start and end, by series and time.

    Candles are missing when the grid says so, days when a kind kept in days lacks one; of other kinds nothing is known.
    """
    series = {FeedName(i, KLINES.kind, stored) for i, stored in executing.items()}
    series |= {feed.stored for feed in feeds}
    found: list[RunGap] = []
    for one in sorted(series):
        key = one.series
        if one.timeframe:
            until = expiry_of(split_id(one.instrument)[1]) or end  # nothing is traded after
            last = last_open(min(end, until), timeframe_us(one.timeframe))  # what ends later is not known
            every = lake.gaps(*key, start, last)
            unknown = lake.unknown_gaps(*key, start, last)
        elif schema_of(one.kind).daily:
            first, last = start // DAY * DAY, -(-end // DAY) * DAY
            there = [(p.first_time // DAY * DAY, p.first_time // DAY * DAY + DAY) for p in lake.partitions(*key)]
            every = unknown = clipped(without([(first, last)], there), start, end)
        else:
            continue
        executes = one.kind == KLINES.kind and executing.get(one.instrument) == one.timeframe
        found += [RunGap(one, *gap, False, executes) for gap in unknown]
        found += [RunGap(one, *gap, True, executes) for gap in without(every, unknown)]
    return sorted(found)


def gaps_before(lake: Lake, executing: Mapping[InstrumentId, str], start: int, candles: int) -> list[RunGap]:
    """Return the gaps in the last `candles` execution candles before the start of a run: entries may still pause for
    them. What lies before the first candle of the lake is no gap.
    """
    found: list[RunGap] = []
    for instrument, stored in executing.items():
        first = lake.partitions(*FeedName(instrument, KLINES.kind, stored).series)[0].first_time
        back = max(first, start - candles * timeframe_us(stored))
        found += gaps_of_run(lake, {instrument: stored}, (), back, start)
    return found


def check_gaps(gaps: list[RunGap], policy: DataSection, root: str, warnings: list[str]) -> None:
    """Refuse a run over gaps of unknown cause when the policy says so; else say what they are.

    Raises:
        GapError: names series, ranges, and the command that mends them.
    """
    unknown = [gap for gap in gaps if not gap.known]
    if unknown and policy.gap_policy == "refuse":
        first = unknown[0].series
        raise GapError(
            "; ".join(_texts(unknown)),
            hint=f"bt data repair {first.instrument} --data {root} mends what the sources have and records the rest as "
            "outages; or choose another --start and --end, or run over them: --gap-policy continue, or pause_entries",
        )
    warnings.extend(f"{text} (data.gap_policy is {policy.gap_policy})" for text in _texts(unknown))
    outages = [gap for gap in gaps if gap.known and gap.missing > _LONG]
    warnings.extend(f"{text} (an outage: no source has them)" for text in _texts(outages))


def paused_spans(gaps: Iterable[RunGap], candles: int) -> dict[InstrumentId, list[tuple[int, int]]]:
    """Return, per instrument, the spans [from, to) of ticks in which no position may be opened.

    A span begins when the first missing candle should have been known, and ends when `candles` good ones have closed
    after the gap. Both are known at the time itself: nothing of what comes later shortens or lengthens a pause.
    """
    spans: dict[InstrumentId, list[tuple[int, int]]] = {}
    for gap in gaps:
        if gap.executes:
            span = (gap.start + gap.length, gap.end + candles * gap.length)
            spans.setdefault(gap.series.instrument, []).append(span)
    return spans


def gap_records(gaps: Iterable[RunGap], policy: DataSection) -> dict[str, Any]:
    """Return what run.json says of gaps."""
    found = [
        {
            "series": str(gap.series),
            "start": format_time(gap.start),
            "end": format_time(gap.end),
            "missing": gap.missing,
            "outage": gap.known,
        }
        for gap in gaps
    ]
    return {"policy": policy.gap_policy, "pause_candles": policy.pause_candles, "found": found}


def _texts(gaps: list[RunGap]) -> list[str]:
    """Return a sentence per series."""
    texts = []
    for series in dict.fromkeys(gap.series for gap in gaps):
        own = [gap for gap in gaps if gap.series == series]
        missing = sum(gap.missing for gap in own)
        unit = "candle" if series.timeframe else "day"
        shown = ", ".join(f"{format_time(gap.start)} .. {format_time(gap.end)}" for gap in own[:_SHOWN])
        more = f", and {len(own) - _SHOWN} more" if len(own) > _SHOWN else ""
        long = sum(gap.missing > _LONG for gap in own)
        lengths = f" ({long} of {len(own)} gaps longer than {_LONG} {unit}s)" if long and len(own) > 1 else ""
        name = f"{series.instrument} {series.timeframe or series.kind}"
        if series.timeframe and series.kind != KLINES.kind:
            name += f" {series.kind}"
        are = f"1 {unit} is" if missing == 1 else f"{missing:,} {unit}s are"
        texts.append(f"{name}: {are} missing: {shown}{more}{lengths}")
    return texts
