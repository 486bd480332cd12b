"""Text tables, block by block, into Arrow columns: straight into numbers where a whole block is clean, else as text."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.data.downloader.archive_columns import (
    HOLDS_SEVERAL_SYMBOLS,
    POSITIONS,
    is_kept_as_text,
    source_columns,
)
from backtester.data.downloader.broken_lines import (
    HEAD_BYTES,
    Line,
    head_lines,
    rows_among,
    usual_columns,
    without_open_quotes,
)
from backtester.data.downloader.naming import SYMBOL_NAMES, match_columns, plain_name
from backtester.data.downloader.times import NOT_A_TIME, times_of_text
from backtester.data.schemas import Schema

_MOST_NEEDED: Final = 5  # so many columns make a line one of the table, or all required ones when a kind has fewer
_PREAMBLE_LINES: Final = 20
_BLOCK_BYTES: Final = 1 << 20  # memory holds a few blocks, and its columns stay in a core's cache
_LONGEST_LINE: Final = 64 << 20
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_TRUE: Final = ["true", "True", "TRUE"]
_FALSE: Final = ["false", "False", "FALSE"]


@dataclass(frozen=True, slots=True)
class Batch:
    """A part of a table: Arrow arrays by our column's name, and the line of each row.

    unsplit: number and text of lines that could not be split into the columns. as_text: reads the same rows again, so
    that a message can show what the file says; None when the columns are as the file has them.
    """

    columns: dict[str, Any]
    lines: NDArray[np.int64]
    unsplit: Sequence[tuple[int, str]] = ()
    as_text: "Callable[[], Batch] | None" = None


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a CSV is written: lines above the table (with a header one less than before the first row), lines and bytes
    before the first row, delimiter, names of columns, fields of that row.
    """

    above: int
    lines: int
    bytes: int
    delimiter: str
    names: list[str]
    first: list[str]


def read_csv(
    name: str,
    chunks: Iterable[bytes],
    schema: Schema,
    mapping: Mapping[str, str],
    *,
    official: bool = False,
    fast: bool = True,
) -> Iterator[Batch]:
    """Yield the rows of a CSV, of which bytes come in chunks of any size.

    Args:
        official: a file of the archive: nothing stands above its table, so what does is a broken row.
        fast: try to read numbers straight from the bytes; without, every block is read as text first. Both give the
        same values and the same lines.

    Raises:
        DataError: its columns are unclear, it holds several symbols, or it is no table.
    """
    blocks = _blocks(name, chunks)
    head: bytes | memoryview = memoryview(next(blocks, b""))
    if bytes(head[: len(_BYTE_ORDER_MARK)]) == _BYTE_ORDER_MARK:
        head = head[len(_BYTE_ORDER_MARK) :]
    head, broken = without_open_quotes(head)
    beginning = bytes(head[:HEAD_BYTES])
    layout = _layout(name, beginning, schema, official=official)
    above = rows_among(head_lines(beginning)[: layout.above]) if official else []
    chosen = match_columns(name, layout.names, mapping, schema)
    symbol = symbol_column(layout.names, schema)
    reader = _Reader(name, layout, _types(schema, chosen, symbol, layout), fast=fast)
    symbols: set[str] = set()
    line = layout.lines + 1
    lost = [*above, *broken]
    for text in chain([head[layout.bytes :]], blocks):
        if not len(text):
            continue
        if line > layout.lines + 1:
            text, broken = without_open_quotes(text)  # noqa: PLW2901
            lost = [(line + number - 1, kept) for number, kept in broken]
        block = reader.read(text, line)
        if symbol is not None:
            refuse_several_symbols(name, symbols, block.table.column(str(symbol)))
        as_text = partial(_again_as_text, reader, text, line, chosen, lost) if block.is_typed else None
        yield _batch(block, chosen, lost, as_text)
        line += len(block.lines) + len(block.unsplit)


def symbol_column(header: Sequence[str], schema: Schema) -> int | None:
    """Return which column must hold one and the same symbol, if there is one."""
    if schema.kind in HOLDS_SEVERAL_SYMBOLS:
        return None
    return next((at for at, text in enumerate(header) if plain_name(text) in SYMBOL_NAMES), None)


