"""The funding of a run: which rates become due when, at which mark, and where the lake has none."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.core.instruments import InstrumentId, split_id
from backtester.core.market import FundingDue
from backtester.core.time import HOUR, SECOND, format_time, timeframe_us
from backtester.data.lake import Lake
from backtester.data.schemas import FUNDING_RATE, MARK_KLINES
from backtester.engine.feed_plan import FeedName, download_hint
from backtester.sim.funding import scheduled_time

_LATE: Final = 30 * SECOND  # how far a record may be from the instant of its schedule, which is a whole hour
_STANDARD: Final = 8 * HOUR  # between two funding times, where the records do not say it
_UNITS: Final = 1e8

Span = tuple[int, int]


class FundingPlan(NamedTuple):
    """What becomes due in (start, end], in time order, instruments of one time sorted.

    missing: spans without rates. unmarked: how many of an instrument's dues have no mark price.
    """

    dues: list[FundingDue]
    missing: Mapping[InstrumentId, list[Span]]
    unmarked: Mapping[InstrumentId, int]


def funding_plan(lake: Lake, ids: Iterable[InstrumentId], start: int, end: int) -> FundingPlan:
    """Return the funding of traded futures as far as the lake has it.

    What is due at `end` itself belongs to the run: its last tick is there, and a longer run would do the same in it.

    Raises:
        DataError: two rates of one time differ, or one has more than eight decimals.
    """
    dues: list[FundingDue] = []
    missing, unmarked = {}, {}
    for instrument in ids:
        found, spans = _rates(lake, instrument, start, end)
        marks = _marks(lake, instrument, sorted(found), start, end)
        dues += [FundingDue(ts, instrument, at, rate, marks.get(ts, 0)) for ts, (at, rate) in found.items()]
        if spans:
            missing[instrument] = spans
        if lacking := sum(ts not in marks for ts in found):
            unmarked[instrument] = lacking
    return FundingPlan(sorted(dues, key=lambda due: (due.ts, due.instrument)), missing, unmarked)


def _rates(lake: Lake, instrument: InstrumentId, start: int, end: int) -> tuple[dict[int, tuple[int, int]], list[Span]]:
    """Return by instant when its rate was written and the rate (1e-8); and the spans in which some are missing."""
    market, symbol = split_id(instrument)
    found: dict[int, tuple[int, int]] = {}
    missing: list[Span] = []
    before, interval = start, 0
    known = symbol in lake.symbols(market, FUNDING_RATE.kind)
    for batch in lake.read(market, FUNDING_RATE.kind, symbol, "", start, end + _LATE) if known else ():
        columns = (batch[name].tolist() for name in (FUNDING_RATE.key, "interval_hours", "funding_rate"))
        for recorded, hours, value in zip(*columns, strict=True):
            at = scheduled_time(recorded, HOUR, _LATE)
            if not start < at <= end:
                continue
            rate = _in_units(value, instrument, at)
            if found.setdefault(at, (recorded, rate))[1] != rate:
                raise DataError(
                    f"{instrument}: two funding rates at {format_time(at)} differ",
                    hint="import the right file in their place: bt data import FILE --replace",
                )
            interval = hours * HOUR if hours > 0 else _STANDARD
            if at - before > interval:
                missing.append((before, at))
            before = at
    # Without any record nobody knows the schedule: the standard one then.
    if end - before > interval if interval else start // _STANDARD < (end - 1) // _STANDARD:
        missing.append((before, end))
    return found, missing


def _in_units(rate: float, instrument: InstrumentId, at: int) -> int:
    units = round(rate * _UNITS)
    if units / _UNITS != rate:
        raise DataError(
            f"{instrument}: the funding rate {rate!r} at {format_time(at)} has more than 8 decimals",
            hint="import the venue's own file in its place: bt data import FILE --replace",
        )
    return units


def _marks(lake: Lake, instrument: InstrumentId, times: list[int], start: int, end: int) -> dict[int, int]:
    """Return the mark price (1e-8) at each of the times that has one: the close of a mark candle that ends there."""
    market, symbol = split_id(instrument)
    if not times or symbol not in lake.symbols(market, MARK_KLINES.kind):
        return {}
    wanted: NDArray[np.int64] = np.array(times, dtype=np.int64)
    found: dict[int, int] = {}
    for timeframe in reversed(lake.timeframes(market, MARK_KLINES.kind, symbol)):  # the longest has the fewest rows
        length = timeframe_us(timeframe)
        rows = lake.read(market, MARK_KLINES.kind, symbol, timeframe, start - length, end - length + 1, names=["close"])
        for batch in rows:
            ends = batch[MARK_KLINES.key] + length
            kept = np.isin(ends, wanted)
            units = np.rint(batch["close"][kept] * _UNITS).astype(np.int64)
            for at, mark in zip(ends[kept].tolist(), units.tolist(), strict=True):
                found.setdefault(at, mark)
        if len(found) == len(times):
            break
    return found


def check_funding(plan: FundingPlan, start: int, end: int, *, strict: bool, warnings: list[str]) -> None:
    """Say what of the funding is not known; refuse it where the run is strict.

    Raises:
        DataError: the run is strict, and a rate or a mark price is missing.
    """
    problems = []
    for instrument, spans in plan.missing.items():
        first, last = spans[0]
        more = f" and in {len(spans) - 1} more spans" if len(spans) > 1 else ""
        problems.append(
            (
                f"{instrument}: no funding rates are stored between {format_time(first)} and "
                f"{format_time(last)}{more}: positions are assumed to pay and get none there",
                download_hint(FeedName(instrument, FUNDING_RATE.kind, ""), start, end),
            )
        )
    for instrument, count in plan.unmarked.items():
        total = sum(due.instrument == instrument for due in plan.dues)
        problems.append(
            (
                f"{instrument}: {count} of {total} funding times have no stored mark price: the last price is assumed",
                download_hint(FeedName(instrument, MARK_KLINES.kind, "8h"), start, end),
            )
        )
    if strict and problems:
        message, hint = problems[0]
        raise DataError(
            f"{message}; execution.strict refuses that", hint=f"{hint}; or run without: --set futures.funding=off"
        )
    warnings.extend(f"{message} ({hint})" for message, hint in problems)


def funding_in_words(plan: FundingPlan | None) -> str:
    """Return what is assumed of funding."""
    if plan is None:
        return "off: positions pay and get none"
    if not plan.dues:
        return "none: the lake has no rates"
    words = "at the published times, on what is held then, at the mark price of that time"
    if plan.unmarked:
        words += ", where none is stored at the last price"
    return words + ("; none where no rates are stored" if plan.missing else "")
