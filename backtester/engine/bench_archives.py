"""Made archives to measure ingest with: laid out, named, zipped and checksummed as the public archive, the same bytes
wherever polars and zlib have the same version.
"""

import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtester.core.time import DAY, MINUTE, day_of, month_of, parse_time
from backtester.data.downloader.planning import month_bounds

START: Final = parse_time("2023-01-01")
_SEED: Final = 7
_BLOCK_ROWS: Final = 250_000
_KLINES_HEADER: Final = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)


def monthly_klines(root: Path, market: str, symbol: str, months: int) -> None:
    """Write a file of 1m candles for each month: spot without a header and with 8 decimals, um with and as short as
    can be.
    """
    spot = market == "spot"
    folder = root / "data" / ("spot" if spot else "futures/um") / "monthly/klines" / symbol / "1m"
    bits = np.random.PCG64(_SEED)
    start, price = START, 4_200_000
    for _ in range(months):
        end = month_bounds(start)[1]
        frame, price = _candles(bits, start, (end - start) // MINUTE, price)
        text = frame.write_csv(include_header=False, float_precision=8 if spot else None).encode()
        _put_zip(
            folder / f"{symbol}-1m-{month_of(start)}.zip", [text if spot else f"{_KLINES_HEADER}\n".encode() + text]
        )
        start = end


def daily_trades(root: Path, symbol: str, days: int, rows: int) -> None:
    """Write a file of spot aggTrades for each day, of so many rows each."""
    for day in range(days):
        start = START + day * DAY
        _trades_file(root, "daily", symbol, day_of(start), _trades(start, DAY, rows, day))


def one_trades_file(root: Path, symbol: str, rows: int, *, month: bool) -> None:
    """Write one file of spot aggTrades: of a month, or of a single day."""
    span = month_bounds(START)[1] - START if month else DAY
    date = month_of(START) if month else day_of(START)
    _trades_file(root, "monthly" if month else "daily", symbol, date, _trades(START, span, rows, 0), level=1)


def _trades_file(root: Path, frequency: str, symbol: str, date: str, parts: Iterable[bytes], level: int = 6) -> None:
    folder = root / "data/spot" / frequency / "aggTrades" / symbol
    _put_zip(folder / f"{symbol}-aggTrades-{date}.zip", parts, level)


def _put_zip(path: Path, parts: Iterable[bytes], level: int = 6) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = zipfile.ZipInfo(f"{path.stem}.csv", (2024, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        entry._compresslevel = level  # type: ignore[attr-defined]
        with archive.open(entry, "w", force_zip64=True) as file:
            for part in parts:
                file.write(part)
    with path.open("rb") as whole:
        digest = hashlib.file_digest(whole, "sha256").hexdigest()
    path.with_name(path.name + ".CHECKSUM").write_text(f"{digest}  {path.name}\n", encoding="ascii")


def _below(bits: np.random.PCG64, count: int, most: int) -> NDArray[np.int64]:
    """Return whole numbers from 0 up to, without, `most`, small ones far more often."""
    raw = np.asarray(bits.random_raw(count), dtype=np.uint64) >> np.uint64(11)
    share = raw.astype(np.float64) / float(1 << 53)
    return (share * share * share * most).astype(np.int64)


def _walk(bits: np.random.PCG64, count: int, price: int) -> NDArray[np.int64]:
    """Return prices in ticks that wander and stay above zero; most stay where they were."""
    steps = _below(bits, count, 40) * np.where(np.asarray(bits.random_raw(count)) & np.uint64(1), 1, -1)
    return np.abs(price + np.cumsum(steps)) + 1_000


def _candles(bits: np.random.PCG64, start: int, rows: int, price: int) -> tuple[pl.DataFrame, int]:
    close = _walk(bits, rows, price)
    opens = np.concatenate([[price], close[:-1]])
    high = np.maximum(opens, close) + _below(bits, rows, 30)
    low = np.minimum(opens, close) - _below(bits, rows, 30)
    volume = _below(bits, rows, 9_000_000) + 1
    taken = volume * (_below(bits, rows, 100) + 1) // 101
    times = start + np.arange(rows, dtype=np.int64) * MINUTE
    columns: dict[str, Any] = {
        "open_time": times // 1000,
        **{name: ticks / 100 for name, ticks in (("open", opens), ("high", high), ("low", low), ("close", close))},
        "volume": volume / 1e5,
        "close_time": (times + MINUTE) // 1000 - 1,
        "quote_volume": volume * close / 1e7,
        "count": _below(bits, rows, 4_000),
        "taker_buy_volume": taken / 1e5,
        "taker_buy_quote_volume": taken * close / 1e7,
        "ignore": np.zeros(rows, dtype=np.int64),
    }
    return pl.DataFrame(columns), int(close[-1])


def _trades(start: int, span: int, rows: int, seed: int) -> Iterator[bytes]:
    """Yield the rows of a file of aggTrades, evenly over its span, some of them in the same millisecond."""
    bits = np.random.PCG64(_SEED + 1 + seed)
    first, price = 60_000_000 + seed * rows, 6_700_000
    for at in range(0, rows, _BLOCK_ROWS):
        count = min(_BLOCK_ROWS, rows - at)
        low, high = (start + span * edge // rows for edge in (at, at + count))
        times = np.sort(low + np.asarray(bits.random_raw(count), dtype=np.uint64).astype(np.int64) % (high - low))
        ids = first + np.arange(at, at + count, dtype=np.int64)
        ticks = _walk(bits, count, price)
        price = int(ticks[-1])
        maker = (np.asarray(bits.random_raw(count)) & np.uint64(1)).astype(np.bool_)
        columns: dict[str, Any] = {
            "agg_trade_id": ids,
            "price": ticks / 100,
            "quantity": (_below(bits, count, 3_000_000) + 1) / 1e5,
            "first_trade_id": ids * 2,
            "last_trade_id": ids * 2 + 1,
            "transact_time": times // 1000,
            "is_buyer_maker": np.where(maker, "True", "False"),
            "is_best_match": np.full(count, "True"),
        }
        yield pl.DataFrame(columns).write_csv(include_header=False, float_precision=8).encode()


def unpacked(zips: Iterable[Path], folder: Path) -> list[Path]:
    """Write the tables of archives into a folder, and return them in the same order."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number, path in enumerate(zips):
        target = folder / f"{number}-{path.stem}.csv"
        with zipfile.ZipFile(path) as archive:
            target.write_bytes(archive.read(archive.namelist()[0]))
        found.append(target)
    return found
