"""Rows of one big file, in blocks, straight into partition files."""

from pathlib import Path

import numpy as np

from backtester.data.downloader.file_checks import Repaired
from backtester.data.downloader.periods import add_counts, by_period, period_bounds, period_of
from backtester.data.downloader.rows import Rows
from backtester.data.downloader.writing import SeriesWriter
from backtester.data.manifest_writer import now_us
from backtester.data.parquet import PartitionFile
from backtester.data.partition import Partition, Source
from backtester.data.schemas import schema_of


class FileStream:
    """Where the rows of one file go that is too big for memory; the series has them when `finish` is called.

    Memory holds two row groups, but for a partition that must be merged with other rows: that is read whole.
    """

    def __init__(self, writer: SeriesWriter, source: Source) -> None:
        self.rows = 0
        self.repairs: dict[str, int] = {}
        self._writer = writer
        self._source = source
        self._origin = writer.begin_source(source)
        self._schema = schema_of(writer.series.kind)
        self._repairs: dict[str, dict[str, int]] = {}
        self._open: tuple[str, PartitionFile] | None = None
        self._done: list[tuple[Path, Partition]] = []

    def note(self, repaired: Repaired) -> None:
        """Count repairs, by name the times of rows, in their partitions; before rows of a later partition are
        written.
        """
        for name, unsorted in repaired.items():
            times = np.sort(unsorted)
            add_counts(self.repairs, {name: len(times)})
            while len(times):
                period = period_of(self._schema, int(times[0]))
                count = int(np.searchsorted(times, period_bounds(period)[1], side="left"))
                add_counts(self._repairs.setdefault(period, {}), {name: count})
                times = times[count:]

    def write(self, rows: Rows) -> None:
        """Add the next rows, sorted and unique and all after those before.

        Raises:
            StorageError: the disk refuses. DataError: a price needs more than 12 decimals.
        """
        series = self._writer.series
        for period, part in by_period(rows):
            if self._open is not None and self._open[0] != period:
                self._close()
            if self._open is None:
                self._open = (period, PartitionFile(self._writer.temporary(), series.kind, series.timeframe))
            self._open[1].write(part.columns)
        self.rows += len(rows)

    def finish(self) -> None:
        """Hand the finished files to the series.

        Raises:
            DataError: a row differs from one of the lake or of another source. StorageError: the disk refuses.
        """
        self._close(last=True)
        while self._done:
            file, partition = self._done.pop(0)
            self._writer.adopt(file, partition, self._source, self._origin)

    def discard(self) -> None:
        """Delete what was written and not handed over."""
        if self._open is not None:
            self._open[1].discard()
            self._open = None
        for file, _ in self._done:
            file.unlink(missing_ok=True)
        self._done.clear()

    def _close(self, *, last: bool = False) -> None:
        if self._open is None:
            return
        period, file = self._open
        counts: dict[str, int] = {}
        for noted in sorted(self._repairs):  # of periods before it too, if all of their rows were left out
            if last or noted <= period:
                add_counts(counts, self._repairs.pop(noted))
        facts = self._writer.stager.facts((self._source,), counts)
        self._done.append((file.path, file.finish(facts, now_us())))
        self._open = None
