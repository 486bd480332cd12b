"""What can be traded: identity, assets and scales. What the venue accepts of an order is in `core.rules`.

Identity is `market:symbol` everywhere: in events, tables, ranks and config sections.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple, NewType, TypeVar

import msgspec

from backtester.core.errors import UsageError
from backtester.core.numbers import FLOOR, HALF_EVEN, MONEY_EXPONENT, mul_div, units_of

InstrumentId = NewType("InstrumentId", str)
Asset = NewType("Asset", str)
Holding = NewType("Holding", str)
"""An asset in the wallet of a market: `um:USDT`. Each market has a wallet of its own."""

V = TypeVar("V")

SPOT: Final = "spot"
UM: Final = "um"
CM: Final = "cm"
OPTION: Final = "option"
MARKETS: Final = (SPOT, UM, CM, OPTION)
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
_SIDE: Final = "@"
_DATED: Final = re.compile(r"[_-](?P<day>\d{6})(?:-|$)")
_OPTION: Final = re.compile(r"^(?P<base>[^\W_]+)-\d{6}-(?P<strike>\d+(?:\.\d+)?)-(?P<side>[CP])$")
_ID: Final = re.compile(r'^(?P<market>[a-z][a-z0-9_.]*):(?P<symbol>[^\s:/\\"]+)$')


class Scale(NamedTuple):
    """The exponents of an instrument's integers: prices in 10^-price, quantities in 10^-qty."""

    price: int
    qty: int


class Contract(StrEnum):
    """What is traded: an asset; a future that settles in quote money, or in coin; or an option."""

    SPOT = "spot"
    LINEAR = "linear"
    INVERSE = "inverse"
    OPTION = "option"


class OptionName(NamedTuple):
    """What the symbol of an option says: BTC-251226-100000-C. expiry: UTC µs."""

    base: str
    expiry: int
    strike: Decimal
    is_call: bool


_CONTRACTS: Final = {SPOT: Contract.SPOT, CM: Contract.INVERSE, OPTION: Contract.OPTION}


class PositionSide(StrEnum):
    """A side of an instrument in hedge mode, where a long and a short position stand side by side."""

    LONG = "long"
    SHORT = "short"

    @property
    def sign(self) -> int:
        """+1 for long, -1 for short: of what is held, and of the order that opens it."""
        return 1 if self is PositionSide.LONG else -1


@cache
def holding_of(wallet: str, asset: str) -> Holding:
    """Return the name of an asset in a market's wallet."""
    return Holding(f"{wallet}:{asset}")


@cache
def split_holding(holding: Holding) -> tuple[str, Asset]:
    """Return (wallet, asset) of a holding."""
    wallet, _, asset = holding.partition(":")
    return wallet, Asset(asset)


@cache
def split_sleeve(name: str) -> tuple[str, str]:
    """Return a name without the strategy that it belongs to, and that strategy's id; empty when it belongs to none.

    Of instruments (um:BTCUSDT@trend) and of wallets (um@trend).
    """
    listed, at, sleeve = name.partition(_SIDE)
    return (name, "") if not at or sleeve in tuple(PositionSide) else (listed, sleeve)


def in_sleeve(name: str, sleeve: str) -> str:
    """Return the name that an instrument or a wallet has as one strategy's own; without a strategy the name itself."""
    return f"{name}{_SIDE}{sleeve}" if sleeve else name


def is_one_strategy(instrument: str, other: str) -> bool:
    """Say whether two instruments belong to one strategy, or to none."""
    return split_sleeve(instrument)[1] == split_sleeve(other)[1]


