"""Reading partition files: each compared with the manifest before its rows are used, and only the row groups needed."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backtester.data.partition import Partition
from backtester.data.schemas import Column, schema_of

_Identity = tuple[int, int, int, int]


class CheckedFiles:
    """Opens the files of a lake that are what the manifest records.

    A file is hashed when it is first opened, and again only when it is not the same file any more, by device, inode,
    size and time of change. So a range read costs the row groups of the range.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, tuple[str, _Identity]] = {}

    def open(self, partition: Partition) -> BinaryIO | None:
        """Return the open file, at its start, or None if it is missing or another one than recorded."""
        try:
            file = (self._root / partition.path).open("rb")
        except OSError:
            return None
        identity = _identity(file)
        if self._known.get(partition.path) != (partition.sha256, identity):
            if hashlib.file_digest(file, "sha256").hexdigest() != partition.sha256:
                file.close()
                return None
            file.seek(0)
            self._known[partition.path] = (partition.sha256, identity)
        return file


def read_range(
    file: BinaryIO, partition: Partition, start: int, end: int, names: Sequence[str], batch_rows: int
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield the rows with start <= time < end of an open partition file, at most batch_rows at a time.

    Only row groups that may hold such rows are read, and of these only the named columns.
    """
    schema = schema_of(partition.kind)
    columns = [column for column in schema.columns if column.name in {schema.key, *names}]
    parquet = pq.ParquetFile(file, pre_buffer=False)
    groups = [g for g in range(parquet.num_row_groups) if _may_hold(parquet.metadata.row_group(g), start, end)]
    wanted = [column.name for column in columns]
    for batch in parquet.iter_batches(batch_size=batch_rows, row_groups=groups, columns=wanted, use_threads=False):
        key = _values(batch.column(schema.key), columns[0])
        low, high = (int(at) for at in np.searchsorted(key, [start, end], side="left"))
        if low < high:
            part = batch.slice(low, high - low)
            yield {column.name: _values(part.column(column.name), column) for column in columns}


def _values(array: Any, column: Column) -> NDArray[Any]:
    """Return a column's values, unknown ones as the schema writes them.

    Read from the buffer where that is possible: pyarrow's own conversion imports pandas where that is installed.
    """
    if array.null_count:
        array = array.fill_null(float("nan") if column.dtype == "float64" else -1)
    if pa.types.is_boolean(array.type):
        bits = np.frombuffer(array.buffers()[1], dtype=np.uint8)
        flags = np.unpackbits(bits, bitorder="little", count=array.offset + len(array))
        return flags[array.offset :].astype(np.bool_)
    dtype = np.dtype(column.dtype)
    return np.frombuffer(array.buffers()[1], dtype=dtype, count=len(array), offset=array.offset * dtype.itemsize)


def _identity(file: BinaryIO) -> _Identity:
    facts = os.fstat(file.fileno())
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _may_hold(row_group: Any, start: int, end: int) -> bool:
    statistics = row_group.column(0).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.max >= start and statistics.min < end)
