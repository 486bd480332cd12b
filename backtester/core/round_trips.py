"""Trades: round trips from flat to flat, as a fold of fills. Definitions: docs/metrics.md."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from backtester.core.events import FUNDING, INSURANCE, Cashflow, Fill, Side
from backtester.core.folds import FLAT, Position, position_after
from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.numbers import FLOOR, mul_div
from backtester.core.rules import RuleBook


class RoundTrip(NamedTuple):
    """One trade. qty: all that was entered; entry and exit notional: money in and out; fees in quote.

    Gross profit is at the prices of the fills; slippage, which is within it: what they cost against the prices before
    slippage. A fee taken in the base asset shows in gross profit: less can be sold than was bought. Net profit is after
    fees, with funding and what the insurance fund paid, as far as `on_cashflow` was told of them.
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
    slippage_units: int = 0
    funding_units: int = 0
    insurance_units: int = 0
    exit_qty_units: int = 0

    @property
    def net_units(self) -> int:
        """Profit after fees, funding and insurance, 1e-8 of what the instrument settles in."""
        return self.gross_units - self.fees_units + self.funding_units + self.insurance_units


class Step(NamedTuple):
    """What a fill made of a trade. position: after it; realised: of the trade so far, before fees."""

    fill: Fill
    opens: bool
    position: Position
    realised_units: int


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
    slippage_units: int = 0
    funding_units: int = 0
    insurance_units: int = 0
    exit_qty_units: int = 0


class RoundTrips:
    """Follows fills and hands on each trade as it closes. Less than one lot left counts as flat."""

    def __init__(
        self,
        instruments: Mapping[InstrumentId, Instrument],
        rules: RuleBook,
        sink: Callable[[RoundTrip], None],
        steps: Callable[[Step], None] | None = None,
    ) -> None:
        """sink: takes each trade as it closes; steps: takes what every fill made of its trade, before that."""
        self._instruments = instruments
        self._rules = rules
        self._sink = sink
        self._steps = steps
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
        slipped = slippage_units(spec, fill, notional)
        if 0 < closing < fill.qty_units:
            part, part_fee, part_slipped = (
                mul_div(amount, closing, fill.qty_units, FLOOR) for amount in (notional, fee, slipped)
            )
            self._take(spec, fill, closing, part, part_fee, part_slipped)
            self._take(spec, fill, fill.qty_units - closing, notional - part, fee - part_fee, slipped - part_slipped)
        else:
            self._take(spec, fill, fill.qty_units, notional, fee, slipped)

    def on_cashflow(self, flow: Cashflow) -> None:
        """Take what an open trade was paid or charged without a fill: funding, and money of the insurance fund."""
        trade = None if flow.instrument is None else self._open.get(flow.instrument)
        if trade is None:
            return
        if flow.kind == FUNDING:
            trade.funding_units += flow.amount_units
        elif flow.kind == INSURANCE:
            trade.insurance_units += flow.amount_units

    def still_open(self) -> list[RoundTrip]:
        """Return the trades that have not closed, as far as they have come; exit_time is 0."""
        return [self._trip(name, trade, 0, "") for name, trade in sorted(self._open.items())]

    @staticmethod
    def _trip(instrument: InstrumentId, trade: _Open, exit_time: int, exit_tag: str) -> RoundTrip:
        return RoundTrip(
            instrument,
            trade.side,
            trade.entry_time,
            exit_time,
            trade.qty_units,
            trade.entry_notional_units,
            trade.exit_notional_units,
            trade.gross_units,
            trade.fees_units,
            trade.fills,
            trade.entry_tag,
            exit_tag,
            trade.slippage_units,
            trade.funding_units,
            trade.insurance_units,
            trade.exit_qty_units,
        )

    def _take(self, spec: Instrument, fill: Fill, qty: int, notional: int, fee: int, slipped: int) -> None:
        before = self._positions.get(spec.id, FLAT)
        after, realised = position_after(before, qty * fill.side.sign, notional, spec.gain)
        if spec.is_spot and fill.fee_asset == spec.base:
            after = Position(after.qty_units - fill.fee_units // spec.base_money(1), after.basis_units)
        self._positions[spec.id] = after
        trade = self._open.get(spec.id)
        opens = trade is None
        if trade is None:
            trade = self._open[spec.id] = _Open(fill.side, fill.ts, fill.tag)
        if fill.side is trade.side:
            trade.qty_units += qty
            trade.entry_notional_units += notional
        else:
            trade.exit_qty_units += qty
            trade.exit_notional_units += notional
        trade.gross_units += realised
        trade.fees_units += fee
        trade.slippage_units += slipped
        trade.fills += 1
        if self._steps is not None:
            self._steps(Step(fill, opens, after, trade.gross_units))
        if abs(after.qty_units) < self._rules[spec.id].at(fill.ts).resting.lot_units:
            del self._open[spec.id]
            self._sink(self._trip(spec.id, trade, fill.ts, fill.tag))


def slippage_units(spec: Instrument, fill: Fill, notional: int) -> int:
    """Return what a fill cost against its reference price, in 1e-8 of what the instrument settles in; > 0: a cost.

    notional: of the fill, as `Instrument.notional_units` says.
    """
    if fill.reference_price_units == fill.price_units or fill.reference_price_units <= 0:
        return 0
    before = spec.notional_units(fill.qty_units, fill.reference_price_units)
    return fill.side.sign * spec.gain * (notional - before)
