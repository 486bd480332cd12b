"""Transfers: money leaves one wallet and is in the other at the same instant."""

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import TRANSFER, Cashflow, OrderRejected, Reason
from backtester.core.folds import Ledger, Reservations
from backtester.core.funds import transferable_units
from backtester.core.instruments import InstrumentId, split_sleeve
from backtester.core.numbers import MONEY_EXPONENT, fixed
from backtester.core.topics import T_CASHFLOWS, T_ORDERS_REJECTED
from backtester.core.transfer_events import Transfer


class TransferDesk:
    """Moves what is still free when a transfer arrives."""

    def __init__(self, ledger: Ledger, reservations: Reservations, board: Board, bus: Bus) -> None:
        """Wire the desk; ledger, reservations: the exchange's own."""
        self._ledger = ledger
        self._reservations = reservations
        self._board = board
        self._bus = bus

    def execute(self, transfer: Transfer) -> None:
        """Publish both halves of a transfer, one after the other, or refuse it."""
        prices = self._board.price_units
        free = transferable_units(self._ledger, prices, transfer.reserved, self._reservations.total)
        if transfer.amount_units > free:
            self._refuse(transfer, free)
            return
        self._reservations.hold(transfer.order_id, transfer.reserved, transfer.amount_units, "")
        for wallet, amount in ((transfer.source, -transfer.amount_units), (transfer.target, transfer.amount_units)):
            self._bus.publish(
                T_CASHFLOWS,
                Cashflow(
                    ts=self._board.now,
                    kind=TRANSFER,
                    wallet=wallet,
                    asset=transfer.asset,
                    amount_units=amount,
                    order_id=transfer.order_id,
                ),
            )

    def on_cashflow(self, flow: Cashflow) -> None:
        """What left a wallet is bound no more."""
        if flow.kind == TRANSFER:
            self._reservations.release(flow.order_id)

    def _refuse(self, transfer: Transfer, free: int) -> None:
        self._bus.publish(
            T_ORDERS_REJECTED,
            OrderRejected(
                ts=self._board.now,
                who="execution",
                reason=Reason.INSUFFICIENT_BALANCE,
                instrument=InstrumentId(""),
                order_id=transfer.order_id,
                tag=transfer.tag,
                numbers={
                    "required": fixed(transfer.amount_units, MONEY_EXPONENT),
                    "free": fixed(max(0, free), MONEY_EXPONENT),
                    "asset": transfer.asset,
                    "from": transfer.source,
                    "to": transfer.target,
                },
                strategy=split_sleeve(transfer.source)[1],
            ),
        )
