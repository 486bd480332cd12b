"""The border between a strategy and the bus: an intent with a wrong type must not reach risk or the log."""

from decimal import Decimal
from typing import Any

from backtester.core.events import (
    AnyIntent,
    CancelIntent,
    IcebergIntent,
    LimitOrderIntent,
    MarketOrderIntent,
    MultiLegIntent,
    OrderIntent,
    ReplaceIntent,
    Side,
    StopOrderIntent,
    TakeProfitIntent,
    TrailingStopIntent,
    TwapIntent,
)
from backtester.core.margin_events import MarginMode, MarginWish, MoveMargin, SetLeverage, SetMarginMode
from backtester.core.numbers import decimal_of
from backtester.core.order_terms import (
    PLAIN,
    Bracket,
    Terms,
    bracket_fault,
    iceberg_fault,
    size_fault,
    terms_fault,
    twap_fault,
)
from backtester.core.risk_events import ClosingIntent
from backtester.core.transfer_events import TransferIntent

_MOST_SHOWN = 80
_PRICES: dict[type, tuple[str, ...]] = {
    LimitOrderIntent: ("limit_price",),
    StopOrderIntent: ("stop_price",),
    TakeProfitIntent: ("stop_price",),
    TrailingStopIntent: ("trail",),
    IcebergIntent: ("limit_price", "display"),
}
_OPTIONAL_PRICES: dict[type, tuple[str, ...]] = {
    StopOrderIntent: ("limit_price",),
    TakeProfitIntent: ("limit_price",),
    TrailingStopIntent: ("activation_price",),
    TwapIntent: ("limit_price",),
}


def checked_intent(intent: object) -> AnyIntent | MarginWish | TransferIntent:
    """Return an intent whose fields have the types that they declare.

    Raises:
        TypeError: it is no intent of a strategy, or a field has another type.
        ValueError: more than one size, or a number that is not finite.
    """
    if isinstance(intent, TransferIntent):
        return _checked_transfer(intent)
    if isinstance(intent, CancelIntent):
        _want(intent, "order_id", int)
    elif isinstance(intent, SetLeverage | SetMarginMode | MoveMargin):
        _check_wish(intent)
    elif isinstance(intent, ClosingIntent):
        raise TypeError("a ClosingIntent is risk's own; return self.close(name)")
    elif isinstance(intent, OrderIntent):
        checked_order(intent)
    elif isinstance(intent, MultiLegIntent):
        _check_combo(intent)
    elif isinstance(intent, ReplaceIntent):
        _want(intent, "order_id", int)
        changes = [name for name in ("qty", "limit_price", "stop_price") if getattr(intent, name) is not None]
        if not changes:
            raise ValueError("a replacement must change something")
        for name in changes:
            _want_decimal(name, getattr(intent, name))
    else:
        inner = isinstance(intent, list | tuple)
        more = "; self.close and self.cancel_all return lists: [*self.close(name), ...]" if inner else ""
        raise TypeError(f"what was returned is not a list of intents: it holds {short(intent)}{more}")
    _want(intent, "ts", int)
    _want(intent, "instrument", str)
    return intent


def _check_wish(wish: MarginWish) -> None:
    if isinstance(wish, SetLeverage):
        _want(wish, "leverage", int)
        if wish.leverage < 1:
            raise ValueError(f"leverage is {wish.leverage}, it must be at least 1")
    elif isinstance(wish, SetMarginMode):
        _want(wish, "mode", MarginMode)
    else:
        _want_decimal("amount", wish.amount)


def _checked_transfer(intent: TransferIntent) -> TransferIntent:
    _want(intent, "ts", int)
    for name in ("asset", "source", "target", "tag"):
        _want(intent, name, str)
    if not isinstance(intent.amount, Decimal):
        raise TypeError(f"amount of a transfer is {intent.amount!r}, it must be a Decimal")
    decimal_of(intent.amount)
    return intent


def _check_combo(intent: MultiLegIntent) -> None:
    _want(intent, "tag", str)
    _want(intent, "legs", tuple)
    _want(intent, "terms", Terms)
    if len(intent.legs) < 2:
        raise ValueError("a combination has at least two legs")
    if intent.terms.post_only or intent.terms.only_reduces:
        raise ValueError("a combination is neither post_only nor reduce_only")
    _want(intent.terms, "good_till", int)
    fault = terms_fault(intent.terms, has_limit=True, is_plain_limit=True, triggers=False)
    if fault is not None:
        raise ValueError(fault)
    for leg in intent.legs:
        _want(leg, "instrument", str)
        _want(leg, "side", Side)
        _want_decimal("qty of a leg", leg.qty)
        _want_decimal("limit_price of a leg", leg.limit_price)