@cache
def wallet_of(instrument: str) -> str:
    """Return the wallet that pays for an instrument: its market's, or what of it belongs to one strategy."""
    listed, sleeve = split_sleeve(instrument)
    return in_sleeve(listed.partition(":")[0], sleeve)


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One tradable instrument; or in hedge mode the long or the short side of one, or of several strategies the
    position of one in it: those trade on the same market.

    Linear: its value is quantity × price in the quote asset; of an option, × the base units of one contract. Inverse:
    quantity × contract / price, in the base asset. contract_units (1e-8): of an inverse contract the quote money that
    it is worth, of an option the base units that it is on. expiry: UTC µs; 0 is never. listed: whose candles, trades,
    marks, funding and rules it has: of a side the instrument that the venue lists, else itself. sleeve: the strategy
    whose position it is, where several run together. sleeves: of a listed instrument, the strategies that have one.
    """

    id: InstrumentId
    market: str
    symbol: str
    base: Asset
    quote: Asset
    scale: Scale
    contract_units: int = 0
    expiry: int = 0
    sleeves: tuple[str, ...] = ()
    # Derived, because they are asked for at every valuation: whether buying moves the base asset itself (and selling
    # needs it); whether money moves by the whole notional, not by profit alone; where that money is, and the base
    # asset; the sign of the profit when the notional rises; and that a notional is quantity × mul × price / den, of an
    # inverse contract quantity × mul / price.
    kind: Contract = Contract.LINEAR
    is_spot: bool = False
    is_option: bool = False
    is_paid: bool = False
    is_inverse: bool = False
    listed: InstrumentId = InstrumentId("")
    position_side: PositionSide | None = None
    sleeve: str = ""
    wallet: str = ""
    settle: Asset = Asset("")
    cash: Holding = Holding("")
    coin: Holding = Holding("")
    gain: int = 1
    notional_mul: int = 1
    notional_den: int = 1
    # Of an option: the chain that it is of, under which its index is known; its strike in 10^-price; which side.
    underlying: InstrumentId = InstrumentId("")
    strike_units: int = 0
    is_call: bool = False

    @property
    def shift(self) -> int:
        """A quantity times a price is divided by 10^shift to give money."""
        return self.scale.price + self.scale.qty - MONEY_EXPONENT

    def __post_init__(self) -> None:
        kind = _CONTRACTS.get(self.market, Contract.LINEAR)
        inverse = kind is Contract.INVERSE
        settle = self.base if inverse else self.quote
        mul, den = int(10 ** max(0, -self.shift)), int(10 ** max(0, self.shift))
        if inverse:
            mul, rest = divmod(self.contract_units * int(10**self.scale.price), int(10**self.scale.qty))
            if rest or not mul:
                raise UsageError(f"{self.id}: a contract of {self.contract_units} x 1e-8 is not whole in its scale")
        elif kind is Contract.OPTION:
            mul *= self.contract_units // int(10**MONEY_EXPONENT)
        side = split_side(self.id)[1]
        wallet = wallet_of(self.id)
        said = option_name(self.symbol) if kind is Contract.OPTION else None
        if said is not None:
            strike = units_of(said.strike, self.scale.price, FLOOR)
            msgspec.structs.force_setattr(self, "strike_units", strike)
            msgspec.structs.force_setattr(self, "is_call", said.is_call)
            chain = instrument_id(self.market, f"{self.base}{self.quote}")
            msgspec.structs.force_setattr(self, "underlying", chain)
        derived: dict[str, object] = {
            "listed": listed_id(self.id),
            "position_side": side,
            "sleeve": split_sleeve(self.id)[1],
            "wallet": wallet,
            "kind": kind,
            "is_spot": kind is Contract.SPOT,
            "is_option": kind is Contract.OPTION,
            "is_paid": kind in (Contract.SPOT, Contract.OPTION),
            "is_inverse": inverse,
            "settle": settle,
            "cash": holding_of(wallet, settle),
            "coin": holding_of(wallet, self.base),
            "gain": -1 if inverse else 1,
            "notional_mul": mul,
            "notional_den": den,
        }
        for name, value in derived.items():
            msgspec.structs.force_setattr(self, name, value)

    def is_closed_by(self, sign: int) -> bool:
        """Say whether orders of a sign (+1 buys) only ever reduce it: sales of a long side, purchases of a short."""
        return self.position_side is not None and self.position_side.sign != sign

    @property
    def is_margined(self) -> bool:
        """Whether a position binds margin instead of its price: futures."""
        return not self.is_paid

    def notional_units(self, qty_units: int, price_units: int) -> int:
        """Return what a quantity is worth at a price, in 1e-8 of the asset it settles in, half-even; signed as qty."""
        if self.is_inverse:
            return mul_div(qty_units, self.notional_mul, price_units, HALF_EVEN)
        return mul_div(qty_units * self.notional_mul, price_units, self.notional_den, HALF_EVEN)

    def profit_units(self, qty_units: int, basis_units: int, price_units: int) -> int:
        """Return the profit of a position (signed quantity and basis) at a price, in 1e-8 of what it settles in."""
        return self.gain * (self.notional_units(qty_units, price_units) - basis_units)

    def base_money(self, qty_units: int) -> int:
        """Return a quantity as units of the base asset's balance (1e-8)."""
        return qty_units * int(10 ** (MONEY_EXPONENT - self.scale.qty))


