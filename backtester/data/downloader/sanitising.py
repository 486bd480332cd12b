"""Rows that can be trusted: every row checked, refused with its line or repaired on request and counted."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.core.time import TIMEFRAMES, format_time, timeframe_us
from backtester.data.downloader.merging import is_sorted, merge_rows
from backtester.data.downloader.parsing import Parsed
from backtester.data.downloader.problems import EXAMPLES, Problem, Problems
from backtester.data.downloader.row_rules import check_times, check_values, rounded
from backtester.data.downloader.rows import CleanRows, Rows
from backtester.data.downloader.rules import JUMP, dropped
from backtester.data.downloader.writing import row_text, twice
from backtester.data.ordering import changes, rises
from backtester.data.partition import Source
from backtester.data.schemas import KLINES

_FEW: Final = 3  # spacings from which a timeframe may be inferred or doubted


@dataclass(frozen=True, slots=True)
class Repairs:
    """What the user allows to be repaired.

    drop_bad: leave out rows that break a rule. price_decimals: round prices to so many decimals, 0..12; None rounds
    nothing.
    """

    drop_bad: bool = False
    price_decimals: int | None = None


def infer_timeframe(name: str, times: NDArray[np.int64]) -> str:
    """Return the timeframe whose length is the most common distance between neighbouring open times.

    Raises:
        DataError: there are too few rows, or that distance is no timeframe.
    """
    spacing = _spacing(times)
    if len(spacing) < _FEW:
        raise DataError(f"{name}: too few rows to tell the timeframe", hint="say it: --timeframe 1m")
    lengths, counts = np.unique(spacing, return_counts=True)
    length = int(lengths[np.argmax(counts)])
    found = next((timeframe for timeframe, known in TIMEFRAMES.items() if known == length), None)
    if found is None:
        raise DataError(
            f"{name}: rows are mostly {length / 1e6:g} s apart, which is no timeframe",
            hint=f"say which it is: --timeframe, one of {' '.join(TIMEFRAMES)}",
        )
    return found


def sanitise(
    name: str, parsed: Parsed, source: Source, timeframe: str, allowed: Repairs, dates: tuple[int, int] | None = None
) -> CleanRows:
    """Return rows that hold the promises of the lake: valid, on the grid, sorted, unique.

    Args:
        name: the file, for messages.
        timeframe: empty for kinds without one.
        dates: the range [start, end) in which the file's name says its rows lie.

    Raises:
        DataError: rows break a rule and may not be dropped, two rows of one open time differ, or nothing is left.
    """
    rows, problems = parsed.rows, parsed.problems
    read = len(rows) + problems.lost
    rows, changed = rounded(name, rows, problems, allowed.price_decimals)
    check_values(rows, problems)
    check_times(rows, problems, timeframe, dates)
    if (problems.count and not allowed.drop_bad) or not len(rows) or problems.bad.all():
        raise refusal(name, problems, len(rows))
    repairs: dict[str, NDArray[np.int64]] = {}
    good = ~problems.bad if problems.count else slice(None)
    if problems.count:
        note_dropped(problems, rows.key[good], rows.line[good], repairs)
    if changed is not None:
        repairs["prices_rounded"] = rows.key[changed & ~problems.bad]
    rows = rows.take(good)
    if timeframe:
        refuse_other_spacing(name, rows.key, timeframe)
    if rows.schema.kind == KLINES.kind:
        refuse_index_prices(name, rows)
    if not rises(rows.identity):
        falls = rows.key < np.maximum.accumulate(rows.key)
        if falls.any():
            repairs["rows_sorted"] = rows.key[falls]
        rows = unique(name, rows, repairs, allowed, problems)
    flag_jumps(rows, repairs)
    return CleanRows(rows, repairs, source, tuple(problems.found), read)


def refusal(name: str, problems: Problems, rows: int) -> DataError:
    """Return the error that lists what is wrong with a file."""
    listed = "; ".join(str(problem) for problem in problems.found[:EXAMPLES])
    more = f"; and {len(problems.found) - EXAMPLES} more kinds" if len(problems.found) > EXAMPLES else ""
    return DataError(
        f"{name}: {problems.count} of {rows + problems.lost} rows are bad: {listed}{more}",
        hint="mend the file, or leave the bad rows out and have that recorded: --drop-bad",
    )


def note_dropped(
    problems: Problems, times: NDArray[np.int64], lines: NDArray[np.int64], repairs: dict[str, NDArray[np.int64]]
) -> None:
    """Enter the rows that are left out in the ledger: all together, and by rule.

    Their own times may be wrong, so each counts at that of the last good row before it, or else of the first.

    Args:
        times, lines: of the good rows, in file order, at least one.
    """
    for problem in problems.found:
        near = times[np.maximum(np.searchsorted(lines, problem.lines) - 1, 0)]
        for name in ("bad_rows_dropped", dropped(problem.name)):
            repairs[name] = np.concatenate([repairs[name], near]) if name in repairs else near


def flag_jumps(rows: Rows, repairs: dict[str, NDArray[np.int64]]) -> None:
    """Count candles whose close is absurdly far from the one before; they are kept."""
    if rows.schema.kind != KLINES.kind or len(rows) < 2:
        return
    close = rows.columns["close"]
    jumps = (close[1:] > close[:-1] * JUMP) | (close[1:] * JUMP < close[:-1])
    if jumps.any():
        repairs["jumps_flagged"] = rows.key[1:][jumps]


def _spacing(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the distances between neighbouring different times."""
    distances = np.diff(times if is_sorted(times) else np.sort(times))
    return distances[distances > 0]


def refuse_other_spacing(name: str, times: NDArray[np.int64], timeframe: str) -> None:
    spacing = _spacing(times)
    if len(spacing) >= _FEW and not (spacing == timeframe_us(timeframe)).any():
        raise DataError(
            f"{name}: no two rows are {timeframe} apart, the closest are {int(spacing.min()) / 1e6:g} s apart",
            hint="say the right one with --timeframe",
        )


def refuse_index_prices(name: str, rows: Rows) -> None:
    """Mark and index prices come in files of the same shape and name, with no volume but a count of samples."""
    if len(rows) >= _FEW and not rows.columns["volume"].any() and (rows.columns["trades"] > 0).all():
        raise DataError(
            f"{name}: every volume is zero while every row counts trades: these look like mark or index prices",
            hint="import klines; mark and index prices are another kind",
        )


def unique(name: str, rows: Rows, repairs: dict[str, NDArray[np.int64]], allowed: Repairs, problems: Problems) -> Rows:
    merged = merge_rows(rows)
    if len(merged.conflicts):
        if not allowed.drop_bad:
            first, second = (merged.ordered.take([int(index)]) for index in merged.conflicts[0])
            raise DataError(
                f"{name}: {len(merged.conflicts)} {twice(rows.schema)}, the first at "
                f"{format_time(int(first.key[0]))}: line {first.line[0]} {row_text(first)} and line {second.line[0]} "
                f"{row_text(second)}",
                hint="remove the wrong rows, or leave out all rows of such times and have that recorded: --drop-bad",
            )
        unclear = merged.ordered.take(merged.unclear)
        repairs["conflicting_rows_dropped"] = unclear.key
        problems.found.append(Problem("conflicting", twice(rows.schema), np.sort(unclear.line), ()))
        merged = merge_rows(merged.ordered.take(~merged.unclear))
        if not len(merged.rows):
            raise DataError(f"{name}: no row is left: all have another one of the same time", hint="mend the file")
    if merged.duplicates:
        repairs["duplicates_dropped"] = merged.ordered.key[~changes(merged.ordered.identity)]
    return merged.rows
