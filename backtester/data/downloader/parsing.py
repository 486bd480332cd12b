"""Tables of text or Parquet into typed columns, whole or block by block."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backtester.core.errors import DataError
from backtester.data.downloader.csv_tables import Batch, read_csv, refuse_several_symbols, symbol_column
from backtester.data.downloader.naming import match_columns
from backtester.data.downloader.problems import Problems, joined_problems
from backtester.data.downloader.rows import Rows, concatenated
from backtester.data.downloader.typed_columns import typed_rows
from backtester.data.schemas import Schema

_BATCH_ROWS: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class Parsed:
    """The rows of a table or of a block of it, in file order, and what could not be read. Rows marked bad hold no
    usable values.
    """

    rows: Rows
    problems: Problems


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
    return joined(name, parse_blocks(name, [data], schema, mapping, official=official))


def parse_blocks(
    name: str,
    chunks: Iterable[bytes],
    schema: Schema,
    mapping: Mapping[str, str],
    *,
    official: bool = False,
    fast: bool = True,
) -> Iterator[Parsed]:
    """Yield the rows of a table block by block; the bytes of a CSV come in chunks of any size.

    Args:
        fast: as `read_csv`; else as `parse_table`.

    Raises:
        DataError: as `parse_table`, except for a table without rows.
    """
    batches = (
        _read_parquet(name, b"".join(chunks), schema, mapping)
        if name.lower().endswith(".parquet")
        else read_csv(name, chunks, schema, {} if official else mapping, fast=fast)
    )
    for batch in batches:
        rows, problems = typed_rows(batch, schema)
        if problems.found and batch.as_text is not None:
            rows, problems = typed_rows(batch.as_text(), schema)
        problems.lose(batch.unsplit)
        yield Parsed(rows, problems)


def joined(name: str, blocks: Iterable[Parsed]) -> Parsed:
    """Return the blocks of a table as one.

    Raises:
        DataError: they hold no rows.
    """
    parts = list(blocks)
    if not any(len(part.rows) for part in parts):
        raise DataError(f"{name} holds no rows", hint="leave it out")
    return Parsed(concatenated([part.rows for part in parts]), joined_problems([part.problems for part in parts]))


def _read_parquet(name: str, data: bytes, schema: Schema, mapping: Mapping[str, str]) -> Iterator[Batch]:
    symbols: set[str] = set()
    first = 1
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        header = file.schema_arrow.names
        chosen = match_columns(name, header, mapping, schema)
        symbol = symbol_column(header, schema)
        wanted = [header[at] for at in chosen.values()] + ([] if symbol is None else [header[symbol]])
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=wanted, use_threads=False):
            if symbol is not None:
                refuse_several_symbols(name, symbols, batch.column(header[symbol]))
            lines = np.arange(first, first + batch.num_rows, dtype=np.int64)
            first += batch.num_rows
            yield Batch({ours: batch.column(header[at]) for ours, at in chosen.items()}, lines)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{name} is not a readable Parquet file: {error}", hint="fetch it again") from error
