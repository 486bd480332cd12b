"""The border between a strategy and the bus: an intent with a wrong type must not reach risk or the log."""

from decimal import Decimal
from typing import Any

from backtester.core.events import AnyIntent, CancelIntent, OrderIntent, Side
from backtester.core.numbers import decimal_of


def checked_intent(intent: object) -> AnyIntent:
    """Return an intent whose fields have the types that they declare.

    Raises:
        TypeError: it is no intent, or a field has another type.
        ValueError: not exactly one size, or a number that is not finite.
    """
    if isinstance(intent, CancelIntent):
        _want(intent, "order_id", int)
    elif isinstance(intent, OrderIntent):
        _want(intent, "side", Side)
        _want(intent, "tag", str)
        _want(intent, "oco", str)
        sizes = [name for name in ("qty", "quote", "fraction") if getattr(intent, name) is not None]
        if len(sizes) != 1:
            raise ValueError(f"an order needs exactly one of qty, quote and fraction, this one has {sizes or 'none'}")
        for name in (*sizes, "limit_price", "stop_price"):
            value = getattr(intent, name, Decimal(0))
            if not isinstance(value, Decimal):
                raise TypeError(f"{name} of an order is {value!r}, it must be a Decimal")
            decimal_of(value)  # refuses NaN, infinity, and what is beyond any price or size
    else:
        raise TypeError(f"what was returned is not a list of intents: it holds {intent!r}")
    _want(intent, "ts", int)
    _want(intent, "instrument", str)
    return intent


def _want(intent: Any, name: str, kind: type) -> None:
    value = getattr(intent, name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{name} of {type(intent).__name__} is {value!r}, it must be of type {kind.__name__}")
