"""The tables of a run's folder: equity, fills, orders and trades, written as the run goes."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec import structs

from backtester.account.equity import EquityColumns
from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.errors import EngineError
from backtester.core.events import AnyOrder, Fill, OrderRejected, OrderUpdate, Reason, SanitizedOrder
from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.round_trips import RoundTrip, RoundTrips
from backtester.core.rules import RuleBook
from backtester.core.topics import T_FILLS, T_ORDERS_CHANGED, T_ORDERS_REJECTED, T_ORDERS_SANITIZED, T_ORDERS_UPDATE
from backtester.engine.columns import (
    MONEY_TYPE,
    PRICE_TYPE,
    TIME_TYPE,
    StreamedTable,
    decimal_column,
    in_folder,
    int64_as_decimal,
    plain_column,
    time_column,
)
from backtester.report.metrics import EquityStats, TradeStats

_CHUNK_ROWS = 1_024

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


class EquityTable:
    """equity.parquet, and what the metrics need of it; without a path only that."""

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
            stats.first_units = stats.peak_units = stats.lowest_units = int(equity[0])
        values = equity.astype(np.float64)
        peaks = np.maximum(np.maximum.accumulate(values), float(stats.peak_units))
        with np.errstate(divide="ignore", invalid="ignore"):
            drawdown = np.where(peaks > 0, values / peaks - 1.0, 0.0)
        stats.peak_units = max(stats.peak_units, int(equity.max()))
        stats.lowest_units = min(stats.lowest_units, int(equity.min()))
        stats.max_drawdown = min(stats.max_drawdown, float(drawdown.min()))
        stats.last_units = int(equity[-1])
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


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    kind: pa.DataType


class RowTable:
    """A table filled row by row; decimals come as (units, exponent)."""

    def __init__(self, path: Path | None, columns: list[tuple[str, pa.DataType]]) -> None:
        self._columns = [_Column(name, kind) for name, kind in columns]
        self._kept = path is not None
        self._table = StreamedTable(path, pa.schema(columns))
        self._rows: list[tuple[Any, ...]] = []

    def add(self, *values: Any) -> None:
        """Add a row, its values in column order."""
        if self._kept:
            self._rows.append(values)
        if len(self._rows) >= _CHUNK_ROWS:
            self._flush()

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            self._table.append(
                [_array(c.kind, values) for c, values in zip(self._columns, zip(*rows, strict=True), strict=True)]
            )

    def close(self) -> str:
        """Finish the file; return the table's digest."""
        self._flush()
        return self._table.close()


def _array(kind: pa.DataType, values: tuple[Any, ...]) -> pa.Array:
    if pa.types.is_decimal(kind):
        units = [value * 10 ** (kind.scale - exponent) for value, exponent in values]
        try:
            return int64_as_decimal(np.array(units, dtype=np.int64), kind)
        except OverflowError:
            return decimal_column(units, kind.scale, kind)
    if pa.types.is_timestamp(kind):
        return time_column(values)
    return pa.array(values, type=kind)


class Recorder:
    """Watches fills and orders and writes fills.parquet, orders.parquet and trades.parquet. Publishes nothing.

    Without a folder it only counts.
    """

    def __init__(
        self,
        folder: Path | None,
        instruments: Mapping[InstrumentId, Instrument],
        rules: RuleBook,
        board: Board,
        bus: Bus,
    ) -> None:
        self.trade_stats = TradeStats()
        self.fills = 0
        self.refusals: Counter[Reason] = Counter()
        self.option_refusals: Counter[Reason] = Counter()
        self._board = board
        self._instruments = instruments
        self._working: dict[int, tuple[int, SanitizedOrder]] = {}
        self._filled: dict[int, int] = {}
        self._trips = RoundTrips(instruments, rules, self._on_trade)
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
            ],
        )
        self._trades = RowTable(
            in_folder(folder, "trades.parquet"),
            [
                ("instrument", pa.string()),
                ("side", pa.string()),
                ("entry_time", TIME_TYPE),
                ("exit_time", TIME_TYPE),
                ("qty", MONEY_TYPE),
                ("entry_notional", MONEY_TYPE),
                ("exit_notional", MONEY_TYPE),
                ("gross_pnl", MONEY_TYPE),
                ("fees", MONEY_TYPE),
                ("net_pnl", MONEY_TYPE),
                ("fills", pa.int64()),
                ("entry_tag", pa.string()),
                ("exit_tag", pa.string()),
            ],
        )
        bus.subscribe(T_ORDERS_SANITIZED, self.on_order)
        bus.subscribe(T_ORDERS_CHANGED, self.on_changed)
        bus.subscribe(T_ORDERS_REJECTED, self.on_rejected)
        bus.subscribe(T_ORDERS_UPDATE, self.on_update)
        bus.subscribe(T_FILLS, self.on_fill)

    @property
    def n_open_trades(self) -> int:
        """How many trades have not closed."""
        return self._trips.n_open

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
        self.fills += 1
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
        )
        self._filled[fill.order_id] = self._filled.get(fill.order_id, 0) + fill.qty_units
        if parent := self._working[fill.order_id][1].algo_id:
            self._filled[parent] = self._filled.get(parent, 0) + fill.qty_units
        self._trips.on_fill(fill)
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
        )

    def _on_trade(self, trade: RoundTrip) -> None:
        self.trade_stats.add(trade)
        scale = self._instruments[trade.instrument].scale
        self._trades.add(
            trade.instrument,
            "long" if trade.side == "buy" else "short",
            trade.entry_time,
            trade.exit_time,
            (trade.qty_units, scale.qty),
            (trade.entry_notional_units, 8),
            (trade.exit_notional_units, 8),
            (trade.gross_units, 8),
            (trade.fees_units, 8),
            (trade.net_units, 8),
            trade.fills,
            trade.entry_tag,
            trade.exit_tag,
        )

    def close(self, end: int) -> dict[str, str]:
        """Write the orders that still work, finish the files; return each table's digest."""
        for order_id in sorted(self._working):
            self._end(order_id, end, "working", Reason.NONE)
        return {"fills": self._fills.close(), "orders": self._orders.close(), "trades": self._trades.close()}
