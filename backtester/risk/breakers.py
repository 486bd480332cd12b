"""Breakers: what each measures, and when it trips and is armed again. No bus, no clock: a time and an equity in."""

from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from backtester.core.numbers import FLOOR, MONEY_EXPONENT, RATE_SCALE, decimal, mul_div
from backtester.core.risk_events import BreakerAction
from backtester.core.time import DAY
from backtester.risk.order_validation import plain

NEVER: Final = -1


class State(StrEnum):
    """Armed; tripped, while what was measured has not recovered; cooling, until its time is over too."""

    ARMED = "armed"
    TRIPPED = "tripped"
    COOLING = "cooling"


_MAY_BECOME: Final = {
    State.ARMED: {State.TRIPPED},
    State.TRIPPED: {State.COOLING},
    State.COOLING: {State.TRIPPED, State.ARMED},
}


class Measure(Protocol):
    """What a breaker watches: it grows as things get worse."""

    def see(self, ts: int, equity: int) -> int:
        """Return the measure after a look at equity (1e-8)."""

    def restart(self, equity: int) -> None:
        """Measure anew from this equity on."""

    def shown(self, value: int) -> str:
        """Return a value of the measure, as people read it."""


def lost_share(reference: int, equity: int) -> int:
    """Return which part (1e-8) of a reference equity is lost; of a reference that was nothing, all."""
    return mul_div(reference - equity, RATE_SCALE, reference, FLOOR) if reference > 0 else RATE_SCALE


def _percent(rate: int) -> str:
    return plain(decimal(rate, MONEY_EXPONENT - 2))


class DailyLoss:
    """What was lost since the last UTC midnight, as a part (1e-8) of equity then.

    A tick at midnight still belongs to the day that ends. The equity of midnight is that of the last look before.
    """

    def __init__(self) -> None:
        self._day: int | None = None
        self._reference = self._last = 0

    def see(self, ts: int, equity: int) -> int:
        """Return the loss of the day of ts."""
        day = (ts - 1) // DAY
        if day != self._day:
            self._reference = equity if self._day is None else self._last
            self._day = day
        self._last = equity
        return lost_share(self._reference, equity)

    def restart(self, equity: int) -> None:
        """Measure the rest of the day from this equity on."""
        self._reference = self._last = equity

    def shown(self, value: int) -> str:
        """Return percent."""
        return _percent(value)


class Drawdown:
    """The fall from the highest equity, as a part (1e-8) of it."""

    def __init__(self) -> None:
        self._peak: int | None = None

    def see(self, ts: int, equity: int) -> int:  # noqa: ARG002 - when does not matter
        """Return the drawdown."""
        self._peak = equity if self._peak is None else max(self._peak, equity)
        return lost_share(self._peak, equity)

    def restart(self, equity: int) -> None:
        """Take this equity as the peak."""
        self._peak = equity

    def shown(self, value: int) -> str:
        """Return percent."""
        return _percent(value)


class LosingStreak:
    """How many trades in a row lost money after fees."""

    def __init__(self) -> None:
        self._losses = 0

    def closed(self, net_units: int) -> None:
        """Take in a trade that closed."""
        self._losses = self._losses + 1 if net_units < 0 else 0

    def see(self, ts: int, equity: int) -> int:  # noqa: ARG002 - neither matters
        """Return the length of the streak."""
        return self._losses

    def restart(self, equity: int) -> None:  # noqa: ARG002 - it does not matter
        """Begin to count anew."""
        self._losses = 0

    def shown(self, value: int) -> str:
        """Return the count."""
        return str(value)


class BreakerTerms(NamedTuple):
    """limit, recover: in units of the measure. cool_down: µs; None: until the next UTC midnight; NEVER: to the end."""

    name: str
    limit: int
    action: BreakerAction
    cool_down: int | None
    recover: int = 0


class Breaker:
    """Trips when its measure reaches the limit. It is armed again once the measure has come back by `recover` from its
    worst and the cool-down is over; then it begins to measure anew.
    """

    def __init__(self, terms: BreakerTerms, measure: Measure) -> None:
        self.terms = terms
        self.state = State.ARMED
        self.value = 0
        self.trips = 0
        self._measure = measure
        self._worst = 0
        self._until: int | None = 0

    def look(self, ts: int, equity: int) -> bool:
        """Take in an equity (1e-8) at a time; say whether the breaker tripped or was armed again."""
        self.value = value = self._measure.see(ts, equity)
        if self.state is State.ARMED:
            if value < self.terms.limit:
                return False
            self._become(State.TRIPPED)
            self.trips += 1
            self._worst = value
            self._until = self._cool_until(ts)
            return True
        self._worst = max(self._worst, value)
        recovered = self._worst - value >= self.terms.recover
        if recovered is (self.state is State.TRIPPED):
            self._become(State.COOLING if recovered else State.TRIPPED)
        if self.state is State.COOLING and self._until is not None and ts >= self._until:
            self._become(State.ARMED)
            self._measure.restart(equity)
            return True
        return False

    def _cool_until(self, ts: int) -> int | None:
        if self.terms.cool_down is None:
            return ts - ts % DAY + DAY
        return None if self.terms.cool_down == NEVER else ts + self.terms.cool_down

    def _become(self, state: State) -> None:
        assert state in _MAY_BECOME[self.state]
        self.state = state

    def numbers(self) -> dict[str, str]:
        """Return the measure and its limit, as text."""
        return {"measure": self._measure.shown(self.value), "limit": self._measure.shown(self.terms.limit)}
