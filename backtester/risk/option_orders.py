"""What an order in an option may be: a limit order for a number of contracts, without exits."""

from backtester.core.events import LimitOrderIntent, OrderIntent, Reason, Side
from backtester.core.folds import Ledger
from backtester.core.funds import opening_qty
from backtester.core.instruments import Instrument
from backtester.core.numbers import FLOOR, units_of
from backtester.risk.order_validation import Refusal


def option_refusal(intent: OrderIntent, spec: Instrument, ledger: Ledger) -> Refusal | None:
    """Return why the venue does not take an order in an option, or None."""
    if not isinstance(intent, LimitOrderIntent):
        kind = type(intent).__name__.removesuffix("Intent").removesuffix("Order").lower()
        return Refusal(Reason.LIMIT_ONLY, {"kind": kind, "allowed": "limit orders: gtc, ioc, fok, post_only"})
    if intent.qty is None:
        return Refusal(Reason.BAD_SIZE, {"why": "options are ordered by contracts: qty"})
    if intent.bracket is not None:
        return Refusal(Reason.BAD_BRACKET, {"why": "options have no attached exits"})
    if intent.side is Side.BUY or ledger.margin.options.allow_short:
        return None
    if opening_qty(ledger, spec, intent.side, units_of(intent.qty, spec.scale.qty, FLOOR)) == 0:
        return None
    return None if intent.terms.reduce_only else Refusal(Reason.SHORT_NOT_ALLOWED, {"options.allow_short": "false"})
