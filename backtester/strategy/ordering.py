"""From the arguments of `buy` and `sell` to an intent, or a clear refusal of arguments that make no order together."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from backtester.core.events import (
    ComboLeg,
    IcebergIntent,
    LimitOrderIntent,
    MarketOrderIntent,
    MultiLegIntent,
    OrderIntent,
    ReplaceIntent,
    SanitizedOrder,
    Side,
    StopOrderIntent,
    TakeProfitIntent,
    TrailingStopIntent,
    TwapIntent,
)
from backtester.core.instruments import InstrumentId
from backtester.core.numbers import decimal_of
from backtester.core.order_terms import PLAIN, Bracket, Target, Terms, TimeInForce, size_fault
from backtester.core.time import span_us
from backtester.strategy.intents import checked_order

Number = Decimal | int | float | str
Targets = Number | Sequence[tuple[Number, Number]]


def order_intent(
    now: int,
    instrument: InstrumentId,
    side: Side,
    qty: Number | None = None,
    *,
    quote: Number | None = None,
    fraction: Number | None = None,
    limit: Number | None = None,
    stop: Number | None = None,
    take_profit: Number | None = None,
    trail: Number | None = None,
    activation: Number | None = None,
    twap: str | int | None = None,
    slices: int | None = None,
    display: Number | None = None,
    stop_loss: Number | None = None,
    stop_trail: Number | None = None,
    take_profits: Targets | None = None,
    tag: str = "",
    oco: str = "",
    client_id: str = "",
    **conditions: Any,
) -> OrderIntent:
    """Return the intent that these arguments make; conditions: the fields of Terms; twap: a span (30m, or µs).

    Raises:
        ValueError: they make no order together, or a number is none.
        TypeError: there is no such argument.
    """
    triggers = {"stop": stop, "take_profit": take_profit, "trail": trail}
    given = [name for name, value in triggers.items() if value is not None]
    sliced = twap is not None or slices is not None or display is not None
    terms = _terms(conditions) if conditions else PLAIN
    fault = size_fault(sum(size is not None for size in (qty, quote, fraction)), terms)
    if fault is not None:
        raise ValueError(fault)
    if len(given) > 1:
        raise ValueError(f"give one of stop, take_profit and trail, not {' and '.join(given)}")
    if sliced and given:
        raise ValueError(f"a sliced order waits for no price: give {given[0]}, or twap, or display")
    if trail is not None and limit is not None:
        raise ValueError("a trailing stop executes at the market: give trail or limit, not both")
    if activation is not None and trail is None:
        raise ValueError("activation is where a trailing stop begins to follow: it needs trail")
    limit_price = _decimal(limit)
    common: dict[str, Any] = {
        "ts": now,
        "instrument": instrument,
        "side": side,
        "qty": _decimal(qty),
        "quote": _decimal(quote),
        "fraction": _decimal(fraction),
        "tag": tag,
        "oco": oco,
        "client_id": client_id,
        "terms": terms,
    }
    if stop_loss is not None or stop_trail is not None or take_profits is not None:
        common["bracket"] = Bracket(
            stop_loss=_decimal(stop_loss),
            stop_trail=_decimal(stop_trail),
            targets=_targets(take_profits),
        )
    intent: OrderIntent
    if sliced:
        intent = _sliced(common, limit_price, twap, slices, _decimal(display))
    elif stop is not None:
        intent = StopOrderIntent(stop_price=decimal_of(stop), limit_price=limit_price, **common)
    elif take_profit is not None:
        intent = TakeProfitIntent(stop_price=decimal_of(take_profit), limit_price=limit_price, **common)
    elif trail is not None:
        intent = TrailingStopIntent(trail=decimal_of(trail), activation_price=_decimal(activation), **common)
    elif limit_price is not None:
        intent = LimitOrderIntent(limit_price=limit_price, **common)
    else:
        intent = MarketOrderIntent(**common)
    plain = terms is PLAIN and trail is None and not oco and intent.bracket is None and not sliced
    return intent if plain else checked_order(intent)  # here for the strategy's own line; the host checks them all


def _sliced(
    common: dict[str, Any],
    limit_price: Decimal | None,
    twap: str | int | None,
    slices: int | None,
    display: Decimal | None,
) -> TwapIntent | IcebergIntent:
    if display is not None:
        if twap is not None or slices is not None:
            raise ValueError("give display or twap, not both")
        if limit_price is None:
            raise ValueError("display is how much of a limit order is shown: it needs limit")
        return IcebergIntent(limit_price=limit_price, display=display, **common)
    if twap is None or slices is None:
        raise ValueError('a TWAP needs both its span and the number of its slices: twap="30m", slices=6')
    return TwapIntent(
        span=span_us(twap) if isinstance(twap, str) else twap, slices=slices, limit_price=limit_price, **common
    )


def combo_intent(now: int, legs: Sequence[object], tag: str = "") -> MultiLegIntent:
    """Return the wish to fill limit orders all together, or none of them.

    Raises:
        ValueError: fewer than two, or a leg is more than a plain limit order of a quantity.
    """
    first = legs[0] if legs else None
    made = []
    for leg in legs:
        if not isinstance(leg, LimitOrderIntent) or leg.qty is None or leg.bracket is not None or leg.oco:
            raise ValueError(f"a leg is a limit order of a quantity, without exits or group; this is {leg!r}")
        assert isinstance(first, LimitOrderIntent)
        if leg.terms != first.terms:
            raise ValueError("the legs of a combination have one time in force")
        made.append(ComboLeg(instrument=leg.instrument, side=leg.side, qty=leg.qty, limit_price=leg.limit_price))
    if len(made) < 2 or not isinstance(first, LimitOrderIntent):
        raise ValueError("a combination has at least two legs")
    return MultiLegIntent(
        ts=now, instrument=first.instrument, legs=tuple(made), tag=tag or first.tag, terms=first.terms
    )


def replace_intent(
    now: int, order: SanitizedOrder, *, qty: Number | None, limit: Number | None, stop: Number | None
) -> ReplaceIntent:
    """Return the wish to change a working order.

    Raises:
        ValueError: nothing changes, or a number is none.
    """
    if qty is None and limit is None and stop is None:
        raise ValueError("a replacement must change something: give qty, limit or stop")
    return ReplaceIntent(
        ts=now,
        instrument=order.instrument,
        order_id=order.order_id,
        qty=_decimal(qty),
        limit_price=_decimal(limit),
        stop_price=_decimal(stop),
    )


def _decimal(value: Number | None) -> Decimal | None:
    return None if value is None else decimal_of(value)


def _targets(targets: Targets | None) -> tuple[Target, ...]:
    if targets is None:
        return ()
    pairs = [(targets, 1)] if isinstance(targets, Number) else targets
    return tuple(Target(decimal_of(price), decimal_of(share)) for price, share in pairs)


def _terms(conditions: dict[str, Any]) -> Terms:
    if "good_till" in conditions:
        conditions = {"time_in_force": TimeInForce.GTD} | conditions
    if "time_in_force" in conditions:
        conditions = conditions | {"time_in_force": TimeInForce(conditions["time_in_force"])}
    until = conditions.get("good_till", 0)
    if not isinstance(until, int) or isinstance(until, bool):
        raise TypeError(f"good_till is {until!r}, it must be UTC microseconds as an int: self.now + 3_600_000_000")
    terms = Terms(**conditions)
    for name, value in (("post_only", terms.post_only), ("reduce_only", terms.reduce_only)):
        if not isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}, it must be true or false")
    return PLAIN if terms == PLAIN else terms
