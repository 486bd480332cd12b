"""Reading the lake: what is there, what is missing, and candles in batches of constant memory."""

import difflib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from backtester.core.errors import DataError
from backtester.core.time import TIMEFRAMES, format_time, timeframe_us
from backtester.data.columns import CandleColumns
from backtester.data.gaps import Gap, clipped, first_open, without
from backtester.data.manifest import read_journal
from backtester.data.partition import Outage, Partition
from backtester.data.schemas import KLINES, ROW_GROUP_ROWS
from backtester.data.verifying import Discrepancy, unlisted_files, verify_partitions

_CANDLE_COLUMNS: Final = ["open_time", "open", "high", "low", "close", "volume"]


class Lake:
    """A data lake, read only. It trusts the manifest alone and takes no lock.

    The manifest is read once, on opening; a file that does not match it makes the lake read it again, once per file. So
    a reader that runs beside a writer sees each partition either before or after.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._manifest: Mapping[str, Partition] = {}
        self._outages: list[Outage] = []
        self.refresh()
        self._read: dict[str, Partition] = {}

    def refresh(self) -> None:
        """Read the manifest again."""
        journal = read_journal(self.root)
        self._manifest, self._outages = journal.partitions, journal.outages

    def all_partitions(self) -> list[Partition]:
        """Return every partition, sorted by market, kind, symbol, timeframe and time."""
        return sorted(self._manifest.values(), key=lambda p: (p.market, p.kind, p.symbol, _length(p), p.first_time))

    def partitions_read(self) -> list[Partition]:
        """Return the partitions from which candles were read so far, as they were read, sorted by path."""
        return [self._read[path] for path in sorted(self._read)]

    def symbols(self, market: str, kind: str = KLINES.kind) -> list[str]:
        """Return the symbols of a market, sorted; empty when there are none."""
        return sorted({p.symbol for p in self._manifest.values() if (p.market, p.kind) == (market, kind)})

    def timeframes(self, market: str, kind: str, symbol: str) -> list[str]:
        """Return the stored timeframes of a symbol, finest first.

        Raises:
            DataError: the lake does not have the symbol.
        """
        found = {p.timeframe for p in self._manifest.values() if (p.market, p.kind, p.symbol) == (market, kind, symbol)}
        if not found:
            raise self._unknown_symbol(market, kind, symbol)
        return sorted(found, key=lambda name: TIMEFRAMES.get(name, 0))

    def source_timeframe(
        self, market: str, symbol: str, timeframe: str, start: int | None = None, end: int | None = None
    ) -> str:
        """Return the stored timeframe to read when candles of `timeframe` are wanted.

        Of those that divide it, the one that lacks least of the range; among equals the wanted one, then the longest. A
        bound that is not given is the widest that any of them reaches.

        Raises:
            DataError: the lake does not have the symbol, or no timeframe from which to derive.
        """
        stored = self.timeframes(market, KLINES.kind, symbol)
        wanted = timeframe_us(timeframe)
        fitting = [name for name in stored if wanted % timeframe_us(name) == 0]
        if not fitting:
            raise self._unknown_timeframe(market, KLINES.kind, symbol, timeframe)

        series = {name: self.partitions(market, KLINES.kind, symbol, name) for name in fitting}
        first = min(s[0].first_time for s in series.values()) if start is None else start
        last = max(s[-1].last_time + timeframe_us(n) for n, s in series.items()) if end is None else end

        def missing(name: str) -> int:
            return sum(to - from_ for from_, to in self.gaps(market, KLINES.kind, symbol, name, first, last))

        return min(reversed(fitting), key=missing)  # min keeps the first of equals: the longest

    def partitions(
        self, market: str, kind: str, symbol: str, timeframe: str, start: int | None = None, end: int | None = None
    ) -> list[Partition]:
        """Return the partitions with rows in [start, end), in time order; empty when the range holds none.

        Raises:
            DataError: the lake does not have the symbol, or not in this timeframe.
        """
        series = [p for p in self._manifest.values() if p.series == (market, kind, symbol, timeframe)]
        if not series:
            self.timeframes(market, kind, symbol)
            raise self._unknown_timeframe(market, kind, symbol, timeframe)
        chosen = [p for p in series if (start is None or p.last_time >= start) and (end is None or p.first_time < end)]
        return sorted(chosen, key=lambda p: p.first_time)

    def gaps(self, market: str, kind: str, symbol: str, timeframe: str, start: int, end: int) -> list[Gap]:
        """Return the ranges [from, to) of open times in [start, end) that the lake does not have, in time order.

        Taken from the manifest alone: inside partitions, between them, and at the edges of the range.

        Raises:
            DataError: the lake does not have the symbol, or not in this timeframe.
        """
        length = timeframe_us(timeframe)
        found: list[Gap] = []
        cursor = first_open(start, length)
        for partition in self.partitions(market, kind, symbol, timeframe, start, end):
            found.append((cursor, partition.first_time))
            found.extend(partition.gaps)
            cursor = max(cursor, partition.last_time + length)
        found.append((cursor, end))
        return clipped(found, first_open(start, length), end)

    def outages(self, market: str, kind: str, symbol: str, timeframe: str) -> list[Outage]:
        """Return the ranges of a series that no source has, as recorded, in time order; see `bt data repair`."""
        series = (market, kind, symbol, timeframe)
        return sorted((one for one in self._outages if one.series == series), key=lambda one: (one.start, one.end))

    def unknown_gaps(self, market: str, kind: str, symbol: str, timeframe: str, start: int, end: int) -> list[Gap]:
        """Return the parts of `gaps` that are no recorded outages, in time order.

        Raises:
            DataError: as `gaps`.
        """
        known = [(one.start, one.end) for one in self.outages(market, kind, symbol, timeframe)]
        return without(self.gaps(market, kind, symbol, timeframe, start, end), known)

    def read_candles(
        self, market: str, symbol: str, timeframe: str, start: int, end: int, batch_rows: int = ROW_GROUP_ROWS
    ) -> Iterator[CandleColumns]:
        """Yield the stored candles with start <= open_time < end in time order, at most batch_rows at a time.

        Each file is checked against the manifest's SHA-256 before its rows are used. Memory holds one row group.

        Raises:
            DataError: the lake does not have the series, or a file is missing or differs from the manifest.
        """
        for partition in self.partitions(market, KLINES.kind, symbol, timeframe, start, end):
            yield from self._read_partition(partition, start, end, batch_rows)

    def verify(
        self,
        partitions: Iterable[Partition] | None = None,
        *,
        full: bool = False,
        on_checked: Callable[[str], None] | None = None,
    ) -> list[Discrepancy]:
        """Return which files are not what the manifest promises; see `verify_partitions`. None: all partitions."""
        chosen = self.all_partitions() if partitions is None else partitions
        return verify_partitions(self.root, chosen, full=full, on_checked=on_checked)

    def unlisted(self) -> list[str]:
        """Return Parquet files in the lake's folders that the manifest does not list; readers ignore them."""
        return unlisted_files(self.root, self._manifest)

    def _read_partition(self, partition: Partition, start: int, end: int, batch_rows: int) -> Iterator[CandleColumns]:
        with self._open_checked(partition) as file:
            parquet = pq.ParquetFile(file, pre_buffer=False)
            groups = [g for g in range(parquet.num_row_groups) if _may_hold(parquet.metadata.row_group(g), start, end)]
            for batch in parquet.iter_batches(
                batch_size=batch_rows, row_groups=groups, columns=_CANDLE_COLUMNS, use_threads=False
            ):
                candles = CandleColumns(*(_array(batch, name) for name in _CANDLE_COLUMNS)).between(start, end)
                if len(candles):
                    yield candles

    def _open_checked(self, partition: Partition) -> Any:
        """Open a partition's file after comparing it with the manifest; on a mismatch read the manifest once more."""
        file = _open_if_matching(self.root, partition)
        if file is None:
            self.refresh()
            again = self._manifest.get(partition.path)
            file = None if again is None else _open_if_matching(self.root, again)
            if again is None or file is None:
                raise _damaged(self.root, partition)
            partition = again
        self._read[partition.path] = partition
        return file

    def _unknown_symbol(self, market: str, kind: str, symbol: str) -> DataError:
        if not self._manifest:
            return DataError(
                f"{market}:{symbol} is not in {self.root}: the lake is empty",
                hint=f"bt data sample --data {self.root} (synthetic), or bt data import FILES --data {self.root}",
            )
        there = self.symbols(market, kind)
        elsewhere = sorted({p.market for p in self._manifest.values() if p.kind == kind and p.symbol == symbol})
        near = difflib.get_close_matches(symbol.upper(), there, n=1, cutoff=0.6)
        message = f"{market}:{symbol} is not in {self.root}"
        if elsewhere:
            message += f"; it is there as {' and '.join(f'{m}:{symbol}' for m in elsewhere)}"
        elif near:
            message += f"; did you mean {near[0]}?"
        listed = ", ".join(there[:20]) + (f", and {len(there) - 20} more" if len(there) > 20 else "")
        return DataError(
            f"{message} ({market} {kind}: {listed or 'none'})",
            hint=f"bt data import FILES --market {market} --symbol {symbol} --data {self.root}",
        )

    def _unknown_timeframe(self, market: str, kind: str, symbol: str, timeframe: str) -> DataError:
        stored = ", ".join(self.timeframes(market, kind, symbol))
        return DataError(
            f"{market}:{symbol} has no {timeframe} {kind} in {self.root}; it has {stored}",
            hint=f"use one of those, a multiple of them, or: bt data import FILES --market {market} --symbol {symbol} "
            f"--timeframe {timeframe} --data {self.root}",
        )