def refuse_several_symbols(name: str, seen: set[str], column: Any) -> None:
    """Add the symbols of a column to those seen.

    Raises:
        DataError: there is more than one.
    """
    seen.update(str(one) for one in pc.unique(column).to_pylist())
    if len(seen) > 1:
        listed = ", ".join(sorted(seen)[:5]) + (" ..." if len(seen) > 5 else "")
        raise DataError(f"{name} holds {len(seen)} symbols: {listed}", hint="split it into one file per symbol")


@dataclass(frozen=True, slots=True)
class _Block:
    """A block as it was read. unsplit: number and text of all lines that gave no row, empty ones too."""

    table: Any
    lines: NDArray[np.int64]
    unsplit: list[tuple[int, str]]
    is_typed: bool


def _batch(
    block: _Block, chosen: Mapping[str, int], lost: Sequence[Line], as_text: Callable[[], Batch] | None = None
) -> Batch:
    columns = {ours: _whole(block.table.column(str(at))) for ours, at in chosen.items()}
    unsplit = [*lost, *((number, kept) for number, kept in block.unsplit if kept)]
    return Batch(columns, block.lines, sorted(unsplit), as_text)


def _again_as_text(
    reader: "_Reader", text: memoryview | bytes, line: int, chosen: Mapping[str, int], lost: Sequence[Line]
) -> Batch:
    return _batch(reader.read_as_text(text, line), chosen, lost)


class _Reader:
    """Reads blocks of whole lines of one table."""

    def __init__(self, name: str, layout: _Layout, types: dict[str, Any], *, fast: bool) -> None:
        self._name = name
        self._layout = layout
        self._types = types
        self._fast = fast

    def read(self, text: memoryview | bytes, first: int) -> _Block:
        """Return the rows of a block; `first` is the number of its first line."""
        if self._fast and _is_ascii(text):
            unsplit: list[tuple[int, str]] = []
            try:
                table = self._parse(text, first, self._types, unsplit)
            except pa.ArrowInvalid:
                pass  # something in this block is no plain number: read it as text
            else:
                return _Block(table, _line_numbers(first, table.num_rows, unsplit), unsplit, is_typed=True)
        return self.read_as_text(text, first)

    def read_as_text(self, text: memoryview | bytes, first: int) -> _Block:
        """Return the rows of a block as `read` does, every column as text."""
        if not _is_ascii(text):
            text = bytes(text).decode("utf-8", errors="replace").encode()  # broken text breaks its row, not the table
        unsplit: list[tuple[int, str]] = []
        try:
            table = self._parse(text, first, dict.fromkeys(self._types, pa.string()), unsplit)
        except pa.ArrowInvalid as error:
            raise DataError(
                f"{self._name} is not a readable CSV: {error}", hint="it must be UTF-8, one row a line"
            ) from error
        lines = _line_numbers(first, table.num_rows, unsplit)
        blank = _blank_rows(table)
        if blank.any():
            unsplit = sorted([*unsplit, *((int(line), "") for line in lines[blank])])
            table, lines = table.filter(pa.array(~blank)), lines[~blank]
        return _Block(table, lines, unsplit, is_typed=False)

    def _parse(
        self, text: memoryview | bytes, first: int, types: dict[str, Any], unsplit: list[tuple[int, str]]
    ) -> Any:
        def skip(row: Any) -> str:
            unsplit.append((first + row.number - 1, row.text.strip()))
            return "skip"

        return pcsv.read_csv(
            pa.BufferReader(text),
            read_options=pcsv.ReadOptions(
                use_threads=False,
                block_size=len(text) + 1,
                column_names=[str(at) for at in range(len(self._layout.names))],
            ),
            parse_options=pcsv.ParseOptions(
                delimiter=self._layout.delimiter, ignore_empty_lines=False, invalid_row_handler=skip
            ),
            convert_options=pcsv.ConvertOptions(
                include_columns=list(types),
                column_types=types,
                strings_can_be_null=False,
                null_values=[],
                true_values=_TRUE,
                false_values=_FALSE,
            ),
        )


