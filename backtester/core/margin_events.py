"""Events of margin: wishes to change how positions are secured, what holds from then on, and what comes of too little.

Wishes go from the strategy through risk to the exchange, in order with its orders.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from backtester.core.events import MONEY, Event
from backtester.core.instruments import InstrumentId


class MarginMode(StrEnum):
    """Whether each position has margin of its own, or all stand for each other."""

    ISOLATED = "isolated"
    CROSS = "cross"


class SetLeverage(Event, frozen=True, kw_only=True):
    """Another leverage for an instrument; in hedge mode for both its sides."""

    instrument: InstrumentId
    leverage: int


class SetMarginMode(Event, frozen=True, kw_only=True):
    """Another margin mode for an instrument; in hedge mode for both its sides."""

    instrument: InstrumentId
    mode: MarginMode


class MoveMargin(Event, frozen=True, kw_only=True):
    """Free money for an isolated position (amount > 0), or out of it again; in 1e-8 of what it settles in."""

    instrument: InstrumentId
    amount: Decimal


MarginWish = SetLeverage | SetMarginMode | MoveMargin


class MarginTermsSet(Event, frozen=True, kw_only=True):
    """How a position is secured from now on, after a wish was heard. added: margin beyond the initial one."""

    instrument: InstrumentId
    leverage: int
    mode: MarginMode
    added_units: Annotated[int, MONEY]


class MarginState(StrEnum):
    """How a position stands."""

    CALL = "call"
    LIQUIDATED = "liquidated"


class MarginAlert(Event, frozen=True, kw_only=True):
    """A position must keep most of what secures it, or a part of it is closed for that. numbers: as text."""

    instrument: InstrumentId
    state: MarginState
    numbers: dict[str, str]
