"""When and at which price an order meets a candle. Plain integers; every choice is against the trader.

Prices in 10^-p. `side` is +1 for buy, -1 for sell. A result of -1 means that the order does not fill.
"""

NO_FILL = -1


def limit_fill_price(side: int, limit: int, high: int, low: int, touch_fills: bool) -> int:
    """Return the price at which a resting limit order fills in a candle, or NO_FILL.

    The market must trade through the limit; with touch_fills reaching it is enough. The fill is at the limit, also when
    the market opened beyond it: whoever came through it took what was offered there.
    """
    beyond = limit - low if side > 0 else high - limit
    return limit if beyond > 0 or (touch_fills and beyond == 0) else NO_FILL


def stop_fill_price(side: int, stop: int, open_: int, high: int, low: int) -> int:
    """Return the reference price at which a stop order executes in a candle, or NO_FILL.

    It fires when the market reaches the stop, and fills there; when the market opened beyond it, at the open.
    """
    if side > 0:
        if open_ >= stop:
            return open_
        return stop if high >= stop else NO_FILL
    if open_ <= stop:
        return open_
    return stop if low <= stop else NO_FILL


def stop_is_through(side: int, stop: int, last: int) -> bool:
    """Say whether a stop would fire at once at the last price."""
    return last >= stop if side > 0 else last <= stop
