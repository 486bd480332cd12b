"""trades.parquet: a row per closed round trip, written when the run is over and its candles can be looked up."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from backtester.core.bus import Bus
from backtester.core.events import (
    FUNDING,
    INSURANCE,
    AnyOrder,
    Cashflow,
    Fill,
    OrderKind,
    OrderRejected,
    OrderUpdate,
    Reason,
    SanitizedOrder,
    Side,
)
from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.numbers import HALF_EVEN, RATE_SCALE, mul_div
from backtester.core.round_trips import RoundTrip, RoundTrips, Step, slippage_units
from backtester.core.rules import RuleBook
from backtester.core.topics import (
    T_CASHFLOWS,
    T_FILLS,
    T_ORDERS_CHANGED,
    T_ORDERS_REJECTED,
    T_ORDERS_SANITIZED,
    T_ORDERS_UPDATE,
)
from backtester.engine.columns import MONEY_TYPE, PRICE_TYPE, TIME_TYPE
from backtester.engine.row_table import RowTable
from backtester.report.excursions import Contract, Steps

_PRICE_DECIMALS: Final = 12
_STOPS: Final = (OrderKind.STOP, OrderKind.STOP_LIMIT, OrderKind.TRAILING_STOP)
_REASONS: Final = {
    OrderKind.STOP: "stop",
    OrderKind.STOP_LIMIT: "stop",
    OrderKind.TRAILING_STOP: "trailing",
    OrderKind.TAKE_PROFIT: "target",
    OrderKind.TAKE_PROFIT_LIMIT: "target",
    OrderKind.LIMIT: "limit",
}

COLUMNS: Final = [
    ("instrument", pa.string()),
    ("side", pa.string()),
    ("entry_time", TIME_TYPE),
    ("exit_time", TIME_TYPE),
    ("qty", MONEY_TYPE),
    ("entry_price", PRICE_TYPE),
    ("exit_price", PRICE_TYPE),
    ("entry_notional", MONEY_TYPE),
    ("exit_notional", MONEY_TYPE),
    ("currency", pa.string()),
    ("gross_pnl", MONEY_TYPE),
    ("slippage", MONEY_TYPE),
    ("fees", MONEY_TYPE),
    ("funding", MONEY_TYPE),
    ("insurance", MONEY_TYPE),
    ("net_pnl", MONEY_TYPE),
    ("equity_at_entry", MONEY_TYPE),
    ("mae", MONEY_TYPE),
    ("mfe", MONEY_TYPE),
    ("mae_pct", pa.float64()),
    ("mfe_pct", pa.float64()),
    ("initial_stop", PRICE_TYPE),
    ("r", pa.float64()),
    ("fills", pa.int64()),
    ("entry_tag", pa.string()),
    ("exit_tag", pa.string()),
    ("exit_reason", pa.string()),
    ("trend", pa.string()),
    ("volatility_regime", pa.string()),
    ("strategy", pa.string()),
]


class ClosedTrade(NamedTuple):
    """A trade, and which of its instrument's trades it is. stop: the first one, 10^-p; 0: none."""

    trip: RoundTrip
    number: int
    stop: int
    reason: str


class Lookups(NamedTuple):
    """What is found out about closed trades when the run is over, each of shape (n,).

    mae, mfe: 1e-8 of what the instrument settles in; None where no candles say it.
    """

    equity_at_entry: NDArray[np.int64]
    mae: list[int | None]
    mfe: list[int | None]
    trend: list[str]
    volatility: list[str]


class _Walk:
    """The fills of one instrument's trades, a number in each column per fill."""

    def __init__(self) -> None:
        self.trades = -1  # the number of the last one that was opened
        self.times = array("q")  # trade, ts, whether it filled at an open
        self.numbers = array("d")  # price, quantity, basis, realised

    def take(self, step: Step, price: float) -> None:
        fill, position = step.fill, step.position
        self.trades += step.opens
        at_open = isinstance(fill.cause_id, str) and "/open/" in fill.cause_id
        self.times.extend((self.trades, fill.ts, at_open))
        self.numbers.extend((price, position.qty_units, position.basis_units, step.realised_units))