def series_gaps(partitions: Sequence[Partition]) -> list[Gap]:
    """Return all gaps from the first to the last candle of one series' partitions, in time order; at least one
    partition; none for a kind without a timeframe.
    """
    if not partitions[0].timeframe:
        return []
    length = timeframe_us(partitions[0].timeframe)
    found: list[Gap] = [gap for partition in partitions for gap in partition.gaps]
    found += [(a.last_time + length, b.first_time) for a, b in pairwise(partitions)]
    return clipped(found, partitions[0].first_time, partitions[-1].last_time)


def _damaged(root: Path, partition: Partition) -> DataError:
    first, last = format_time(partition.first_time), format_time(partition.last_time)
    return DataError(
        f"{partition.market}:{partition.symbol} {partition.timeframe} {first} .. {last}: {root / partition.path} "
        "is missing or is not the file that the manifest records",
        hint=f"bt data verify --data {root} shows all that is wrong; then import that month again with --replace",
    )


def _length(partition: Partition) -> int:
    return TIMEFRAMES.get(partition.timeframe, 0)


def _array(batch: Any, name: str) -> Any:
    column = batch.column(name)  # read from its buffer: pyarrow's own conversion imports pandas where that is installed
    dtype = np.dtype(str(column.type).replace("double", "float64"))
    return np.frombuffer(column.buffers()[1], dtype=dtype, count=len(column), offset=column.offset * dtype.itemsize)


def _open_if_matching(root: Path, partition: Partition) -> Any:
    """Return the open file, at its start, if it is the one recorded; the check and the rows share one open file."""
    try:
        file = (root / partition.path).open("rb")
    except OSError:
        return None
    if hashlib.file_digest(file, "sha256").hexdigest() != partition.sha256:
        file.close()
        return None
    file.seek(0)
    return file


def _may_hold(row_group: Any, start: int, end: int) -> bool:
    statistics = row_group.column(0).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.max >= start and statistics.min < end)
