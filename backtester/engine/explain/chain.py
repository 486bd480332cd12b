"""The chain of causes: from a line of the log up to the record of the market, or the moment, that began it."""

from backtester.audit.reader import LogLine
from backtester.core.errors import BacktesterError
from backtester.engine.explain.causes import CandleSeen, parsed_cause
from backtester.engine.explain.run_files import RunFiles
from backtester.engine.explain.told import Told
from backtester.engine.explain.words import bracket_words, event_words

_MOST = 200  # links of one chain, and notes of one decision: a bound against a broken log


def chain_up(files: RunFiles, line: LogLine) -> list[Told]:
    """Return what led to a line, the first cause first; without the line itself."""
    links: list[Told] = []
    cause = line.event.get("cause_id")
    while isinstance(cause, int) and len(links) < _MOST:
        found = files.log.line(cause)
        if found is None:
            links.append(Told(f"line {cause} of the log, which is not there"))
            break
        links.append(told_line(files, found))
        line, cause = found, found.event.get("cause_id")
    links.append(_beginning(files, line, cause))
    links.reverse()
    return links


def told_line(files: RunFiles, line: LogLine) -> Told:
    """Return a line in words, an intent with what the strategy noted when it decided."""
    if line.topic not in ("orders_intent", "margin_intent"):
        return Told(event_words(line.topic, line.event), [], [], line)
    notes = notes_of(files, line)
    decided = not notes and not line.event.get("algo_id") and isinstance(line.event["cause_id"], str)
    said = ["the strategy noted nothing of this decision: self.note(...) in it would stand here"] if decided else []
    return Told(event_words(line.topic, line.event), said, notes, line)


def notes_of(files: RunFiles, line: LogLine) -> list[Told]:
    """Return the notes of the decision that an intent came from: of the same tick and cause, of its instrument."""
    notes: list[Told] = []
    instrument, _, owner = line.event.get("instrument", "").partition("@")
    for other in files.log.lines(files.log.at(line.tick)):
        if other.seq >= line.seq or len(notes) >= _MOST:
            break
        if other.topic != "notes" or other.event["cause_id"] != line.event["cause_id"]:
            continue
        about = other.event["values"].get("instrument", instrument).partition("@")[0]
        if about == instrument and other.event.get("strategy", owner) == owner:
            notes.append(Told(event_words(other.topic, other.event), [], [], other))
    return notes


def _beginning(files: RunFiles, line: LogLine, cause: str | int | None) -> Told:
    """Return the record of the market, or the moment, at which a chain begins."""
    if cause is None:
        return Told("the start of the run")
    if isinstance(cause, int):
        raise BacktesterError(f"{files.log.path}: the causes of line {line.seq} go on without an end")
    record = parsed_cause(cause)
    details = []
    if record.kind == "candle":
        candle = files.market.candle(record)
        details.append(candle.words if isinstance(candle, CandleSeen) else candle)
    return Told(record.words, details)


def intent_differences(intent: dict[str, object], order: dict[str, object]) -> list[str]:
    """Return what risk made of the numbers of an intent: rounding, and sizes that wait for the fill."""
    found = []
    for key, name in (("qty", "quantity"), ("limit_price", "limit"), ("stop_price", "stop")):
        wished, got = intent.get(key), order.get(key)
        if isinstance(wished, str) and isinstance(got, str) and float(wished) != float(got) and float(got):
            found.append(f"{name} {wished} rounded to {got}")
    exits = order.get("attached")
    if isinstance(exits, list) and exits and isinstance(intent.get("bracket"), dict):
        ids = ", ".join(str(one["order_id"]) for one in exits)
        found.append(f"its exits ({', '.join(bracket_words(intent['bracket']))}) wait as orders {ids} for its fill")  # type: ignore[arg-type]
    return found
