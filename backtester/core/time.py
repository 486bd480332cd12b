"""Time is an int: UTC microseconds since the Unix epoch. Text and datetime live only here, at the edge."""

from datetime import UTC, datetime, timedelta
from typing import Final, NewType

from backtester.core.errors import UsageError

Micros = NewType("Micros", int)

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY

_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY: Final = 4 * DAY  # 1970-01-05 was a Monday: weeks open there

TIMEFRAMES: Final[dict[str, int]] = {
    "1s": SECOND,
    "1m": MINUTE,
    "3m": 3 * MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": HOUR,
    "2h": 2 * HOUR,
    "4h": 4 * HOUR,
    "6h": 6 * HOUR,
    "8h": 8 * HOUR,
    "12h": 12 * HOUR,
    "1d": DAY,
    "1w": WEEK,
}


def timeframe_us(name: str) -> int:
    """Return the length of a timeframe in microseconds.

    Raises:
        UsageError: the name is not one of TIMEFRAMES.
    """
    length = TIMEFRAMES.get(name)
    if length is None:
        raise UsageError(f"timeframe {name!r} is not known", hint=f"allowed: {' '.join(TIMEFRAMES)}")
    return length


def grid_offset_us(timeframe: int) -> int:
    """Return where the grid of a timeframe starts: open times are `offset` modulo `timeframe`."""
    return _MONDAY if timeframe == WEEK else 0


def span_us(text: str) -> int:
    """Return the length that a text like 90s, 30m, 4h or 2d means, in microseconds.

    Raises:
        ValueError: it is no such text.
    """
    count, unit = text[:-1], _UNITS.get(text[-1:])
    if unit is None or not count.isdecimal():
        raise ValueError(f"{text!r} is not a span of time; write 90s, 30m, 4h or 2d")
    return int(count) * unit


def first_open(time: int, timeframe: int) -> int:
    """Return the first open time on the grid of a timeframe (µs) that is >= time."""
    return time + (grid_offset_us(timeframe) - time) % timeframe


def last_open(time: int, timeframe: int) -> int:
    """Return the last open time on the grid of a timeframe (µs) that is <= time."""
    return time - (time - grid_offset_us(timeframe)) % timeframe


def parse_time(text: str) -> int:
    """Return UTC microseconds for a date or an ISO 8601 time; a time without a zone is UTC.

    Raises:
        UsageError: the text is neither.
    """
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"{text!r} is not a time", hint="write a date (2024-01-31) or ISO 8601 (2024-01-31T12:00:00Z), in UTC"
        ) from None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return (parsed - _EPOCH) // timedelta(microseconds=1)


def utc(time: int) -> datetime:
    """Return the aware datetime of a time."""
    return _EPOCH + timedelta(microseconds=time)


def format_time(time: int) -> str:
    """Return a time in UTC: a date at midnight, else ISO 8601 without a zero fraction."""
    text = utc(time).isoformat().removesuffix("+00:00")
    return text.removesuffix("T00:00:00") if text.endswith("T00:00:00") else text + "Z"


def month_of(time: int) -> str:
    """Return the UTC month of a time as YYYY-MM."""
    return utc(time).strftime("%Y-%m")


def day_of(time: int) -> str:
    """Return the UTC day of a time as YYYY-MM-DD."""
    return utc(time).strftime("%Y-%m-%d")