class TradeTable:
    """Watches fills, money without fills and stops, and knows all trades of a run. Publishes nothing."""

    def __init__(
        self,
        path: Path,
        instruments: Mapping[InstrumentId, Instrument],
        rules: RuleBook,
        bus: Bus,
        owner_of: Callable[[InstrumentId], str],
    ) -> None:
        """owner_of: the strategy whose an instrument is."""
        self._owner_of = owner_of
        self.closed: list[ClosedTrade] = []
        self.slippage: Counter[str] = Counter()  # by asset, 1e-8, as all below
        self.base_fees: Counter[str] = Counter()
        self.liquidation_fees: Counter[str] = Counter()
        self.insurance: Counter[str] = Counter()
        self._path = path
        self._instruments = instruments
        self._trips = RoundTrips(instruments, rules, self._on_trade, self._on_step)
        self._walks: dict[InstrumentId, _Walk] = {}
        self._stops: dict[InstrumentId, dict[int, SanitizedOrder]] = {}  # that work, by id
        self._exits: set[int] = set()  # limit orders that are exits of an entry
        self._first_stops: dict[InstrumentId, tuple[int, Side, int, int]] = {}  # since, side, entry price, stop
        self._last: Fill | None = None
        bus.subscribe(T_ORDERS_SANITIZED, self.on_order)
        bus.subscribe(T_ORDERS_CHANGED, self.on_order)
        bus.subscribe(T_ORDERS_REJECTED, self.on_rejected)
        bus.subscribe(T_ORDERS_UPDATE, self.on_update)
        bus.subscribe(T_FILLS, self.on_fill)
        bus.subscribe(T_CASHFLOWS, self.on_cashflow)

    @property
    def counts(self) -> Counter[str]:
        """How many trades each strategy has closed."""
        return Counter(self._owner_of(closed.trip.instrument) for closed in self.closed)

    @property
    def touched(self) -> set[InstrumentId]:
        """The instruments in which something was filled."""
        return set(self._walks)

    @property
    def still_open(self) -> list[RoundTrip]:
        """The trades that have not closed."""
        return self._trips.still_open()

    def on_order(self, order: AnyOrder) -> None:
        """Remember a stop while it works, and the exits of an entry."""
        if not isinstance(order, SanitizedOrder):
            return
        if order.kind in _STOPS:
            self._stops.setdefault(order.instrument, {})[order.order_id] = order
            self._judge(order)
        elif order.kind is OrderKind.LIMIT and order.parent_id:
            self._exits.add(order.order_id)

    def on_rejected(self, rejected: OrderRejected) -> None:
        """Forget an order that the exchange refused."""
        if rejected.order_id is not None and rejected.reason is not Reason.UNKNOWN_ORDER:
            self._forget(rejected.instrument, rejected.order_id)

    def on_update(self, update: OrderUpdate) -> None:
        """Forget an order that ended."""
        if update.status.ends:
            self._forget(update.instrument, update.order_id)

    def _forget(self, instrument: InstrumentId, order_id: int) -> None:
        self._exits.discard(order_id)
        if instrument in self._stops:
            self._stops[instrument].pop(order_id, None)

    def _judge(self, order: SanitizedOrder) -> None:
        """Take a stop as the first of the open trade, if it came with the trade's first fill."""
        first = self._first_stops.get(order.instrument)
        if first is None or order.ts > first[0] or order.side is first[1]:
            return
        since, side, entry, known = first
        stop = order.stop_price_units
        if not stop and order.trail_units and not order.activation_price_units:
            distance = mul_div(entry, order.trail_units, RATE_SCALE, HALF_EVEN)
            stop = entry - distance * side.sign
        if stop and (not known or abs(entry - stop) < abs(entry - known)):
            self._first_stops[order.instrument] = since, side, entry, stop

    def on_fill(self, fill: Fill) -> None:
        """Fold a fill."""
        spec = self._instruments[fill.instrument]
        if slipped := slippage_units(spec, fill, spec.notional_units(fill.qty_units, fill.price_units)):
            self.slippage[spec.settle] += slipped
        if spec.is_spot and fill.fee_asset == spec.base:
            self.base_fees[spec.base] += fill.fee_units
        if fill.order_id < 0 and fill.tag == Reason.LIQUIDATION.value:
            self.liquidation_fees[fill.fee_asset] += fill.fee_units
        self._last = fill
        self._trips.on_fill(fill)
        if fill.leaves_units == 0:
            self._forget(fill.instrument, fill.order_id)

    def on_cashflow(self, flow: Cashflow) -> None:
        """Fold money that moved without a trade."""
        if flow.kind in (FUNDING, INSURANCE):
            self._trips.on_cashflow(flow)
            if flow.kind == INSURANCE:
                self.insurance[flow.asset] += flow.amount_units

    def _on_step(self, step: Step) -> None:
        fill = step.fill
        walk = self._walks.get(fill.instrument)
        if walk is None:
            walk = self._walks[fill.instrument] = _Walk()
        walk.take(step, fill.price_units / 10**fill.scale.price)
        if step.opens:
            self._first_stops[fill.instrument] = fill.ts, fill.side, fill.price_units, 0
            for order in self._stops.get(fill.instrument, {}).values():
                self._judge(order)

    def _on_trade(self, trip: RoundTrip) -> None:
        fill = self._last
        assert fill is not None
        if fill.order_id < 0:
            reason = fill.tag
        elif fill.order_id in self._exits:
            reason = "target"
        else:
            reason = _REASONS.get(fill.kind, "signal")
        stop = self._first_stops.pop(trip.instrument)[3]
        self.closed.append(ClosedTrade(trip, self._walks[trip.instrument].trades, stop, reason))

    def walks(self) -> Iterator[tuple[Instrument, Contract, NDArray[np.int64], NDArray[np.float64]]]:
        """Yield each traded instrument, what its quantities are worth, and the fills of its trades.

        The arrays have a row per fill: trade number, ts, whether at an open; price, quantity, basis, realised (1e-8).
        """
        for name, walk in sorted(self._walks.items()):
            spec = self._instruments[name]
            power = 10.0**spec.scale.price
            factor = spec.notional_mul / power if spec.is_inverse else spec.notional_mul * power / spec.notional_den
            times = np.frombuffer(walk.times, dtype=np.int64).reshape(-1, 3)
            numbers = np.frombuffer(walk.numbers, dtype=np.float64).reshape(-1, 4)
            yield spec, Contract(factor, spec.is_inverse, spec.gain), times, numbers

    def write(self, found: Lookups) -> str:
        """Write the table; return its digest."""
        table = RowTable(self._path, COLUMNS)
        rows = zip(self.closed, *found, strict=True)
        for closed, equity, mae, mfe, trend, volatility in rows:
            trip, spec = closed.trip, self._instruments[closed.trip.instrument]
            entered = trip.entry_notional_units
            table.add(
                trip.instrument,
                "long" if trip.side == "buy" else "short",
                trip.entry_time,
                trip.exit_time,
                (trip.qty_units, spec.scale.qty),
                (mean_price(spec, trip.qty_units, entered), _PRICE_DECIMALS),
                (mean_price(spec, trip.exit_qty_units, trip.exit_notional_units), _PRICE_DECIMALS),
                (entered, 8),
                (trip.exit_notional_units, 8),
                spec.settle,
                (trip.gross_units, 8),
                (trip.slippage_units, 8),
                (trip.fees_units, 8),
                (trip.funding_units, 8),
                (trip.insurance_units, 8),
                (trip.net_units, 8),
                (int(equity), 8),
                None if mae is None else (mae, 8),
                None if mfe is None else (mfe, 8),
                None if mae is None or not entered else mae / entered,
                None if mfe is None or not entered else mfe / entered,
                (closed.stop, spec.scale.price),
                _multiple(spec, closed),
                trip.fills,
                trip.entry_tag,
                trip.exit_tag,
                closed.reason,
                trend,
                volatility,
                self._owner_of(trip.instrument),
            )
        return table.close()


