"""The story of one order: who wanted it and why, what risk made of it, what became of it, and what it came to."""

from collections.abc import Iterator
from typing import Any, Final

from backtester.audit.reader import LogLine
from backtester.core.errors import UsageError
from backtester.core.time import TIMEFRAMES
from backtester.engine.explain.causes import CandleSeen, parsed_cause
from backtester.engine.explain.chain import chain_up, intent_differences, told_line
from backtester.engine.explain.matching import rule_words
from backtester.engine.explain.outcomes import Outcome, is_birth
from backtester.engine.explain.reasons import reason_words
from backtester.engine.explain.run_files import RunFiles
from backtester.engine.explain.told import Told
from backtester.engine.explain.trades import trade_words, trades_of
from backtester.engine.explain.words import conditions, event_words, is_some, order_words, plain

_MOST_LINES: Final = 2_000
_MOST_PARTS: Final = 20
_LINKS: Final = ("order_id", "replaces")


def explain_order(files: RunFiles, order_id: int) -> Told:
    """Return the story of an order, or of a transfer: their ids count together.

    Raises:
        UsageError: the run has no such order.
    """
    lines, outcome, more = list[LogLine](), Outcome(), 0
    for line in _mentions(files, order_id):  # all of them count, and the first are told
        if line.event.get("order_id") == order_id:
            outcome.add(line)
        if len(lines) < _MOST_LINES:
            lines.append(line)
        else:
            more += 1
    own = [line for line in lines if line.event.get("order_id") == order_id]
    birth = next((line for line in own if is_birth(line)), None)
    if birth is None:
        unborn = next((line for line in lines if _attached(line, order_id) is not None), None)
        if unborn is None:
            raise _unknown(files, order_id)
        return _unborn(files, unborn, order_id)
    chain = chain_up(files, birth)
    parts = [*chain, *_belonging(files, birth, {one.line.seq for one in chain if one.line})]
    parts.append(_allowed(files, birth))
    order, fills = birth.event, 0
    for line in own:
        if line.seq > birth.seq:
            order = line.event if is_birth(line) else order
            parts.append(_told(files, line, order, is_first=not fills))
            fills += line.topic == "fills"
    parts += [Told(event_words(x.topic, x.event), [], [], x) for x in lines if x.event.get("replaces") == order_id]
    parts += _children(files, birth)
    if more:
        told = f"only its first {_MOST_LINES:,} lines are told, and all of them are counted"
        parts.append(Told(f"(the log says more of it, {more:,} lines: {told})"))
    parts += _came_to(files, order_id, outcome)
    if birth.topic == "transfers":
        return Told(f"transfer {order_id}: {event_words(birth.topic, birth.event)}: {outcome.words}", [], parts)
    words = order_words(outcome.order or birth.event)
    return Told(f"order {order_id}: {words}: {outcome.words}", _by_parts(files, birth), parts)


def _mentions(files: RunFiles, order_id: int) -> Iterator[LogLine]:
    """Yield the lines that name an order: as their own, as what they replace, or as an exit to come."""
    needles = [f'"{key}":{order_id}{end}'.encode() for key in _LINKS for end in (",", "}")]
    for line in files.log.mentioning(needles, *_lifetime(files, order_id)):
        if order_id in (line.event.get("order_id"), line.event.get("replaces")) or _attached(line, order_id):
            yield line


def _lifetime(files: RunFiles, order_id: int) -> tuple[int, int | None]:
    """Return between which offsets of the log an order lives, by the table of orders: all of it without one.

    What ended it happened then, and is in the log when it was known: with the close of its candle.
    """
    for row in files.rows("orders", 1, order_id=order_id):
        return files.log.at(row["created"]), files.log.at(row["ended"] + max(TIMEFRAMES.values()) + 1)
    return 0, None


def birth_of(files: RunFiles, order_id: int) -> LogLine | None:
    """Return the line in which an order first is what it is, or None."""
    return next((x for x in _mentions(files, order_id) if x.event.get("order_id") == order_id and is_birth(x)), None)


def _attached(line: LogLine, order_id: int) -> dict[str, Any] | None:
    return next((one for one in line.event.get("attached", ()) if one["order_id"] == order_id), None)


