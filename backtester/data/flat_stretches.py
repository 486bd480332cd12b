"""Stretches in which a futures market stood still: flat candles without volume, as exchanges write them when down.

Spot outages leave candles out and are gaps; futures outages repeat the last price with zero volume (a possible outage:
a market that nobody trades looks the same).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backtester.core.time import MINUTE, timeframe_us
from backtester.data.gap_report import by_series, peers
from backtester.data.lake import Lake
from backtester.data.partition import Partition, SeriesKey
from backtester.data.schemas import KLINES
from backtester.data.series_rows import rows_of

FUTURES: Final = frozenset({"um", "cm"})
SHORTEST: Final = 5 * MINUTE  # shorter stretches are ordinary in small markets
_COLUMNS: Final = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class FlatStretch:
    """Candles from `start` up to `end`, UTC µs, of one price and without volume.

    others: series of the same market and timeframe that span this time. also_flat: how many stood still for all of it.
    """

    series: SeriesKey
    start: int
    end: int
    candles: int
    others: int
    also_flat: int

    @property
    def everywhere(self) -> bool:
        """Whether every other series stood still too, of which there must be one."""
        return 0 < self.others == self.also_flat


def find_flat(lake: Lake, market: str | None = None, symbol: str | None = None) -> list[FlatStretch]:
    """Return the stretches of at least five minutes in klines of futures, in order of series and time.

    Reads the rows of every future of the lake, one row group at a time.

    Raises:
        DataError: a file is missing or is not the one that the manifest records.
    """
    series = by_series(p for p in lake.all_partitions() if p.market in FUTURES and p.kind == KLINES.kind)
    flat = {key: list(_stretches(lake, own)) for key, own in series.items()}
    found = []
    for key, stretches in flat.items():
        if (market not in {None, key[0]}) or (symbol not in {None, key[2]}):
            continue
        for start, end in stretches:
            others = peers(series, key, start, end)
            also = sum(any(low <= start and end <= high for low, high in flat[other]) for other in others)
            candles = (end - start) // timeframe_us(key[3])
            found.append(FlatStretch(key, start, end, candles, len(others), also))
    return found


def _stretches(lake: Lake, partitions: Sequence[Partition]) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of each stretch; one that goes on over batches or partitions is one."""
    length = timeframe_us(partitions[0].timeframe)
    waiting: tuple[int, int, float] | None = None  # start, end and price of the stretch that may go on
    for rows in rows_of(lake, partitions, _COLUMNS):
        for start, end, price in _runs(rows["open_time"], rows["close"], _stood_still(rows), length):
            if waiting is not None and waiting[1] == start and waiting[2] == price:
                waiting = (waiting[0], end, price)
                continue
            if waiting is not None and waiting[1] - waiting[0] >= SHORTEST:
                yield waiting[:2]
            waiting = (start, end, price)
    if waiting is not None and waiting[1] - waiting[0] >= SHORTEST:
        yield waiting[:2]


def _stood_still(rows: dict[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
    still: NDArray[np.bool_] = (rows["volume"] == 0) & (rows["high"] == rows["low"]) & (rows["open"] == rows["close"])
    return still


def _runs(
    times: NDArray[np.int64], prices: NDArray[np.float64], still: NDArray[np.bool_], length: int
) -> Iterator[tuple[int, int, float]]:
    """Yield [start, end) and price of each run of neighbouring candles that stood still at one price."""
    at = np.flatnonzero(still)
    if not len(at):
        return
    begins = np.flatnonzero((np.diff(times[at]) != length) | (np.diff(prices[at]) != 0)) + 1
    for first, last in zip([0, *begins], [*begins, len(at)], strict=True):
        yield int(times[at[first]]), int(times[at[last - 1]]) + length, float(prices[at[first]])
