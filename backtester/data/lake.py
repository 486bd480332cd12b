"""The lake for readers: what is there, what is missing, and rows in batches of constant memory."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Final

from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.core.time import TIMEFRAMES, first_open, format_time, timeframe_us
from backtester.data.columns import CandleColumns
from backtester.data.gaps import Gap, clipped, without
from backtester.data.manifest import read_journal
from backtester.data.partition import Outage, Partition, SeriesKey
from backtester.data.reading import CheckedFiles, read_range
from backtester.data.schemas import KLINES, ROW_GROUP_ROWS, schema_of
from backtester.data.verifying import Discrepancy, unlisted_files, verify_partitions

_CANDLE_COLUMNS: Final = ("open_time", "open", "high", "low", "close", "volume")


class Lake:
    """A data lake, read only. It trusts the manifest alone and takes no lock.

    The manifest is read once, on opening; a file that does not match it makes the lake read it again, once per file. So
    a reader that runs beside a writer sees each partition either before or after.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._manifest: Mapping[str, Partition] = {}
        self._outages: list[Outage] = []
        self._series: dict[SeriesKey, list[Partition]] | None = None
        self.refresh()
        self._files = CheckedFiles(root)
        self._read: dict[str, Partition] = {}

    def refresh(self) -> None:
        """Read the manifest again."""
        journal = read_journal(self.root)
        self._manifest, self._outages, self._series = journal.partitions, journal.outages, None

    def _by_series(self) -> dict[SeriesKey, list[Partition]]:
        """Return the partitions of each series in time order; a lake of many thousands is looked through once."""
        if self._series is None:
            self._series = {}
            for partition in sorted(self._manifest.values(), key=lambda p: p.first_time):
                self._series.setdefault(partition.series, []).append(partition)
        return self._series

    def all_partitions(self) -> list[Partition]:
        """Return every partition, sorted by market, kind, symbol, timeframe and time."""
        return sorted(self._manifest.values(), key=lambda p: (p.market, p.kind, p.symbol, _length(p), p.first_time))

    def partitions_read(self) -> list[Partition]:
        """Return the partitions from which rows were read so far, as they were read, sorted by path."""
        return [self._read[path] for path in sorted(self._read)]

    def symbols(self, market: str, kind: str = KLINES.kind) -> list[str]:
        """Return the symbols of a market, sorted; empty when there are none."""
        return sorted({name for place, what, name, _ in self._by_series() if (place, what) == (market, kind)})

    def timeframes(self, market: str, kind: str, symbol: str) -> list[str]:
        """Return the stored timeframes of a symbol, finest first.

        Raises:
            DataError: the lake does not have the symbol.
        """
        found = {series[3] for series in self._by_series() if series[:3] == (market, kind, symbol)}
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
        series = self._by_series().get((market, kind, symbol, timeframe))
        if series is None:
            self.timeframes(market, kind, symbol)
            raise self._unknown_timeframe(market, kind, symbol, timeframe)
        return [p for p in series if (start is None or p.last_time >= start) and (end is None or p.first_time < end)]

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

    def read(
        self,
        market: str,
        kind: str,
        symbol: str,
        timeframe: str,
        start: int,
        end: int,
        *,
        names: Sequence[str] | None = None,
        batch_rows: int = ROW_GROUP_ROWS,
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the rows of a series with start <= time < end in time order, at most batch_rows at a time, as columns.

        Each file is compared with the manifest's SHA-256 before its rows are used, once; of a file only the row groups
        of the range are read. Memory holds one row group.

        Args:
            timeframe: empty for kinds without one.
            names: the columns wanted besides the time; None means all.

        Raises:
            DataError: the lake does not have the series, or a file is missing or differs from the manifest.
        """
        wanted = schema_of(kind).names if names is None else names
        for partition in self.partitions(market, kind, symbol, timeframe, start, end):
            file, found = self._open_checked(partition)
            with file:
                yield from read_range(file, found, start, end, wanted, batch_rows)

    def read_candles(
        self, market: str, symbol: str, timeframe: str, start: int, end: int, batch_rows: int = ROW_GROUP_ROWS
    ) -> Iterator[CandleColumns]:
        """Yield the stored candles with start <= open_time < end; see `read`."""
        rows = self.read(
            market, KLINES.kind, symbol, timeframe, start, end, names=_CANDLE_COLUMNS, batch_rows=batch_rows
        )
        for columns in rows:
            yield CandleColumns(*(columns[name] for name in _CANDLE_COLUMNS))

    def damaged(self, partitions: Iterable[Partition]) -> list[Partition]:
        """Return which of the partitions cannot be read: their file is missing or is not the recorded one."""
        found = []
        for partition in partitions:
            file = self._files.open(partition)
            if file is None:
                found.append(partition)
            else:
                file.close()
        return found

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

    def _open_checked(self, partition: Partition) -> tuple[BinaryIO, Partition]:
        """Open a partition's file and return it with its record; on a mismatch read the manifest once more."""
        file = self._files.open(partition)
        if file is None:
            self.refresh()
            again = self._manifest.get(partition.path)
            file = None if again is None else self._files.open(again)
            if again is None or file is None:
                raise damaged_error(self.root, [partition])
            partition = again
        self._read[partition.path] = partition
        return file, partition

    def _unknown_symbol(self, market: str, kind: str, symbol: str) -> DataError:
        if not self._manifest:
            return DataError(
                f"{market}:{symbol} is not in {self.root}: the lake is empty",
                hint=f"bt data sample --data {self.root} (synthetic), or bt data import FILES --data {self.root}",
            )
        there = self.symbols(market, kind)
        elsewhere = sorted({place for place, what, name, _ in self._by_series() if (what, name) == (kind, symbol)})
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


def damaged_error(root: Path, partitions: Sequence[Partition]) -> DataError:
    """Return the error that names partitions whose files are not the recorded ones; at least one."""
    one = partitions[0]
    span = f"{format_time(one.first_time)} .. {format_time(one.last_time)}"
    name = " ".join(filter(None, (f"{one.market}:{one.symbol}", one.timeframe, one.kind)))
    more = f", and {len(partitions) - 1} more files" if len(partitions) > 1 else ""
    return DataError(
        f"{name} {span}: {root / one.path} is missing or is not the file that the manifest records{more}",
        hint=f"bt data verify --data {root} shows all that is wrong; bt data repair fetches it again",
    )


def _length(partition: Partition) -> int:
    return TIMEFRAMES.get(partition.timeframe, 0)
