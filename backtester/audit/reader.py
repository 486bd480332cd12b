"""Reading a log back: every line checked for form, order and chain, in constant memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from backtester.audit.chain import GENESIS, chained
from backtester.core.errors import CheckFailed, UsageError

_H_AT = len(',"h":""}') + 32  # a line ends with ,"h":"<32 hex>"}


class LogLine(msgspec.Struct, frozen=True):
    """One line of a log: its event as plain JSON values, decimals as text."""

    seq: int
    tick: int
    topic: str
    event: dict[str, Any]
    h: str


_decode = msgspec.json.Decoder(LogLine).decode


def read_log(path: Path, *, torn_end_allowed: bool = False) -> Iterator[LogLine]:
    """Yield the lines of a log, each checked against the chain.

    Args:
        path: audit.jsonl.
        torn_end_allowed: stop quietly before a last line without newline, as a killed run leaves it.

    Raises:
        UsageError: there is no log.
        CheckFailed: a line is broken, out of order, or does not continue the chain; names the line.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"the log {path} cannot be read: {error.strerror}") from None
    digest, seq, tick = GENESIS, 0, None
    with file:
        for raw in file:
            seq += 1
            if not raw.endswith(b"\n"):
                if torn_end_allowed:
                    return
                raise CheckFailed(f"{path}, line {seq}: the log ends in the middle of a line: it was truncated")
            body = raw[: -_H_AT - 1]
            try:
                line = _decode(raw)
            except msgspec.DecodeError as error:
                raise CheckFailed(f"{path}, line {seq}: not a log line ({error})") from None
            digest = chained(digest, body)
            if line.h != digest.hex() or not raw[len(body) :].startswith(b',"h":"'):
                raise CheckFailed(
                    f"{path}, line {seq}: the chain is broken: this line or one before it was changed",
                    hint="the log is not the one that the run wrote; restore it or run again",
                )
            if line.seq != seq:
                raise CheckFailed(f"{path}, line {seq}: its seq is {line.seq}")
            if tick is not None and line.tick < tick:
                raise CheckFailed(f"{path}, line {seq}: its tick {line.tick} is before the one of the line above")
            tick = line.tick
            yield line
