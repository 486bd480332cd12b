"""Rows that can be trusted: every row checked, refused with its line or repaired on request and counted."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.core.time import TIMEFRAMES, format_time, grid_offset_us, timeframe_us
from backtester.data.decimals import MAX_PRICE_DECIMALS, restores
from backtester.data.downloader.merging import is_sorted, merge_rows
from backtester.data.downloader.parsing import Parsed
from backtester.data.downloader.problems import EXAMPLES, Problem, Problems
from backtester.data.downloader.rows import CleanRows, Rows
from backtester.data.downloader.rules import DATE_SLACK, JUMP, dropped
from backtester.data.downloader.writing import row_text, twice
from backtester.data.ordering import changes
from backtester.data.partition import Source
from backtester.data.schemas import KLINES, Column

_CANDLE: Final = ("open", "high", "low", "close")
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
    name: str,
    parsed: Parsed,
    source: Source,
    timeframe: str,
    allowed: Repairs,
    dates: tuple[int, int] | None = None,
    *,
    sparse: bool = False,
) -> CleanRows:
    """Return rows that hold the promises of the lake: valid, on the grid, sorted, unique.

    Args:
        name: the file, for messages.
        timeframe: empty for kinds without one.
        dates: the range [start, end) in which the file's name says its rows lie.
        sparse: the timeframe is known for sure, so that no two rows need be neighbours.

    Raises:
        DataError: rows break a rule and may not be dropped, two rows of one open time differ, or nothing is left.
    """
    rows, problems = parsed.rows, parsed.problems
    read = len(rows) + problems.lost
    rows, rounded = _rounded(name, rows, problems, allowed)
    _check_values(rows, problems)
    _check_times(rows, problems, timeframe, dates)
    if problems.count and not allowed.drop_bad:
        raise refusal(name, problems, len(rows))
    repairs: dict[str, NDArray[np.int64]] = {}
    good = ~problems.bad
    if not good.any():
        raise refusal(name, problems, len(rows))
    if problems.count:
        _note_dropped(rows, problems, repairs)
    if rounded.any():
        repairs["prices_rounded"] = rows.key[rounded & good]
    rows = rows.take(good)
    if timeframe and not sparse:
        _refuse_other_spacing(name, rows.key, timeframe)
    if rows.schema.kind == KLINES.kind:
        _refuse_index_prices(name, rows)
    falls = rows.key < np.maximum.accumulate(rows.key)
    if falls.any():
        repairs["rows_sorted"] = rows.key[falls]
    rows = _unique(name, rows, repairs, allowed, problems)
    _flag_jumps(rows, repairs)
    return CleanRows(rows, repairs, source, tuple(problems.found), read)


def refusal(name: str, problems: Problems, rows: int) -> DataError:
    """Return the error that lists what is wrong with a file."""
    listed = "; ".join(str(problem) for problem in problems.found[:EXAMPLES])
    more = f"; and {len(problems.found) - EXAMPLES} more kinds" if len(problems.found) > EXAMPLES else ""
    return DataError(
        f"{name}: {problems.count} of {rows + problems.lost} rows are bad: {listed}{more}",
        hint="mend the file, or leave the bad rows out and have that recorded: --drop-bad",
    )


def _rounded(name: str, rows: Rows, problems: Problems, allowed: Repairs) -> tuple[Rows, NDArray[np.bool_]]:
    """Round prices if asked; refuse prices that need more decimals than the lake keeps."""
    changed = np.zeros(len(rows), dtype=np.bool_)
    columns = dict(rows.columns)
    for column in rows.schema.prices:
        prices = columns[column]
        finite = np.isfinite(prices)
        if allowed.price_decimals is None:
            too_fine = finite & ~problems.bad
            too_fine[finite] &= ~restores(prices[finite], MAX_PRICE_DECIMALS)
            if too_fine.any():
                first = int(np.argmax(too_fine))
                raise DataError(
                    f"{name}: {int(too_fine.sum())} values of {column} need more than {MAX_PRICE_DECIMALS} decimals, "
                    f"the first on line {rows.line[first]}: {float(prices[first])!r}",
                    hint="round all prices of the file and have that recorded: --price-decimals 8",
                )
        else:
            scale = float(10**allowed.price_decimals)
            columns[column] = np.where(finite, np.rint(prices * scale) / scale, prices)
            changed |= finite & (columns[column] != prices)
    return Rows(rows.schema, columns, rows.origin, rows.line), changed


def _check_values(rows: Rows, problems: Problems) -> None:
    columns, lines = rows.columns, rows.line
    with np.errstate(invalid="ignore"):
        for column in rows.schema.columns:
            name, values = column.name, columns[column.name]
            if column.role in {"time", "flag"}:
                continue
            problems.mark("not_finite", f"{name} is not finite", np.isinf(values), lines, values)
            if column.role == "price":
                problems.mark("not_positive", f"{name} is not above zero", ~(values > 0), lines, values)
            elif column.role != "number":
                problems.mark("negative", f"{name} is negative", _negative(column, values), lines, values)
        if "high" not in columns:
            return
        opens, closes = columns["open"], columns["close"]
        for rule, bound, wrong in (
            ("low_above", "low is above", columns["low"] > np.minimum(opens, closes)),
            ("high_below", "high is below", columns["high"] < np.maximum(opens, closes)),
        ):
            problems.mark(rule, f"{bound} open or close", wrong, lines, _RowTexts(rows))


def _check_times(rows: Rows, problems: Problems, timeframe: str, dates: tuple[int, int] | None) -> None:
    times, lines, key = rows.key, rows.line, rows.schema.key
    texts = _Times(times)
    if dates is not None:
        slack = DATE_SLACK.get(rows.schema.kind, 0)
        outside = (times < dates[0] - slack) | (times >= dates[1] + slack)
        span = f"{format_time(dates[0])} .. {format_time(dates[1])}"
        problems.mark("outside_dates", f"{key} is outside the file's dates {span}", outside, lines, texts)
    if timeframe:
        length = timeframe_us(timeframe)
        off = (times - grid_offset_us(length)) % length != 0
        problems.mark("off_grid", f"{key} is off the timeframe's grid", off, lines, texts)


def _note_dropped(rows: Rows, problems: Problems, repairs: dict[str, NDArray[np.int64]]) -> None:
    """Enter the rows that are left out in the ledger: all together, and by rule."""
    good = ~problems.bad
    repairs["bad_rows_dropped"] = _times_near(rows.key, good, problems.lost)
    for problem in problems.found:
        broken = np.isin(rows.line, problem.lines)
        lost = len(problem.lines) - int(np.count_nonzero(broken))
        times = _times_near(rows.key, good, lost, np.flatnonzero(broken))
        name = dropped(problem.name)
        repairs[name] = np.concatenate([repairs[name], times]) if name in repairs else times


def _flag_jumps(rows: Rows, repairs: dict[str, NDArray[np.int64]]) -> None:
    """Count candles whose close is absurdly far from the one before; they are kept."""
    if rows.schema.kind != KLINES.kind or len(rows) < 2:
        return
    close = rows.columns["close"]
    jumps = (close[1:] > close[:-1] * JUMP) | (close[1:] * JUMP < close[:-1])
    if jumps.any():
        repairs["jumps_flagged"] = rows.key[1:][jumps]


def _negative(column: Column, values: NDArray[Any]) -> NDArray[np.bool_]:
    wrong: NDArray[np.bool_] = values < (-1 if column.nullable and column.dtype == "int64" else 0)
    return wrong


def _times_near(
    times: NDArray[np.int64], good: NDArray[np.bool_], lost: int, bad: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return a time for each bad row: its own may be wrong, so that of the last good row before it, or of the first."""
    positions = np.flatnonzero(good)
    before = np.maximum(np.searchsorted(positions, np.flatnonzero(~good) if bad is None else bad) - 1, 0)
    near = times[positions[before]]
    return np.concatenate([near, np.full(lost, times[positions[0]], dtype=np.int64)])


