"""The candles that a report draws, from the lake that the run names, as fine as a page can hold."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from backtester.core.errors import DataError
from backtester.core.instruments import InstrumentId, listed_id, split_id
from backtester.core.time import TIMEFRAMES, first_open, timeframe_us
from backtester.data.columns import CandleColumns
from backtester.data.lake import Lake
from backtester.data.resample import derive_candles

CANDLES_IN_PAGE: Final = 560_000
"""Candles of all instruments together: a year of one in minutes, some 4 MB."""


@dataclass(frozen=True)
class PriceSeries:
    """Candles of an instrument; why is a sentence that says why there are none."""

    instrument: str
    timeframe: str
    candles: CandleColumns | None
    why: str = ""


def price_series(
    lake: Lake | None, instruments: Iterable[str], timeframe: str, start: int, end: int, most: int = CANDLES_IN_PAGE
) -> list[PriceSeries]:
    """Return the candles of each instrument between two times, in the order of the names.

    Args:
        lake: None when it is not there any more.
        instruments: of positions; the sides of a hedged one share their candles.
        timeframe: the run's; a longer one is taken when all together would be more than `most` candles.
        start: µs UTC.
        end: exclusive.
        most: candles in all.
    """
    names = list(dict.fromkeys(listed_id(InstrumentId(name)) for name in instruments))
    if lake is None:
        return [PriceSeries(name, timeframe, None, "the lake that the run read is not there") for name in names]
    fitting = [
        name
        for name, length in TIMEFRAMES.items()
        if length % timeframe_us(timeframe) == 0 and (end - start) // length * len(names) <= most
    ]
    shown = min(fitting, key=timeframe_us) if fitting else "1w"
    return [_read(lake, name, shown, start, end) for name in names]


def _read(lake: Lake, instrument: InstrumentId, timeframe: str, start: int, end: int) -> PriceSeries:
    market, symbol = split_id(instrument)
    wanted = timeframe_us(timeframe)
    first = first_open(start, wanted)
    try:
        stored = lake.source_timeframe(market, symbol, timeframe, first, end)
        batches = lake.read_candles(market, symbol, stored, first, end)
        if stored != timeframe:
            batches = derive_candles(batches, timeframe_us(stored), wanted)
        found = list(batches)
    except DataError as error:
        return PriceSeries(instrument, timeframe, None, error.message)
    rows = sum(len(batch) for batch in found)
    if rows == 0:
        return PriceSeries(instrument, timeframe, None, "the lake has no candles of this range any more")
    columns = (
        np.concatenate([getattr(b, name) for b in found])
        for name in ("open_time", "open", "high", "low", "close", "volume")
    )
    return PriceSeries(instrument, timeframe, CandleColumns(*columns))
