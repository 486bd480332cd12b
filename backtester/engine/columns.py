"""A Parquet table written as the run goes, with a digest over its canonical column bytes, never over the file."""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backtester.core.errors import StorageError
from backtester.core.numbers import MONEY_EXPONENT

MONEY_TYPE = pa.decimal128(38, MONEY_EXPONENT)
PRICE_TYPE = pa.decimal128(38, 12)
TIME_TYPE = pa.timestamp("us", tz="UTC")


_NO_NULLS = blake2b(digest_size=16).digest()


class TableDigest:
    """A digest over a table's columns. It does not depend on how rows were chunked or encoded.

    A null counts as 0 in its column, and by the number of its row.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._columns = [blake2b(f"{f.name}:{f.type}".encode(), digest_size=16) for f in schema]
        self._nulls = [blake2b(digest_size=16) for _ in schema]
        self._rows = 0

    def update(self, batch: pa.RecordBatch) -> None:
        """Take the next rows."""
        for digest, nulls, column in zip(self._columns, self._nulls, batch.columns, strict=True):
            if column.null_count:
                column, rows = _filled(column)  # noqa: PLW2901
                nulls.update((rows + self._rows).astype("<i8").tobytes())
            for piece in _canonical(column):
                digest.update(piece)
        self._rows += batch.num_rows

    def hexdigest(self) -> str:
        """Return the digest of all rows so far."""
        total = blake2b(digest_size=16)
        for digest in self._columns:
            total.update(digest.digest())
        for nulls in self._nulls:
            if nulls.digest() != _NO_NULLS:
                total.update(nulls.digest())
        return total.hexdigest()


def table_digest(path: Path) -> str:
    """Return the digest of a table that a run wrote, read a row group at a time.

    Raises:
        StorageError: it is missing or no Parquet file.
    """
    try:
        file = pq.ParquetFile(path)
        digest = TableDigest(file.schema_arrow)
        for batch in file.iter_batches():
            digest.update(batch)
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path} cannot be read: {error}") from None
    return digest.hexdigest()


class StreamedTable:
    """Appends chunks of columns to a Parquet file and digests them; without a path nothing is kept."""

    def __init__(self, path: Path | None, schema: pa.Schema) -> None:
        self.rows = 0
        self._path = path
        self._schema = schema
        self._digest = TableDigest(schema)
        if path is None:
            return
        try:
            texts = [field.name for field in schema if pa.types.is_string(field.type)]
            self._writer = pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=texts)
        except OSError as error:
            raise _cannot_write(path, error) from None

    def append(self, columns: Sequence[pa.Array]) -> None:
        """Write one row group.

        Raises:
            StorageError: the disk is full or gone.
        """
        if self._path is None:
            return
        batch = pa.record_batch(list(columns), schema=self._schema)
        self._digest.update(batch)
        self.rows += batch.num_rows
        try:
            self._writer.write_batch(batch)
        except OSError as error:
            raise _cannot_write(self._path, error) from None

    def close(self) -> str:
        """Finish the file and return the table's digest, hex; empty without a file."""
        if self._path is None:
            return ""
        try:
            self._writer.close()
        except OSError as error:
            raise _cannot_write(self._path, error) from None
        return self._digest.hexdigest()


def in_folder(folder: Path | None, name: str) -> Path | None:
    """Return a file's path in a run's folder; None for a run that keeps nothing."""
    return None if folder is None else folder / name


def _cannot_write(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path} cannot be written: {error}",
        hint="free some space, or choose another place with --runs DIR; bt replay reads what the log has so far",
    )


def _canonical(column: pa.Array) -> list[bytes]:
    """Return a column's values as bytes that say the same whatever the encoding: fixed width as is, text by length."""
    if pa.types.is_string(column.type):
        coded = column.dictionary_encode()  # few texts, many rows
        pieces = [
            len(value).to_bytes(4, "little") + value for value in (v.encode() for v in coded.dictionary.to_pylist())
        ]
        return [b"".join(pieces[i] for i in coded.indices.to_pylist())]
    width = column.type.bit_width // 8
    data = column.buffers()[1]
    return [data.slice(column.offset * width, len(column) * width).to_pybytes()]


def _filled(column: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return a column of fixed width with zeros for its nulls, and which rows these are."""
    width = column.type.bit_width // 8
    known, values = (np.frombuffer(buffer, dtype=np.uint8) for buffer in column.buffers())
    flags = np.unpackbits(known, bitorder="little", count=column.offset + len(column))[column.offset :]
    rows = np.flatnonzero(flags == 0)
    filled = values[column.offset * width : (column.offset + len(column)) * width].reshape(-1, width).copy()
    filled[rows] = 0
    return plain_column(filled, column.type), rows


def int64_as_decimal(values: NDArray[np.int64], kind: pa.DataType) -> pa.Array:
    """Return int64 units as a decimal column of that scale, without making a Python object a value."""
    words = np.empty((len(values), 2), dtype="<i8")
    words[:, 0] = values
    words[:, 1] = values >> 63  # sign extension to 128 bits
    return plain_column(words, kind)


def plain_column(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Return an array's own bytes as a column: pyarrow's conversion imports pandas where that is installed."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def int64_column(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return times, integers, or decimals as units of their scale.

    Raises:
        OverflowError: an amount is beyond int64.
    """
    parts = [int64_values(chunk) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def int64_values(column: pa.Array) -> NDArray[np.int64]:
    """Return one array as `int64_column` does."""
    if column.null_count:
        column, _ = _filled(column)
    words = np.frombuffer(column.buffers()[1], dtype="<i8") if len(column) else np.empty(0, dtype="<i8")
    if not pa.types.is_decimal(column.type):
        return words[column.offset : column.offset + len(column)]
    pairs = words[2 * column.offset : 2 * (column.offset + len(column))].reshape(-1, 2)
    if np.any(pairs[:, 1] != pairs[:, 0] >> 63):
        raise OverflowError(f"an amount of {column.type} is beyond int64")
    return pairs[:, 0].copy()


def decimal_column(units: Sequence[int], exponent: int, kind: Any) -> pa.Array:
    """Return integers of 10^-exponent as an exact decimal column of a scale that is at least as fine."""
    shift = 10 ** (kind.scale - exponent)
    data = b"".join((value * shift).to_bytes(16, "little", signed=True) for value in units)
    return pa.Array.from_buffers(kind, len(units), [None, pa.py_buffer(data)])


def time_column(times: Sequence[int]) -> pa.Array:
    """Return UTC microseconds as a timestamp column."""
    return plain_column(np.array(times, dtype=np.int64), TIME_TYPE)