def listed_id(instrument: InstrumentId) -> InstrumentId:
    """Return the identity that the venue lists: without the side or the strategy that it may be of."""
    return InstrumentId(instrument.partition(_SIDE)[0])


def side_id(listed: InstrumentId, side: PositionSide) -> InstrumentId:
    """Return the identity of a side in hedge mode: um:BTCUSDT@long."""
    return InstrumentId(f"{listed}{_SIDE}{side}")


def split_side(instrument: InstrumentId) -> tuple[InstrumentId, PositionSide | None]:
    """Return the listed identity and the side; None when it is no side of one."""
    listed, at, side = instrument.partition(_SIDE)
    if not at or side not in tuple(PositionSide):
        return instrument, None
    return InstrumentId(listed), PositionSide(side)


def sides_of(instruments: Mapping[InstrumentId, Instrument], listed: InstrumentId) -> list[Instrument]:
    """Return what is held of a listed instrument: itself, or in hedge mode its two sides, or each strategy's own."""
    sides = [instruments[i] for side in PositionSide if (i := side_id(listed, side)) in instruments]
    sides += [instruments[InstrumentId(in_sleeve(listed, sleeve))] for sleeve in instruments[listed].sleeves]
    return sides or [instruments[listed]]


def secured_alike(instruments: Mapping[InstrumentId, Instrument], spec: Instrument) -> list[Instrument]:
    """Return what changes its leverage or margin mode together with an instrument: both sides of a hedge; each strategy
    sets its own.
    """
    return [spec] if spec.sleeve else sides_of(instruments, spec.listed)


def for_sides(
    instruments: Mapping[InstrumentId, Instrument], values: Mapping[InstrumentId, V]
) -> dict[InstrumentId, V]:
    """Return what listed instruments have, for their sides as well."""
    return {i: values[spec.listed] for i, spec in instruments.items() if spec.listed in values}


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
    if _OPTION.match(match["symbol"]) and not expiry_of(match["symbol"]):
        raise UsageError(
            f"{text!r} expires on a day that no calendar has",
            hint="year, month, day: BTC-231229-34000-C is of 2023-12-29",
        )
    return instrument_id(MARKET_ALIASES.get(match["market"], match["market"]), match["symbol"])


def split_id(instrument: str) -> tuple[str, str]:
    """Return (market, symbol) of an identity."""
    market, _, symbol = instrument.partition(":")
    return market, symbol


def expiry_of(symbol: str) -> int:
    """Return when a symbol's contract expires, UTC µs: 08:00 of the day that its name says; 0 when it says none.

    BTCUSDT_260925, BTCUSD_250627, BTC-251226-100000-C.
    """
    match = _DATED.search(symbol)
    if match is None:
        return 0
    try:
        day = datetime.strptime(match["day"], "%y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return 0
    return int(day.timestamp() + 8 * 3600) * 1_000_000


def option_name(symbol: str) -> OptionName | None:
    """Return what the symbol of an option says, or None when it is not one, or its day is none."""
    match, expiry = _OPTION.match(symbol), expiry_of(symbol)
    if match is None or not expiry:
        return None
    return OptionName(match["base"], expiry, Decimal(match["strike"]), match["side"] == "C")


def split_symbol(symbol: str) -> tuple[str, str] | None:
    """Return (base, quote) of a Binance-style symbol, or None when its quote asset is not a known one."""
    head = symbol.partition("_")[0]  # a delivery contract: BTCUSDT_260925
    for quote in _QUOTES:
        if head.endswith(quote) and len(head) > len(quote):
            return head.removesuffix(quote), quote
    return None


def usual_pair(one: str, other: str) -> str:
    """Return the symbol under which two assets are usually traded for each other: BTCUSDT, ETHBTC."""

    def rank(asset: str) -> int:
        return -1 if asset == "USDT" else _QUOTES.index(asset) if asset in _QUOTES else len(_QUOTES)

    quote, base = sorted((one, other), key=rank)
    return f"{base}{quote}"
