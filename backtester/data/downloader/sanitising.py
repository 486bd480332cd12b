"""Rows that can be trusted: every row checked, refused with its line or repaired on request and counted."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.core.time import TIMEFRAMES, format_time
from backtester.data.downloader.file_checks import FileChecks, Repaired, Repairs, SortedChecks
from backtester.data.downloader.merging import is_sorted, merge_rows
from backtester.data.downloader.parsing import Parsed
from backtester.data.downloader.problems import Problem
from backtester.data.downloader.rows import CleanRows, Rows, row_text, twice
from backtester.data.ordering import changes, rises
from backtester.data.partition import Source

__all__ = ["Repairs", "infer_timeframe", "sanitise", "unique"]

_FEW: Final = 3  # spacings from which a timeframe may be inferred


def infer_timeframe(name: str, times: NDArray[np.int64]) -> str:
    """Return the timeframe whose length is the most common distance between neighbouring open times.

    Raises:
        DataError: there are too few rows, or that distance is no timeframe.
    """
    distances = np.diff(times if is_sorted(times) else np.sort(times))
    spacing = distances[distances > 0]
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
    checks = FileChecks(name, timeframe, allowed, dates)
    rows, repaired = checks.take(parsed)
    checks.finish(rows.schema.kind)
    rows, conflicting = unique(name, rows, repaired, allowed)
    if not len(rows):
        raise DataError(f"{name}: no row is left: all have another one of the same time", hint="mend the file")
    in_order = SortedChecks(name, timeframe)
    repaired.update(in_order.take(rows))
    in_order.finish()
    return CleanRows(rows, repaired, source, (*checks.found, *conflicting), checks.read)


def unique(name: str, rows: Rows, repaired: Repaired, allowed: Repairs) -> tuple[Rows, list[Problem]]:
    """Return rows sorted and one of each identity, and which were refused because they differ; repairs are added.

    Raises:
        DataError: two rows of one identity differ and may not be dropped.
    """
    if rises(rows.identity):
        return rows, []
    merged = merge_rows(rows)
    conflicting: list[Problem] = []
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
        repaired["conflicting_rows_dropped"] = unclear.key
        conflicting.append(Problem("conflicting", twice(rows.schema), np.sort(unclear.line), ()))
        merged = merge_rows(merged.ordered.take(~merged.unclear))
    if merged.duplicates:
        repaired["duplicates_dropped"] = merged.ordered.key[~changes(merged.ordered.identity)]
    return merged.rows, conflicting
