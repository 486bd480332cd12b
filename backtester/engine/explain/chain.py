"""The chain of causes: from a line of the log up to the record of the market, or the moment, that began it."""

from backtester.audit.reader import LogLine
from backtester.core.errors import BacktesterError
from backtester.core.time import DAY, HOUR, WEEK, format_time
from backtester.engine.explain.causes import CandleSeen, parsed_cause
from backtester.engine.explain.run_files import RunFiles
from backtester.engine.explain.told import Told
from backtester.engine.explain.words import bracket_words, event_words

_LOOKS_BACK = (HOUR, DAY, WEEK, 5 * WEEK)
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
    said = []
    if not notes and not line.event.get("algo_id") and isinstance(line.event["cause_id"], str):
        earlier = last_note(files, line)
        notes = [] if earlier is None else [earlier]
        said = [] if notes else ["the strategy noted nothing of this decision: self.note(...) in it would stand here"]
    return Told(event_words(line.topic, line.event), said, notes, line)


def notes_of(files: RunFiles, line: LogLine) -> list[Told]:
    """Return the notes of the decision that an intent came from: of the same tick and cause, of its instrument."""
    notes: list[Told] = []
    for other in files.log.lines(files.log.at(line.tick)):
        if other.seq >= line.seq or len(notes) >= _MOST:
            break
        if other.topic != "notes" or other.event["cause_id"] != line.event["cause_id"]:
            continue
        if _is_about(other, line):
            notes.append(Told(event_words(other.topic, other.event), [], [], other))
    return notes


def last_note(files: RunFiles, line: LogLine) -> Told | None:
    """Return the last note before an intent that names its instrument: signal strategies say once why they want to
    enter, and try again with every candle until they can. None when the last month has none.
    """
    offset = files.log.at(line.tick)
    for back in _LOOKS_BACK:
        found = None
        for other in files.log.mentioning([b'"topic":"notes"'], files.log.at(line.tick - back), offset):
            if "instrument" in other.event["values"] and _is_about(other, line):
                found = other
        if found is not None:
            when = format_time(found.tick)
            return Told(
                f"nothing noted now; the last before, {when}: {event_words(found.topic, found.event)}", line=found
            )
    return None


def _is_about(note: LogLine, intent: LogLine) -> bool:
    """Say whether a note is of the strategy and, where it names one, the instrument of an intent."""
    instrument, _, owner = intent.event.get("instrument", "").partition("@")
    about = note.event["values"].get("instrument", instrument).partition("@")[0]
    return bool(about == instrument and note.event.get("strategy", owner) == owner)


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
        words = ", ".join(bracket_words(intent["bracket"]))  # type: ignore[arg-type]
        waits = f"exit ({words}) waits as order" if len(exits) == 1 else f"exits ({words}) wait as orders"
        found.append(f"its {waits} {ids} for its fill")
    return found
