"""Longer candles from shorter ones, the same whatever the batches they arrive in."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import UsageError
from backtester.core.time import grid_offset_us
from backtester.data.columns import CandleColumns

_MOST_COLUMNS = 32  # parts of a candle; beyond, a column is too short to be worth a call of its own


@dataclass(frozen=True, slots=True)
class _Partial:
    """Rows on the way to candles: `count` source candles are folded into each, `whole` if all of those were
    complete.
    """

    rows: CandleColumns
    count: NDArray[np.int64]
    whole: NDArray[np.bool_]


def derive_candles(
    batches: Iterator[CandleColumns],
    from_timeframe_us: int,
    to_timeframe_us: int,
    *,
    start: int | None = None,
    end: int | None = None,
) -> Iterator[CandleColumns]:
    """Yield candles of a longer timeframe: open of the first, highest high, lowest low, close of the last, volume added
    up.

    Volumes are added one by one in time order, so every figure is bit for bit independent of how the input is cut into
    batches.

    Args:
        batches: candles of the shorter timeframe, in time order.
        from_timeframe_us, to_timeframe_us: the lengths; the second is a multiple of the first. Weeks open on Mondays.
        start, end: the range that was read. A candle that begins before start or closes after end is not yielded,
            because the range cannot say all of it. Without end, the last candle is yielded only if its last part is
            there.

    Yields:
        Batches with `complete` set: false where source candles are missing or incomplete. An interval without any
        source candle yields nothing.

    Raises:
        UsageError: the longer timeframe is not a multiple of the shorter.
    """
    if to_timeframe_us % from_timeframe_us:
        raise UsageError(
            f"candles of {to_timeframe_us} µs cannot be derived from candles of {from_timeframe_us} µs",
            hint="the longer timeframe must be a multiple of the stored one",
        )
    expected = to_timeframe_us // from_timeframe_us
    carried: _Partial | None = None
    last_close = 0
    for batch in batches:
        if not len(batch):
            continue
        last_close = int(batch.open_time[-1]) + from_timeframe_us
        folded = _fold(_joined(carried, batch), to_timeframe_us, carries=carried is not None)
        carried = _part(folded, len(folded.rows) - 1, len(folded.rows))
        done = _finished(_part(folded, 0, len(folded.rows) - 1), expected, start)
        if len(done):
            yield done
    if carried is not None and int(carried.rows.open_time[0]) + to_timeframe_us <= (last_close if end is None else end):
        done = _finished(carried, expected, start)
        if len(done):
            yield done


def _joined(carried: _Partial | None, batch: CandleColumns) -> _Partial:
    whole = np.ones(len(batch), dtype=np.bool_) if batch.complete is None else batch.complete
    count = np.ones(len(batch), dtype=np.int64)
    if carried is None:
        return _Partial(batch, count, whole)
    rows = CandleColumns.concat([carried.rows, batch])
    return _Partial(rows, np.concatenate([carried.count, count]), np.concatenate([carried.whole, whole]))


def _fold(part: _Partial, length: int, *, carries: bool) -> _Partial:
    """carries: whether the first row has others folded into it already."""
    rows = part.rows
    offset = grid_offset_us(length)
    opens = rows.open_time - (rows.open_time - offset) % length
    is_first = np.empty(len(rows), dtype=np.bool_)
    is_first[0] = True
    np.not_equal(opens[1:], opens[:-1], out=is_first[1:])
    firsts = np.flatnonzero(is_first)
    lasts = np.append(firsts[1:], len(rows)) - 1
    lengths = np.diff(firsts, append=len(rows))
    # Where no candle lacks a part, and parts are few, columns of parts are folded: the same, several times as fast.
    parts = int(lengths[0])
    is_even = parts <= _MOST_COLUMNS and lengths[-1] <= parts and bool((lengths[:-1] == parts).all())
    if is_even:
        high, low, volume = (
            _by_columns(fold, values, parts)
            for fold, values in ((np.maximum, rows.high), (np.minimum, rows.low), (np.add, rows.volume))
        )
    else:
        high, low = np.maximum.reduceat(rows.high, firsts), np.minimum.reduceat(rows.low, firsts)
        # bincount adds one weight after the other in order; add.reduceat would add in pairs.
        owners = np.repeat(np.arange(len(firsts)), lengths)
        volume = np.bincount(owners, weights=rows.volume).astype(np.float64)
    folded = CandleColumns(opens[firsts], rows.open[firsts], high, low, rows.close[lasts], volume)
    count = np.add.reduceat(part.count, firsts) if carries else lengths
    is_whole = bool(part.whole.all())  # the usual case, and much cheaper to see than to fold
    whole = np.ones(len(firsts), dtype=np.bool_) if is_whole else np.logical_and.reduceat(part.whole, firsts)
    return _Partial(folded, count, whole)


def _by_columns(fold: np.ufunc, values: NDArray[np.float64], parts: int) -> NDArray[np.float64]:
    """Return stretches of `parts` values folded one after the other; the last stretch may be shorter."""
    found = values[::parts].copy()
    for place in range(1, parts):
        column = values[place::parts]
        fold(found[: len(column)], column, out=found[: len(column)])
    return found


def _part(part: _Partial, start: int, stop: int) -> _Partial:
    return _Partial(part.rows.slice(start, stop), part.count[start:stop], part.whole[start:stop])


def _finished(part: _Partial, expected: int, start: int | None) -> CandleColumns:
    rows = part.rows
    complete = part.whole & (part.count == expected)
    candles = CandleColumns(rows.open_time, rows.open, rows.high, rows.low, rows.close, rows.volume, complete)
    if start is None:
        return candles
    return candles.slice(int(np.searchsorted(candles.open_time, start, side="left")), len(candles))
