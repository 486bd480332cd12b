"""The events of the log in words: one sentence each."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from backtester.core.time import format_time
from backtester.engine.explain.reasons import reason_words

Event = Mapping[str, Any]
_KINDS: Final = {
    "market": "at the market",
    "limit": "at a limit",
    "stop": "at a stop",
    "stop_limit": "at a stop with a limit",
    "take_profit": "at a take-profit",
    "take_profit_limit": "at a take-profit with a limit",
    "trailing_stop": "at a trailing stop",
    "twap": "in slices over time (TWAP)",
    "iceberg": "in parts behind a limit (iceberg)",
}


def plain(text: str) -> str:
    """Return a decimal of the log without zeros at its end."""
    value = f"{Decimal(text):f}"
    return value.rstrip("0").rstrip(".") if "." in value else value


def is_some(text: Any) -> bool:
    """Say whether a number of the log is there and not zero."""
    return text is not None and Decimal(text) != 0


def event_words(topic: str, event: Event) -> str:
    """Return what a line of the log says."""
    return _WORDS[topic](event) if topic in _WORDS else topic


def order_words(order: Event) -> str:
    """Return an order as risk let it through: what it does, how much, at which prices."""
    size = _order_size(order)
    prices = [f"{name} {plain(order[key])}" for name, key in _PRICES if is_some(order.get(key))]
    if is_some(order.get("trail")):
        prices.append(f"trailing by {percent(order['trail'])}")
    return " ".join([order["side"], size, order["instrument"], _KINDS[order["kind"]], *_bracketed(prices)]) + tagged(
        order
    )


def tagged(event: Event) -> str:
    """Return the tag of an event as it is shown, or nothing."""
    return f" [{event['tag']}]" if event.get("tag") else ""


def percent(fraction: str) -> str:
    """Return a fraction as a percentage, exactly."""
    return f"{plain(str(Decimal(fraction) * 100))} %"


def conditions(terms: Event) -> list[str]:
    """Return the conditions of an order that are not the default."""
    found = [str(terms["time_in_force"])] if "time_in_force" in terms else []
    found += [f"good till {format_time(terms['good_till'])}"] if "good_till" in terms else []
    return found + [key.replace("_", "-") for key in ("post_only", "reduce_only", "close_position") if terms.get(key)]


def bracket_words(bracket: Event | None) -> list[str]:
    """Return the exits that an intent attaches."""
    if bracket is None:
        return []
    found = [f"stop {plain(bracket['stop_loss'])}"] if bracket.get("stop_loss") else []
    found += [f"stop trailing by {percent(bracket['stop_trail'])}"] if bracket.get("stop_trail") else []
    return found + [f"target {plain(t['price'])} for {percent(t['share'])}" for t in bracket.get("targets") or ()]


# --- by topic ----------------------------------------------------------------------------------------------------


def _intent(event: Event) -> str:
    if "legs" in event:
        legs = ", ".join(f"{leg['side']} {plain(leg['qty'])} {leg['instrument']}" for leg in event["legs"])
        return f"wanted a combination: {legs}{tagged(event)}"
    if "amount" in event:
        way = f"from the {event['source']} wallet to the {event['target']} wallet"
        return f"wanted to move {plain(event['amount'])} {event['asset']} {way}{tagged(event)}"
    if "side" in event:
        prices = [f"{name} {plain(event[key])}" for name, key in _PRICES if event.get(key)]
        prices += [f"trailing by {percent(event['trail'])}"] if event.get("trail") else []
        prices += conditions(event.get("terms") or {}) + bracket_words(event.get("bracket"))
        if "slices" in event:
            prices.append(f"in {event['slices']} slices over {event['span'] // 1_000_000} s")
        if "display" in event:
            prices.append(f"showing {plain(event['display'])} at a time")
        return " ".join(["wanted to", event["side"], _intent_size(event), event["instrument"], *_bracketed(prices)]) + (
            tagged(event)
        )
    changed = [
        f"{key.replace('_', ' ')} {plain(event[key])}"
        for key in ("qty", "limit_price", "stop_price")
        if event.get(key) is not None
    ]
    if changed or "qty" in event:
        return f"wanted order {event['order_id']} changed: {', '.join(changed)}"
    why = f": {reason_words(event['reason'])}" if event.get("reason") else ""
    by_risk = not why and not _is_market(event.get("cause_id"))  # who watches over the run may want it only to reduce
    return f"wanted order {event['order_id']} taken back{', or only to reduce' if by_risk else why}"


def _is_market(cause: Any) -> bool:
    return isinstance(cause, str) and ":" in cause


def _sanitized(event: Event) -> str:
    if "kind" in event:
        return f"risk let it through as order {event['order_id']}: {order_words(event)}"
    return f"risk let the request for order {event['order_id']} through"


def _changed(event: Event) -> str:
    if event["order_id"] < 0:
        return f"the exchange itself orders ({event['tag']}, order {event['order_id']}): {order_words(event)}"
    if event.get("slices") or is_some(event.get("display")):
        return f"order {event['order_id']} is worked in parts: {order_words(event)}"
    return f"order {event['order_id']} is now: {order_words(event)}"


def _rejected(event: Event) -> str:
    what = f"order {event['order_id']}" if event["order_id"] is not None else "it"
    return f"{event['who']} refused {what}: {reason_words(event['reason'], event['numbers'])}{tagged(event)}"


def _update(event: Event) -> str:
    why = f": {reason_words(event['reason'])}" if event["reason"] else ""
    return f"order {event['order_id']} {event['status']}{why}{tagged(event)}"


def _fill(event: Event) -> str:
    verb = "bought" if event["side"] == "buy" else "sold"
    left = f", {plain(event['leaves'])} still open" if is_some(event["leaves"]) else ""
    price = f"at {plain(event['price'])} {event['quote']}"
    return f"order {event['order_id']} {verb} {plain(event['qty'])} {event['instrument']} {price}{left}{tagged(event)}"


def _cashflow(event: Event) -> str:
    of = f" of {event['instrument']}" if event.get("instrument") else ""
    numbers = _values(event.get("numbers") or {})
    said = f"{event['kind']}{of}: {plain(event['amount'])} {event['asset']} in the {event['wallet']} wallet"
    return said + (f" ({numbers})" if numbers else "")


def _transfer(event: Event) -> str:
    way = f"from the {event['source']} wallet to the {event['target']} wallet"
    return f"risk let transfer {event['order_id']} through: {plain(event['amount'])} {event['asset']} {way}"


def _alert(event: Event) -> str:
    did = "tripped" if event["state"] == "tripped" else "is armed again"
    return f"breaker {event['breaker']} {did} ({event['action']}): {_values(event['numbers'])}"


def _control(event: Event) -> str:
    return f"command {event['action']} by {event['who']}: {event['reason'] or 'no reason given'}"


def _margin(event: Event) -> str:
    what = "is liquidated" if event["state"] == "liquidated" else "comes near its liquidation"
    return f"the position in {event['instrument']} {what}: {_values(event['numbers'])}"


def _margin_wish(event: Event) -> str:
    keys = [f"{k} {v}" for k, v in event.items() if k in ("leverage", "mode", "amount")]
    return f"margin of {event['instrument']}: {', '.join(keys)}"


def _terms(event: Event) -> str:
    added = f", {plain(event['added'])} added" if is_some(event.get("added")) else ""
    return f"{event['instrument']} is secured with leverage {event['leverage']}, {event['mode']}{added}"


def _settled(event: Event) -> str:
    return f"{event['instrument']} expired and is settled: {_values(event['numbers'])}"


def _note(event: Event) -> str:
    values = _values(event["values"])
    return f'note "{event["text"]}"' + (f": {values}" if values else "")


def _snapshot(event: Event) -> str:
    held = len(event["positions"])
    positions = "no position" if not held else "1 position" if held == 1 else f"{held} positions"
    return f"the account: equity {plain(event['equity'])} {event['currency']}, {positions}"


_PRICES: Final = (
    ("limit", "limit_price"),
    ("stop", "stop_price"),
    ("active from", "activation_price"),
)
_WORDS: Final[Mapping[str, Callable[[Event], str]]] = {
    "orders_intent": _intent,
    "orders_sanitized": _sanitized,
    "orders_changed": _changed,
    "orders_rejected": _rejected,
    "orders_update": _update,
    "fills": _fill,
    "cashflows": _cashflow,
    "transfers": _transfer,
    "risk_alert": _alert,
    "control": _control,
    "margin": _margin,
    "margin_intent": lambda event: f"wanted another {_margin_wish(event)}",
    "margin_sanitized": lambda event: f"risk let the wish through: {_margin_wish(event)}",
    "margin_terms": _terms,
    "settlements": _settled,
    "notes": _note,
    "account_snapshot": _snapshot,
}


def _values(values: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={text}" for key, text in values.items())


def _bracketed(words: list[str]) -> list[str]:
    return [f"({', '.join(words)})"] if words else []


def _intent_size(event: Event) -> str:
    if event.get("qty") is not None:
        return plain(event["qty"])
    if event.get("quote") is not None:
        return f"for {plain(event['quote'])} of"
    if event.get("fraction") is not None:
        return f"{percent(event['fraction'])} of equity of"
    if (event.get("terms") or {}).get("close_position"):
        return "the whole position in"
    return "as much as the run's sizing finds of"


def _order_size(order: Event) -> str:
    if is_some(order["qty"]):
        return plain(order["qty"])
    if is_some(order["budget"]):
        return f"for {plain(order['budget'])} of"
    return "the whole position in"
