"""The tables of a run as arrays; columns that an older run does not have are simply not there."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backtester.core.errors import StorageError

_BATCH_ROWS = 1 << 18

Values = NDArray[np.float64] | NDArray[np.int64] | list[str]


class RunTable:
    """One table of a run: numbers as float64 with NaN for null, times as int64 µs, texts as lists."""

    def __init__(self, rows: int, columns: dict[str, Values]) -> None:
        self.rows = rows
        self._columns = columns

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column of numbers, shape (rows,)."""
        found = self._columns[name]
        assert isinstance(found, np.ndarray)
        return found.astype(np.float64, copy=False)

    def times(self, name: str) -> NDArray[np.int64]:
        """Return a column of times, µs UTC."""
        found = self._columns[name]
        assert isinstance(found, np.ndarray)
        return found.astype(np.int64, copy=False)

    def texts(self, name: str) -> list[str]:
        """Return a column of texts."""
        found = self._columns[name]
        assert isinstance(found, list)
        return found


def read_table(path: Path, names: tuple[str, ...] | None = None) -> RunTable | None:
    """Return a table of a run, None where it has none; names: the columns wanted, of those that are there.

    Raises:
        StorageError: the file is no Parquet file.
    """
    if not path.is_file():
        return None
    try:
        with pq.ParquetFile(path) as file:
            fields = [field for field in file.schema_arrow if names is None or field.name in names]
            parts: dict[str, list[Values]] = {field.name: [] for field in fields}
            rows = 0
            for batch in file.iter_batches(columns=list(parts), batch_size=_BATCH_ROWS):
                rows += batch.num_rows
                for name, found in parts.items():
                    found.append(_values(batch.column(name)))
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path} cannot be read: {error}") from None
    return RunTable(rows, {field.name: _joined(parts[field.name], field.type) for field in fields})


def _values(column: pa.Array) -> Values:
    kind = column.type
    if _is_text(kind):
        return [value or "" for value in column.to_pylist()]
    if pa.types.is_timestamp(kind):
        return np.asarray(column.cast(pa.timestamp("us")).cast(pa.int64()).fill_null(0))
    if pa.types.is_decimal(kind):
        return _decimals(column, kind.scale)
    return np.asarray(column.cast(pa.float64()).fill_null(float("nan")))


def _decimals(column: pa.Array, scale: int) -> NDArray[np.float64]:
    """Return 128-bit decimals as floats: the low words are whole numbers where the high words only carry the sign."""
    words = np.frombuffer(column.buffers()[1], dtype="<i8", count=2 * len(column), offset=16 * column.offset)
    low, high = words[0::2], words[1::2]
    found = low / 10.0**scale if np.array_equal(high, low >> 63) else np.asarray(column.cast(pa.float64()))
    if column.null_count:
        found = np.where(np.asarray(column.is_null()), np.nan, found)
    return found


def _joined(parts: list[Values], kind: pa.DataType) -> Values:
    if _is_text(kind):
        return [text for part in parts for text in part]
    if pa.types.is_timestamp(kind):
        times = [np.asarray(part, dtype=np.int64) for part in parts]
        return np.concatenate(times) if times else np.empty(0, dtype=np.int64)
    numbers = [np.asarray(part, dtype=np.float64) for part in parts]
    return np.concatenate(numbers) if numbers else np.empty(0)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))
