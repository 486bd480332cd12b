"""What a partition holds, column by column, and the digest of its content.

Prices and volumes are float64, exactly as the decimal text parses, never rounded to a tick. In memory a column is a
plain numpy array; in a nullable column NaN (float64) or -1 (int64) stands for "not known" and becomes null on disk.
What a value may be is its column's role, and the rules of the sanitiser follow from it.
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
Role = Literal["time", "price", "amount", "count", "number", "flag"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its type on disk, whether a value may be unknown, and what values mean.

    role: `time` is UTC µs; `price` is above zero with at most 12 decimals; `amount` and `count` (whole) are not
    negative; `number` is any finite number; `flag` is true or false.
    """

    name: str
    dtype: Literal["int64", "float64", "bool"]
    nullable: bool = False
    role: Role = "amount"

    def known(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Return, per row, whether the value is known."""
        if not self.nullable:
            return np.ones(len(values), dtype=np.bool_)
        known: NDArray[np.bool_] = ~np.isnan(values) if self.dtype == "float64" else values >= 0
        return known

    def all_known(self, values: NDArray[Any]) -> bool:
        """Say whether every value is known."""
        if not self.nullable or not len(values):
            return True
        least = np.min(values)  # NaN when any value is
        return not np.isnan(least) if self.dtype == "float64" else bool(least >= 0)

    def unknown(self, rows: int) -> NDArray[Any]:
        """Return a column of `rows` unknown values."""
        return np.full(rows, {"float64": np.nan, "int64": -1, "bool": False}[self.dtype], dtype=self.dtype)


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of one kind of data; the first is the key, a time in UTC µs, by which rows are sorted.

    identity: how many leading columns together name a row; they are unique, and order the rows of one time.
    gridded: rows are candles on the grid of a timeframe; kinds that are not have no timeframe.
    daily: a partition holds a day instead of a month.
    volume: the column whose decimals the manifest records, if the kind has one.
    """

    kind: str
    columns: tuple[Column, ...]
    identity: int = 1
    gridded: bool = False
    daily: bool = False
    volume: str | None = None

    @property
    def key(self) -> str:
        """The name of the column by which rows are sorted."""
        return self.columns[0].name

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the columns that together name a row."""
        return self.names[: self.identity]

    @property
    def prices(self) -> tuple[str, ...]:
        """The names of the columns that hold prices."""
        return tuple(column.name for column in self.columns if column.role == "price")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def arrow(self) -> Any:
        """The schema in Arrow's terms."""
        return pa.schema([pa.field(c.name, _ARROW[c.dtype], nullable=c.nullable) for c in self.columns])

    @property
    def encodings(self) -> dict[str, str]:
        """How Parquet writes each column: whole numbers as differences, prices as they are because they repeat, other
        numbers byte by byte. No slower to read than the default, and smaller.
        """
        chosen = {"int64": "DELTA_BINARY_PACKED", "float64": "BYTE_STREAM_SPLIT", "bool": "PLAIN"}
        return {c.name: "PLAIN" if c.role == "price" else chosen[c.dtype] for c in self.columns}

    def to_table(self, columns: Columns) -> Any:
        """Return an Arrow table of the columns, unknown values as nulls."""
        schema = self.arrow
        arrays = []
        for column, kind in zip(self.columns, schema.types, strict=True):
            values = np.ascontiguousarray(columns[column.name])
            known = None if column.all_known(values) else _bits(column.known(values))
            # From buffers, without a copy: pyarrow's own conversion imports pandas where that is installed.
            data = _bits(values) if column.dtype == "bool" else pa.py_buffer(values)
            arrays.append(pa.Array.from_buffers(kind, len(values), [known, data]))
        return pa.Table.from_arrays(arrays, schema=schema)

    def from_table(self, table: Any) -> dict[str, NDArray[Any]]:
        """Return the columns of an Arrow table (or record batch) of this schema, nulls as unknown values."""
        columns = {}
        for column in self.columns:
            array = table.column(column.name)
            if array.null_count:
                array = array.fill_null(float("nan") if column.dtype == "float64" else -1)
            columns[column.name] = np.ascontiguousarray(_numpy(array), dtype=column.dtype)
        return columns


_ARROW: Final = {"int64": "int64", "float64": "float64", "bool": "bool"}


def _bits(flags: NDArray[Any]) -> Any:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))


def _numpy(array: Any) -> NDArray[Any]:
    values: NDArray[Any] = array.to_numpy() if hasattr(array, "chunks") else array.to_numpy(zero_copy_only=False)
    return values


def _candle(role: Role) -> tuple[Column, ...]:
    """Return the key and the four prices of a candle."""
    return (
        Column("open_time", "int64", role="time"),
        *(Column(name, "float64", role=role) for name in ("open", "high", "low", "close")),
    )


