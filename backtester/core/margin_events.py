"""Events of margin: a position comes near its liquidation, or is liquidated."""

from enum import StrEnum

from backtester.core.events import Event
from backtester.core.instruments import InstrumentId


class MarginState(StrEnum):
    """How a position stands."""

    CALL = "call"
    LIQUIDATED = "liquidated"


class MarginAlert(Event, frozen=True, kw_only=True):
    """A position must keep most of what secures it, or a part of it is closed for that. numbers: as text."""

    instrument: InstrumentId
    state: MarginState
    numbers: dict[str, str]
