"""Events of transfers: money that a strategy moves between the wallets of two markets."""

from decimal import Decimal

from backtester.core.events import Event, MoneyUnits
from backtester.core.instruments import Asset, Holding, holding_of


class TransferIntent(Event, frozen=True, kw_only=True):
    """Move an amount of an asset from one market's wallet to another's. tag comes back when it is refused."""

    asset: Asset
    amount: Decimal
    source: str
    target: str
    tag: str = ""

    @property
    def strategy(self) -> str:
        """The id of the strategy that wants it; empty for the only one. A wallet that it named of another's comes
        before its own id: um@other@own.
        """
        return self.source.rpartition("@")[2] if "@" in self.source else ""


class Transfer(Event, frozen=True, kw_only=True):
    """A transfer that risk let through; its id counts with those of orders. What it moves is bound until it arrives."""

    order_id: int
    asset: Asset
    amount_units: MoneyUnits
    source: str
    target: str
    tag: str

    @property
    def reserved(self) -> Holding:
        """What it binds."""
        return holding_of(self.source, self.asset)
