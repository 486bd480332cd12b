"""Events of expiry: a contract is settled."""

from backtester.core.events import Event
from backtester.core.instruments import InstrumentId


class ContractSettled(Event, frozen=True, kw_only=True):
    """A contract has expired, and what was held of it is closed at its settlement price.

    numbers, as text: price; found: what that was made of; and if something was held: qty (signed), profit, fee, and
    shortfall where the insurance fund paid one, all in what the contract settles in.
    """

    instrument: InstrumentId
    numbers: dict[str, str]
