"""Where a limit order stands in the queue at its price, and what a trade leaves for it. Plain integers.

Prices in 10^-p, quantities in 10^-q. `side` is +1 for buy, -1 for sell. A venue fills by price, then by time: a trade
at our price first serves those who were there before us.
"""

BEHIND_ALL = 2**62  # nobody told how much is ahead, so more than ever trades


def ahead_of(side: int, limit: int, best: int, size: int, unknown: int) -> int:
    """Return the quantity that is ahead of an order that joins its price now.

    Args:
        best, size: the best price of the order's own side as last quoted, and what was shown there; 0 is no quote.
        unknown: what to assume where the quote does not tell: deeper in the book, or without one.
    """
    if best == 0:
        return unknown
    if (limit - best) * side > 0:
        return 0
    return size if limit == best else unknown


def served(side: int, limit: int, price: int, seller_took: bool, qty: int, ahead: int) -> tuple[int, int]:
    """Return what a trade leaves for a resting order, and what is still ahead of it afterwards.

    A trade through the limit means that nothing is ahead any more, whoever took: all of it could have been ours. A
    trade at the limit serves our side only when the other side took, and the queue first.
    """
    beyond = (limit - price) * side
    if beyond > 0:
        return qty, 0
    if beyond < 0 or seller_took != (side > 0) or ahead == BEHIND_ALL:
        return 0, ahead
    return max(0, qty - ahead), max(0, ahead - qty)
