"""What trading costs: fees and slippage, as pure functions of declared numbers. Rates are integers in 1e-8."""

from bisect import bisect_right
from math import isqrt
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
    """How much worse than its reference price an order that takes liquidity fills. All rates in 1e-8.

    rate: of the price, always. volatility_share: of the recent mean true range, on top. volume_impact: times the square
    of the order's share of the volume, on top (the volume share model of zipline).
    """

    rate: int
    volatility_share: int = 0
    volume_impact: int = 0

    def rate_of(self, qty: int, volume: int, range_rate: int) -> int:
        """Return the rate for a quantity, of a volume (both 10^-q), at a mean true range (1e-8 of the price).

        No volume means that the order would be all of it.
        """
        share = min(RATE_SCALE, mul_div(qty, RATE_SCALE, volume, CEIL)) if volume else RATE_SCALE
        by_volume = mul_div(self.volume_impact, share * share, RATE_SCALE * RATE_SCALE, CEIL)
        return self.rate + mul_div(self.volatility_share, range_rate, RATE_SCALE, CEIL) + by_volume

    def price_units(self, side: int, reference_units: int) -> int:
        """Return the price of a fill that pays the fixed rate only."""
        return worse_price(side, reference_units, self.rate)


class ImpactModel(NamedTuple):
    """The square-root law: an order of Q moves the price by coefficient x volatility x sqrt(Q / V).

    Volatility and volume V are of the same span; the law is the same for any span (Toth et al. 2011, Physical Review X
    1, 021006). coefficient in 1e-8; 0 is no impact.
    """

    coefficient: int = 0

    def rate_of(self, qty: int, volume: int, variance: int) -> int:
        """Return the rate (1e-8) for a quantity.

        Args:
            qty, volume: in 10^-q; without volume, or beyond it, the order counts as all of it.
            variance: the sum of squared returns over the span, in 1e-16.
        """
        if not self.coefficient or not variance:
            return 0
        part = mul_div(variance, qty, volume, CEIL) if qty < volume else variance
        root = isqrt(part - 1) + 1 if part else 0
        return mul_div(self.coefficient, root, RATE_SCALE, CEIL)


def worse_price(side: int, reference_units: int, rate: int) -> int:
    """Return a price (10^-p) worse by a rate: a buyer (side +1) pays more, rounded up; a seller gets less."""
    if side > 0:
        return mul_div(reference_units, RATE_SCALE + rate, RATE_SCALE, CEIL)
    return mul_div(reference_units, RATE_SCALE - rate, RATE_SCALE, FLOOR)


def range_rate(high: int, low: int, close_before: int) -> int:
    """Return the true range (Wilder 1978) as a share of the close before, in 1e-8."""
    return mul_div(max(high, close_before) - min(low, close_before), RATE_SCALE, close_before, CEIL)


def return_rate(close: int, close_before: int) -> int:
    """Return the return of a close on the one before, in 1e-8, away from zero."""
    rate = mul_div(abs(close - close_before), RATE_SCALE, close_before, CEIL)
    return rate if close >= close_before else -rate
