"""Tables of text or Parquet into typed columns. Values are read as decimal text, exponents and all, never by width."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.data.downloader.naming import ARCHIVE_COLUMNS, SYMBOL_NAMES, match_columns, plain_name
from backtester.data.downloader.problems import Problems
from backtester.data.downloader.rows import Rows, rows_of
from backtester.data.downloader.times import NOT_A_TIME, times_of_array, times_of_text
from backtester.data.schemas import Column, Schema

_NUMBER: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_UNKNOWN: Final = frozenset({"", "null", "none", "nan", "na", "n/a", "\\n"})
_FEWEST_COLUMNS: Final = 5
_PREAMBLE_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class Parsed:
    """The rows of one table, in file order, and what could not be read. Rows marked bad hold no usable values."""

    rows: Rows
    problems: Problems


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a CSV is written: the lines before the first row, the delimiter, and the names of its columns."""

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
    if name.lower().endswith(".parquet"):
        table, lines, lost = _read_parquet(name, data, schema, mapping)
    else:
        table, lines, lost = _read_csv(name, data, schema, {} if official else mapping)
    problems = Problems(np.zeros(len(lines), dtype=np.bool_))
    problems.lose("wrong number of columns", [line for line, _ in lost], [text for _, text in lost])
    columns: dict[str, NDArray[Any]] = {}
    for column in schema.columns:
        source = table.get(column.name)
        if source is None:
            columns[column.name] = column.unknown(len(lines))
        elif column.name == schema.key:
            columns[column.name] = times = times_of_array(source)
            problems.mark("not a time", times == NOT_A_TIME, lines, source)
        else:
            columns[column.name], wrong = _numbers(source, column)
            problems.mark(f"{column.name} is not a number", wrong, lines, source)
    return Parsed(rows_of(schema, columns, 0, lines), problems)


def _read_csv(
    name: str, data: bytes, schema: Schema, mapping: Mapping[str, str]
) -> tuple[dict[str, Any], NDArray[np.int64], list[tuple[int, str]]]:
    data = data.removeprefix(b"\xef\xbb\xbf")
    layout = _layout(name, data)
    chosen = match_columns(name, layout.names, mapping, schema)
    symbol = next((at for at, text in enumerate(layout.names) if plain_name(text) in SYMBOL_NAMES), None)
    wanted = sorted({*chosen.values(), *([] if symbol is None else [symbol])})
    lost: list[tuple[int, str]] = []

    def skip(row: Any) -> str:
        lost.append((row.number, row.text.strip()))
        return "skip"

    try:
        table = pcsv.read_csv(
            io.BytesIO(data),
            read_options=pcsv.ReadOptions(
                use_threads=False, skip_rows=layout.skipped, column_names=[str(at) for at in range(len(layout.names))]
            ),
            parse_options=pcsv.ParseOptions(
                delimiter=layout.delimiter, ignore_empty_lines=False, invalid_row_handler=skip
            ),
            convert_options=pcsv.ConvertOptions(
                include_columns=[str(at) for at in wanted],
                column_types={str(at): pa.string() for at in wanted},
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{name} is not a readable CSV: {error}", hint="it must be UTF-8 text, one row a line"
        ) from error
    lines = _line_numbers(layout.skipped, table.num_rows, [number for number, _ in lost])
    key = table.column(str(chosen[schema.key])).combine_chunks()
    blank = np.asarray(pc.equal(key, "").to_numpy(zero_copy_only=False), dtype=np.bool_)
    for at in wanted if blank.any() else []:
        blank &= np.asarray(pc.equal(table.column(str(at)), "").to_numpy(), dtype=np.bool_)
    if blank.any():
        table = table.filter(pa.array(~blank))
        lines = lines[~blank]
    if table.num_rows == 0:
        raise DataError(f"{name} holds no rows", hint="leave it out")
    if symbol is not None:
        _refuse_several_symbols(name, table.column(str(symbol)))
    columns = {ours: table.column(str(at)).combine_chunks() for ours, at in chosen.items()}
    return columns, lines, [(number, text) for number, text in lost if text]


def _layout(name: str, data: bytes) -> _Layout:
    """Find the first line that has enough columns; comment lines above it are skipped, and itself when it is a
    header.
    """
    head = data[: 1 << 16].decode("utf-8", errors="replace").splitlines()
    for number, line in enumerate(head[:_PREAMBLE_LINES]):
        if not line.strip() or line.startswith("#"):
            continue
        for delimiter in ",;\t":
            fields = next(csv.reader([line], delimiter=delimiter))
            if len(fields) < _FEWEST_COLUMNS:
                continue
            if not _is_value(fields[0]):
                return _Layout(number + 1, delimiter, fields)
            names = [
                ARCHIVE_COLUMNS[at] if at < len(ARCHIVE_COLUMNS) else f"column {at + 1}" for at in range(len(fields))
            ]
            return _Layout(number, delimiter, names)
    if not data.strip():
        raise DataError(f"{name} is empty", hint="leave it out, or fetch it again")
    raise DataError(
        f"{name} has no line with at least {_FEWEST_COLUMNS} columns in its first {_PREAMBLE_LINES}",
        hint="candles need an open time, four prices and a volume in columns, with commas between",
    )


def _is_value(field: str) -> bool:
    """Say whether a first field is data (a number or a time) rather than the name of a column."""
    try:
        float(field)
    except ValueError:
        return bool(times_of_text(pa.array([field]))[0] != NOT_A_TIME)
    return True


def _line_numbers(skipped: int, rows: int, lost: list[int]) -> NDArray[np.int64]:
    lines = np.arange(skipped + 1, skipped + 1 + rows + len(lost), dtype=np.int64)
    return lines[~np.isin(lines, np.array(lost, dtype=np.int64))] if lost else lines


def _read_parquet(
    name: str, data: bytes, schema: Schema, mapping: Mapping[str, str]
) -> tuple[dict[str, Any], NDArray[np.int64], list[tuple[int, str]]]:
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        header = file.schema_arrow.names
        chosen = match_columns(name, header, mapping, schema)
        symbol = next((text for text in header if plain_name(text) in SYMBOL_NAMES), None)
        wanted = [header[at] for at in chosen.values()] + ([] if symbol is None else [symbol])
        table = file.read(columns=wanted, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{name} is not a readable Parquet file: {error}", hint="fetch it again") from error
    if table.num_rows == 0:
        raise DataError(f"{name} holds no rows", hint="leave it out")
    if symbol is not None:
        _refuse_several_symbols(name, table.column(symbol))
    columns = {ours: table.column(header[at]).combine_chunks() for ours, at in chosen.items()}
    return columns, np.arange(1, table.num_rows + 1, dtype=np.int64), []


def _refuse_several_symbols(name: str, column: Any) -> None:
    symbols = [str(one) for one in pc.unique(column).to_pylist()]
    if len(symbols) > 1:
        raise DataError(
            f"{name} holds {len(symbols)} symbols: {', '.join(symbols[:5])}{' ...' if len(symbols) > 5 else ''}",
            hint="split it into one file per symbol",
        )


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
        whole = pc.fill_null(pc.equal(pc.round(numbers), numbers), True)
        wrong |= ~np.asarray(whole.to_numpy(zero_copy_only=False), dtype=np.bool_)
        numbers = pc.cast(pc.if_else(whole, numbers, None), pa.int64())
    return numbers, wrong
