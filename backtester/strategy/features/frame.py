"""A frame: columns over the closed candles of one instrument and timeframe, which nobody can change."""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import UsageError
from backtester.core.time import timeframe_us

Values = NDArray[np.float64]
Times = NDArray[np.int64]

# What every frame of candles has. Times are floats there, exact up to the year 2255, so that features may use them.
CANDLE_COLUMNS: Final = ("open_time", "open", "high", "low", "close", "volume")


class Source(NamedTuple):
    """Whose candles: an instrument (`market:symbol`) and a timeframe."""

    instrument: str
    timeframe: str

    def __str__(self) -> str:
        return f"{self.instrument}/{self.timeframe}"


class Frame(Mapping[str, Values]):
    """Read-only columns of equal length, one row a candle; iterates over their names, `rows` is how many there are.

    times: when each row is known (its candle's close), UTC µs, strictly rising, shape (rows,). Columns: float64,
    shape (rows,), NaN where there is no value. decimals: of the instrument's prices, None when it is not known.
    """

    __slots__ = ("_columns", "decimals", "source", "times")

    def __init__(
        self, source: Source, times: Times, columns: Mapping[str, Values], *, decimals: int | None = None
    ) -> None:
        """Freeze the columns.

        Raises:
            UsageError: times do not rise, or a column has another length.
        """
        self.source = source
        self.decimals = decimals
        self.times: Times = frozen(np.asarray(times, dtype=np.int64))
        if len(times) > 1 and not bool((self.times[1:] > self.times[:-1]).all()):
            raise UsageError(f"the rows of {source} are not in time order, each time once")
        self._columns = {name: frozen(np.asarray(values, dtype=np.float64)) for name, values in columns.items()}
        for name, values in self._columns.items():
            if values.shape != self.times.shape:
                raise UsageError(f"column {name!r} of {source} has shape {values.shape}, times have {self.times.shape}")

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return len(self.times)

    def __getitem__(self, name: str) -> Values:
        found = self._columns.get(name)
        if found is None:
            raise UsageError(f"the frame of {self.source} has no column {name!r}", hint=f"it has: {', '.join(self)}")
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def with_columns(self, columns: Mapping[str, Values]) -> "Frame":
        """Return a frame that has these columns as well."""
        return Frame(self.source, self.times, {**self._columns, **columns}, decimals=self.decimals)

    def until(self, time: int) -> "Frame":
        """Return the rows that are known at a time (µs), as views."""
        stop = int(np.searchsorted(self.times, time, side="right"))
        columns = {name: values[:stop] for name, values in self._columns.items()}
        return Frame(self.source, self.times[:stop], columns, decimals=self.decimals)


def candle_frame(
    instrument: str,
    timeframe: str,
    open_time: Times,
    open_: Values,
    high: Values,
    low: Values,
    close: Values,
    volume: Values,
    *,
    decimals: int | None = None,
) -> Frame:
    """Return the frame of closed candles; open_time in UTC µs, arrays of shape (rows,).

    Raises:
        UsageError: the timeframe is not known, candles are not in time order, or lengths differ.
    """
    columns = (open_time.astype(np.float64), open_, high, low, close, volume)
    return Frame(
        Source(instrument, timeframe),
        np.asarray(open_time, dtype=np.int64) + timeframe_us(timeframe),
        dict(zip(CANDLE_COLUMNS, columns, strict=True)),
        decimals=decimals,
    )


def known_counts(times: Times, at: Times) -> Times:
    """Return how many of the times in `at` see nothing of `times` yet, then how many each of them as the last one.

    Both rise strictly; shape (len(times) + 1,), the sum is len(at).
    """
    return np.diff(np.searchsorted(at, times, side="left"), prepend=0, append=len(at))


def as_known(values: Values, counts: Times) -> Values:
    """Return values as they are known at other times, by counts from `known_counts`; NaN where none is known."""
    return np.repeat(np.append(np.nan, values), counts)


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array as a contiguous one that refuses to be written to; the caller's own array is left as it is."""
    found = np.ascontiguousarray(array)
    if found.flags.writeable:
        found = found.view() if found is array else found
        found.setflags(write=False)
    return found


def digest_of_values(values: NDArray[Any]) -> str:
    """Return blake2b-128 of an array's bytes, as hex."""
    return blake2b(np.ascontiguousarray(values).view(np.uint8).data, digest_size=16).hexdigest()