def _types(schema: Schema, chosen: Mapping[str, int], symbol: int | None, layout: _Layout) -> dict[str, Any]:
    """Return the Arrow type of each wanted column, by its position as text, when all goes well."""
    types: dict[str, Any] = {} if symbol is None else {str(symbol): pa.string()}
    ours = {column.name: column for column in schema.columns}
    for name, at in chosen.items():
        if name not in ours or is_kept_as_text(schema, name, chosen):
            types[str(at)] = pa.string()
        elif ours[name].role == "time":
            epochs = at < len(layout.first) and layout.first[at].strip().isdecimal()
            types[str(at)] = pa.int64() if epochs else pa.string()
        else:
            types[str(at)] = {"int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}[ours[name].dtype]
    return dict(sorted(types.items(), key=lambda one: int(one[0])))


def _blocks(name: str, chunks: Iterable[bytes]) -> Iterator[bytes | memoryview]:
    """Cut bytes into blocks that end at line ends; the last may lack one."""
    rest = b""
    for chunk in chunks:
        text, at = rest + chunk if rest else chunk, 0
        whole = memoryview(text)
        while len(text) - at >= _BLOCK_BYTES:
            stop = text.rfind(b"\n", at, at + _BLOCK_BYTES) + 1 or text.find(b"\n", at + _BLOCK_BYTES) + 1
            if not stop:
                break
            yield whole[at:stop]
            at = stop
        rest = text[at:]
        if len(rest) > _LONGEST_LINE:
            raise DataError(f"{name} has a line of more than {_LONGEST_LINE} bytes", hint="one row a line is needed")
    if rest:
        yield rest


def _is_ascii(text: memoryview | bytes) -> bool:
    return len(text) == 0 or int(np.frombuffer(text, dtype=np.uint8).max()) < 128


def _whole(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _blank_rows(table: Any) -> NDArray[np.bool_]:
    blank = np.ones(table.num_rows, dtype=np.bool_)
    for column in table.columns:
        blank &= np.asarray(pc.equal(column, "").to_numpy(), dtype=np.bool_)
        if not blank.any():
            break
    return blank


def _layout(name: str, head: bytes, schema: Schema, *, official: bool) -> _Layout:
    """Find the first line that has enough columns, in an archive as many as most lines have; comment lines above it
    are skipped, and itself when it is a header.
    """
    fewest = min(_MOST_NEEDED, sum(not column.nullable for column in source_columns(schema)))
    usual = usual_columns(head_lines(head)) if official else 0
    positions = POSITIONS[schema.kind]
    lines = head.splitlines(keepends=True)
    offset = 0
    for number, raw in enumerate(lines[:_PREAMBLE_LINES]):
        line = raw.decode("utf-8", errors="replace").rstrip("\r\n")
        before, offset = offset, offset + len(raw)
        if not line.strip() or line.startswith("#"):
            continue
        for delimiter in ",;\t":
            fields = _fields(line, delimiter)
            if len(fields) < fewest or (official and len(fields) != usual):
                continue
            if not _is_value(fields[0]):
                following = lines[number + 1].decode("utf-8", errors="replace") if number + 1 < len(lines) else ""
                first = _fields(following.rstrip("\r\n"), delimiter)
                return _Layout(number, number + 1, offset, delimiter, fields, first)
            names = [positions[at] if at < len(positions) else f"column {at + 1}" for at in range(len(fields))]
            return _Layout(number, number, before, delimiter, names, fields)
    if not head.strip():
        raise DataError(f"{name} is empty", hint="leave it out, or fetch it again")
    raise DataError(
        f"{name} has no line with at least {fewest} columns in its first {_PREAMBLE_LINES}",
        hint="candles need an open time, four prices and a volume in columns, with commas between"
        if schema.gridded
        else f"{schema.kind} has the columns {', '.join(positions)}, with commas between",
    )


def _fields(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _is_value(field: str) -> bool:
    """Say whether a first field is data (a number or a time) rather than the name of a column."""
    try:
        float(field)
    except ValueError:
        return bool(times_of_text(pa.array([field]))[0] != NOT_A_TIME)
    return True


def _line_numbers(first: int, rows: int, unsplit: Sequence[tuple[int, str]]) -> NDArray[np.int64]:
    """Return the numbers of the next `rows` lines from `first` on that gave a row."""
    lines = np.arange(first, first + rows + len(unsplit), dtype=np.int64)
    if not unsplit:
        return lines
    missing = np.array([number for number, _ in unsplit], dtype=np.int64)
    return lines[~np.isin(lines, missing)][:rows]