def checked_order(intent: OrderIntent) -> OrderIntent:
    """Return an order intent whose fields have the types that they declare and make an order together.

    Raises:
        TypeError: a field has another type.
        ValueError: more than one size, a number that is not finite, or conditions that contradict each other.
    """
    _want(intent, "side", Side)
    _want(intent, "tag", str)
    _want(intent, "oco", str)
    _want(intent, "client_id", str)
    sizes = [name for name in ("qty", "quote", "fraction") if getattr(intent, name) is not None]
    if intent.terms is not PLAIN:
        _check_terms(intent)
    fault = size_fault(len(sizes), intent.terms)
    if fault is not None:
        raise ValueError(fault)
    if intent.oco.startswith("#"):
        raise ValueError(f"oco is {intent.oco!r}: names that begin with # belong to brackets")
    for name in (*sizes, *_PRICES.get(type(intent), ())):
        _want_decimal(name, getattr(intent, name))
    for name in sizes:
        if getattr(intent, name) < 0:
            raise ValueError(f"{name} is {getattr(intent, name)}: a size is positive, buy and sell say the direction")
    for name in _OPTIONAL_PRICES.get(type(intent), ()):
        if getattr(intent, name) is not None:
            _want_decimal(name, getattr(intent, name))
    if isinstance(intent, TrailingStopIntent) and not 0 < intent.trail < 1:
        raise ValueError(f"trail is {intent.trail}, it must lie between 0 and 1")
    if isinstance(intent, TwapIntent | IcebergIntent):
        _check_sliced(intent)
    if intent.algo_id:
        raise ValueError(f"algo_id is {intent.algo_id}: parts of sliced orders are not sent by strategies")
    if intent.bracket is not None:
        _check_bracket(intent)
    return intent


def _check_sliced(intent: TwapIntent | IcebergIntent) -> None:
    if intent.qty is None:
        raise ValueError("a sliced order says its quantity in base units")
    if intent.bracket is not None or intent.oco:
        raise ValueError("a sliced order has no bracket and no oco group: protect what its fills bring, in on_fill")
    if isinstance(intent, IcebergIntent):
        fault = iceberg_fault(intent.qty, intent.display, intent.terms)
    else:
        _want(intent, "span", int)
        _want(intent, "slices", int)
        fault = twap_fault(intent.span, intent.slices, intent.terms)
    if fault is not None:
        raise ValueError(fault)


def _check_terms(intent: OrderIntent) -> None:
    _want(intent, "terms", Terms)
    has_limit = getattr(intent, "limit_price", None) is not None
    is_limit = isinstance(intent, LimitOrderIntent | IcebergIntent)
    triggers = not is_limit and not isinstance(intent, MarketOrderIntent | TwapIntent)
    _want(intent.terms, "good_till", int)
    fault = terms_fault(intent.terms, has_limit=has_limit, is_plain_limit=is_limit, triggers=triggers)
    if fault is not None:
        raise ValueError(fault)


def _check_bracket(intent: OrderIntent) -> None:
    _want(intent, "bracket", Bracket)
    bracket = intent.bracket
    assert bracket is not None
    for name in ("stop_loss", "stop_trail"):
        if getattr(bracket, name) is not None:
            _want_decimal(name, getattr(bracket, name))
    for target in bracket.targets:
        _want_decimal("price of a target", target.price)
        _want_decimal("share of a target", target.share)
    fault = bracket_fault(bracket, intent.terms.only_reduces)
    if fault is not None:
        raise ValueError(fault)


def short(value: object) -> str:
    """Return what a value looks like, in at most 80 characters."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


def _want_decimal(name: str, value: object) -> None:
    if not isinstance(value, Decimal):
        raise TypeError(f"{name} of an order is {value!r}, it must be a Decimal")
    decimal_of(value)  # refuses NaN, infinity, and what is beyond any price or size


def _want(intent: Any, name: str, kind: type) -> None:
    value = getattr(intent, name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{name} of {type(intent).__name__} is {value!r}, it must be of type {kind.__name__}")
