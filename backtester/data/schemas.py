"""What a partition holds, column by column, and the digest of its content.

Prices and volumes are float64, exactly as the decimal text parses, never rounded to a tick. In memory a column is a
plain numpy array; in a nullable column NaN (float64) or -1 (int64) stands for "not known" and becomes null on disk.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from backtester.core.errors import UsageError

SCHEMA_VERSION: Final = 1
ROW_GROUP_ROWS: Final = 65_536

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its type on disk, and whether a value may be unknown."""

    name: str
    dtype: Literal["int64", "float64"]
    nullable: bool = False

    def known(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Return, per row, whether the value is known."""
        if not self.nullable:
            return np.ones(len(values), dtype=np.bool_)
        known: NDArray[np.bool_] = ~np.isnan(values) if self.dtype == "float64" else values >= 0
        return known

    def unknown(self, rows: int) -> NDArray[Any]:
        """Return a column of `rows` unknown values."""
        return np.full(rows, np.nan if self.dtype == "float64" else -1, dtype=self.dtype)


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of one kind of data; the first is the key, a time in UTC µs."""

    kind: str
    columns: tuple[Column, ...]

    @property
    def key(self) -> str:
        """The name of the column by which rows are sorted and unique."""
        return self.columns[0].name

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def arrow(self) -> Any:
        """The schema in Arrow's terms."""
        return pa.schema([pa.field(c.name, c.dtype, nullable=c.nullable) for c in self.columns])

    def to_table(self, columns: Columns) -> Any:
        """Return an Arrow table of the columns, unknown values as nulls."""
        arrays = []
        for column in self.columns:
            values = columns[column.name]
            mask = ~column.known(values) if column.nullable else None
            arrays.append(pa.array(values, type=column.dtype, mask=mask))
        return pa.Table.from_arrays(arrays, schema=self.arrow)

    def from_table(self, table: Any) -> dict[str, NDArray[Any]]:
        """Return the columns of an Arrow table (or record batch) of this schema, nulls as unknown values."""
        columns = {}
        for column in self.columns:
            array = table.column(column.name)
            if array.null_count:
                array = array.fill_null(float("nan") if column.dtype == "float64" else -1)
            columns[column.name] = np.ascontiguousarray(array.to_numpy(), dtype=column.dtype)
        return columns


KLINES: Final = Schema(
    "klines",
    (
        Column("open_time", "int64"),
        Column("open", "float64"),
        Column("high", "float64"),
        Column("low", "float64"),
        Column("close", "float64"),
        Column("volume", "float64"),
        Column("quote_volume", "float64", nullable=True),
        Column("trades", "int64", nullable=True),
        Column("taker_buy_volume", "float64", nullable=True),
        Column("taker_buy_quote_volume", "float64", nullable=True),
    ),
)
SCHEMAS: Final[dict[str, Schema]] = {KLINES.kind: KLINES}


def schema_of(kind: str) -> Schema:
    """Return the schema of a kind of data.

    Raises:
        UsageError: the lake does not keep that kind.
    """
    schema = SCHEMAS.get(kind)
    if schema is None:
        raise UsageError(f"the lake does not keep data of kind {kind!r}", hint=f"kinds: {' '.join(SCHEMAS)}")
    return schema


class ContentDigest:
    """The digest of what a partition says, whatever its compression, row groups or batches.

    blake2b-256 over schema version, kind and row count, then per column its name and type, the blake2b-256 of its
    validity (one byte a row) and of its values (8 little-endian bytes a row, zero where unknown). Feed rows in order
    with `update`.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._rows = 0
        self._validity = [hashlib.blake2b(digest_size=32) for _ in schema.columns]
        self._values = [hashlib.blake2b(digest_size=32) for _ in schema.columns]

    def update(self, columns: Columns) -> None:
        """Add the next rows."""
        for column, validity, values in zip(self._schema.columns, self._validity, self._values, strict=True):
            array = columns[column.name]
            known = column.known(array)
            validity.update(known.astype(np.uint8).tobytes())
            clean = array if known.all() else np.where(known, array, 0)
            values.update(clean.astype("<i8" if column.dtype == "int64" else "<f8", copy=False).tobytes())
        self._rows += len(columns[self._schema.key])

    def hexdigest(self) -> str:
        """Return the digest of all rows so far."""
        whole = hashlib.blake2b(f"{self._schema.kind} {SCHEMA_VERSION} {self._rows}\n".encode(), digest_size=32)
        for column, validity, values in zip(self._schema.columns, self._validity, self._values, strict=True):
            whole.update(f"{column.name} {column.dtype}\n".encode())
            whole.update(validity.digest())
            whole.update(values.digest())
        return whole.hexdigest()


def content_digest(schema: Schema, columns: Columns) -> str:
    """Return the digest of whole columns; see `ContentDigest`."""
    digest = ContentDigest(schema)
    digest.update(columns)
    return digest.hexdigest()
