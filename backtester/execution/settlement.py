"""Expiry: what is held of a contract that ends is closed by the exchange at the settlement price, as a taker."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import Fill, Reason, Side
from backtester.core.folds import Ledger
from backtester.core.instruments import Instrument, InstrumentId, sides_of
from backtester.core.market import Expiry, MarketCandle
from backtester.core.numbers import MONEY_EXPONENT, fixed
from backtester.core.settlement_events import ContractSettled
from backtester.core.topics import T_EXPIRIES, T_SETTLEMENTS
from backtester.execution.insurance import InsuranceFund
from backtester.sim.liquidation import liquidation_result

TAG = "settlement"


class Settlement(NamedTuple):
    """How a contract ends. ts: its expiry, UTC µs. price_units: 10^-p, 0 for the last price then. found: how."""

    ts: int
    price_units: int
    found: str


class Exchange(Protocol):
    """What the exchange does for a settlement."""

    def withdraw(self, instrument: InstrumentId, reason: Reason, candle: MarketCandle | None = None) -> None:
        """Take back all working orders of an instrument."""

    def force(self, spec: Instrument, side: Side, qty: int, price: int, fee: int, ts: int, tag: str) -> Fill:
        """Close a position by an order of the exchange's own."""

    def taker_rate(self, instrument: InstrumentId, ts: int) -> int:
        """Return the fee rate (1e-8) of taking liquidity at a time."""


class Wallets(Protocol):
    """What secures positions: an isolated one loses no more than that."""

    def balance_at(self, instrument: InstrumentId, price: int) -> int:
        """Return what secures a position, with its profit at a price (1e-8)."""

    @property
    def insurance(self) -> InsuranceFund:
        """What pays the rest."""


class SettlementDesk:
    """Settles each contract once, after all that was traded up to its expiry and before anybody decides.

    settled: by instrument, what the log says of it.
    """

    def __init__(
        self,
        plan: Mapping[InstrumentId, Settlement],
        exchange: Exchange,
        wallets: Wallets,
        ledger: Ledger,
        board: Board,
        bus: Bus,
    ) -> None:
        """Wire the desk; ledger: the exchange's own, only read here."""
        self.settled: dict[InstrumentId, dict[str, str]] = {}
        self._left = dict(sorted(plan.items(), key=lambda item: (item[1].ts, item[0])))
        self._exchange = exchange
        self._wallets = wallets
        self._ledger = ledger
        self._board = board
        self._bus = bus
        for settlement in plan.values():
            board.set_expiry(settlement.ts)
        bus.subscribe(T_EXPIRIES, self.on_expiry)

    def on_expiry(self, expiry: Expiry) -> None:
        """Settle the contracts whose time has come."""
        for instrument in [i for i, settlement in self._left.items() if settlement.ts <= expiry.ts]:
            settlement, sides = self._left.pop(instrument), sides_of(self._ledger.instruments, instrument)
            for spec in sides:
                self._exchange.withdraw(spec.id, Reason.CONTRACT_EXPIRED)
            held = [spec for spec in sides if spec.id in self._ledger.positions]
            for spec in held or sides[:1]:
                self._settle(spec, settlement)

    def _settle(self, spec: Instrument, settlement: Settlement) -> None:
        price, position = settlement.price_units, self._ledger.position(spec.id)
        price = price or self._board.price_units.get(spec.listed, 0)
        numbers = {"price": fixed(price, spec.scale.price), "found": settlement.found}
        qty, fee, shortfall = position.qty_units, 0, 0
        if qty:
            worth = abs(spec.notional_units(qty, price))
            rate = self._exchange.taker_rate(spec.id, settlement.ts)
            fee, _, shortfall = liquidation_result(self._wallets.balance_at(spec.id, price), worth, rate)
            profit = spec.profit_units(qty, position.basis_units, price)
            numbers |= {"qty": fixed(qty, spec.scale.qty), "profit": fixed(profit, MONEY_EXPONENT)}
            numbers |= {"fee": fixed(fee, MONEY_EXPONENT)}
            numbers |= {"shortfall": fixed(shortfall, MONEY_EXPONENT)} if shortfall else {}
        self.settled[spec.id] = numbers
        self._bus.publish(T_SETTLEMENTS, ContractSettled(ts=settlement.ts, instrument=spec.id, numbers=numbers))
        if qty:
            self._wallets.insurance.pay(spec, shortfall, settlement.ts)
            side = Side.SELL if qty > 0 else Side.BUY
            self._exchange.force(spec, side, abs(qty), price, fee, settlement.ts, TAG)
