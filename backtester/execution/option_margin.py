"""Who is short of options must keep margin: judged at every row of a chain, before any order meets it."""

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import Cashflow, Fill, Reason, Side
from backtester.core.folds import Ledger
from backtester.core.instruments import Holding, Instrument, InstrumentId
from backtester.core.margin_events import MarginAlert, MarginState
from backtester.core.market import MarketCandle
from backtester.core.numbers import MONEY_EXPONENT, RATE_SCALE, fixed
from backtester.core.option_rates import OptionRates, maintenance_margin
from backtester.core.topics import T_CASHFLOWS, T_MARGIN
from backtester.execution.insurance import InsuranceFund
from backtester.sim.liquidation import liquidation_result
from backtester.sim.settlement import option_payoff

_CALL_RATE = 80 * RATE_SCALE // 100  # maintenance margin over balance at which the venue warns


class Exchange(Protocol):
    """What the exchange does for a liquidation."""

    def withdraw(self, instrument: InstrumentId, reason: Reason, candle: MarketCandle | None = None) -> None:
        """Take back all working orders of an instrument."""

    def force(self, spec: Instrument, side: Side, qty: int, price: int, fee: int, ts: int, tag: str) -> Fill:
        """Change a position by an order of the exchange's own."""


class ShortWatch:
    """Buys shorts back when the money of their wallet falls to what they must keep; what is long secures nothing.

    The one that must keep most goes first, whole, at the ask of the row whatever it shows of quantity; at its mark
    where there is no ask; never below its payoff.
    """

    def __init__(
        self, exchange: Exchange, rates: OptionRates, ledger: Ledger, fees: Counter[str], board: Board, bus: Bus
    ) -> None:
        """Wire the watch; ledger: the exchange's own, only read here. fees: where it counts what liquidation costs."""
        self._fees = fees
        self.liquidated: Counter[InstrumentId] = Counter()
        self.calls: Counter[InstrumentId] = Counter()
        self.insurance = InsuranceFund(bus)
        self._exchange = exchange
        self._rates = rates
        self._ledger = ledger
        self._board = board
        self._bus = bus
        self._called: set[Holding] = set()
        bus.subscribe(T_CASHFLOWS, self.on_cashflow)

    def on_cashflow(self, flow: Cashflow) -> None:
        """What the insurance fund paid is in the account now."""
        self.insurance.settle(flow)

    def judge(self, ts: int, asks: Mapping[InstrumentId, int]) -> None:
        """Judge all shorts at the marks of now; asks: at which they can be bought back (10^-p), 0: at none."""
        for wallet in sorted({self._ledger.instruments[i].cash for i in self._shorts()}):
            while keeps := self._keeps(wallet):
                balance, total = self.balance(wallet), sum(keeps.values())
                if balance > total:
                    self._warn(wallet, keeps, balance, ts)
                    break
                self._liquidate(max(keeps, key=lambda i: (keeps[i], i)), balance, total, asks, ts)
            else:
                self._called.discard(wallet)

    def _shorts(self) -> list[InstrumentId]:
        specs = self._ledger.instruments
        return sorted(i for i, p in self._ledger.positions.items() if specs[i].is_option and p.qty_units < 0)

    def _keeps(self, wallet: Holding) -> dict[InstrumentId, int]:
        """Return the maintenance margin of each short of a wallet."""
        specs, prices = self._ledger.instruments, self._board.price_units
        return {
            i: maintenance_margin(self._rates, specs[i], -self._ledger.position(i).qty_units, prices)
            for i in self._shorts()
            if specs[i].cash == wallet
        }

    def balance(self, wallet: Holding) -> int:
        """Return the money of a wallet (1e-8), with what the insurance fund has promised."""
        return self._ledger.asset(wallet).cash_units + self.insurance.promised[wallet]

    def _liquidate(
        self, instrument: InstrumentId, balance: int, keeps: int, asks: Mapping[InstrumentId, int], ts: int
    ) -> None:
        spec = self._ledger.instruments[instrument]
        qty = -self._ledger.position(instrument).qty_units
        index = self._board.price_units[spec.underlying]
        price = max(
            asks.get(instrument, 0) or self._board.price_units[instrument],
            option_payoff(spec.is_call, spec.strike_units, index),
        )
        underlying = spec.notional_units(qty, index)
        left = balance - spec.notional_units(qty, price)
        result = liquidation_result(left, underlying, self._rates.liquidation)
        self.liquidated[instrument] += 1
        self._alert(MarginState.LIQUIDATED, spec, price, balance, keeps, ts)
        self._exchange.withdraw(instrument, Reason.LIQUIDATION)
        self.insurance.pay(spec, result.shortfall, ts)
        self._fees[Reason.LIQUIDATION.value] += result.fee
        self._exchange.force(spec, Side.BUY, qty, price, result.fee, ts, Reason.LIQUIDATION.value)

    def _warn(self, wallet: Holding, keeps: Mapping[InstrumentId, int], balance: int, ts: int) -> None:
        """Say once that maintenance margin has come to most of the balance; again after it was less."""
        total = sum(keeps.values())
        if total * RATE_SCALE < balance * _CALL_RATE:
            self._called.discard(wallet)
        elif wallet not in self._called:
            self._called.add(wallet)
            worst = max(keeps, key=lambda i: (keeps[i], i))
            self.calls[worst] += 1
            spec = self._ledger.instruments[worst]
            self._alert(MarginState.CALL, spec, self._board.price_units[worst], balance, total, ts)

    def _alert(self, state: MarginState, spec: Instrument, price: int, balance: int, maintenance: int, ts: int) -> None:
        numbers = {
            "price": fixed(price, spec.scale.price),
            "balance": fixed(balance, MONEY_EXPONENT),
            "maintenance": fixed(maintenance, MONEY_EXPONENT),
        }
        self._bus.publish(T_MARGIN, MarginAlert(ts=ts, instrument=spec.id, state=state, numbers=numbers))
