"""What trading costs: fees and slippage, as pure functions of declared numbers. Rates are integers in 1e-8."""

from bisect import bisect_right
from typing import NamedTuple

from backtester.core.numbers import CEIL, FLOOR, RATE_SCALE, mul_div
from backtester.sim.sizing import fee_of


class FeeTier(NamedTuple):
    """From this 30-day volume (1e-8 quote) on, these rates (1e-8) hold."""

    volume_units: int
    maker_rate: int
    taker_rate: int


class FeeModel(NamedTuple):
    """Maker and taker fees by 30-day volume. tiers are ascending; the first starts at volume 0."""

    tiers: tuple[FeeTier, ...]

    @classmethod
    def flat(cls, maker_rate: int, taker_rate: int) -> "FeeModel":
        """Return a model with one pair of rates for every volume."""
        return cls((FeeTier(0, maker_rate, taker_rate),))

    def rate(self, is_maker: bool, volume_units: int) -> int:
        """Return the rate of a fill, given our traded volume of the last 30 days."""
        tier = self.tiers[bisect_right(self.tiers, volume_units, key=lambda t: t.volume_units) - 1]
        return tier.maker_rate if is_maker else tier.taker_rate

    def fee_units(self, amount_units: int, is_maker: bool, volume_units: int) -> int:
        """Return the fee on an amount in the amount's own units; costs round up, rebates toward zero."""
        return fee_of(amount_units, self.rate(is_maker, volume_units))

    def worst_rate(self) -> int:
        """Return the largest rate that any fill can pay, at least 0: what must be reserved."""
        return max(0, *(rate for tier in self.tiers for rate in (tier.maker_rate, tier.taker_rate)))


class SlippageModel(NamedTuple):
    """A fixed fraction of the price against the trader, on every fill that takes liquidity. rate in 1e-8."""

    rate: int

    def price_units(self, side: int, reference_units: int) -> int:
        """Return the fill price in 10^-p: a buyer (side +1) pays more, rounded up; a seller gets less, rounded down."""
        if side > 0:
            return mul_div(reference_units, RATE_SCALE + self.rate, RATE_SCALE, CEIL)
        return mul_div(reference_units, RATE_SCALE - self.rate, RATE_SCALE, FLOOR)