def _unborn(files: RunFiles, parent: LogLine, order_id: int) -> Told:
    """Tell of an exit that never came to life: its entry never filled, or too little."""
    entry = parent.event["order_id"]
    outcome = Outcome()
    for line in _mentions(files, entry):
        if line.event.get("order_id") == entry:
            outcome.add(line)
    title = f"order {order_id}: an exit of order {entry} that never came to life"
    below = [*chain_up(files, parent), told_line(files, parent)]
    return Told(title, [f"order {entry}: {outcome.words}"], below)


# --- from the wish to the exchange -------------------------------------------------------------------------------


def _allowed(files: RunFiles, birth: LogLine) -> Told:
    """Tell what risk checked, rounded, sized and bound."""
    order, details = birth.event, list[str]()
    cause = files.log.line(order["cause_id"]) if isinstance(order["cause_id"], int) else None
    if cause is not None and cause.topic == "orders_intent":
        details += intent_differences(cause.event, order)
    if order.get("sizing"):
        details.append("sized by " + ", ".join(f"{key} {text}" for key, text in order["sizing"].items()))
    if order.get("terms"):
        details.append("conditions: " + ", ".join(conditions(order["terms"])))
    if order.get("oco"):
        details.append(f"group {order['oco']}: the first of them that executes ends the others")
    if birth.topic == "orders_sanitized":
        details += _checks(files, order)
    if is_some(order.get("reserve")):
        details.append(f"reserved until it ends: {plain(order['reserve'])} {order['reserve_asset']}")
    return Told(event_words(birth.topic, order), details, [], birth)


def _checks(files: RunFiles, order: dict[str, Any]) -> list[str]:
    assumed = files.record.get("assumptions", {})
    limits = assumed.get("limits", "not known: the run was never sealed")
    return [f"checked: price and size by the venue's rules, free money, {_sides(order)}; your own limits: {limits}"]


def _sides(order: dict[str, Any]) -> str:
    return "what is held" if order["side"] == "sell" else "what it would open"


def _belonging(files: RunFiles, birth: LogLine, told_already: set[int]) -> list[Told]:
    """Tell of the entry of an exit, the whole of a part, or why the exchange ordered of its own."""
    order = birth.event
    if birth.topic == "transfers":
        return []
    if order["order_id"] < 0:
        return _just_before(files, birth, ("margin", "settlements"), "why")
    owner, what = order.get("parent_id", 0), "it is an exit of"
    if not owner:
        owner, what = order.get("algo_id", 0), "it is a part of"
    if not owner:
        return []
    first = birth_of(files, owner)
    if first is None or first.seq in told_already:
        return []
    told = [*chain_up(files, first), Told(event_words(first.topic, first.event), [], [], first)]
    return [Told(f"{what} order {owner}: {order_words(first.event)}", [], told)]


def _just_before(files: RunFiles, line: LogLine, topics: tuple[str, ...], why: str) -> list[Told]:
    """Return the last line of some topics in the same tick, before a line and about its instrument."""
    found = None
    for other in files.log.lines(files.log.at(line.tick)):
        if other.seq >= line.seq:
            break
        if other.topic in topics and other.event.get("instrument") == line.event.get("instrument"):
            found = other
    return [] if found is None else [Told(f"{why}: {event_words(found.topic, found.event)}", [], [], found)]


# --- what became of it -------------------------------------------------------------------------------------------


def _told(files: RunFiles, line: LogLine, order: dict[str, Any], *, is_first: bool) -> Told:
    """Tell one event of an order's life, with what caused it where that is not the line before."""
    event = line.event
    if line.topic == "fills":
        return told_fill(files, line, order, is_first=is_first)
    parts: list[Told] = []
    if line.topic in ("orders_intent", "orders_rejected"):
        parts = chain_up(files, line)
    elif line.topic == "orders_update" and event["reason"] in ("oco", "liquidation", "contract_expired"):
        parts = _just_before(files, line, ("fills", "margin", "settlements"), "just before")
    details = []
    if line.topic == "orders_update" and event["status"] == "triggered" and isinstance(event["cause_id"], str):
        details.append(f"by {parsed_cause(event['cause_id']).words}")
    notes = told_line(files, line).parts
    return Told(event_words(line.topic, event), details, notes + parts, line)


def shown_fill(files: RunFiles, line: LogLine) -> Told:
    """Tell a fill that is met on its own, in the log."""
    order, is_first = None, True
    for one in _mentions(files, line.event["order_id"]):
        if one.seq >= line.seq:
            break
        if one.event.get("order_id") == line.event["order_id"]:
            order = one.event if is_birth(one) else order
            is_first = is_first and one.topic != "fills"
    return told_fill(files, line, order, is_first=is_first)


