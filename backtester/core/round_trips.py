"""Trades: round trips from flat to flat, as a fold of fills. Definitions: docs/metrics.md."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from backtester.core.events import Fill, Side
from backtester.core.folds import FLAT, Position, position_after
from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.numbers import FLOOR, mul_div
from backtester.core.rules import RuleBook


class RoundTrip(NamedTuple):
    """One trade. qty: all that was entered; entry and exit notional: money in and out; fees in quote.

    Net profit is after fees. A fee taken in the base asset shows in gross profit: less can be sold than was bought.
    """

    instrument: InstrumentId
    side: Side
    entry_time: int
    exit_time: int
    qty_units: int
    entry_notional_units: int
    exit_notional_units: int
    gross_units: int
    fees_units: int
    fills: int
    entry_tag: str
    exit_tag: str

    @property
    def net_units(self) -> int:
        """Profit after fees, 1e-8 quote."""
        return self.gross_units - self.fees_units


@dataclass(slots=True)
class _Open:
    side: Side
    entry_time: int
    entry_tag: str
    qty_units: int = 0
    entry_notional_units: int = 0
    exit_notional_units: int = 0
    gross_units: int = 0
    fees_units: int = 0
    fills: int = 0


class RoundTrips:
    """Follows fills and hands on each trade as it closes. Less than one lot left counts as flat."""

    def __init__(
        self, instruments: Mapping[InstrumentId, Instrument], rules: RuleBook, sink: Callable[[RoundTrip], None]
    ) -> None:
        self._instruments = instruments
        self._rules = rules
        self._sink = sink
        self._positions: dict[InstrumentId, Position] = {}
        self._open: dict[InstrumentId, _Open] = {}

    @property
    def n_open(self) -> int:
        """How many trades have not closed."""
        return len(self._open)

    def on_fill(self, fill: Fill) -> None:
        """Take a fill; one that goes through zero closes a trade and opens another."""
        spec = self._instruments[fill.instrument]
        held = self._positions.get(spec.id, FLAT).qty_units
        closing = min(abs(held), fill.qty_units) if held * fill.side.sign < 0 else 0
        notional = spec.notional_units(fill.qty_units, fill.price_units)
        fee = fill.fee_units if fill.fee_asset == spec.settle else 0
        if 0 < closing < fill.qty_units:
            part = mul_div(notional, closing, fill.qty_units, FLOOR)
            part_fee = mul_div(fee, closing, fill.qty_units, FLOOR)
            self._take(spec, fill, closing, part, part_fee)
            self._take(spec, fill, fill.qty_units - closing, notional - part, fee - part_fee)
        else:
            self._take(spec, fill, fill.qty_units, notional, fee)

    def _take(self, spec: Instrument, fill: Fill, qty: int, notional: int, fee: int) -> None:
        before = self._positions.get(spec.id, FLAT)
        after, realised = position_after(before, qty * fill.side.sign, notional, spec.gain)
        if spec.is_spot and fill.fee_asset == spec.base:
            after = Position(after.qty_units - fill.fee_units // spec.base_money(1), after.basis_units)
        self._positions[spec.id] = after
        trade = self._open.get(spec.id)
        if trade is None:
            trade = self._open[spec.id] = _Open(fill.side, fill.ts, fill.tag)
        if fill.side is trade.side:
            trade.qty_units += qty
            trade.entry_notional_units += notional
        else:
            trade.exit_notional_units += notional
        trade.gross_units += realised
        trade.fees_units += fee
        trade.fills += 1
        if abs(after.qty_units) < self._rules[spec.id].at(fill.ts).resting.lot_units:
            del self._open[spec.id]
            self._sink(
                RoundTrip(
                    spec.id,
                    trade.side,
                    trade.entry_time,
                    fill.ts,
                    trade.qty_units,
                    trade.entry_notional_units,
                    trade.exit_notional_units,
                    trade.gross_units,
                    trade.fees_units,
                    trade.fills,
                    trade.entry_tag,
                    fill.tag,
                )
            )
