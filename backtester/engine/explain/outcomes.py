"""What became of an order over all of its life, however long: its end, its fills, its fees, its last size."""

from decimal import Decimal
from typing import Any, Final

from backtester.audit.reader import LogLine
from backtester.engine.explain.reasons import reason_words
from backtester.engine.explain.words import is_some, plain

_ENDS: Final = ("cancelled", "expired", "filled")


class Outcome:
    """Adds up an order's own lines, in the order of the log; it keeps none but the last of a kind.

    order: as it last was. fills: how many. fees: by asset. instrument: of its fills. first, last: of them, µs UTC.
    """

    def __init__(self) -> None:
        self.order: dict[str, Any] | None = None
        self.fills = 0
        self.fees: dict[str, Decimal] = {}
        self.instrument = ""
        self.first = self.last = 0
        self._qty = self._paid = Decimal(0)
        self._prices: set[str] = set()
        self._end: LogLine | None = None
        self._arrived = False

    def add(self, line: LogLine) -> None:
        """Count a line of the order."""
        event = line.event
        if is_birth(line):
            self.order = event
        elif line.topic == "cashflows":
            self._arrived = True
        elif line.topic == "fills":
            self._add_fill(event)
        if _ends(line):
            self._end = line

    def _add_fill(self, fill: dict[str, Any]) -> None:
        qty, asset = Decimal(fill["qty"]), fill["fee_asset"]
        self.first = self.first if self.fills else fill["ts"]
        self.last, self.instrument = fill["ts"], fill["instrument"]
        self.fills += 1
        self._qty += qty
        self._paid += qty * Decimal(fill["price"])
        if len(self._prices) < 2:
            self._prices.add(fill["price"])
        self.fees[asset] = self.fees.get(asset, Decimal(0)) + Decimal(fill["fee"])

    @property
    def words(self) -> str:
        """What became of it, and why it is not filled where it is not."""
        if self._arrived:
            return "arrived"
        done = f"{plain(str(self._qty))} filled, " if self._qty else ""
        if self._end is None:
            return f"{done}still working at the end of the log"
        event = self._end.event
        if self._end.topic == "fills":
            return f"filled at {self._average()}"
        if self._end.topic == "orders_rejected":
            return f"{done}refused by {event['who']}: {reason_words(event['reason'], event['numbers'])}"
        return f"{done}{event['status']}: {reason_words(event['reason'])}"

    def _average(self) -> str:
        if len(self._prices) == 1:
            return plain(next(iter(self._prices)))
        return f"{self._paid / self._qty:.10g} on average, in {self.fills:,} fills"


def is_birth(line: LogLine) -> bool:
    """Say whether a line says what an order is, whole."""
    return ("kind" in line.event and line.topic in ("orders_sanitized", "orders_changed")) or line.topic == "transfers"


def _ends(line: LogLine) -> bool:
    event = line.event
    if line.topic == "fills":
        return not is_some(event["leaves"])
    if line.topic == "orders_rejected":
        return bool(event["reason"] != "unknown_order")
    return bool(line.topic == "orders_update" and event["status"] in _ENDS)