def told_fill(files: RunFiles, line: LogLine, order: dict[str, Any] | None, *, is_first: bool) -> Told:
    """Tell a fill: what it met, by which rule, at which price and fee. is_first: no fill of its order was before it."""
    cause_id = line.event["cause_id"]
    cause = parsed_cause(cause_id) if isinstance(cause_id, str) else None
    candle, details = None, list[str]()
    if cause is not None and cause.kind in ("candle", "open"):
        seen = files.market.candle(cause)
        candle = seen if isinstance(seen, CandleSeen) else None
        details.append(f"met {cause.words}: {seen.words if isinstance(seen, CandleSeen) else seen}")
    elif cause is not None and line.event["order_id"] > 0:
        details.append(f"met {cause.words}")
    details += rule_words(line.event, order, cause, candle, files.config, is_first=is_first)
    return Told(event_words(line.topic, line.event), details, [], line)


def _children(files: RunFiles, birth: LogLine) -> list[Told]:
    """Tell of the exits of an entry and the parts of a sliced order, by the table of orders."""
    order_id, attached = birth.event["order_id"], birth.event.get("attached", [])
    if birth.topic == "transfers":
        return []
    rows = files.rows("orders", _MOST_PARTS + 1, parent_id=order_id)
    born = {row["order_id"] for row in rows}
    told = [Told(_child_words(row)) for row in rows[:_MOST_PARTS]]
    if len(rows) > _MOST_PARTS:
        told.append(Told(f"and more; orders.parquet has them all (parent_id {order_id})"))
    if files.sealed:
        told += [
            Told(f"order {one['order_id']}, {one['kind'].replace('_', ' ')} [{one['tag']}]: never came to life")
            for one in attached
            if one["order_id"] not in born
        ]
    elif attached:
        told += [Told(f"order {one['order_id']}: ask for it; this run has no table of orders") for one in attached]
    return [Told("its exits" if attached else "its parts", [], told)] if told else []


def _by_parts(files: RunFiles, birth: LogLine) -> list[str]:
    """Return how much of a sliced order its parts filled."""
    if birth.event["kind"] not in ("twap", "iceberg"):
        return []
    rows = files.rows("orders", 1, order_id=birth.event["order_id"])
    return [f"its parts filled {plain(str(row['filled']))} of {plain(str(row['qty']))}" for row in rows]


def _child_words(row: dict[str, Any]) -> str:
    price = row["limit_price"] or row["stop_price"]
    at = f" {plain(str(price))}" if price else ""
    why = f": {reason_words(row['reason'])}" if row["reason"] else ""
    size = plain(str(row["qty"]))
    return f"order {row['order_id']}, {row['side']} {size} {row['kind'].replace('_', ' ')}{at}: {row['status']}{why}"


def _came_to(files: RunFiles, order_id: int, outcome: Outcome) -> list[Told]:
    if not outcome.fills:
        return []
    paid = ", ".join(f"{plain(str(amount))} {asset}" for asset, amount in outcome.fees.items())
    trades, is_open = trades_of(files, outcome.instrument, order_id, outcome.last)
    said = [trade_words(number, row) for number, row in trades]
    if is_open and files.sealed:
        what = "it belongs to no closed trade: what it opened" if not said else "it is in one more trade, which"
        said.append(f"{what} is open at the end")
    count = f"{outcome.fills:,} fill{'s' if outcome.fills > 1 else ''}"
    return [Told(f"what it came to: {count}, fees {paid}", said)]


def _unknown(files: RunFiles, order_id: int) -> UsageError:
    count = files.count("orders")
    there = "the run was never sealed: it has no table of orders"
    if files.sealed and not count:
        there = "the run has no orders"
    elif count:
        ids = [i for batch in files.batches("orders", ["order_id"]) for i in batch.column(0).to_pylist()]
        own = f", and {-min(ids)} of the exchange's own, from -1 down" if min(ids) < 0 else ""
        there = f"the run has {count:,} orders, with ids up to {max(ids)}{own}"
    return UsageError(
        f"there is no order {order_id} in {files.folder}: {there}",
        hint="what risk refused has no id: time:T shows it, and event:N any line of the log",
    )