def _spacing(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the distances between neighbouring different times."""
    distances = np.diff(times if is_sorted(times) else np.sort(times))
    return distances[distances > 0]


def _refuse_other_spacing(name: str, times: NDArray[np.int64], timeframe: str) -> None:
    spacing = _spacing(times)
    if len(spacing) >= _FEW and not (spacing == timeframe_us(timeframe)).any():
        raise DataError(
            f"{name}: no two rows are {timeframe} apart, the closest are {int(spacing.min()) / 1e6:g} s apart",
            hint="say the right one with --timeframe",
        )


def _refuse_index_prices(name: str, rows: Rows) -> None:
    """Mark and index prices come in files of the same shape and name, with no volume but a count of samples."""
    if len(rows) >= _FEW and not rows.columns["volume"].any() and (rows.columns["trades"] > 0).all():
        raise DataError(
            f"{name}: every volume is zero while every row counts trades: these look like mark or index prices",
            hint="import klines; mark and index prices are another kind",
        )


def _unique(name: str, rows: Rows, repairs: dict[str, NDArray[np.int64]], allowed: Repairs, problems: Problems) -> Rows:
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


class _RowTexts:
    """Rows as texts, made only when one is shown."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __getitem__(self, row: int) -> str:
        return " ".join(f"{name}={self._rows.columns[name][row]}" for name in _CANDLE)


class _Times:
    """Times as texts, made only when one is shown."""

    def __init__(self, times: NDArray[np.int64]) -> None:
        self._times = times

    def __getitem__(self, row: int) -> str:
        return format_time(int(self._times[row]))
