"""Tables of text or Parquet into typed columns. Values are read as decimal text, exponents and all, never by width."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.data.downloader.archive_columns import (
    HOLDS_SEVERAL_SYMBOLS,
    POSITIONS,
    ours_from,
    source_columns,
)
from backtester.data.downloader.broken_lines import head_lines, rows_among, usual_columns, without_open_quotes
from backtester.data.downloader.naming import SYMBOL_NAMES, match_columns, plain_name
from backtester.data.downloader.problems import Problems, joined_problems
from backtester.data.downloader.rows import Rows, concatenated, rows_of
from backtester.data.downloader.times import NOT_A_TIME, times_of_array, times_of_text
from backtester.data.schemas import Column, Schema

_NUMBER: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_UNKNOWN: Final = frozenset({"", "null", "none", "nan", "na", "n/a", "\\n", "-"})
_MOST_NEEDED: Final = 5  # so many columns make a line one of the table, or all required ones when a kind has fewer
_PREAMBLE_LINES: Final = 20
_BLOCK_BYTES: Final = 8 << 20  # text becomes numbers block by block, so that memory holds the text once
_MOST_WHOLE: Final = 2.0**63
_BATCH_ROWS: Final = 1 << 17
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Parsed:
    """The rows of one table, in file order, and what could not be read. Rows marked bad hold no usable values."""

    rows: Rows
    problems: Problems


@dataclass(frozen=True, slots=True)
class _Batch:
    """A part of a table: Arrow arrays by our column's name, and the line of each row."""

    columns: dict[str, Any]
    lines: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a CSV is written: the lines above the table and before its first row (one more with a header), the
    delimiter, and the names of its columns.
    """

    above: int
    skipped: int
    delimiter: str
    names: list[str]


def parse_table(
    name: str, data: bytes, schema: Schema, mapping: Mapping[str, str], *, official: bool = False
) -> Parsed:
    """Parse the bytes of a CSV or Parquet table.

    Args:
        name: the file's name, for messages; `.parquet` decides for Parquet.
        mapping: our column to the source's name or number, from the user; known names need none.
        official: a file of the archive, so columns are known by position when there is no header.

    Raises:
        DataError: the table has no rows, its columns are unclear, or it holds several symbols.
    """
    lost: list[tuple[int, str]] = []
    if name.lower().endswith(".parquet"):
        batches = _read_parquet(name, data, schema, mapping)
    else:
        batches = _read_csv(name, data, schema, {} if official else mapping, lost, official=official)
    parts = [_typed(batch, schema) for batch in batches if len(batch.lines)]
    if not parts:
        raise DataError(f"{name} holds no rows", hint="leave it out")
    wrong = joined_problems([part.problems for part in parts])
    wrong.lose("wrong_columns", "wrong number of columns", [line for line, _ in lost], [text for _, text in lost])
    return Parsed(concatenated([part.rows for part in parts]), wrong)


def _typed(batch: _Batch, schema: Schema) -> Parsed:
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
            columns[column.name], wrong = _numbers(source, column)
            problems.mark("not_a_number", f"{column.name} is not a number", wrong, batch.lines, source)
    return Parsed(rows_of(schema, columns, 0, batch.lines), problems)


def _read_csv(
    name: str,
    data: bytes,
    schema: Schema,
    mapping: Mapping[str, str],
    lost: list[tuple[int, str]],
    *,
    official: bool,
) -> Iterator[_Batch]:
    """Yield a CSV block by block; lines that cannot be split into the columns are added to `lost` as they are met."""
    if data.startswith(_BYTE_ORDER_MARK):
        data = data[len(_BYTE_ORDER_MARK) :]
    if not data.isascii():
        data = data.decode("utf-8", errors="replace").encode()  # broken text breaks its own row, not the table
    data, open_quotes = without_open_quotes(data)
    lost += open_quotes
    layout = _layout(name, data, schema, official=official)
    if official:  # nothing stands above an archive's table, so what does is a broken row
        lost += rows_among(head_lines(data)[: layout.above])
    chosen = match_columns(name, layout.names, mapping, schema)
    symbol = _symbol_column(layout.names, schema)
    wanted = [str(at) for at in sorted({*chosen.values(), *([] if symbol is None else [symbol])})]
    unsplit: list[int] = []  # numbers of all lines that gave no row, whitespace included

    def skip(row: Any) -> str:
        unsplit.append(row.number)
        if row.text.strip():
            lost.append((row.number, row.text.strip()))
        return "skip"

    symbols: set[str] = set()
    next_line = layout.skipped + 1
    try:
        for batch in pcsv.open_csv(
            io.BytesIO(data),
            read_options=pcsv.ReadOptions(
                use_threads=False,
                block_size=_BLOCK_BYTES,
                skip_rows=layout.skipped,
                column_names=[str(at) for at in range(len(layout.names))],
            ),
            parse_options=pcsv.ParseOptions(
                delimiter=layout.delimiter, ignore_empty_lines=False, invalid_row_handler=skip
            ),
            convert_options=pcsv.ConvertOptions(
                include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string()), strings_can_be_null=False
            ),
        ):
            lines = _line_numbers(next_line, batch.num_rows, unsplit)
            next_line = int(lines[-1]) + 1 if len(lines) else next_line
            blank = _blank_rows(batch)
            if blank.any():
                batch, lines = batch.filter(pa.array(~blank)), lines[~blank]  # noqa: PLW2901
            if symbol is not None:
                _refuse_several_symbols(name, symbols, batch.column(str(symbol)))
            yield _Batch({ours: batch.column(str(at)) for ours, at in chosen.items()}, lines)
    except pa.ArrowInvalid as error:
        if next_line == layout.skipped + 1 and not data.split(b"\n", layout.skipped)[-1].strip():
            return
        raise DataError(f"{name} is not a readable CSV: {error}", hint="it must be UTF-8, one row a line") from error


def _blank_rows(batch: Any) -> NDArray[np.bool_]:
    blank = np.ones(batch.num_rows, dtype=np.bool_)
    for column in batch.columns:
        blank &= np.asarray(pc.equal(column, "").to_numpy(zero_copy_only=False), dtype=np.bool_)
        if not blank.any():
            break
    return blank


def _symbol_column(header: Sequence[str], schema: Schema) -> int | None:
    """Return which column must hold one and the same symbol, if there is one."""
    if schema.kind in HOLDS_SEVERAL_SYMBOLS:
        return None
    return next((at for at, text in enumerate(header) if plain_name(text) in SYMBOL_NAMES), None)


def _layout(name: str, data: bytes, schema: Schema, *, official: bool) -> _Layout:
    """Find the first line that has enough columns, in an archive as many as most lines have; comment lines above it
    are skipped, and itself when it is a header.
    """
    fewest = min(_MOST_NEEDED, sum(not column.nullable for column in source_columns(schema)))
    positions = POSITIONS[schema.kind]
    head = head_lines(data)
    usual = usual_columns(head) if official else 0
    for number, line in enumerate(head[:_PREAMBLE_LINES]):
        if not line.strip() or line.startswith("#"):
            continue
        for delimiter in ",;\t":
            fields = next(csv.reader([line], delimiter=delimiter))
            if len(fields) < fewest or (official and len(fields) != usual):
                continue
            if not _is_value(fields[0]):
                return _Layout(number, number + 1, delimiter, fields)
            names = [positions[at] if at < len(positions) else f"column {at + 1}" for at in range(len(fields))]
            return _Layout(number, number, delimiter, names)
    if not data.strip():
        raise DataError(f"{name} is empty", hint="leave it out, or fetch it again")
    raise DataError(
        f"{name} has no line with at least {fewest} columns in its first {_PREAMBLE_LINES}",
        hint="candles need an open time, four prices and a volume in columns, with commas between"
        if schema.gridded
        else f"{schema.kind} has the columns {', '.join(positions)}, with commas between",
    )


def _is_value(field: str) -> bool:
    """Say whether a first field is data (a number or a time) rather than the name of a column."""
    try:
        float(field)
    except ValueError:
        return bool(times_of_text(pa.array([field]))[0] != NOT_A_TIME)
    return True


def _line_numbers(first: int, rows: int, unsplit: list[int]) -> NDArray[np.int64]:
    """Return the numbers of the next `rows` lines from `first` on that gave a row."""
    missing = np.array([number for number in unsplit if number >= first], dtype=np.int64)
    lines = np.arange(first, first + rows + len(missing), dtype=np.int64)
    return lines[~np.isin(lines, missing)][:rows] if len(missing) else lines


def _read_parquet(name: str, data: bytes, schema: Schema, mapping: Mapping[str, str]) -> Iterator[_Batch]:
    symbols: set[str] = set()
    first = 1
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        header = file.schema_arrow.names
        chosen = match_columns(name, header, mapping, schema)
        symbol = _symbol_column(header, schema)
        wanted = [header[at] for at in chosen.values()] + ([] if symbol is None else [header[symbol]])
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=wanted, use_threads=False):
            if symbol is not None:
                _refuse_several_symbols(name, symbols, batch.column(header[symbol]))
            lines = np.arange(first, first + batch.num_rows, dtype=np.int64)
            first += batch.num_rows
            yield _Batch({ours: batch.column(header[at]) for ours, at in chosen.items()}, lines)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{name} is not a readable Parquet file: {error}", hint="fetch it again") from error


def _refuse_several_symbols(name: str, seen: set[str], column: Any) -> None:
    seen.update(str(one) for one in pc.unique(column).to_pylist())
    if len(seen) > 1:
        listed = ", ".join(sorted(seen)[:5]) + (" ..." if len(seen) > 5 else "")
        raise DataError(f"{name} holds {len(seen)} symbols: {listed}", hint="split it into one file per symbol")


def _flags(array: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where a column says true, and where it says neither true nor false."""
    text = pc.utf8_lower(pc.utf8_trim_whitespace(pc.cast(array, pa.string()).fill_null("")))
    true = np.asarray(pc.equal(text, "true").to_numpy(zero_copy_only=False), dtype=np.bool_)
    false = np.asarray(pc.equal(text, "false").to_numpy(zero_copy_only=False), dtype=np.bool_)
    return true, ~(true | false)


