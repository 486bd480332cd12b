"""The tables of a run's folder that are written as the run goes: equity, fills and orders."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from msgspec import structs

from backtester.account.equity import EquityColumns
from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.errors import EngineError
from backtester.core.events import AnyOrder, Fill, OrderRejected, OrderUpdate, Reason, SanitizedOrder
from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.topics import T_FILLS, T_ORDERS_CHANGED, T_ORDERS_REJECTED, T_ORDERS_SANITIZED, T_ORDERS_UPDATE
from backtester.engine.columns import (
    MONEY_TYPE,
    PRICE_TYPE,
    TIME_TYPE,
    StreamedTable,
    in_folder,
    int64_as_decimal,
    plain_column,
)
from backtester.engine.row_table import RowTable

EQUITY = pa.schema(
    [
        ("ts", TIME_TYPE),
        ("equity", MONEY_TYPE),
        ("cash", MONEY_TYPE),
        ("unrealised", MONEY_TYPE),
        ("exposure", MONEY_TYPE),
        ("drawdown", pa.float64()),
    ]
)


@dataclass(slots=True)
class EquityStats:
    """What the equity curve leaves behind when it has been written. Money in 1e-8."""

    peak_units: int = 0
    lowest_units: int = 0
    rows: int = 0


class EquityTable:
    """equity.parquet, and its lowest point."""

    def __init__(self, path: Path | None) -> None:
        self.stats = EquityStats()
        self.seconds = 0.0  # spent on writing, which is not the run's own work
        self._table = StreamedTable(path, EQUITY)

    def write(self, columns: EquityColumns) -> None:
        """Take a chunk of equity rows."""
        began = time.perf_counter()
        try:
            ts, *money = (column.astype(np.int64, copy=False) for column in columns)
        except OverflowError:
            raise EngineError("an amount of money is beyond 92 billion: the equity table cannot hold it") from None
        equity = money[0]
        stats = self.stats
        if stats.rows == 0:
            stats.peak_units = stats.lowest_units = int(equity[0])
        values = equity.astype(np.float64)
        peaks = np.maximum(np.maximum.accumulate(values), float(stats.peak_units))
        with np.errstate(divide="ignore", invalid="ignore"):
            drawdown = np.where(peaks > 0, values / peaks - 1.0, 0.0)
        stats.peak_units = max(stats.peak_units, int(equity.max()))
        stats.lowest_units = min(stats.lowest_units, int(equity.min()))
        stats.rows += len(ts)
        self._table.append(
            [
                plain_column(ts, TIME_TYPE),
                *(int64_as_decimal(column, MONEY_TYPE) for column in money),
                plain_column(drawdown, pa.float64()),
            ]
        )
        self.seconds += time.perf_counter() - began

    def close(self) -> str:
        """Finish the file; return the table's digest."""
        return self._table.close()


class StrategyTable:
    """strategies.parquet: the equity curve of each of several strategies, and of the reserve under an empty name."""

    def __init__(self, path: Path | None) -> None:
        self.seconds = 0.0  # spent on writing, which is not the run's own work
        names = [field for field in EQUITY if field.name != "drawdown"]
        self._table = StreamedTable(path, pa.schema([names[0], ("strategy", pa.string()), *names[1:]]))

    def write(self, owner: str, columns: EquityColumns) -> None:
        """Take a chunk of a strategy's rows."""
        began = time.perf_counter()
        ts, *money = (column.astype(np.int64, copy=False) for column in columns)
        shown = [int64_as_decimal(column, MONEY_TYPE) for column in money]
        self._table.append([plain_column(ts, TIME_TYPE), pa.array([owner] * len(ts), type=pa.string()), *shown])
        self.seconds += time.perf_counter() - began

    def close(self) -> str:
        """Finish the file; return the table's digest."""
        return self._table.close()


