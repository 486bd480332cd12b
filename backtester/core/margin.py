"""How positions are secured: futures each by margin of its own, or together by all that the account has."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from backtester.core.instruments import Holding, InstrumentId
from backtester.core.numbers import CEIL, mul_div
from backtester.core.option_rates import REGULAR_OPTIONS, OptionRates


class MarginTerms(NamedTuple):
    """leverage: of an instrument's positions, >= 1; 1 where it is not named. cross: the instruments whose positions are
    secured together; each of the others has margin of its own (isolated). collateral: other assets of a wallet that
    secure what is secured together in it, and how much of their worth counts (1e-8). options: what short options bind.
    """

    leverage: Mapping[InstrumentId, int] = {}
    cross: frozenset[InstrumentId] = frozenset()
    collateral: Mapping[Holding, int] = {}
    options: OptionRates = REGULAR_OPTIONS

    def leverage_of(self, instrument: InstrumentId) -> int:
        """Return the leverage of an instrument's positions."""
        return self.leverage.get(instrument, 1)

    def with_terms(self, instrument: InstrumentId, leverage: int, is_cross: bool) -> "MarginTerms":
        """Return the terms with those of one instrument in the place of what it had."""
        cross = self.cross | {instrument} if is_cross else self.cross - {instrument}
        return self._replace(leverage={**self.leverage, instrument: leverage}, cross=cross)

    def margin_units(self, instrument: InstrumentId, size_units: int) -> int:
        """Return the initial margin of a notional (1e-8), rounded up."""
        return mul_div(size_units, 1, self.leverage_of(instrument), CEIL)


FULL: Final = MarginTerms()
"""Every position is secured by its full notional."""