def _numbers(array: Any, column: Column) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return a column's values and where they are wrong; unknown values are wrong only in columns that need one."""
    kind = pa.int64() if column.dtype == "int64" else pa.float64()
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        try:
            array = pc.cast(array, pa.string()) if pa.types.is_decimal(array.type) else pc.cast(array, kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            array = pc.cast(array, pa.string())
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        array, wrong = _numbers_of_text(array, kind)
    else:
        wrong = np.zeros(len(array), dtype=np.bool_)
    absent = np.asarray(array.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)
    filled = array.fill_null(float("nan") if column.dtype == "float64" else -1)
    values = np.array(filled.to_numpy(zero_copy_only=False), dtype=column.dtype)
    if column.dtype == "float64":
        values += 0.0  # a negative zero becomes zero
        absent |= np.isnan(values)
    return values, wrong | (absent & ~wrong if not column.nullable else np.zeros(len(values), dtype=np.bool_))


def _numbers_of_text(text: Any, kind: Any) -> tuple[Any, NDArray[np.bool_]]:
    try:
        return pc.cast(text, kind), np.zeros(len(text), dtype=np.bool_)
    except pa.ArrowInvalid:
        pass
    text = pc.utf8_trim_whitespace(text.fill_null(""))
    is_number = pc.match_substring_regex(text, _NUMBER)
    unknown = pc.is_in(pc.utf8_lower(text), value_set=pa.array(sorted(_UNKNOWN)))
    numbers = pc.cast(pc.if_else(is_number, text, pa.scalar(None, text.type)), pa.float64())
    wrong = np.asarray(pc.invert(pc.or_(is_number, unknown)).to_numpy(zero_copy_only=False), dtype=np.bool_)
    if kind == pa.int64():
        fits = pc.and_(pc.equal(pc.round(numbers), numbers), pc.less(pc.abs(numbers), _MOST_WHOLE))
        whole = pc.fill_null(fits, True)
        wrong |= ~np.asarray(whole.to_numpy(zero_copy_only=False), dtype=np.bool_)
        numbers = pc.cast(pc.if_else(whole, numbers, None), pa.int64())
    return numbers, wrong
