"""A table that is filled row by row."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from backtester.engine.columns import StreamedTable, decimal_column, int64_as_decimal, time_column

_CHUNK_ROWS = 1_024


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    kind: pa.DataType


class RowTable:
    """A table filled row by row; decimals come as (units, exponent). None is a null, in decimals and floats.

    Without a path nothing is kept.
    """

    def __init__(self, path: Path | None, columns: list[tuple[str, pa.DataType]]) -> None:
        self._kept = path is not None
        self._columns = [_Column(name, kind) for name, kind in columns]
        self._table = StreamedTable(path, pa.schema(columns))
        self._rows: list[tuple[Any, ...]] = []

    def add(self, *values: Any) -> None:
        """Add a row, its values in column order."""
        if self._kept:
            self._rows.append(values)
        if len(self._rows) >= _CHUNK_ROWS:
            self._flush()

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            self._table.append(
                [_array(c.kind, values) for c, values in zip(self._columns, zip(*rows, strict=True), strict=True)]
            )

    def close(self) -> str:
        """Finish the file; return the table's digest."""
        self._flush()
        return self._table.close()


def _array(kind: pa.DataType, values: tuple[Any, ...]) -> pa.Array:
    if pa.types.is_decimal(kind):
        units = [0 if value is None else value[0] * 10 ** (kind.scale - value[1]) for value in values]
        try:
            column = int64_as_decimal(np.array(units, dtype=np.int64), kind)
        except OverflowError:
            column = decimal_column(units, kind.scale, kind)
        return _with_nulls(column, values) if None in values else column
    if pa.types.is_timestamp(kind):
        return time_column(values)
    return pa.array(values, type=kind)


def _with_nulls(column: pa.Array, values: tuple[Any, ...]) -> pa.Array:
    known = np.packbits([value is not None for value in values], bitorder="little")
    return pa.Array.from_buffers(column.type, len(column), [pa.py_buffer(known), column.buffers()[1]])
