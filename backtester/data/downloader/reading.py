"""One file from the disk: its clean rows, or for a big one a way to read them block by block."""

import io
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from backtester.data.downloader.archive_names import is_page
from backtester.data.downloader.big_files import BigFile
from backtester.data.downloader.finding import SourceFile
from backtester.data.downloader.hashed_file import HashedFile
from backtester.data.downloader.parsing import Parsed, joined, parse_blocks
from backtester.data.downloader.rows import CleanRows, Series
from backtester.data.downloader.sanitising import Repairs, infer_timeframe, sanitise
from backtester.data.downloader.sources.json_tables import table_of
from backtester.data.downloader.unpacking import (
    MOST_BYTES,
    read_source,
    source_of,
    unpacked,
    unpacked_size,
)
from backtester.data.schemas import Schema, schema_of

BIG_BYTES: Final = 32 << 20  # of text: a file of more is not held in memory


def is_big(path: Path) -> bool:
    """Say whether the table in a file is too big to be held in memory; pages are read whole."""
    if is_page(path.name):
        return False
    try:
        with path.open("rb") as opened:
            return unpacked_size(path.name, opened, path.stat().st_size) > BIG_BYTES
    except OSError:
        return False


def read_file(file: SourceFile, mapping: Mapping[str, str], allowed: Repairs) -> tuple[Series, CleanRows]:
    """Parse and sanitise one file.

    Raises:
        DataError: the file is damaged or its rows are bad.
    """
    schema, name = schema_of(file.kind), file.path.name
    data, source = read_source(file.path, file.address)
    page = is_page(name)
    chunks = [table_of(name, data, file.kind)] if page else unpacked(name, io.BytesIO(data), len(data))
    parsed = joined(name, parse_blocks(name, chunks, schema, mapping, official=file.official))
    timeframe = _timeframe(file, schema, parsed)
    clean = sanitise(name, parsed, source, timeframe, allowed, file.dates)
    return Series(file.market, file.kind, file.symbol, timeframe), clean


def as_big(file: SourceFile, mapping: Mapping[str, str], allowed: Repairs) -> BigFile:
    """Return how to read a big file; a timeframe that its name does not say is inferred from its first block.

    Raises:
        DataError: it differs from its checksum, its first block tells no timeframe, or it changes while it is read.
    """
    schema, name = schema_of(file.kind), file.path.name
    hashed = HashedFile(file.path)
    source = source_of(file.path, hashed.sha256, file.address)

    def blocks() -> Iterator[Parsed]:
        return table_blocks(hashed, schema, mapping, official=file.official)

    first = joined(name, islice(blocks(), 1)) if schema.gridded and file.timeframe is None else None
    timeframe = (file.timeframe or "") if first is None else _timeframe(file, schema, first)
    return BigFile(name, schema, blocks, source, timeframe, allowed, file.dates)


def table_blocks(
    file: HashedFile, schema: Schema, mapping: Mapping[str, str], *, official: bool, most: int = MOST_BYTES
) -> Iterator[Parsed]:
    """Yield the rows of the table in a file, block by block.

    Raises:
        DataError: as `table_chunks` and `parse_blocks`.
    """
    chunks = table_chunks(file, most)
    yield from parse_blocks(file.path.name, chunks, schema, mapping, official=official)


def table_chunks(file: HashedFile, most: int = MOST_BYTES) -> Iterator[bytes]:
    """Yield the bytes of the table in a file.

    Raises:
        DataError: as `unpacked`; the file is not the one that was hashed, which may be found after the last chunk.
    """
    with file.opened() as (opened, size):
        yield from unpacked(file.path.name, opened, size, most)


def _timeframe(file: SourceFile, schema: Schema, parsed: Parsed) -> str:
    if not schema.gridded:
        return ""
    good = np.logical_not(parsed.problems.bad)
    if file.timeframe is not None or not good.any():  # without good rows the file is refused for those
        return file.timeframe or ""
    return infer_timeframe(file.path.name, parsed.rows.key[good])
