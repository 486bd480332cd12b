"""`bt explain`: from what is asked for to what is told."""

from itertools import islice
from typing import Final

from backtester.audit.reader import LogLine
from backtester.core.errors import UsageError
from backtester.core.time import format_time, parse_time
from backtester.engine.explain.chain import chain_up, told_line
from backtester.engine.explain.orders import explain_order, shown_fill
from backtester.engine.explain.run_files import RunFiles
from backtester.engine.explain.told import Told
from backtester.engine.explain.trades import fills_of, trade_named, trade_words

WAYS: Final = (
    "order:ID, trade:N (a row of trades.parquet from 1), trade:INSTRUMENT@TIME, time:T or event:N (a log line)"
)
_MOST_LINES: Final = 200
_SNAPSHOT: Final = "account_snapshot"
_MOST_ORDERS: Final = 10


def explain(files: RunFiles, asked: str) -> Told:
    """Return what a run has to say of an order, a trade, a time or a line of its log.

    Raises:
        UsageError: what is asked for is not there, or is written in no way that we know.
    """
    kind, _, name = asked.partition(":")
    name = name.strip()
    if kind == "order" and name.lstrip("-").isdigit():
        return explain_order(files, int(name))
    if kind == "trade" and name:
        return explain_trade(files, name)
    if kind == "time" and name:
        return explain_time(files, parse_time(name))
    if kind == "event" and name.isdigit():
        return explain_event(files, int(name))
    raise UsageError(f"{asked!r} names nothing that can be explained", hint=f"write {WAYS}")


def explain_trade(files: RunFiles, name: str) -> Told:
    """Return the story of a round trip: the story of each order that made it."""
    number, trade = trade_named(files, name)
    fills = fills_of(files, trade, number)
    orders = list(dict.fromkeys(fill["order_id"] for fill in fills))
    parts = [explain_order(files, order) for order in orders[:_MOST_ORDERS]]
    if len(orders) > _MOST_ORDERS:
        left = ", ".join(str(order) for order in orders[_MOST_ORDERS : _MOST_ORDERS + _MOST_LINES])
        parts.append(Told(f"and orders {left}: ask for them by order:ID"))
    made = f"made of {trade['fills']} fills of {len(orders)} order{'s' if len(orders) != 1 else ''}"
    return Told(trade_words(number, trade), [made], parts)


def explain_time(files: RunFiles, time: int) -> Told:
    """Return all that was decided and done at one tick, and what stands just before and after it in the log."""
    offset = files.log.at(time)
    here, later = list[LogLine](), None
    for line in files.log.lines(offset):
        if line.tick != time:
            if line.topic == _SNAPSHOT:
                continue
            later = line
            break
        if len(here) < _MOST_LINES:
            here.append(line)
    before = _decided_before(files, offset)
    title = f"at {format_time(time)}: " + (f"{len(here)} events" if here else "the log says nothing")
    parts = [_shown(files, line) for line in here]
    if len(here) == _MOST_LINES:
        parts.append(Told(f"(only the first {_MOST_LINES} events of the tick are told)"))
    around = []
    if before is not None:
        around.append(_tick_told(files, before.tick, "just before"))
    if later is not None:
        around.append(_tick_told(files, later.tick, "just after"))
    return Told(title, [], parts + around)


def _decided_before(files: RunFiles, offset: int) -> LogLine | None:
    """Return the last line before an offset that is more than a look at the account."""
    line = files.log.before(offset)
    for _ in range(_MOST_LINES):
        if line is None or line.topic != _SNAPSHOT:
            break
        line = files.log.line(line.seq - 1)
    return line


def explain_event(files: RunFiles, seq: int) -> Told:
    """Return one line of the log with what led to it, and what it led to within its tick."""
    line = files.log.line(seq)
    if line is None:
        last = files.log.last()
        there = f"its lines are 1 to {last.seq}" if last is not None else "it is empty"
        raise UsageError(f"there is no line {seq} in the log of {files.folder}: {there}")
    family = {seq}
    led_to = list[Told]()
    for other in files.log.lines(files.log.at(line.tick)):
        if other.tick != line.tick or len(led_to) == _MOST_LINES:
            break
        if other.seq > seq and other.event.get("cause_id") in family:
            family.add(other.seq)
            led_to.append(_shown(files, other))
    this = _shown(files, line)
    parts = [*chain_up(files, line), this]
    if led_to:
        parts.append(Told("what it led to, within its tick", [], led_to))
    return Told(f"line {seq} of the log, at {format_time(line.tick)}", [], parts)


def _tick_told(files: RunFiles, tick: int, where: str) -> Told:
    """Tell the decisions of a neighbouring tick, shortly."""
    lines = [line for line in islice(files.log.lines(files.log.at(tick)), _MOST_LINES) if line.tick == tick]
    return Told(f"{where}, at {format_time(tick)}", [], [Told(told_line(files, x).title, [], [], x) for x in lines])


def _shown(files: RunFiles, line: LogLine) -> Told:
    """Tell a line; of a fill also the rule by which it executed."""
    if line.topic == "fills":
        return shown_fill(files, line)
    told = told_line(files, line)
    return Told(told.title, told.details, [], line)
