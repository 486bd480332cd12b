"""The account: balances, positions and equity as a fold of fills, cashflows and marks, and its snapshots."""

from collections.abc import Mapping

from backtester.account.equity import ChangeLog, EquityCurve, EquitySink
from backtester.account.exposure import ExposureSink
from backtester.account.wallets import WalletHistory, WalletSink
from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import (
    AnyOrder,
    Cashflow,
    Fill,
    OrderRejected,
    OrderUpdate,
    SanitizedOrder,
)
from backtester.core.folds import Ledger, Position, Reservations
from backtester.core.instruments import Instrument, InstrumentId, split_holding
from backtester.core.margin import FULL, MarginTerms
from backtester.core.margin_events import MarginTermsSet
from backtester.core.market import Dues, Marks
from backtester.core.snapshots import AccountSnapshot, AssetRow, PositionRow
from backtester.core.time import DAY
from backtester.core.topics import (
    T_ACCOUNT_SNAPSHOT,
    T_BALANCE,
    T_CASHFLOWS,
    T_DUES,
    T_FILLS,
    T_MARGIN_TERMS,
    T_MARKS,
    T_ORDERS_CHANGED,
    T_ORDERS_REJECTED,
    T_ORDERS_SANITIZED,
    T_ORDERS_UPDATE,
    T_TRANSFERS,
)
from backtester.core.transfer_events import Transfer
from backtester.core.valuation import Valuation


