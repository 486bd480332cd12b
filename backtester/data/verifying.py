"""Comparing the files of the lake with what the manifest promises."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backtester.core.errors import DataError
from backtester.data.durable import file_sha256
from backtester.data.gaps import gaps_of
from backtester.data.ordering import rises
from backtester.data.parquet import read_row_groups
from backtester.data.partition import Partition
from backtester.data.schemas import SCHEMA_VERSION, ContentDigest, schema_of


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A partition whose file is not what the manifest promises, and in what."""

    partition: Partition
    text: str


def verify_partitions(
    root: Path, partitions: Iterable[Partition], *, full: bool = False, on_checked: Callable[[str], None] | None = None
) -> list[Discrepancy]:
    """Return what is wrong with partitions, in the order given; empty when all is well.

    Compares each file's SHA-256 with the manifest, as many files at a time as there are processors. full: reads the
    rows too, and compares their content digest, number, order, first and last time and gaps.

    on_checked: called with each path, in the order given, when it is settled.
    """

    def problem(partition: Partition) -> str | None:
        text = _file_problem(root / partition.path, partition)
        return _content_problem(root / partition.path, partition) if text is None and full else text

    found = []
    listed = list(partitions)
    workers = ThreadPoolExecutor(os.cpu_count())  # hashing and decoding release the interpreter's lock
    try:
        for partition, text in zip(listed, workers.map(problem, listed), strict=True):
            if text is not None:
                found.append(Discrepancy(partition, text))
            if on_checked is not None:
                on_checked(partition.path)
    finally:
        workers.shutdown(cancel_futures=True)
    return found


def unlisted_files(root: Path, listed: Iterable[str]) -> list[str]:
    """Return the Parquet files below the lake, by path, that the manifest does not list; readers ignore them."""
    known = set(listed)
    paths = (path.relative_to(root).as_posix() for path in root.rglob("year=*/*.parquet"))
    return sorted(path for path in paths if path not in known)


def _file_problem(path: Path, partition: Partition) -> str | None:
    try:
        if file_sha256(path) == partition.sha256:
            return None
    except FileNotFoundError:
        return "the file is missing"
    except OSError as error:
        return f"the file cannot be read: {error.strerror}"
    return (
        f"the file has {path.stat().st_size} bytes and another SHA-256 than the manifest, which says {partition.size}"
    )


def _content_problem(path: Path, partition: Partition) -> str | None:
    if partition.schema_version != SCHEMA_VERSION:
        return f"its schema has version {partition.schema_version}, this program writes {SCHEMA_VERSION}"
    schema = schema_of(partition.kind)
    digest = ContentDigest(schema)
    parts: list[tuple[Any, ...]] = []
    try:
        for columns in read_row_groups(path, schema):
            digest.update(columns)
            parts.append(tuple(columns[name] for name in schema.keys))
    except DataError as error:
        return error.message
    identity = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    key = identity[0]
    gaps = gaps_of(key, partition.timeframe)
    checks = (
        (len(key) == partition.rows, f"it holds {len(key)} rows, the manifest says {partition.rows}"),
        (rises(identity), "its rows are not sorted and unique"),
        ((int(key[0]), int(key[-1])) == (partition.first_time, partition.last_time), "its first or last time differs"),
        (gaps == partition.gaps, "its gaps are not the manifest's"),
        (digest.hexdigest() == partition.content, "its rows have another digest than the manifest says"),
    )
    return next((text for holds, text in checks if not holds), None)
