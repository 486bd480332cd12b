"""A synthetic market to try things on, the same bytes of content everywhere.

Made of raw generator integers, the four operations and sqrt in a fixed order only, so that no maths library can change
a digit.
"""

from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backtester.core.time import MINUTE, parse_time
from backtester.data.downloader.rows import CleanRows, Series, rows_of
from backtester.data.downloader.writing import SeriesWriter
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.partition import SYNTHETIC, Partition, Source
from backtester.data.schemas import KLINES

SAMPLE_SOURCE: Final = f"{SYNTHETIC}sample-v1"
SAMPLE_START: Final = parse_time("2024-01-01")
SAMPLE_DAYS: Final = 90
_SEED: Final = 42
_STEPS: Final = 4  # prices within a minute, of which the candle keeps first, extremes and last
_MINUTES_A_DAY: Final = 1440


@dataclass(frozen=True, slots=True)
class _Coin:
    """One invented market: price in ticks of 0.01, volume in lots of 10^-lot_decimals."""

    symbol: str
    price: float
    volatility: float  # of one minute, a fraction
    common: float  # weight of the shared factor in its returns
    minute_volume: float
    lot_decimals: int
    trades: float  # a minute


_COINS: Final = (
    _Coin("BTCUSDT", 42_000.0, 0.00075, 0.8, 22.0, 5, 900.0),
    _Coin("ETHUSDT", 2_300.0, 0.00085, 0.6, 230.0, 4, 600.0),
)


def write_sample_lake(root: Path, *, days: int = SAMPLE_DAYS) -> list[Partition]:
    """Write synthetic 1m spot candles of BTCUSDT and ETHUSDT from 2024-01-01 on, and return the partitions.

    Doing it again changes nothing.

    Raises:
        DataError: the lake holds real candles of these symbols.
        StorageError: the lake cannot be written.
    """
    common = _normals(np.random.PCG64(_SEED), days * _MINUTES_A_DAY * _STEPS)
    written: list[Partition] = []
    with ManifestWriter(root) as writer:
        for number, coin in enumerate(_COINS):
            series = SeriesWriter(writer, Series("spot", KLINES.kind, coin.symbol, "1m"))
            columns = _candles(coin, common, np.random.PCG64(_SEED * 1000 + 1 + number), days)
            series.add(CleanRows(rows_of(KLINES, columns), {}, Source(SAMPLE_SOURCE)))
            series.stage()
            series.commit()
            written += [staged.partition for staged in series.staged.values()]
    return written


def _uniforms(bits: np.random.PCG64, count: int) -> NDArray[np.float64]:
    raw = np.asarray(bits.random_raw(count), dtype=np.uint64)
    return (raw >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def _normals(bits: np.random.PCG64, count: int) -> NDArray[np.float64]:
    """Return nearly normal numbers: sums of twelve uniforms, each 16 bits wide, less six."""
    total = np.zeros(count, dtype=np.int64)
    for _ in range(3):
        raw = np.asarray(bits.random_raw(count), dtype=np.uint64)
        for shift in (0, 16, 32, 48):
            total += ((raw >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.int64)
    return (total.astype(np.float64) + 6.0) / 65_536.0 - 6.0


def _rhythm(minutes: int) -> NDArray[np.float64]:
    """Return how busy each minute is against the mean: quiet at 04:00 UTC, busiest at 14:30."""
    minute = np.arange(minutes, dtype=np.int64) % _MINUTES_A_DAY
    away = np.abs(minute - 870)
    away = np.minimum(away, _MINUTES_A_DAY - away).astype(np.float64) / 720.0
    busy: NDArray[np.float64] = 1.45 - 1.8 * away * away + 0.9 * away * away * away
    return busy


def _returns(coin: _Coin, common: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the returns of all steps: GARCH(1,1) minute by minute, times the rhythm of the day."""
    weight = sqrt(1.0 - coin.common * coin.common)
    noise = (common * coin.common + own * weight).reshape(-1, _STEPS)
    minute_noise = (noise[:, 0] + noise[:, 1] + noise[:, 2] + noise[:, 3]) / sqrt(float(_STEPS))
    variance, scales = 1.0, []
    for shock in minute_noise.tolist():
        scales.append(sqrt(variance))
        variance = 0.02 + 0.06 * variance * shock * shock + 0.92 * variance
    scale = np.array(scales) * np.sqrt(_rhythm(len(scales))) * (coin.volatility / sqrt(float(_STEPS)))
    return noise * scale[:, None]


def _candles(coin: _Coin, common: NDArray[np.float64], bits: np.random.PCG64, days: int) -> dict[str, NDArray[Any]]:
    minutes = days * _MINUTES_A_DAY
    returns = _returns(coin, common, _normals(bits, minutes * _STEPS))
    path = np.cumprod(np.concatenate([[coin.price], 1.0 + returns.reshape(-1)]))
    ticks = np.rint(path * 100.0)
    steps = ticks[1:].reshape(minutes, _STEPS)
    opens = ticks[:-1].reshape(minutes, _STEPS)[:, 0]
    highs = np.maximum(opens, steps.max(axis=1))
    lows = np.minimum(opens, steps.min(axis=1))
    stir = (highs - lows) / (opens * (2.0 * coin.volatility))
    busy = _rhythm(minutes) * (0.25 + stir)
    luck = _uniforms(bits, minutes)
    lots = np.rint(coin.minute_volume * busy * (0.4 + 1.2 * luck) * float(10**coin.lot_decimals)) + 1.0
    taken = np.rint(lots * (0.3 + 0.4 * _uniforms(bits, minutes)))
    lot = float(10**coin.lot_decimals)
    typical = (highs + lows + steps[:, -1]) / 300.0
    return {
        "open_time": SAMPLE_START + np.arange(minutes, dtype=np.int64) * MINUTE,
        "open": opens / 100.0,
        "high": highs / 100.0,
        "low": lows / 100.0,
        "close": steps[:, -1] / 100.0,
        "volume": lots / lot,
        "quote_volume": np.rint(lots / lot * typical * 100.0) / 100.0,
        "trades": np.rint(coin.trades * busy * (0.5 + luck)).astype(np.int64) + 1,
        "taker_buy_volume": taken / lot,
        "taker_buy_quote_volume": np.rint(taken / lot * typical * 100.0) / 100.0,
    }
