"""What a source of candles is, and what it hands over: tables of rows, each with its origin."""

import csv
import hashlib
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from backtester.core.errors import DataError
from backtester.data.downloader.rows import Series
from backtester.data.partition import Source


class UnknownSymbolError(DataError):
    """A source answered, and does not know the symbol."""


class NotServedHereError(DataError):
    """A source answered, and does not serve who asks from here."""


@dataclass(frozen=True, slots=True)
class Page:
    """A table of rows of one series.

    name: for messages; `.parquet` at its end says that the table is Parquet, else it is CSV. source: where it is from.
    dates: the range [start, end) in UTC µs in which its rows must lie; None promises nothing.
    official: columns are those of the exchange's archive, by position when there is no header.
    """

    name: str
    table: bytes
    source: Source
    dates: tuple[int, int] | None = None
    official: bool = False


@runtime_checkable
class CandleSource(Protocol):
    """Where candles come from. Built with (DownloaderConfig, RunContext); an entry point adds one.

    name: by which `--source` finds it. offers: the markets and kinds that it serves, in words, for messages.
    """

    name: str
    offers: str

    def serves(self, market: str, kind: str) -> bool:
        """Say whether series of a market and kind may come from here."""

    def pages(self, series: Series, start: int, end: int) -> AsyncIterator[Page]:
        """Yield the rows with start <= open time < end, UTC µs, in order of time; candles that have closed only.

        What is yielded is parsed and sanitised as rows of an archive are, so a page may hold more than was asked for.

        Raises:
            UnknownSymbolError: there is no such symbol here. NotServedHereError: nobody may ask from this place.
            DataError: the source cannot be asked, or its answer is none. UsageError: it may not be asked.
        """


def page_of_rows(
    name: str,
    address: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    dates: tuple[int, int] | None = None,
) -> Page:
    """Return a page of rows given as values, for sources that have no bytes of their own.

    Args:
        address: where the rows are from, without secrets.
        columns: names of the lake's columns, such as open_time, open, high, low, close, volume.
        rows: values in that order; times are epochs in s, ms or µs, or ISO text.

    Raises:
        DataError: a row is not a row.
    """
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(columns)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, list | tuple):
            raise DataError(f"{name}: row {number} is {row!r:.60} and not a list of values")
        out.writerow(row)
    table = text.getvalue().encode()
    return Page(name, table, Source(address, hashlib.sha256(table).hexdigest()), dates)
