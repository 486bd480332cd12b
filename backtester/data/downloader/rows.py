"""Rows on their way into the lake: columns of one kind, and where each row came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtester.data.downloader.problems import Problem
from backtester.data.partition import Source
from backtester.data.schemas import Schema

IN_LAKE = -1


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one kind with their origin, for messages.

    columns: by name, arrays of shape (n,), unknown values as `schemas` says. origin: int32, index into a list of names,
    or IN_LAKE for rows that the lake already had. line: int64, line in that file (row, for Parquet), from 1.
    """

    schema: Schema
    columns: dict[str, NDArray[Any]]
    origin: NDArray[np.int32]
    line: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.line)

    @property
    def key(self) -> NDArray[np.int64]:
        """The key column: times in UTC µs."""
        return self.columns[self.schema.key]

    @property
    def identity(self) -> list[NDArray[Any]]:
        """The columns that together name a row."""
        return [self.columns[name] for name in self.schema.keys]

    def take(self, chosen: Any) -> "Rows":
        """Return the rows of a boolean mask, an index array or a slice."""
        columns = {name: values[chosen] for name, values in self.columns.items()}
        return Rows(self.schema, columns, self.origin[chosen], self.line[chosen])


def rows_of(schema: Schema, columns: dict[str, NDArray[Any]], origin: int = IN_LAKE, line: Any = None) -> Rows:
    """Return rows that all come from one place; `line` counts from 1 when not given."""
    length = len(columns[schema.key])
    lines = np.arange(1, length + 1, dtype=np.int64) if line is None else line
    return Rows(schema, columns, np.full(length, origin, dtype=np.int32), lines)


def concatenated(parts: Sequence[Rows]) -> Rows:
    """Return all rows in the order given; at least one part."""
    if len(parts) == 1:
        return parts[0]
    schema = parts[0].schema
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in schema.names}
    return Rows(schema, columns, np.concatenate([p.origin for p in parts]), np.concatenate([p.line for p in parts]))


@dataclass(frozen=True, slots=True)
class Series:
    """One time series of the lake; timeframe is empty for kinds without one."""

    market: str
    kind: str
    symbol: str
    timeframe: str

    def __str__(self) -> str:
        return " ".join(filter(None, [f"{self.market}:{self.symbol}", self.timeframe, self.kind]))


@dataclass(frozen=True, slots=True)
class CleanRows:
    """What parsing and sanitising made of one source.

    rows: sorted by identity and unique. repairs: by name, the times of the rows that were repaired, one entry per row.
    refused: which lines were left out, and by which rule. read: rows that the source holds, good and bad.
    """

    rows: Rows
    repairs: dict[str, NDArray[np.int64]]
    source: Source
    refused: tuple[Problem, ...] = ()
    read: int = 0


def row_text(row: Rows) -> str:
    """Return the values of one row for a message; unknown values are left out."""
    parts = []
    for column in row.schema.columns[1:]:
        values = row.columns[column.name]
        if column.known(values)[0]:
            parts.append(f"{column.name}={values[0]}")
    return "(" + " ".join(parts) + ")"


def twice(schema: Schema) -> str:
    """Return how messages call two rows of one identity that differ."""
    return "open time(s) with two different candles" if schema.gridded else "row(s) that are there twice and differ"
