"""Captures of an exchange's streams: the trades and quotes in them as the tables that the archive would have held."""

import csv
import gzip
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from backtester.core.errors import DataError, UsageError
from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.hashed_file import unreadable
from backtester.data.downloader.importing import ImportReport, import_paths
from backtester.data.partition import market_name
from backtester.data.schemas import BOOK_TICKER, TRADES

MARKETS: Final = ("spot", "um")  # cm counts contracts, whose size no stream says


class _Data(msgspec.Struct, frozen=True, gc=False):
    """The payload of a trade or of a best bid and ask, as Binance names it; empty where it is the other."""

    s: str = ""
    T: int = 0
    E: int = 0
    t: int = 0
    p: str = ""
    q: str = ""
    m: bool = False
    u: int = 0
    b: Any = ""
    B: str = ""
    a: Any = ""
    A: str = ""


class _Frame(msgspec.Struct, frozen=True, gc=False):
    stream: str = ""
    data: _Data = _Data()


Rows = Iterator[tuple[str, str, tuple[Any, ...]]]


def import_capture(path: Path, root: Path, market: str, *, replace: bool = False) -> ImportReport:
    """Import the trades, and on futures the best bids and asks, of a file of stream messages, plain or gzip.

    Each line is a JSON object with `stream` and `data`; what stands before its brace, such as the time at which it was
    received, is left out. Other streams are not kept, nor are spot's quotes, which do not say when they held.

    Raises:
        UsageError: the market's streams cannot be kept. DataError: the file is damaged, or holds nothing of use.
        StorageError: the lake cannot be written.
    """
    market = market_name(market)
    if market not in MARKETS:
        raise UsageError(f"captures of {market} cannot be imported", hint=f"--market {' or '.join(MARKETS)}")
    with tempfile.TemporaryDirectory(prefix="bt-capture-") as scratch, ExitStack() as open_files:
        tables: dict[tuple[str, str], tuple[Path, Callable[[Any], Any]]] = {}
        for symbol, kind, row in _rows(path, market):
            if (symbol, kind) not in tables:
                file = Path(scratch) / f"{path.name}.{symbol}.{kind}.csv"
                writer = csv.writer(open_files.enter_context(file.open("w", newline="", encoding="utf-8")))
                writer.writerow(_HEADERS[kind])
                tables[symbol, kind] = file, writer.writerow
            tables[symbol, kind][1](row)
        open_files.close()
        reports = [
            import_paths([file], root, ImportOptions(market, kind, symbol, None), replace=replace)
            for (symbol, kind), (file, _) in sorted(tables.items())
        ]
    if not reports:
        raise DataError(f"{path} holds no trades and no quotes", hint="it must hold messages of @trade or @bookTicker")
    return ImportReport(
        [series for report in reports for series in report.series], {}, [p for r in reports for p in r.quarantined]
    )


_HEADERS: Final = {
    TRADES.kind: ("trade_id", "price", "quantity", "quote_quantity", "time", "is_buyer_maker"),
    BOOK_TICKER.kind: (*("update_id", "bid_price", "bid_quantity", "ask_price", "ask_quantity", "time", "event_time"),),
}


def _rows(path: Path, market: str) -> Rows:
    """Yield symbol, kind and row of each message that is kept."""
    decoder = msgspec.json.Decoder(_Frame)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                brace = line.find(b"{")
                if brace < 0 and not line.strip():
                    continue
                try:
                    frame = decoder.decode(line[max(brace, 0) :])
                except msgspec.DecodeError as error:
                    raise DataError(
                        f"{path.name}, line {number} is no message of a stream: {error}",
                        hint="a capture holds one JSON object with stream and data on each line",
                    ) from error
                if (row := _row(frame, market)) is not None:
                    yield (frame.data.s, *row)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path.name} is damaged or cut short: {error}", hint="fetch the file again") from error
    except OSError as error:
        raise unreadable(path, error) from error


def _row(frame: _Frame, market: str) -> tuple[str, tuple[Any, ...]] | None:
    one, stream = frame.data, frame.stream.partition("@")[2]
    if stream == "trade" and Decimal(one.p) > 0:  # futures also announce what no book traded, at no price
        return TRADES.kind, (one.t, one.p, one.q, Decimal(one.p) * Decimal(one.q), one.T, str(one.m).lower())
    if stream == "bookTicker" and market != "spot":
        return BOOK_TICKER.kind, (one.u, one.b, one.B, one.a, one.A, one.T, one.E)
    return None
