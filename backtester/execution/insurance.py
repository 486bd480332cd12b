"""The insurance fund: it pays what a wallet lacks when a position in it is closed."""

from collections import Counter

from backtester.core.bus import Bus
from backtester.core.events import INSURANCE, Cashflow
from backtester.core.instruments import Asset, Holding, Instrument, holding_of
from backtester.core.topics import T_CASHFLOWS


class InsuranceFund:
    """What it pays for one kind of positions. It is published before the wallet is charged.

    paid: of each asset, 1e-8. promised: what is on its way to the account, 1e-8.
    """

    def __init__(self, bus: Bus) -> None:
        self.paid: Counter[Asset] = Counter()
        self.promised: Counter[Holding] = Counter()
        self._bus = bus

    def pay(self, spec: Instrument, shortfall: int, ts: int) -> None:
        """Pay what a wallet lacks (1e-8); 0 is nothing."""
        if not shortfall:
            return
        self.paid[spec.settle] += shortfall
        self.promised[spec.cash] += shortfall
        self._bus.publish(
            T_CASHFLOWS,
            Cashflow(
                ts=ts,
                kind=INSURANCE,
                wallet=spec.wallet,
                asset=spec.settle,
                amount_units=shortfall,
                instrument=spec.id,
            ),
        )

    def settle(self, flow: Cashflow) -> None:
        """Note what is in the account now; what another fund paid was not promised here."""
        if flow.kind == INSURANCE:
            holding = holding_of(flow.wallet, flow.asset)
            self.promised[holding] = max(0, self.promised[holding] - flow.amount_units)
