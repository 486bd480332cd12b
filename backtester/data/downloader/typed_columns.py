"""Arrow columns of any type into those of a schema. Text is read as decimals, exponents and all, never by width."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from backtester.data.downloader.archive_columns import ours_from
from backtester.data.downloader.csv_tables import Batch
from backtester.data.downloader.problems import Problems
from backtester.data.downloader.rows import Rows, rows_of
from backtester.data.downloader.times import NOT_A_TIME, plain_values, times_of_array
from backtester.data.schemas import Column, Schema

_NUMBER: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_UNKNOWN: Final = frozenset({"", "null", "none", "nan", "na", "n/a", "\\n", "-"})
_MOST_WHOLE: Final = 2.0**63


def typed_rows(batch: Batch, schema: Schema) -> tuple[Rows, Problems]:
    """Return the rows of a batch, and which of them hold a value that cannot be read."""
    problems = Problems(np.zeros(len(batch.lines), dtype=np.bool_))
    columns: dict[str, NDArray[Any]] = {}
    sources = ours_from(schema, batch.columns)
    for column in schema.columns:
        source = sources.get(column.name)
        if source is None:
            columns[column.name] = column.unknown(len(batch.lines))
        elif column.role == "time":
            times = times_of_array(source)
            absent = times == NOT_A_TIME
            what = "not a time" if column.name == schema.key else f"{column.name} is not a time"
            if not column.nullable:
                problems.mark("not_a_time", what, absent, batch.lines, source)
            columns[column.name] = np.where(absent, -1, times) if column.nullable else times
        elif column.role == "flag":
            columns[column.name], wrong = _flags(source)
            problems.mark("not_a_number", f"{column.name} is not true or false", wrong, batch.lines, source)
        else:
            columns[column.name], bad = _numbers(source, column)
            if bad is not None:
                problems.mark("not_a_number", f"{column.name} is not a number", bad, batch.lines, source)
    return rows_of(schema, columns, 0, batch.lines), problems


def _flags(array: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where a column says true, and where it says neither true nor false."""
    if pa.types.is_boolean(array.type):
        if array.null_count:
            return _mask(array.fill_null(False)), _mask(array.is_null())
        return plain_values(array.cast(pa.uint8())).view(np.bool_), np.zeros(len(array), dtype=np.bool_)
    text = pc.utf8_lower(pc.utf8_trim_whitespace(pc.cast(array, pa.string()).fill_null("")))
    true, false = _mask(pc.equal(text, "true")), _mask(pc.equal(text, "false"))
    return true, ~(true | false)


def _numbers(array: Any, column: Column) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return a column's values and where they are wrong, None when nowhere; unknown values are wrong only in columns
    that need one.
    """
    kind = pa.int64() if column.dtype == "int64" else pa.float64()
    if not _is_text(array):
        try:
            array = pc.cast(array, pa.string()) if pa.types.is_decimal(array.type) else pc.cast(array, kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            array = pc.cast(array, pa.string())
    wrong: NDArray[np.bool_] | None = None
    if _is_text(array):
        array, wrong = _numbers_of_text(array, kind)
    absent = None
    if array.null_count:
        absent = _mask(array.is_null())
        array = array.fill_null(float("nan") if column.dtype == "float64" else -1)
    values = plain_values(array)
    if column.dtype == "float64":
        values = np.add(values, 0.0)  # a negative zero becomes zero
        if len(values) and np.isnan(np.min(values)):
            absent = np.isnan(values)
    if absent is not None and not column.nullable:
        wrong = absent if wrong is None else wrong | absent
    return values, wrong


def _numbers_of_text(text: Any, kind: Any) -> tuple[Any, NDArray[np.bool_] | None]:
    text = pc.utf8_trim_whitespace(text.fill_null(""))
    try:
        return pc.cast(text, kind), None
    except pa.ArrowInvalid:
        pass
    is_number = pc.match_substring_regex(text, _NUMBER)
    unknown = pc.is_in(pc.utf8_lower(text), value_set=pa.array(sorted(_UNKNOWN)))
    numbers = pc.cast(pc.if_else(is_number, text, pa.scalar(None, text.type)), pa.float64())
    wrong = _mask(pc.invert(pc.or_(is_number, unknown)))
    if kind == pa.int64():
        fits = pc.and_(pc.equal(pc.round(numbers), numbers), pc.less(pc.abs(numbers), _MOST_WHOLE))
        whole = pc.fill_null(fits, True)
        wrong |= ~_mask(whole)
        numbers = pc.cast(pc.if_else(whole, numbers, None), pa.int64())
    return numbers, wrong


def _is_text(array: Any) -> bool:
    return bool(pa.types.is_string(array.type) or pa.types.is_large_string(array.type))


def _mask(array: Any) -> NDArray[np.bool_]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.bool_)