def mean_price(spec: Instrument, qty: int, notional: int) -> int:
    """Return at what price (1e-12) a quantity is worth a notional; 0 where there is none."""
    if not qty or not notional:
        return 0
    power = 10 ** (_PRICE_DECIMALS - spec.scale.price)
    if spec.is_inverse:
        return mul_div(qty * spec.notional_mul, power, notional, HALF_EVEN)
    return mul_div(notional * spec.notional_den, power, qty * spec.notional_mul, HALF_EVEN)


def _multiple(spec: Instrument, closed: ClosedTrade) -> float | None:
    """Return net profit over what the first stop would have lost."""
    if not closed.stop:
        return None
    risked = abs(closed.trip.entry_notional_units - spec.notional_units(closed.trip.qty_units, closed.stop))
    return closed.trip.net_units / risked if risked else None


def steps_of(times: NDArray[np.int64], numbers: NDArray[Any], timeframe: int) -> Steps:
    """Return the fills of an instrument's trades against candles of a timeframe (µs), as `TradeTable.walks` has them.

    A fill at an open parts the candles before from those after. Of a candle in which an order filled on the way nobody
    knows what came before and what after: it belongs to no position, only the price of the fill counts.
    """
    trade, ts, at_open = times.T
    on_grid = (at_open == 1) & (ts % timeframe == 0)
    return Steps(
        trade,
        np.where(on_grid, ts, (ts - 1) // timeframe * timeframe),
        -(-ts // timeframe) * timeframe,
        *(np.ascontiguousarray(column) for column in numbers.T),
    )
