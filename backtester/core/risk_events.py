"""Events of those who watch over a run: breakers that trip, commands that are given, positions that must be closed."""

from enum import StrEnum

from backtester.core.events import Event, OrderIntent


class BreakerAction(StrEnum):
    """What a tripped breaker does; each also does what those before it do."""

    REJECT_ENTRIES = "reject_entries"
    REDUCE_ONLY = "reduce_only"
    FLATTEN = "flatten"


class ControlAction(StrEnum):
    """What an operator commands: no entries; also no resting entries; also no position; also nothing ever again."""

    PAUSE = "pause"
    RESUME = "resume"
    REDUCE_ONLY = "reduce_only"
    FLATTEN = "flatten"
    KILL = "kill"


class AlertState(StrEnum):
    """Which way a breaker changed."""

    TRIPPED = "tripped"
    ARMED = "armed"


class RiskAlert(Event, frozen=True, kw_only=True):
    """A breaker tripped, or is armed again. breaker: its name in the config. numbers: what it measured, as text."""

    breaker: str
    state: AlertState
    action: BreakerAction
    numbers: dict[str, str]


class Control(Event, frozen=True, kw_only=True):
    """A command. It holds until the next one; after a kill there is none."""

    action: ControlAction
    reason: str
    who: str


class ClosingIntent(OrderIntent, frozen=True, kw_only=True):
    """Close a position at the market: risk's own wish, which none of the user's limits holds up."""
