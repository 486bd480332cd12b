"""Trailing stops: a level that follows the best price at a fixed fraction. Plain integers.

Prices in 10^-p, rates in 1e-8. `side` is +1 for buy, -1 for sell. A peak of 0 means that it does not follow yet.
"""

from backtester.core.numbers import CEIL, FLOOR, RATE_SCALE, mul_div
from backtester.sim.matching import NO_FILL


def trail_level(side: int, peak: int, rate: int) -> int:
    """Return the price at which a trailing stop fires: rounded to fire earlier, yet never the best price itself."""
    if side > 0:
        return max(peak + 1, mul_div(peak, RATE_SCALE + rate, RATE_SCALE, FLOOR))
    return min(peak - 1, mul_div(peak, RATE_SCALE - rate, RATE_SCALE, CEIL))


def is_active(side: int, activation: int, price: int) -> bool:
    """Say whether a price starts the following: a sale's once it rises to the activation, a buy's once it falls."""
    return activation == 0 or (price >= activation if side < 0 else price <= activation)


def peak_after(side: int, peak: int, activation: int, price: int) -> int:
    """Return the best price once this one was seen: the highest for a sale, the lowest for a buy; 0: inactive."""
    if peak == 0:
        return price if is_active(side, activation, price) else 0
    return max(peak, price) if side < 0 else min(peak, price)


def trail_fires_at_open(side: int, peak: int, rate: int, open_: int) -> bool:
    """Say whether the market opened at or beyond the level."""
    if peak == 0:
        return False
    level = trail_level(side, peak, rate)
    return open_ >= level if side > 0 else open_ <= level


def trail_fill_price(side: int, peak: int, rate: int, activation: int, open_: int, high: int, low: int) -> int:
    """Return the reference price of a trailing stop in a candle whose path is unknown, or NO_FILL.

    It fires when some path through the candle would fire it, at the worst price at which one could. For a sale: the
    price may rise just so far that the fall to the low reaches the level; the fill is then at the low itself, and at
    the level of before when the low is beyond even that.
    """
    if trail_fires_at_open(side, peak, rate, open_):
        return open_
    best = high if side < 0 else low
    if peak == 0 and not is_active(side, activation, best):
        return NO_FILL
    if side < 0:
        start = max(open_, peak or activation)
        fires = low <= trail_level(side, max(start, high), rate)
        return max(low, trail_level(side, start, rate)) if fires else NO_FILL
    start = min(open_, peak or activation or open_)
    fires = high >= trail_level(side, min(start, low), rate)
    return min(high, trail_level(side, start, rate)) if fires else NO_FILL
