"""The candles of one instrument: the only feed that can also execute orders."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import repeat
from typing import cast

import numpy as np
from numpy.typing import NDArray

from backtester.core.feed import CANDLE_RANK
from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.market import Candle, MarketCandle, MarketEvent
from backtester.core.time import timeframe_us
from backtester.core.topics import T_CANDLES, Topic
from backtester.data.columns import CandleColumns
from backtester.data.feeds.units import price_units


class CandleFeed:
    """The candles of one instrument and timeframe, for the exchange, for strategies, or for both."""

    is_chain = False

    def __init__(
        self,
        instrument: InstrumentId,
        timeframe: str,
        batches: Iterator[CandleColumns],
        *,
        executes: Instrument | None,
        decides: bool,
        drop_incomplete: bool = True,
    ) -> None:
        """Wrap batches in time order.

        Args:
            executes: the instrument, when these candles meet its orders and mark it.
            decides: strategies see these candles.
            drop_incomplete: leave out derived candles that lack parts, and count them.
        """
        self.instrument = instrument
        self.timeframe = timeframe
        self.executes = executes is not None
        self.topic: Topic[MarketEvent] | None = cast(Topic[MarketEvent], T_CANDLES) if decides else None
        self.incomplete_dropped = 0
        self._length = timeframe_us(timeframe)
        self.rank = (CANDLE_RANK, -self._length, str(instrument))
        self._spec = executes
        self._batches = batches
        self._drop_incomplete = drop_incomplete
        self._buffer: CandleColumns | None = None
        self._window: CandleColumns | None = None
        self._window_units: dict[str, list[int]] = {}
        self._window_times: list[int] = []
        self._volume_before = -1.0  # of the last candle before the window that traded

    @property
    def times(self) -> NDArray[np.int64]:
        """When each buffered candle is known: its close time."""
        if self._buffer is None:
            return np.empty(0, dtype=np.int64)
        return self._buffer.open_time + self._length

    def load(self) -> bool:
        """Buffer one more batch; return False at the end."""
        batch = next(self._batches, None)
        if batch is None:
            return False
        if self._drop_incomplete and batch.complete is not None:
            kept = np.flatnonzero(batch.complete)
            self.incomplete_dropped += len(batch) - len(kept)
            batch = batch.take(kept)
        self._buffer = batch if self._buffer is None else CandleColumns.concat([self._buffer, batch])
        return True

    def take(self, rows: int) -> tuple[list[MarketEvent] | None, NDArray[np.int64] | None]:
        """Move the first rows of the buffer into the current window."""
        if self._buffer is None:
            return ([] if self.topic is not None else None), None
        if self._window is not None and len(self._window):
            self._volume_before = _last_volume(self._window, len(self._window), self._volume_before)
        window = self._buffer.slice(0, rows)
        self._buffer = self._buffer.slice(rows, len(self._buffer))
        self._window = window
        self._window_units, self._window_times = {}, []
        closes = None if self._spec is None else price_units(window.close, self._spec, window.open_time)
        return (self._candles(window) if self.topic is not None else None), closes

    def _candles(self, window: CandleColumns) -> list[MarketEvent]:
        complete = repeat(True) if window.complete is None else window.complete.tolist()
        return list(
            map(
                Candle,
                (window.open_time + self._length).tolist(),
                repeat(self.instrument),
                repeat(self.timeframe),
                window.open_time.tolist(),
                window.open.tolist(),
                window.high.tolist(),
                window.low.tolist(),
                window.close.tolist(),
                window.volume.tolist(),
                complete,
            )
        )

    def _units(self, column: str) -> list[int]:
        """Return a column of the window in price units; converted when first needed, for orders that work."""
        units = self._window_units.get(column)
        if units is None:
            assert self._window is not None
            assert self._spec is not None
            prices: NDArray[np.float64] = getattr(self._window, column)
            units = self._window_units[column] = price_units(prices, self._spec, self._window.open_time).tolist()
        return units

    def _open_times(self) -> list[int]:
        """Return the open times of the window, a list: looked up order by order, it answers sooner than an array."""
        if not self._window_times:
            assert self._window is not None
            self._window_times = self._window.open_time.tolist()
        return self._window_times

    def market(self, row: int) -> MarketCandle:
        """Return a row of the current window as the exchange sees it."""
        assert self._window is not None
        open_time = int(self._window.open_time[row])
        return MarketCandle(
            open_time + self._length,
            self.instrument,
            self.timeframe,
            open_time,
            self._units("open")[row],
            self._units("high")[row],
            self._units("low")[row],
            self._units("close")[row],
            float(self._window.volume[row]),
        )

    def next_open(self, at: int) -> tuple[int, int, float] | None:
        """Return (open time, open in price units) of the first candle that opens at or after `at` and trades, and the
        volume of the last candle before it that traded, -1 when there is none.
        """
        before = self._volume_before
        if self._window is not None and len(self._window):
            columns, times = self._window, self._open_times()
            row = _first_traded(columns, bisect_left(times, at))
            if row < len(times):
                return times[row], self._units("open")[row], _last_volume(columns, row, before)
            before = _last_volume(columns, len(columns), before)
        if self._buffer is not None:
            columns = self._buffer
            row = _first_traded(columns, int(np.searchsorted(columns.open_time, at)))
            if row < len(columns):
                assert self._spec is not None
                one = slice(row, row + 1)
                units = price_units(columns.open[one], self._spec, columns.open_time[one])
                return int(columns.open_time[row]), int(units[0]), _last_volume(columns, row, before)
        return None


def _first_traded(columns: CandleColumns, row: int) -> int:
    """Return the first row at or after `row` with volume; the number of rows when there is none."""
    while row < len(columns) and not columns.volume[row] > 0:
        row += 1
    return row


def _last_volume(columns: CandleColumns, row: int, before: float) -> float:
    """Return the volume of the last row before `row` that traded; `before` when there is none."""
    while row and not columns.volume[row - 1] > 0:
        row -= 1
    return float(columns.volume[row - 1]) if row else before
