"""Hedge mode in a run: each future has a long and a short side, which are instruments of their own on one market."""

from collections.abc import Iterable, Mapping

from msgspec import structs

from backtester.core.errors import UsageError
from backtester.core.instruments import Instrument, InstrumentId, PositionSide, listed_id, side_id
from backtester.strategy.registry import FoundStrategy

HEDGE = "hedge"


def with_sides(instruments: Mapping[InstrumentId, Instrument], mode: str) -> dict[InstrumentId, Instrument]:
    """Return the instruments, and in hedge mode the two sides after each future."""
    found: dict[InstrumentId, Instrument] = {}
    for instrument, spec in instruments.items():
        found[instrument] = spec
        for side in PositionSide if mode == HEDGE and spec.is_margined else ():
            name = side_id(instrument, side)
            found[name] = structs.replace(spec, id=name, symbol=f"{spec.symbol}@{side}")
    return found


def listed_only(instruments: Iterable[InstrumentId]) -> list[InstrumentId]:
    """Return the instruments that the venue lists, without the sides."""
    return [i for i in instruments if listed_id(i) == i]


def check_position_mode(found: FoundStrategy, mode: str) -> None:
    """Refuse a strategy that does not say which side it trades, where each order must.

    Raises:
        UsageError: it is made for another mode.
    """
    modes = found.cls.position_modes
    if mode not in modes:
        raise UsageError(
            f"strategy {found.name} trades in {' or '.join(modes)} mode, futures.position_mode is {mode!r}",
            hint=f"--set futures.position_mode={modes[0]}; or let its orders fit and say so: "
            f'position_modes = ("{mode}",)',
        )
