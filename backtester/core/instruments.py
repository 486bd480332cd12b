"""What can be traded: identity, assets and scales. What the venue accepts of an order is in `core.rules`.

Identity is `market:symbol` everywhere: in events, tables, ranks and config sections.
"""

import re
from typing import Final, NamedTuple, NewType

import msgspec

from backtester.core.errors import UsageError
from backtester.core.numbers import HALF_EVEN, MONEY_EXPONENT, mul_div

InstrumentId = NewType("InstrumentId", str)
Asset = NewType("Asset", str)

SPOT: Final = "spot"
UM: Final = "um"
MARKETS: Final = (SPOT, UM)
MARKET_ALIASES: Final = {"futures": UM}

# Longest first, so that BTCFDUSD ends in FDUSD and not in USD.
_QUOTES: Final = (
    "FDUSD",
    "USDT",
    "USDC",
    "BUSD",
    "TUSD",
    "USDP",
    "USD1",
    "DAI",
    "EUR",
    "GBP",
    "TRY",
    "BRL",
    "JPY",
    "USD",
    "BTC",
    "ETH",
    "BNB",
)
_ID: Final = re.compile(r'^(?P<market>[a-z][a-z0-9_.]*):(?P<symbol>[^\s:/\\"]+)$')


class Scale(NamedTuple):
    """The exponents of an instrument's integers: prices in 10^-price, quantities in 10^-qty."""

    price: int
    qty: int


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One tradable instrument, linear: its value is quantity × price in the quote asset."""

    id: InstrumentId
    market: str
    symbol: str
    base: Asset
    quote: Asset
    scale: Scale
    # Derived, because they are asked for at every valuation: whether buying moves the base asset itself (and selling
    # needs it); and that a notional is quantity × mul × price / den.
    is_spot: bool = False
    notional_mul: int = 1
    notional_den: int = 1

    @property
    def shift(self) -> int:
        """A quantity times a price is divided by 10^shift to give money."""
        return self.scale.price + self.scale.qty - MONEY_EXPONENT

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "is_spot", self.market == SPOT)
        msgspec.structs.force_setattr(self, "notional_mul", int(10 ** max(0, -self.shift)))
        msgspec.structs.force_setattr(self, "notional_den", int(10 ** max(0, self.shift)))

    def notional_units(self, qty_units: int, price_units: int) -> int:
        """Return quantity × price in money units (1e-8 quote), half-even; signed as qty is."""
        return mul_div(qty_units * self.notional_mul, price_units, self.notional_den, HALF_EVEN)

    def base_money(self, qty_units: int) -> int:
        """Return a quantity as units of the base asset's balance (1e-8)."""
        return qty_units * int(10 ** (MONEY_EXPONENT - self.scale.qty))


def instrument_id(market: str, symbol: str) -> InstrumentId:
    """Return the identity of a symbol on a market."""
    return InstrumentId(f"{market}:{symbol}")


def parse_instrument(text: str, default_market: str) -> InstrumentId:
    """Return the identity for `market:symbol`, or for a bare symbol on the default market.

    Raises:
        UsageError: the text is neither.
    """
    full = text if ":" in text else f"{default_market}:{text}"
    match = _ID.match(full)
    if match is None:
        raise UsageError(f"{text!r} is not an instrument", hint="write BTCUSDT or spot:BTCUSDT")
    return instrument_id(MARKET_ALIASES.get(match["market"], match["market"]), match["symbol"])


def split_id(instrument: str) -> tuple[str, str]:
    """Return (market, symbol) of an identity."""
    market, _, symbol = instrument.partition(":")
    return market, symbol


def split_symbol(symbol: str) -> tuple[str, str] | None:
    """Return (base, quote) of a Binance-style symbol, or None when its quote asset is not a known one."""
    head = symbol.partition("_")[0]  # a delivery contract: BTCUSDT_260925
    for quote in _QUOTES:
        if head.endswith(quote) and len(head) > len(quote):
            return head.removesuffix(quote), quote
    return None