class Recorder:
    """Watches fills and orders and writes fills.parquet and orders.parquet. Publishes nothing.

    Without a folder it only counts.
    """

    def __init__(
        self,
        folder: Path | None,
        instruments: Mapping[InstrumentId, Instrument],
        board: Board,
        bus: Bus,
        owner_of: Callable[[InstrumentId], str],
    ) -> None:
        """owner_of: the strategy whose an instrument is."""
        self._owner_of = owner_of
        self.fills: Counter[str] = Counter()  # by strategy
        self.refusals: Counter[Reason] = Counter()
        self.option_refusals: Counter[Reason] = Counter()
        self._board = board
        self._instruments = instruments
        self._working: dict[int, tuple[int, SanitizedOrder]] = {}
        self._filled: dict[int, int] = {}
        self._fills = RowTable(
            in_folder(folder, "fills.parquet"),
            [
                ("fill_id", pa.int64()),
                ("ts", TIME_TYPE),
                ("tick", TIME_TYPE),
                ("order_id", pa.int64()),
                ("instrument", pa.string()),
                ("kind", pa.string()),
                ("side", pa.string()),
                ("qty", MONEY_TYPE),
                ("price", PRICE_TYPE),
                ("reference_price", PRICE_TYPE),
                ("notional", MONEY_TYPE),
                ("fee", MONEY_TYPE),
                ("fee_asset", pa.string()),
                ("liquidity", pa.string()),
                ("leaves", MONEY_TYPE),
                ("tag", pa.string()),
                ("client_id", pa.string()),
                ("strategy", pa.string()),
            ],
        )
        self._orders = RowTable(
            in_folder(folder, "orders.parquet"),
            [
                ("order_id", pa.int64()),
                ("created", TIME_TYPE),
                ("ended", TIME_TYPE),
                ("instrument", pa.string()),
                ("kind", pa.string()),
                ("side", pa.string()),
                ("qty", MONEY_TYPE),
                ("budget", MONEY_TYPE),
                ("limit_price", PRICE_TYPE),
                ("stop_price", PRICE_TYPE),
                ("trail", MONEY_TYPE),
                ("activation_price", PRICE_TYPE),
                ("time_in_force", pa.string()),
                ("filled", MONEY_TYPE),
                ("status", pa.string()),
                ("reason", pa.string()),
                ("tag", pa.string()),
                ("client_id", pa.string()),
                ("parent_id", pa.int64()),
                ("replaces", pa.int64()),
                ("strategy", pa.string()),
            ],
        )
        bus.subscribe(T_ORDERS_SANITIZED, self.on_order)
        bus.subscribe(T_ORDERS_CHANGED, self.on_changed)
        bus.subscribe(T_ORDERS_REJECTED, self.on_rejected)
        bus.subscribe(T_ORDERS_UPDATE, self.on_update)
        bus.subscribe(T_FILLS, self.on_fill)

    def on_order(self, order: AnyOrder) -> None:
        """Remember an order until it ends."""
        if isinstance(order, SanitizedOrder):
            self._working[order.order_id] = (order.ts, order)

    def on_changed(self, order: SanitizedOrder) -> None:
        """Remember an exit that came to life, what is left of an order that was cut, or how one filled in part."""
        created, before = self._working.get(order.order_id, (order.ts, order))
        if order.qty_units:
            order = structs.replace(order, qty_units=order.qty_units + self._filled.get(order.order_id, 0))
        self._working[order.order_id] = (created, structs.replace(order, budget_units=before.budget_units))

    def on_rejected(self, rejected: OrderRejected) -> None:
        """End an order that the exchange refused."""
        self.refusals[rejected.reason] += 1
        if rejected.instrument in self._instruments and self._instruments[rejected.instrument].is_option:
            self.option_refusals[rejected.reason] += 1
        if rejected.order_id is not None and rejected.reason is not Reason.UNKNOWN_ORDER:
            self._end(rejected.order_id, rejected.ts, "rejected", rejected.reason)

    def on_update(self, update: OrderUpdate) -> None:
        """End an order that was cancelled or expired."""
        if update.status.ends:
            self._end(update.order_id, update.ts, update.status, update.reason)

    def on_fill(self, fill: Fill) -> None:
        """Write a fill, and the order that it ends."""
        spec = self._instruments[fill.instrument]
        owner = self._owner_of(spec.id)
        self.fills[owner] += 1
        self._fills.add(
            fill.event_id,
            fill.ts,
            self._board.now,
            fill.order_id,
            fill.instrument,
            fill.kind.value,
            fill.side.value,
            (fill.qty_units, spec.scale.qty),
            (fill.price_units, spec.scale.price),
            (fill.reference_price_units, spec.scale.price),
            (spec.notional_units(fill.qty_units, fill.price_units), 8),
            (fill.fee_units, 8),
            fill.fee_asset,
            fill.liquidity.value,
            (fill.leaves_units, spec.scale.qty),
            fill.tag,
            fill.client_id,
            owner,
        )
        self._filled[fill.order_id] = self._filled.get(fill.order_id, 0) + fill.qty_units
        if parent := self._working[fill.order_id][1].algo_id:
            self._filled[parent] = self._filled.get(parent, 0) + fill.qty_units
        if fill.leaves_units == 0:
            self._end(fill.order_id, fill.ts, "filled", Reason.NONE)

    def _end(self, order_id: int, ended: int, status: str, reason: Reason) -> None:
        entry = self._working.pop(order_id, None)
        if entry is None:
            return
        created, order = entry
        self._orders.add(
            order_id,
            created,
            ended,
            order.instrument,
            order.kind.value,
            order.side.value,
            (order.qty_units, order.scale.qty),
            (order.budget_units, 8),
            (order.limit_price_units, order.scale.price),
            (order.stop_price_units, order.scale.price),
            (order.trail_units, 8),
            (order.activation_price_units, order.scale.price),
            order.terms.time_in_force.value,
            (self._filled.pop(order_id, 0), order.scale.qty),
            str(status),
            reason.value,
            order.tag,
            order.client_id,
            order.parent_id or order.algo_id,
            order.replaces,
            self._owner_of(order.instrument),
        )

    def close(self, end: int) -> dict[str, str]:
        """Write the orders that still work, finish the files; return each table's digest."""
        for order_id in sorted(self._working):
            self._end(order_id, end, "working", Reason.NONE)
        return {"fills": self._fills.close(), "orders": self._orders.close()}
