"""The rules that a row keeps or breaks by itself, for the rows of a file or of a block of it."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.core.time import format_time, grid_offset_us, timeframe_us
from backtester.data.decimals import MAX_PRICE_DECIMALS, too_fine
from backtester.data.downloader.problems import Problems
from backtester.data.downloader.rows import Rows
from backtester.data.downloader.rules import DATE_SLACK
from backtester.data.schemas import Column

_CANDLE: Final = ("open", "high", "low", "close")


def rounded(
    name: str, rows: Rows, problems: Problems, price_decimals: int | None
) -> tuple[Rows, NDArray[np.bool_] | None]:
    """Round prices if asked, and return the rows and which of them that changed, None when none.

    Raises:
        DataError: nothing is to be rounded, and a price needs more decimals than the lake keeps.
    """
    if price_decimals is None:
        _refuse_too_fine(name, rows, problems)
        return rows, None
    changed = np.zeros(len(rows), dtype=np.bool_)
    columns = dict(rows.columns)
    scale = float(10**price_decimals)
    for column in rows.schema.prices:
        prices = columns[column]
        finite = np.isfinite(prices)
        with np.errstate(invalid="ignore"):
            columns[column] = np.where(finite, np.rint(prices * scale) / scale, prices)
        changed |= finite & (columns[column] != prices)
    return Rows(rows.schema, columns, rows.origin, rows.line), changed if changed.any() else None


def _refuse_too_fine(name: str, rows: Rows, problems: Problems) -> None:
    for column in rows.schema.prices:
        prices = rows.columns[column]
        with np.errstate(invalid="ignore"):
            fine = too_fine(prices, MAX_PRICE_DECIMALS)
        if fine is None or not (fine := fine & ~problems.bad).any():
            continue
        first = int(np.argmax(fine))
        raise DataError(
            f"{name}: {int(fine.sum())} values of {column} need more than {MAX_PRICE_DECIMALS} decimals, "
            f"the first on line {rows.line[first]}: {float(prices[first])!r}",
            hint="round all prices of the file and have that recorded: --price-decimals 8",
        )


def check_values(rows: Rows, problems: Problems) -> None:
    """Mark rows with values that cannot be: not finite, prices not above zero, negative amounts, crossed extremes."""
    columns, lines = rows.columns, rows.line
    if not len(rows):
        return
    with np.errstate(invalid="ignore"):
        for column in rows.schema.columns:
            name, values = column.name, columns[column.name]
            if column.role in {"time", "flag"} or _is_fine(column, values):
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


def check_times(rows: Rows, problems: Problems, timeframe: str, dates: tuple[int, int] | None) -> None:
    """Mark rows whose time is outside the dates that the file's name promises, or off the timeframe's grid."""
    times, lines, key = rows.key, rows.line, rows.schema.key
    texts = _Times(times)
    if not len(times):
        return
    if dates is not None:
        slack = DATE_SLACK.get(rows.schema.kind, 0)
        start, end = dates[0] - slack, dates[1] + slack
        if times.min() < start or times.max() >= end:
            span = f"{format_time(dates[0])} .. {format_time(dates[1])}"
            outside = (times < start) | (times >= end)
            problems.mark("outside_dates", f"{key} is outside the file's dates {span}", outside, lines, texts)
    if timeframe:
        length = timeframe_us(timeframe)
        off = (times - grid_offset_us(length)) % length != 0
        problems.mark("off_grid", f"{key} is off the timeframe's grid", off, lines, texts)


def _is_fine(column: Column, values: NDArray[Any]) -> bool:
    """Say whether two looks at a column prove that no value breaks a rule; a NaN proves nothing."""
    least, most = np.min(values), np.max(values)
    if column.role == "price":
        return bool(least > 0 and most < np.inf)
    return bool(least > -np.inf and most < np.inf) if column.role == "number" else bool(least >= 0 and most < np.inf)


def _negative(column: Column, values: NDArray[Any]) -> NDArray[np.bool_]:
    wrong: NDArray[np.bool_] = values < (-1 if column.nullable and column.dtype == "int64" else 0)
    return wrong


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
