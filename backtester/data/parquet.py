"""Partition files: Parquet, zstd, row groups of a bounded size, and enough metadata to recreate a manifest record."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.data.describing import Description, FileFacts
from backtester.data.durable import storing
from backtester.data.partition import Partition
from backtester.data.schemas import ROW_GROUP_ROWS, Columns, Schema, schema_of

_METADATA_KEY: Final = b"backtester"


class PartitionFile:
    """A new partition file while it is written: rows come sorted and unique, in blocks of any size.

    Its bytes depend on the rows alone, not on how they are cut. Memory holds two row groups.
    """

    def __init__(self, path: Path, kind: str, timeframe: str) -> None:
        self.path = path
        self._schema = schema_of(kind)
        self._description = Description(kind, timeframe)
        self._waiting: list[Columns] = []
        self._rows_waiting = 0
        with storing(path):
            self._file = path.open("wb")
            self._writer = pq.ParquetWriter(
                self._file,
                self._schema.arrow,
                compression="zstd",
                use_dictionary=False,
                column_encoding=self._schema.encodings,
                write_statistics=[self._schema.key],  # readers skip row groups by time
            )

    def write(self, columns: Columns) -> None:
        """Add the next rows.

        Raises:
            StorageError: the disk refuses.
        """
        rows = len(columns[self._schema.key])
        if not rows:
            return
        self._description.update(columns)
        self._waiting.append(columns)
        self._rows_waiting += rows
        if self._rows_waiting >= ROW_GROUP_ROWS:
            whole = self._rows_waiting // ROW_GROUP_ROWS * ROW_GROUP_ROWS
            self._flush(whole)

    def finish(self, facts: FileFacts, created: int) -> Partition:
        """Write what is left and what the file says about itself, and return the record for the manifest.

        At least one row must have been written. The disk has the file when this returns.

        Raises:
            StorageError: the disk refuses.
            DataError: a price needs more than 12 decimals.
        """
        if self._rows_waiting:
            self._flush(self._rows_waiting)
        with storing(self.path):
            self._writer.add_key_value_metadata({_METADATA_KEY: msgspec.json.encode(facts)})
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        return self._description.record(facts, created, self.path, lambda: read_row_groups(self.path, self._schema))

    def discard(self) -> None:
        """Give up the file and delete it; nothing happens to one that is finished."""
        if not self._file.closed:
            for one in (self._writer, self._file):
                with suppress(OSError):  # a full disk refuses what was still buffered; it is not wanted any more
                    one.close()
            self.path.unlink(missing_ok=True)

    def _flush(self, rows: int) -> None:
        names = self._schema.names
        parts = self._waiting
        columns = (
            dict(parts[0]) if len(parts) == 1 else {name: np.concatenate([p[name] for p in parts]) for name in names}
        )
        with storing(self.path):
            ready = {name: columns[name][:rows] for name in names}
            self._writer.write_table(self._schema.to_table(ready), row_group_size=ROW_GROUP_ROWS)
        self._waiting = [{name: columns[name][rows:] for name in names}] if rows < self._rows_waiting else []
        self._rows_waiting -= rows


def write_partition_file(path: Path, columns: Columns, facts: FileFacts, created: int) -> Partition:
    """Write rows, sorted, unique and all of one partition, to a new file, and return the record for the manifest.

    Raises:
        StorageError: the disk refuses.
        DataError: a price needs more than 12 decimals.
    """
    file = PartitionFile(path, facts.kind, facts.timeframe)
    try:
        file.write(columns)
        return file.finish(facts, created)
    finally:
        file.discard()


def read_partition_file(path: Path, schema: Schema) -> dict[str, NDArray[Any]]:
    """Return all rows of a partition file.

    Raises:
        DataError: the file is missing, is not Parquet, or lacks the columns of the schema.
    """
    parts = list(read_row_groups(path, schema))
    return {name: np.concatenate([part[name] for part in parts]) for name in schema.names}


def read_row_groups(path: Path, schema: Schema) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield the rows of a partition file, one row group at a time.

    Raises:
        DataError: as `read_partition_file`.
    """
    try:
        with path.open("rb") as file:
            parquet = pq.ParquetFile(file, pre_buffer=False)
            for group in range(parquet.num_row_groups):
                yield schema.from_table(parquet.read_row_group(group, columns=list(schema.names), use_threads=False))
    except (OSError, pa.ArrowException, KeyError) as error:
        raise DataError(
            f"{path} cannot be read: {error}",
            hint="bt data repair makes it anew from its sources; else import that month again with --replace, "
            "or bt data rm it",
        ) from error


def read_facts(path: Path) -> FileFacts:
    """Return what a partition file says about itself.

    Raises:
        DataError: the file is not a partition that this program wrote.
    """
    try:
        with path.open("rb") as file:
            metadata = pq.ParquetFile(file, pre_buffer=False).metadata.metadata or {}
        return msgspec.json.decode(metadata[_METADATA_KEY], type=FileFacts)
    except (OSError, pa.ArrowException, KeyError, msgspec.DecodeError) as error:
        raise DataError(
            f"{path} is not a partition of this lake",
            hint="move it out of the lake, or bt data import it from elsewhere",
        ) from error
