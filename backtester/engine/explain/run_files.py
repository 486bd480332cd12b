"""What a run's folder holds, for who explains it: the log, the config, the tables as far as they are there."""

import functools
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from backtester.audit.seeking import LogFile
from backtester.core.errors import UsageError
from backtester.engine.config_snapshot import CONFIG
from backtester.engine.explain.causes import Market
from backtester.engine.replay import LOG, read_run_json

Row = dict[str, Any]


class RunFiles:
    """A run to be explained; one that was never sealed has a log, and perhaps nothing else.

    Raises:
        UsageError: there is no log, or a file of the run cannot be read.
    """

    def __init__(self, folder: Path, data: Path | None = None) -> None:
        """data: where the lake is now, when it has moved."""
        self.folder = folder
        self.log = LogFile(folder / LOG)
        self.record = read_run_json(folder) or {}
        self.config = self._config()
        lake = data or Path(self.config.get("data", {}).get("dir", "data"))
        self.market = Market(lake, self.record.get("data", []))

    @property
    def sealed(self) -> bool:
        """Whether the run was sealed: only then it has tables."""
        return bool(self.record)

    def _config(self) -> dict[str, Any]:
        path = self.folder / CONFIG
        try:
            return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} is not a config: {error}") from None

    def batches(self, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield a table batch by batch; nothing when the run does not have it."""
        path = self.folder / f"{table}.parquet"
        if not path.is_file() or not self.sealed:
            return
        try:
            yield from pq.ParquetFile(path).iter_batches(columns=None if columns is None else list(columns))
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"{path} cannot be read: {error}") from None

    def rows(self, table: str, most: int, **equal: Any) -> list[Row]:
        """Return the first rows of a table in which columns have these values; times in UTC µs.

        Of row groups that have none only those columns are read.
        """
        path = self.folder / f"{table}.parquet"
        found: list[Row] = []
        if not path.is_file() or not self.sealed:
            return found
        try:
            file = pq.ParquetFile(path)
            for group in range(file.num_row_groups):
                keys = file.read_row_group(group, columns=list(equal))
                mask = functools.reduce(pc.and_, (pc.equal(keys.column(name), value) for name, value in equal.items()))
                if pc.any(mask).as_py():
                    for batch in file.read_row_group(group).filter(mask).to_batches():
                        found += plain_rows(batch)
                if len(found) >= most:
                    break
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"{path} cannot be read: {error}") from None
        return found[:most]

    def row(self, table: str, place: int) -> Row | None:
        """Return one row of a table, counted from 0; None when there is none."""
        for batch in self.batches(table):
            if place < batch.num_rows:
                return plain_rows(batch.slice(place, 1))[0]
            place -= batch.num_rows
        return None

    def count(self, table: str) -> int:
        """Return how many rows a table has; 0 without one."""
        path = self.folder / f"{table}.parquet"
        return pq.read_metadata(path).num_rows if path.is_file() and self.sealed else 0


def plain_rows(batch: pa.RecordBatch) -> list[Row]:
    """Return rows as dicts, times in UTC µs."""
    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        timed = pa.types.is_timestamp(column.type)
        columns[name] = (column.cast(pa.int64()) if timed else column).to_pylist()
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
