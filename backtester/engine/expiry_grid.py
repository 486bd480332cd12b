"""Expiries that fall inside a candle that executes: what such a candle shows of the time before them is not known."""

from collections.abc import Mapping, Sequence

from backtester.core.errors import DataError
from backtester.core.instruments import OPTION, Instrument, InstrumentId
from backtester.core.time import format_time, last_open, timeframe_us

_HINT = "execute on candles that end at expiry: --set execution.timeframe=1h, or a shorter --timeframe"


def blind_expiries(
    instruments: Mapping[InstrumentId, Instrument], sources: Mapping[InstrumentId, str], start: int, end: int
) -> list[str]:
    """Return in words what is not watched before the expiries in (start, end].

    A candle is met when it closed: one that a future does not live to see is never met. Of options the rows are hourly
    and end at expiry; it is what their underlying is worth that is old.

    Args:
        instruments: as the venue lists them, options included.
        sources: the timeframe of the candles that execute, of the instruments whose candles do.
        start, end: UTC µs.
    """
    ending = [spec for spec in instruments.values() if start < spec.expiry <= end]
    found = []
    for spec in ending:
        if spec.market != OPTION and _is_inside(spec.expiry, sources.get(spec.id)):
            opened = last_open(spec.expiry, timeframe_us(sources[spec.id]))
            found.append(
                f"{spec.id} expires at {format_time(spec.expiry)}, inside a candle of {sources[spec.id]}: from "
                f"{format_time(opened)} until then nothing is watched, no order is met and nothing is liquidated"
            )
    for instrument, timeframe in sources.items():
        base = instruments[instrument].base
        times = {s.expiry for s in ending if s.market == OPTION and s.base == base and _is_inside(s.expiry, timeframe)}
        if times:
            found.append(
                f"{instrument}: {_counted(times, base)} inside a candle of {timeframe}: when they are "
                "settled, what is held of it is worth what the candle before closed at"
            )
    return found


def checked_expiries(found: Sequence[str], *, strict: bool) -> list[str]:
    """Return the warnings of what `blind_expiries` found.

    Raises:
        DataError: there is something, and the run is strict.
    """
    if found and strict:
        raise DataError(f"{found[0]}; execution.strict refuses that", hint=_HINT)
    return [f"{said} ({_HINT})" for said in found]


def _is_inside(time: int, timeframe: str | None) -> bool:
    return timeframe is not None and last_open(time, timeframe_us(timeframe)) != time


def _counted(times: set[int], base: str) -> str:
    first = format_time(min(times))
    if len(times) == 1:
        return f"the expiry of options on {base} at {first} falls"
    return f"{len(times)} expiries of options on {base}, from {first} on, fall"
