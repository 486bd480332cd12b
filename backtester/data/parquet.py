"""Partition files: Parquet, zstd, row groups of a bounded size, and enough metadata to recreate a manifest record."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.data.decimals import MAX_PRICE_DECIMALS, MAX_VOLUME_DECIMALS, decimals_needed
from backtester.data.durable import file_sha256, storing
from backtester.data.gaps import gaps_of
from backtester.data.partition import Partition, Source, partition_path
from backtester.data.schemas import ROW_GROUP_ROWS, SCHEMA_VERSION, Schema, content_digest, schema_of

_METADATA_KEY: Final = b"backtester"


class FileFacts(msgspec.Struct, frozen=True):
    """What a partition file says about itself, because its rows cannot."""

    market: str
    kind: str
    symbol: str
    timeframe: str
    schema_version: int
    sources: tuple[Source, ...]
    repairs: dict[str, int]


def write_partition_file(path: Path, columns: dict[str, NDArray[Any]], facts: FileFacts, created: int) -> Partition:
    """Write rows, sorted, unique and all of one partition, to a new file, and return the record for the manifest.

    Raises:
        StorageError: the disk refuses.
        DataError: a price needs more than 12 decimals.
    """
    schema = schema_of(facts.kind)
    table = schema.to_table(columns).replace_schema_metadata({_METADATA_KEY: msgspec.json.encode(facts)})
    with storing(path), path.open("wb") as file:
        pq.write_table(table, file, compression="zstd", row_group_size=ROW_GROUP_ROWS)
        file.flush()
        os.fsync(file.fileno())
    return describe(path, columns, facts, created)


def describe(path: Path, columns: dict[str, NDArray[Any]], facts: FileFacts, created: int) -> Partition:
    """Return the manifest record of a finished file that holds these rows, at least one.

    Raises:
        DataError: a price needs more than 12 decimals.
    """
    schema = schema_of(facts.kind)
    key = columns[schema.key]
    price_decimals = decimals_needed((columns[name] for name in schema.prices), MAX_PRICE_DECIMALS)
    if price_decimals is None:
        raise DataError(
            f"{facts.market}:{facts.symbol}: prices need more than {MAX_PRICE_DECIMALS} decimals",
            hint="import with --price-decimals N to round them",
        )
    return Partition(
        path=partition_path(facts.market, facts.kind, facts.symbol, facts.timeframe, int(key[0]), daily=schema.daily),
        market=facts.market,
        kind=facts.kind,
        symbol=facts.symbol,
        timeframe=facts.timeframe,
        first_time=int(key[0]),
        last_time=int(key[-1]),
        rows=len(key),
        size=path.stat().st_size,
        sha256=file_sha256(path),
        content=content_digest(schema, columns),
        sources=facts.sources,
        schema_version=SCHEMA_VERSION,
        gaps=gaps_of(key, facts.timeframe),
        repairs=facts.repairs,
        price_decimals=price_decimals,
        volume_decimals=None
        if schema.volume is None
        else decimals_needed([columns[schema.volume]], MAX_VOLUME_DECIMALS),
        created=created,
    )


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
            f"{path} cannot be read: {error}", hint="import that month again with --replace, or bt data rm it"
        ) from error


def read_facts(path: Path) -> FileFacts:
    """Return what a partition file says about itself.

    Raises:
        DataError: the file is not a partition that this program wrote.
    """
    try:
        with path.open("rb") as file:
            metadata = pq.ParquetFile(file, pre_buffer=False).schema_arrow.metadata or {}
        return msgspec.json.decode(metadata[_METADATA_KEY], type=FileFacts)
    except (OSError, pa.ArrowException, KeyError, msgspec.DecodeError) as error:
        raise DataError(
            f"{path} is not a partition of this lake",
            hint="move it out of the lake, or bt data import it from elsewhere",
        ) from error
