"""Clean rows into partition files, of months or days, merged with what the lake has.

Nothing takes effect before `commit`.
"""

from concurrent.futures import Future
from pathlib import Path
from typing import Final

import numpy as np

from backtester.core.errors import DataError
from backtester.data.downloader.periods import among_periods, by_period, counts_within, period_bounds, period_of
from backtester.data.downloader.rows import CleanRows, Rows, Series, rows_of
from backtester.data.downloader.staging import UNKNOWN_LINE, StagedPartition, Stager, Waiting
from backtester.data.downloader.workers import Workers
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.parquet import read_partition_file
from backtester.data.partition import Partition, Source, is_synthetic, partition_path
from backtester.data.schemas import schema_of

BUFFERED_ROWS: Final = 2_000_000


class SeriesWriter:
    """Collect the clean rows of one series and turn them into finished partition files.

    Rows wait in memory up to BUFFERED_ROWS and are then merged, period by period, with the lake's partition into a
    temporary file. `commit` puts the files in place, each partition as a whole; without it the lake stays as it was.

    replace: new rows take the place of different rows of the lake, and real rows that of a synthetic series.
    workers: threads that write partitions meanwhile; without, each is written before `begin_staging` returns.
    staged: by path, what is finished.
    """

    def __init__(
        self, writer: ManifestWriter, series: Series, *, replace: bool = False, workers: Workers | None = None
    ) -> None:
        self.series = series
        self.staged: dict[str, StagedPartition] = {}
        self._names: list[str] = []
        self.stager = Stager(writer, series, self._names, replace=replace)
        self._writer = writer
        self._replace = replace
        self._workers = workers
        self._schema = schema_of(series.kind)
        self._waiting: dict[str, Waiting] = {}
        self._under_way: dict[str, Future[StagedPartition]] = {}
        self._buffered = 0
        self._synthetic: bool | None = None
        self._obsolete: list[str] = []

    def add(self, clean: CleanRows) -> None:
        """Take rows; they are written to temporary files when enough have come together.

        Raises:
            DataError: a row differs from one of the lake or of another source, or synthetic and real rows would mix.
            StorageError: the disk refuses.
        """
        origin = self.begin_source(clean.source)
        parts = by_period(clean.rows)
        repairs = among_periods(clean.repairs, [period for period, _ in parts], clean.rows.key) if parts else {}
        for period, rows in parts:
            own = Rows(rows.schema, rows.columns, np.full(len(rows), origin, dtype=np.int32), rows.line)
            counts = counts_within(repairs, period)
            self._waiting.setdefault(period, Waiting()).add(own, clean.source, counts)
        self._buffered += len(clean.rows)
        if self._buffered > BUFFERED_ROWS:
            self.begin_staging()

    def begin_source(self, source: Source) -> int:
        """Return the origin of the rows of a source, before they are added.

        Raises:
            DataError: synthetic and real rows would mix.
        """
        self._refuse_mixing(source)
        self._names.append(source.address)
        return len(self._names) - 1

    def adopt(self, file: Path, partition: Partition, source: Source, origin: int) -> None:
        """Take a finished temporary file of one source; where other rows are in the same place it is merged with them.

        Raises:
            DataError, StorageError: as `add`.
        """
        path, period = partition.path, period_of(self._schema, partition.first_time)
        self._settle(path)
        before = self._before(path)
        alone = period not in self._waiting and path not in self.staged
        if alone and before is None:
            self.staged[path] = StagedPartition(partition, file, partition.rows)
            return
        if alone and before is not None and before.content == partition.content and not self.stager.is_damaged(before):
            self.staged[path] = StagedPartition(before, None, 0)
        else:
            columns = read_partition_file(file, self._schema)
            lines = np.full(partition.rows, UNKNOWN_LINE, dtype=np.int64)
            rows = rows_of(self._schema, columns, origin, lines)
            self._waiting.setdefault(period, Waiting()).add(rows, source, partition.repairs)
            self._buffered += partition.rows
            self.begin_staging()
        file.unlink()

    def begin_staging(self, before: int | None = None) -> None:
        """Have what waits in memory written to temporary files, by threads if there are any.

        before: only partitions that end by then, because no more rows of theirs will come, UTC µs.

        Raises:
            DataError, StorageError: as `add`; with threads, perhaps only when `stage` is called.
        """
        for period in sorted(self._waiting):
            if before is not None and period_bounds(period)[1] > before:
                continue
            waiting = self._waiting.pop(period)
            self._buffered -= len(waiting)
            path = self._path(period)
            self._settle(path)
            arguments = (waiting, self._before(path), self.staged.get(path))
            if self._workers is None:
                self.staged[path] = self.stager.stage(*arguments)
            else:
                self._under_way[path] = self._workers.submit(self.stager.stage, *arguments)

    def stage(self) -> None:
        """Write what waits in memory to temporary files, and wait for it.

        Raises:
            DataError, StorageError: as `add`.
        """
        self.begin_staging()
        for path in sorted(self._under_way):
            self._settle(path)

    def commit(self) -> None:
        """Make every staged partition part of the lake.

        Raises:
            StorageError: the disk refuses; partitions put in place before that stay.
        """
        ready = [self.staged[path] for path in sorted(self.staged)]
        self._writer.put_all([(one.file, one.partition) for one in ready if one.file is not None])
        self._writer.remove(path for path in self._obsolete if path not in self.staged)

    def temporary(self) -> Path:
        """Return a fresh path for a temporary file of the lake."""
        return self._writer.temporary()

    def _before(self, path: str) -> Partition | None:
        return None if path in self._obsolete else self._writer.partitions.get(path)

    def _path(self, period: str) -> str:
        series, start = self.series, period_bounds(period)[0]
        daily = self._schema.daily
        return partition_path(series.market, series.kind, series.symbol, series.timeframe, start, daily=daily)

    def _settle(self, path: str) -> None:
        """Wait for a partition that is being written, if it is."""
        future = self._under_way.pop(path, None)
        if future is not None:
            self.staged[path] = future.result()

    def _refuse_mixing(self, source: Source) -> None:
        synthetic = is_synthetic((source,))
        if self._synthetic == synthetic:
            return
        there = [p for p in self._writer.partitions.values() if p.series == _key(self.series)]
        mixed = [p for p in there if p.synthetic != synthetic and p.path not in self._obsolete]
        if mixed and self._replace and not synthetic:
            self._obsolete.extend(p.path for p in mixed)
            mixed = []
        if mixed or self._synthetic not in {None, synthetic}:
            have, come = ("real", "synthetic") if synthetic else ("synthetic", "real")
            other = "use another lake: --data DIR"
            raise DataError(
                f"{self.series} in {self._writer.root} is {have}, and {source.address} is {come}: they must not mix",
                hint=other if synthetic else f"--replace drops the synthetic candles, or {other}",
            )
        self._synthetic = synthetic


def _key(series: Series) -> tuple[str, str, str, str]:
    return (series.market, series.kind, series.symbol, series.timeframe)
