"""Why an order was refused, cancelled or expired, in words, with the numbers of the log."""

from collections.abc import Mapping
from typing import Final

from backtester.core.events import Reason

_R = Reason
WORDS: Final[Mapping[Reason, str]] = {
    _R.NONE: "no reason is given",
    _R.REQUESTED: "it was taken back on request",
    _R.OCO: "another order of its group, or the exit of its entry, executed",
    _R.MAX_WAIT: "nothing was traded for as long as a market order waits (execution.max_wait)",
    _R.WOULD_TRIGGER: "its stop was already through the market when it arrived (execution.stop_through)",
    _R.INSUFFICIENT_BALANCE: "the money was not there",
    _R.SHORT_NOT_ALLOWED: "it would have sold what is not held",
    _R.BELOW_MIN_QTY: "less than the smallest quantity that the venue takes",
    _R.ABOVE_MAX_QTY: "more than the largest quantity that the venue takes",
    _R.BELOW_MIN_NOTIONAL: "worth less than the venue takes",
    _R.ABOVE_MAX_NOTIONAL: "worth more than the venue takes",
    _R.BAD_PRICE: "its price is none that an order can have",
    _R.BAD_SIZE: "its size is none that an order can have",
    _R.NO_PRICE: "no price was known by which it could be judged",
    _R.UNKNOWN_INSTRUMENT: "the run does not trade this instrument, or not yet",
    _R.UNKNOWN_ORDER: "there was no such open order",
    _R.BAD_GROUP: "its group cannot be",
    _R.PAUSED_AFTER_GAP: "after a gap in the data no position is opened for some candles (data.pause_candles)",
    _R.WOULD_TAKE: "post-only, but it would have taken at once",
    _R.NOT_FILLED_AT_ONCE: "it had to fill at once and could not",
    _R.GOOD_TILL: "its time was over",
    _R.NOTHING_TO_REDUCE: "it may only reduce, and there was nothing to reduce",
    _R.REPLACED: "a changed order took its place",
    _R.DUPLICATE_CLIENT_ID: "an open order has the same client id",
    _R.BAD_BRACKET: "its attached exits cannot be",
    _R.BAD_REPLACE: "the order could not be changed so",
    _R.LEVERAGE_BRACKET: "the position would be larger than the leverage allows",
    _R.LIQUIDATION: "the position was liquidated",
    _R.MARGIN_MODE_WITH_POSITION: "the margin mode does not change while there is a position or an open order",
    _R.MARGIN_NOT_ISOLATED: "margin is moved for isolated positions only",
    _R.INSUFFICIENT_MARGIN: "the margin was not there",
    _R.NO_MARGIN: "nothing here is secured by margin",
    _R.NO_POSITION: "there was no position",
    _R.MODEL_NOT_READY: "slippage or impact did not know enough candles yet (execution.strict)",
    _R.NO_SIZE: "the order says no size, and the run has no sizing",
    _R.NO_STOP: "the sizing needs the entry's stop, and it has none",
    _R.NOT_WARM: "the sizing did not know enough candles yet",
    _R.NO_VOLATILITY: "the sizing divides by volatility, and there was none",
    _R.KELLY_NO_EDGE: "the closed trades show no edge to bet on",
    _R.BAD_SPAN: "it cannot be sliced so",
    _R.SPAN_OVER: "its span was over before all was filled",
    _R.PARTS_FILLED: "all its parts filled",
    _R.PARENT_ENDED: "the sliced order whose part it is had ended",
    _R.BELOW_MIN_PRICE: "below the venue's lowest price",
    _R.ABOVE_MAX_PRICE: "above the venue's highest price",
    _R.PERCENT_PRICE: "farther from the last price than the venue allows",
    _R.MAX_NUM_ORDERS: "more open orders than the venue allows",
    _R.MAX_NUM_ALGO_ORDERS: "more waiting stops and take-profits than the venue allows",
    _R.MAX_POSITION: "the position would be larger than the venue allows",
    _R.MAX_ORDER_NOTIONAL: "worth more than one order may be (risk.max_order_notional)",
    _R.MAX_SYMBOL_NOTIONAL: "the position would be worth more than one may be (risk.max_symbol_notional)",
    _R.MAX_GROSS_EXPOSURE: "all positions together would be worth more than they may (risk.max_gross_exposure)",
    _R.MAX_NET_EXPOSURE: "longs less shorts would be worth more than they may (risk.max_net_exposure)",
    _R.MAX_LEVERAGE: "the account would be levered more than it may (risk.max_leverage)",
    _R.MAX_ORDERS_PER_MINUTE: "more orders in a minute than there may be (risk.max_orders_per_minute)",
    _R.MAX_OPEN_ORDERS: "more open orders than there may be (risk.max_open_orders)",
    _R.PRICE_COLLAR: "its price is farther from the last one than it may be (risk.price_collar_pct)",
    _R.BLACKOUT: "no position is opened in this span (risk.blackouts)",
    _R.BREAKER: "a breaker has tripped and was in force",
    _R.CONTROL: "an operator's command was in force",
    _R.CONTRACT_EXPIRED: "the contract had expired",
    _R.POSITION_SIDE_REQUIRED: "in hedge mode an order says which side it is for",
    _R.POSITION_SIDE_NOT_ALLOWED: "an order may not name a side here",
    _R.UNKNOWN_WALLET: "there is no such wallet",
    _R.COLLATERAL_NEEDS_CROSS: "with collateral all positions have cross margin",
    _R.SAME_WALLET: "source and target are one wallet",
    _R.UNKNOWN_ASSET: "the wallet does not hold this asset",
    _R.LIMIT_ONLY: "options take limit orders only",
    _R.COMBO: "another leg of the combination was refused, or the legs do not fit",
}
_SENTENCES: Final[Mapping[Reason, str]] = {
    _R.INSUFFICIENT_BALANCE: "it needed {required} {asset}, and {free} were free",
    _R.INSUFFICIENT_MARGIN: "it needed {required}, and {free} were free",
    _R.BELOW_MIN_QTY: "its quantity {qty} is below the venue's smallest, {min_qty}",
    _R.ABOVE_MAX_QTY: "its quantity {qty} is above the venue's largest, {max_qty}",
    _R.BELOW_MIN_NOTIONAL: "it is worth {notional}, and the venue takes {min_notional} or more",
    _R.ABOVE_MAX_NOTIONAL: "it is worth {notional}, and the venue takes {max_notional} or less",
    _R.WOULD_TRIGGER: "its stop {stop} was already through the market when it arrived (execution.stop_through)",
    _R.WOULD_TAKE: "post-only, but its limit {limit} would have taken at once",
    _R.NOT_WARM: "the sizing needs {needed} candles and had seen {candles}",
    _R.UNKNOWN_ORDER: "order {order_id} was not open (any more)",
    _R.DUPLICATE_CLIENT_ID: "the open order {order_id} has the same client id",
    _R.PAUSED_AFTER_GAP: "data were missing until {since}, and no position is opened for some candles after that "
    "(data.pause_candles)",
    _R.MAX_ORDER_NOTIONAL: "it is worth {notional}, one order may be {max_order_notional} (risk.max_order_notional)",
    _R.MAX_ORDERS_PER_MINUTE: "{sent} orders were sent within a minute, and {max_orders_per_minute} may be "
    "(risk.max_orders_per_minute)",
    _R.MAX_OPEN_ORDERS: "{open} orders were open, and {max_open_orders} may be (risk.max_open_orders)",
    _R.BLACKOUT: "no position is opened until {until} (risk.blackouts)",
    _R.COMBO: "the leg {refused} of the combination was refused: {why}",
}


def reason_words(code: str, numbers: Mapping[str, str] | None = None) -> str:
    """Return a reason in words, with its numbers: in its own sentence, else listed behind it.

    Args:
        code: as in the log.
        numbers: what the reason is made of, as text.
    """
    numbers = {key: _short(text) for key, text in (numbers or {}).items()}
    try:
        reason = Reason(code)
    except ValueError:
        return code + _listed(numbers)
    sentence = _SENTENCES.get(reason)
    if sentence is not None:
        used = {key for key in numbers if f"{{{key}}}" in sentence}
        try:
            return sentence.format_map(numbers) + _listed({k: v for k, v in numbers.items() if k not in used})
        except KeyError:
            pass
    return WORDS[reason] + _listed(numbers)


def _listed(numbers: Mapping[str, str]) -> str:
    return f" ({', '.join(f'{key} {text}' for key, text in numbers.items())})" if numbers else ""


def _short(text: str) -> str:
    """Return a number without zeros at its end; other text as it is."""
    whole, point, part = text.partition(".")
    if not point or not part.isdigit() or not whole.lstrip("-").isdigit():
        return text
    return f"{whole}.{part}".rstrip("0").rstrip(".")
