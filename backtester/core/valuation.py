"""In what currency an account is summed up, and at which prices its other assets are worth something in it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from backtester.core.instruments import Asset, InstrumentId
from backtester.core.numbers import FLOOR, HALF_EVEN, RATE_SCALE, mul_div


class Conversion(NamedTuple):
    """What one unit of an asset is worth in the account's currency.

    instrument: whose last price says it, in 10^-decimals currency per asset; with is_inverted asset per currency. None:
    a fixed rate (1e-8). then: the price is in another asset, which this conversion turns into the currency.
    """

    instrument: InstrumentId | None = None
    decimals: int = 0
    is_inverted: bool = False
    rate_units: int = RATE_SCALE
    then: "Conversion | None" = None

    @property
    def instruments(self) -> list[InstrumentId]:
        """Whose prices say it."""
        own = [] if self.instrument is None else [self.instrument]
        return own if self.then is None else [*own, *self.then.instruments]

    def ratio(self, prices: Mapping[InstrumentId, int]) -> tuple[int, int]:
        """Return by what an amount is multiplied, and by what divided, at these prices; (0, 1) when none is known."""
        if self.instrument is None:
            return self.rate_units, RATE_SCALE
        price, one = prices.get(self.instrument, 0), int(10**self.decimals)
        if not price:
            return 0, 1
        mul, den = (one, price) if self.is_inverted else (price, one)
        if self.then is None:
            return mul, den
        more, less = self.then.ratio(prices)
        return mul * more, den * less


class Valuation(NamedTuple):
    """currency: of all sums; conversions: of every other asset that can be held outside of a spot position."""

    currency: Asset = Asset("USDT")
    conversions: Mapping[str, Conversion] = {}

    def worth(self, asset: str, units: int, prices: Mapping[InstrumentId, int]) -> int:
        """Return what an amount (1e-8) of an asset is worth in the currency (1e-8), half-even."""
        if asset == self.currency or not units:
            return units
        mul, den = self.conversions[asset].ratio(prices)
        return mul_div(units, mul, den, HALF_EVEN)

    def amount(self, asset: str, units: int, prices: Mapping[InstrumentId, int]) -> int:
        """Return how much of an asset (1e-8) an amount of the currency (1e-8) is worth, rounded down; 0 before the
        first price that says it.
        """
        if asset == self.currency or not units:
            return units
        mul, den = self.conversions[asset].ratio(prices)
        return mul_div(units, den, mul, FLOOR) if mul else 0

    def is_known(self, asset: str, prices: Mapping[InstrumentId, int]) -> bool:
        """Say whether a price, or a fixed rate, says what an asset is worth."""
        return asset == self.currency or self.conversions[asset].ratio(prices)[0] > 0


PLAIN: Final = Valuation()
