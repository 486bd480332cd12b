"""What the lake keeps of a venue's rules: one frozen value per kind, equal when the rules are equal."""

from decimal import Decimal
from typing import Any, Final

import msgspec


class Contract(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a futures symbol is. Times UTC µs; delivery None: perpetual. size: quote units per contract (cm), else 1.

    liquidation_fee, market_take_bound, trigger_protect: fractions.
    """

    kind: str
    pair: str
    margin_asset: str
    onboard: int | None = None
    delivery: int | None = None
    size: Decimal = Decimal(1)
    liquidation_fee: Decimal | None = None
    market_take_bound: Decimal | None = None
    trigger_protect: Decimal | None = None


class OptionTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an option symbol is. expiry: UTC µs. unit: base units per contract. Margins: fractions of the index."""

    underlying: str
    is_call: bool
    strike: Decimal
    expiry: int
    unit: Decimal
    initial_margin: Decimal | None = None
    maintenance_margin: Decimal | None = None
    min_initial_margin: Decimal | None = None
    min_maintenance_margin: Decimal | None = None


class SymbolRules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One symbol as exchangeInfo lists it. Prices in quote, quantities in base units (cm, options: contracts).

    0 is off: no step, no limit. market_*: of market orders, beside the others. *_at_market: whether the limit of the
    notional holds for market orders. bid_*, ask_*: the price of a purchase, of a sale, as multiples of the venue's
    average or mark price. max_orders, max_algo_orders: open at a time.
    """

    base: str
    quote: str
    status: str = ""
    tick_size: Decimal
    min_price: Decimal = Decimal(0)
    max_price: Decimal = Decimal(0)
    lot_size: Decimal
    min_qty: Decimal
    max_qty: Decimal
    market_lot_size: Decimal = Decimal(0)
    market_min_qty: Decimal = Decimal(0)
    market_max_qty: Decimal = Decimal(0)
    min_notional: Decimal = Decimal(0)
    max_notional: Decimal = Decimal(0)
    min_notional_at_market: bool = True
    max_notional_at_market: bool = True
    bid_multiplier_down: Decimal = Decimal(0)
    bid_multiplier_up: Decimal = Decimal(0)
    ask_multiplier_down: Decimal = Decimal(0)
    ask_multiplier_up: Decimal = Decimal(0)
    max_orders: int = 0
    max_algo_orders: int = 0
    max_position: Decimal = Decimal(0)
    contract: Contract | None = None
    option: OptionTerms | None = None

    @property
    def contract_size(self) -> Decimal:
        """What one unit of quantity stands for: quote units of a cm contract, base units of an option, else 1."""
        if self.option is not None:
            return self.option.unit
        return self.contract.size if self.contract is not None else Decimal(1)

    def order_rules(self) -> dict[str, Any]:
        """Return what an order must obey, under the names that a config uses."""
        return {key: getattr(self, key) for key in _OF_ORDERS}


_OF_ORDERS: Final = (
    "tick_size",
    "lot_size",
    "min_qty",
    "max_qty",
    "market_lot_size",
    "market_min_qty",
    "market_max_qty",
    "min_notional",
    "max_notional",
    "min_notional_at_market",
    "max_notional_at_market",
    "min_price",
    "max_price",
    "bid_multiplier_down",
    "bid_multiplier_up",
    "ask_multiplier_down",
    "ask_multiplier_up",
    "max_orders",
    "max_algo_orders",
    "max_position",
)


class Bracket(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the leverage table: from floor up to cap, in notional (um) or in base units (cm).

    Maintenance margin of a position in it: size × maintenance_rate − deduction.
    """

    floor: Decimal
    cap: Decimal
    max_leverage: int
    maintenance_rate: Decimal
    deduction: Decimal


class Brackets(msgspec.Struct, frozen=True):
    """The leverage table of a symbol, ascending, without holes."""

    steps: tuple[Bracket, ...]


class FeeRates(msgspec.Struct, frozen=True, kw_only=True):
    """What our account pays on a symbol: fractions, negative for a rebate."""

    maker: Decimal
    taker: Decimal


class FundingTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How often funding is paid, and between which rates (fractions)."""

    interval_hours: int
    floor: Decimal
    cap: Decimal


Value = SymbolRules | Brackets | FeeRates | FundingTerms
KINDS: Final[dict[str, type[Value]]] = {
    "symbol": SymbolRules,
    "brackets": Brackets,
    "fees": FeeRates,
    "funding": FundingTerms,
}
KIND_OF: Final = {cls: kind for kind, cls in KINDS.items()}