KLINES: Final = Schema(
    "klines",
    (
        *_candle("price"),
        Column("volume", "float64"),
        Column("quote_volume", "float64", nullable=True),
        Column("trades", "int64", nullable=True, role="count"),
        Column("taker_buy_volume", "float64", nullable=True),
        Column("taker_buy_quote_volume", "float64", nullable=True),
    ),
    gridded=True,
    volume="volume",
)
_SAMPLES: Final = Column("samples", "int64", nullable=True, role="count")
_TIME: Final = Column("time", "int64", role="time")
MARK_KLINES: Final = Schema("markPriceKlines", (*_candle("price"), _SAMPLES), gridded=True)
INDEX_KLINES: Final = Schema("indexPriceKlines", (*_candle("price"), _SAMPLES), gridded=True)
PREMIUM_KLINES: Final = Schema("premiumIndexKlines", (*_candle("number"), _SAMPLES), gridded=True)
AGG_TRADES: Final = Schema(
    "aggTrades",
    (
        _TIME,
        Column("agg_trade_id", "int64", role="count"),
        Column("price", "float64", role="price"),
        Column("quantity", "float64"),
        Column("first_trade_id", "int64", role="count"),
        Column("last_trade_id", "int64", role="count"),
        Column("is_buyer_maker", "bool", role="flag"),
    ),
    identity=2,
    daily=True,
    volume="quantity",
)
TRADES: Final = Schema(
    "trades",
    (
        _TIME,
        Column("trade_id", "int64", role="count"),
        Column("price", "float64", role="price"),
        Column("quantity", "float64"),
        Column("quote_quantity", "float64"),
        Column("is_buyer_maker", "bool", role="flag"),
    ),
    identity=2,
    daily=True,
    volume="quantity",
)
BOOK_TICKER: Final = Schema(
    "bookTicker",
    (
        _TIME,
        Column("update_id", "int64", role="count"),
        Column("bid_price", "float64"),
        Column("bid_quantity", "float64"),
        Column("ask_price", "float64"),
        Column("ask_quantity", "float64"),
        Column("event_time", "int64", nullable=True, role="time"),
    ),
    identity=2,
    daily=True,
)
FUNDING_RATE: Final = Schema(
    "fundingRate",
    (
        _TIME,
        Column("interval_hours", "int64", nullable=True, role="count"),
        Column("funding_rate", "float64", role="number"),
    ),
)
METRICS: Final = Schema(
    "metrics",
    (
        _TIME,
        Column("open_interest", "float64"),
        Column("open_interest_value", "float64"),
        Column("top_account_ratio", "float64", nullable=True),
        Column("top_position_ratio", "float64", nullable=True),
        Column("account_ratio", "float64", nullable=True),
        Column("taker_volume_ratio", "float64", nullable=True),
    ),
)
EOH_SUMMARY: Final = Schema(
    "EOHSummary",
    (
        _TIME,
        Column("expiry", "int64", role="time"),
        Column("strike", "float64"),
        Column("is_call", "bool", role="flag"),
        Column("open", "float64"),
        Column("high", "float64"),
        Column("low", "float64"),
        Column("close", "float64"),
        Column("volume", "float64"),
        Column("bid_price", "float64", nullable=True),
        Column("ask_price", "float64", nullable=True),
        Column("bid_quantity", "float64", nullable=True),
        Column("ask_quantity", "float64", nullable=True),
        Column("bid_iv", "float64", nullable=True, role="number"),
        Column("ask_iv", "float64", nullable=True, role="number"),
        Column("mark_price", "float64", nullable=True),
        Column("mark_iv", "float64", nullable=True, role="number"),
        Column("delta", "float64", nullable=True, role="number"),
        Column("gamma", "float64", nullable=True, role="number"),
        Column("vega", "float64", nullable=True, role="number"),
        Column("theta", "float64", nullable=True, role="number"),
        Column("open_interest", "float64", nullable=True),
        Column("open_interest_value", "float64", nullable=True),
    ),
    identity=4,
    volume="volume",
)
BVOL_INDEX: Final = Schema("BVOLIndex", (_TIME, Column("index_value", "float64")), daily=True)

SCHEMAS: Final[dict[str, Schema]] = {
    schema.kind: schema
    for schema in (
        KLINES,
        MARK_KLINES,
        INDEX_KLINES,
        PREMIUM_KLINES,
        AGG_TRADES,
        TRADES,
        BOOK_TICKER,
        FUNDING_RATE,
        METRICS,
        EOH_SUMMARY,
        BVOL_INDEX,
    )
}


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
    validity (one byte a row) and of its values (8 little-endian bytes a row, zero where unknown, flags as 0 and 1).
    Feed rows in order with `update`.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._rows = 0
        self._all_known = hashlib.blake2b(
            digest_size=32
        )  # the validity of every column without an unknown value so far
        self._validity: dict[str, hashlib.blake2b] = {}
        self._values = [hashlib.blake2b(digest_size=32) for _ in schema.columns]

    def update(self, columns: Columns) -> None:
        """Add the next rows."""
        rows = len(columns[self._schema.key])
        ones = b"\x01" * rows
        for column, values in zip(self._schema.columns, self._values, strict=True):
            array = columns[column.name]
            validity = self._validity.get(column.name)
            if not column.all_known(array):
                known = column.known(array)
                if validity is None:
                    validity = self._validity[column.name] = self._all_known.copy()
                validity.update(known.astype(np.uint8).data)
                array = np.where(known, array, 0)
            elif validity is not None:
                validity.update(ones)
            dtype = "<f8" if column.dtype == "float64" else "<i8"
            values.update(np.ascontiguousarray(array, dtype=dtype).data)
        self._all_known.update(ones)
        self._rows += rows

    def hexdigest(self) -> str:
        """Return the digest of all rows so far."""
        whole = hashlib.blake2b(f"{self._schema.kind} {SCHEMA_VERSION} {self._rows}\n".encode(), digest_size=32)
        for column, values in zip(self._schema.columns, self._values, strict=True):
            whole.update(f"{column.name} {column.dtype}\n".encode())
            whole.update(self._validity.get(column.name, self._all_known).digest())
            whole.update(values.digest())
        return whole.hexdigest()


def content_digest(schema: Schema, columns: Columns) -> str:
    """Return the digest of whole columns; see `ContentDigest`."""
    digest = ContentDigest(schema)
    digest.update(columns)
    return digest.hexdigest()
