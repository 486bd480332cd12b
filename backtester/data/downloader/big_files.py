"""Files that are too big for memory: checked and written block by block.

Rows in order flow straight into partition files. A file of which the rows are not is read again: its rows are put aside
by partition, on the disk, and then sorted and compared one partition after the other.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backtester.core.errors import DataError
from backtester.data.downloader.file_checks import FileChecks, Repaired, Repairs, SortedChecks
from backtester.data.downloader.file_stream import FileStream
from backtester.data.downloader.parsing import Parsed
from backtester.data.downloader.periods import by_period
from backtester.data.downloader.problems import Problem
from backtester.data.downloader.rows import Rows, rows_of
from backtester.data.downloader.sanitising import unique
from backtester.data.downloader.workers import one_ahead
from backtester.data.downloader.writing import SeriesWriter
from backtester.data.ordering import rises
from backtester.data.partition import Source
from backtester.data.schemas import Schema

_MOST_ROWS_AT_ONCE = 1 << 17


@dataclass(frozen=True, slots=True)
class BigFile:
    """A file as it is to be checked. blocks: yields its rows anew each time it is called; the rest as `sanitise`."""

    name: str
    schema: Schema
    blocks: Callable[[], Iterator[Parsed]]
    source: Source
    timeframe: str
    allowed: Repairs
    dates: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class BigReport:
    """What came of a big file. read: rows that it holds; kept: those that were written; repairs: counts by name."""

    read: int
    kept: int
    refused: tuple[Problem, ...]
    repairs: dict[str, int]


class _NotInOrder(Exception):
    """A row does not come after the one before it."""


def write_big_file(file: BigFile, writer: SeriesWriter) -> BigReport:
    """Check a file and hand its rows to a series, as `sanitise` and `SeriesWriter.add` would.

    Raises:
        DataError: as these do; the series is not to be committed then.
        StorageError: the disk refuses.
    """
    for way in (_in_order, _by_partition):
        stream = FileStream(writer, file.source)
        checks = FileChecks(file.name, file.timeframe, file.allowed, file.dates)
        try:
            conflicting = way(file, checks, stream, writer)
            stream.finish()
            return BigReport(checks.read, stream.rows, (*checks.found, *conflicting), stream.repairs)
        except _NotInOrder:
            continue
        finally:
            stream.discard()
    raise AssertionError("rows put aside by partition are in order")


def _in_order(file: BigFile, checks: FileChecks, stream: FileStream, _: SeriesWriter) -> list[Problem]:
    """Write rows as they come.

    Raises:
        _NotInOrder: a row does not come after the one before it.
    """
    in_order = SortedChecks(file.name, file.timeframe)
    last: tuple[Any, ...] | None = None
    for rows, repaired in _checked(file, checks):
        if not len(rows):
            stream.note(repaired)
            continue
        identity = rows.identity
        if (last is not None and tuple(column[0] for column in identity) <= last) or not rises(identity):
            raise _NotInOrder
        last = tuple(column[-1] for column in identity)
        stream.note({**repaired, **in_order.take(rows)})
        stream.write(rows)
    checks.finish(file.schema.kind)
    in_order.finish()
    return []


def _by_partition(file: BigFile, checks: FileChecks, stream: FileStream, writer: SeriesWriter) -> list[Problem]:
    """Put all rows aside by partition, then sort each and drop what is there twice."""
    aside: dict[str, Path] = {}
    conflicting: list[Problem] = []
    in_order = SortedChecks(file.name, file.timeframe)
    try:
        for rows, repaired in _checked(file, checks):
            stream.note(repaired)
            for period, part in by_period(rows.take(np.argsort(rows.key, kind="stable"))):
                if period not in aside:
                    aside[period] = writer.temporary()
                with aside[period].open("ab") as out:
                    out.write(_packed(part))
        checks.finish(file.schema.kind)
        for period in sorted(aside):
            repairs: Repaired = {}
            rows, refused = unique(file.name, _unpacked(file.schema, aside[period]), repairs, file.allowed)
            conflicting += refused
            aside[period].unlink()
            if len(rows):
                repairs.update(in_order.take(rows))
            stream.note(repairs)
            for at in range(0, len(rows), _MOST_ROWS_AT_ONCE):
                stream.write(rows.take(slice(at, at + _MOST_ROWS_AT_ONCE)))
    finally:
        for path in aside.values():
            path.unlink(missing_ok=True)
    if not stream.rows:
        raise DataError(f"{file.name}: no row is left: all have another one of the same time", hint="mend the file")
    in_order.finish()
    return _merged(conflicting)


def _checked(file: BigFile, checks: FileChecks) -> Iterator[tuple[Rows, Repaired]]:
    """Yield good rows and repairs; when bad rows may not be dropped, nothing more after the first, which is counted."""
    blocks = file.blocks()
    for parsed in one_ahead(blocks):
        rows, repaired = checks.take(parsed)
        if not checks.bad or file.allowed.drop_bad:
            yield rows, repaired


def _record(schema: Schema) -> np.dtype[Any]:
    return np.dtype([*((column.name, column.dtype) for column in schema.columns), ("line", "int64")])


def _packed(rows: Rows) -> bytes:
    packed = np.empty(len(rows), dtype=_record(rows.schema))
    for name in rows.schema.names:
        packed[name] = rows.columns[name]
    packed["line"] = rows.line
    return packed.tobytes()


def _unpacked(schema: Schema, path: Path) -> Rows:
    packed = np.fromfile(path, dtype=_record(schema))
    columns = {name: np.ascontiguousarray(packed[name]) for name in schema.names}
    return rows_of(schema, columns, 0, np.ascontiguousarray(packed["line"]))


def _merged(conflicting: list[Problem]) -> list[Problem]:
    if not conflicting:
        return []
    lines = np.sort(np.concatenate([problem.lines for problem in conflicting]))
    return [Problem(conflicting[0].name, conflicting[0].rule, lines, ())]
