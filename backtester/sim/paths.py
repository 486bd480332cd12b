"""The path of the price through a candle, which a candle does not tell: three declared assumptions. Plain integers.

PESSIMISTIC walks no path. Each order meets the candle for itself: what the open decides first, then what goes against
the trader (stops, trailing stops), by age, then what favours him (limits, take-profits), the nearest to the open
first. What comes to life within the candle: a stop fires when any path could reach it, a limit fills only when every
path does.

NEAR_EXTREME_FIRST and OPTIMISTIC walk open, one extreme, the other, close, and orders trigger as the path meets them.
The first extreme is the one nearer to the open; or the one at which more of the waiting limits and take-profits lie.

Prices in 10^-p. `side` is +1 for buy, -1 for sell.
"""

from backtester.sim.matching import NO_FILL
from backtester.sim.trailing import trail_level

PESSIMISTIC = 0
NEAR_EXTREME_FIRST = 1
OPTIMISTIC = 2


def corners(path: int, open_: int, high: int, low: int, favour: int) -> tuple[int, int]:
    """Return the two extremes in the order in which the path meets them.

    favour: waiting orders that profit from the high (sales) less those that profit from the low (purchases). When
    both extremes are equally near, the one that does not favour the trader comes first; the low when that is even.
    """
    if path == OPTIMISTIC and favour != 0:
        return (high, low) if favour > 0 else (low, high)
    up, down = high - open_, open_ - low
    high_first = up < down or (up == down and favour < 0)
    return (high, low) if high_first else (low, high)


def limit_on_leg(side: int, limit: int, start: int, end: int, touch_fills: bool) -> int:
    """Return where a straight move from start to end fills a resting limit, or NO_FILL."""
    reached = (limit - end) * side
    if reached < 0 or (reached == 0 and not touch_fills):
        return NO_FILL
    return limit if (start - limit) * side >= 0 else start


def trigger_on_leg(direction: int, trigger: int, start: int, end: int) -> int:
    """Return where a straight move reaches a trigger that waits for a rise (+1) or a fall (-1), or NO_FILL."""
    if (end - trigger) * direction < 0:
        return NO_FILL
    return trigger if (trigger - start) * direction >= 0 else start


def trail_on_leg(side: int, peak: int, rate: int, start: int, end: int) -> int:
    """Return where a straight move meets the level of a trailing stop that has seen `peak`, or NO_FILL."""
    if peak == 0 or (end - start) * side <= 0:
        return NO_FILL
    return trigger_on_leg(side, trail_level(side, peak, rate), start, end)


def surely_filled(
    side: int, limit: int, born: int, open_: int, high: int, low: int, close: int, touch_fills: bool
) -> bool:
    """Say whether every path fills a limit that came to life at price `born` within the candle.

    Every path does when the close lies beyond the limit; or when the extreme beyond it can only have come after,
    because the price passed `born` on its way from the open.
    """
    best = low if side > 0 else high
    if limit_on_leg(side, limit, born, best, touch_fills) == NO_FILL:
        return False
    if limit_on_leg(side, limit, born, close, touch_fills) != NO_FILL:
        return True
    return (open_ - born) * side > 0 and (born - limit) * side >= 0


def middle(side: int, high: int, low: int) -> int:
    """Return the middle of a candle, rounded against the trader: up for a buyer, down for a seller."""
    return (high + low + 1) // 2 if side > 0 else (high + low) // 2
