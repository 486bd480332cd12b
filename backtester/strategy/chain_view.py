"""An option chain as a strategy asks for it: by expiry, strike, side and delta."""

from dataclasses import dataclass
from math import isnan
from typing import Final

from backtester.core.instruments import InstrumentId, instrument_id, split_id
from backtester.core.market import OptionQuote
from backtester.core.time import DAY, HOUR

_WEEK: Final = 7 * DAY
_FRIDAY_EXPIRY: Final = DAY + 8 * HOUR  # the epoch began on a Thursday


@dataclass(frozen=True, slots=True)
class ChainView:
    """The last row of a chain that is known, without what has expired.

    ts: when it was taken, UTC µs; 0 before the first. now: the time of the question. index: of the underlying, NaN
    where it is not known. quotes: sorted by expiry, strike, puts before calls.
    """

    name: InstrumentId
    ts: int
    now: int
    index: float
    quotes: tuple[OptionQuote, ...]

    @property
    def expiries(self) -> tuple[int, ...]:
        """When its contracts expire, UTC µs, soonest first."""
        return tuple(sorted({quote.expiry for quote in self.quotes}))

    def of(
        self, expiry: int | None = None, *, is_call: bool | None = None, strike: float | None = None
    ) -> tuple[OptionQuote, ...]:
        """Return the contracts of an expiry, a side and a strike; None is any."""
        return tuple(
            quote
            for quote in self.quotes
            if expiry in (None, quote.expiry) and is_call in (None, quote.is_call) and strike in (None, quote.strike)
        )

    def strikes(self, expiry: int) -> tuple[float, ...]:
        """Return the strikes of an expiry, ascending."""
        return tuple(sorted({quote.strike for quote in self.of(expiry)}))

    def nearest_delta(self, delta: float, expiry: int, *, is_call: bool) -> OptionQuote | None:
        """Return the contract of an expiry and side whose delta is closest to a size, the sign left out; of two equal
        ones that of the lower strike; None where no delta is known.
        """
        known = (quote for quote in self.of(expiry, is_call=is_call) if not isnan(quote.delta))
        return min(known, key=lambda quote: (abs(abs(quote.delta) - abs(delta)), quote.strike), default=None)

    def nearest_weekly(self, least: int = 0) -> int | None:
        """Return the soonest expiry on a Friday with more than `least` µs to go; None where there is none."""
        weekly = (e for e in self.expiries if e % _WEEK == _FRIDAY_EXPIRY and e - self.now > least)
        return next(weekly, None)

    def instrument(self, quote: OptionQuote) -> InstrumentId:
        """Return the name by which a contract is ordered."""
        return instrument_id(split_id(self.name)[0], quote.contract)