class Account:
    """Values the account at every boundary of the run's timeframe and at every fill.

    Publishes a snapshot in DUES when more than a mark moved since the last one, and at UTC midnight.
    """

    def __init__(
        self,
        instruments: Mapping[InstrumentId, Instrument],
        valuation: Valuation,
        timeframe: int,
        sink: EquitySink,
        board: Board,
        bus: Bus,
        margin: MarginTerms = FULL,
        exposures: ExposureSink | None = None,
        wallets: WalletSink | None = None,
    ) -> None:
        """Wire the component; sink, exposures, wallets: take the rows of the tables."""
        self.ledger = Ledger(instruments, margin, valuation)
        self.curve = EquityCurve(self.ledger, timeframe, board.now, sink, exposures, board.greeks)
        self.wallets = None if wallets is None else WalletHistory(timeframe, board.now, wallets)
        self._instruments = instruments
        self._valuation = valuation
        self._board = board
        self._bus = bus
        self._reservations = Reservations()
        self._moved = False
        self._changes = ChangeLog(self.curve, board)
        self._midnight = 0
        bus.subscribe(T_ORDERS_SANITIZED, self.on_order)
        bus.subscribe(T_ORDERS_CHANGED, self.on_order)
        bus.subscribe(T_TRANSFERS, self.on_transfer)
        bus.subscribe(T_ORDERS_REJECTED, self.on_rejected)
        bus.subscribe(T_ORDERS_UPDATE, self.on_update)
        bus.subscribe(T_FILLS, self.on_fill)
        bus.subscribe(T_CASHFLOWS, self.on_cashflow)
        bus.subscribe(T_MARGIN_TERMS, self.on_margin)
        bus.subscribe(T_DUES, self.on_dues)
        bus.subscribe(T_BALANCE, self.on_balance)
        bus.subscribe(T_MARKS, self.on_marks)

    def on_dues(self, dues: Dues) -> None:
        """Let a snapshot follow when one is due; ask to be called at the next midnight.

        It follows behind what others who hear of DUES have just published: a liquidation, and its money.
        """
        ts = dues.ts
        if self._moved or ts >= self._midnight:
            self._midnight = ts - ts % DAY + DAY
            self._bus.publish(T_BALANCE, dues)
        self._board.want_dues(self._midnight)

    def on_balance(self, dues: Dues) -> None:
        """Publish a snapshot."""
        self._moved = False
        self._bus.publish(T_ACCOUNT_SNAPSHOT, self.snapshot(dues.ts))

    def on_marks(self, marks: Marks) -> None:
        """Value the boundaries of the ticks that are over."""
        self.curve.value(marks)
        if self.wallets is not None:
            self.wallets.value(marks.ticks)
        for option, series in self._board.greeks.items():  # the last is known from here on
            self._board.greeks[option] = series[-1:]

    def _move(self) -> None:
        """More than a mark moved: a snapshot is due at the next DUES."""
        self._moved = True
        self._board.want_dues(0)

    def snapshot(self, ts: int) -> AccountSnapshot:
        """Return the whole account at the last marks; assets and positions in sorted order."""
        board, ledger = self._board, self.ledger
        return AccountSnapshot(
            ts=ts,
            currency=self._valuation.currency,
            rates=self._rates(),
            equity_units=ledger.equity_units(board.price_units),
            assets=tuple(
                AssetRow(
                    wallet=split_holding(holding)[0],
                    asset=split_holding(holding)[1],
                    cash_units=held.cash_units,
                    reserved_units=self._reservations.total(holding),
                    realised_units=held.realised_units,
                    fees_units=held.fees_units,
                    funding_units=held.funding_units,
                )
                for holding, held in sorted(ledger.assets.items())
            ),
            positions=tuple(
                self._row(instrument, position) for instrument, position in sorted(ledger.positions.items())
            ),
        )

    def _rates(self) -> dict[str, str]:
        """Return the price of each asset that is converted, as text: exact, so that a reader comes to the same sum."""
        ledger, found = self.ledger, {}
        held = {asset for asset, units in ledger.loose_cash().items() if units}
        for asset in sorted(held | {ledger.instruments[i].settle for i in ledger.positions}):
            if asset != self._valuation.currency:
                mul, den = self._valuation.conversions[asset].ratio(self._board.price_units)
                found[asset] = f"{mul}/{den}"
        return found

    def _row(self, instrument: InstrumentId, position: Position) -> PositionRow:
        ledger, spec = self.ledger, self._instruments[instrument]
        mark = self._board.price_units[spec.listed]
        leverage, added = ledger.margin.leverage_of(instrument), ledger.added.get(instrument, 0)
        shown = leverage > 1 or added > 0
        return PositionRow(
            instrument=instrument,
            qty_units=position.qty_units,
            basis_units=position.basis_units,
            mark_units=mark,
            mark_time=self._board.price_time[spec.listed],
            unrealised_units=ledger.unrealised_units(instrument, mark),
            leverage=leverage if shown else 0,
            margin_units=ledger.margin_of(instrument) if shown else 0,
            added_units=added,
            scale=spec.scale,
        )

    def on_fill(self, fill: Fill) -> None:
        """Fold a fill and value the account after it."""
        self.ledger.apply_fill(fill)
        if fill.leaves_units == 0:
            self._reservations.release(fill.order_id)
        self._changes.on_fill(fill)
        self._note_wallets()

    def on_cashflow(self, flow: Cashflow) -> None:
        """Fold money that moved without a trade and value the account after it."""
        self.ledger.apply_cashflow(flow)
        if flow.order_id:
            self._reservations.release(flow.order_id)
        self._changes.on_cashflow(flow)
        self._note_wallets()

    def on_margin(self, terms: MarginTermsSet) -> None:
        """Fold how a position is secured from now on."""
        self.ledger.apply_margin(terms)
        self._move()

    def _note_wallets(self) -> None:
        board = self._board
        if self.wallets is not None:
            held = {holding: account.cash_units for holding, account in self.ledger.assets.items()}
            self.wallets.change(board.now, board.dues_time, held)
        self._move()

    def on_order(self, order: AnyOrder) -> None:
        """Note what an order reserves."""
        if isinstance(order, SanitizedOrder):
            self._reservations.hold(order.order_id, order.reserved, order.reserve_units, order.oco)
            if order.reserve_units > 0:
                self._move()

    def on_transfer(self, transfer: Transfer) -> None:
        """Note what a transfer binds until it arrives."""
        self._reservations.hold(transfer.order_id, transfer.reserved, transfer.amount_units, "")
        self._move()

    def on_rejected(self, rejected: OrderRejected) -> None:
        """Free what an order reserved that the exchange refused."""
        if rejected.order_id is not None and self._reservations.release(rejected.order_id):
            self._move()

    def on_update(self, update: OrderUpdate) -> None:
        """Free what an ended order reserved."""
        if update.status.ends and self._reservations.release(update.order_id):
            self._move()
