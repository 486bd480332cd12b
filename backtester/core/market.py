"""Market events: what strategies and the exchange are shown, and the clock's own signals. Frozen, never logged.

The trader's side carries floats, the exchange's side the instrument's integers. `ts` is when it happened or became
known, in UTC microseconds.
"""

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from backtester.core.instruments import InstrumentId

# --- market data, as a trader sees it -------------------------------------------------------------------------


class MarketEvent(msgspec.Struct, frozen=True, gc=False):
    """Something the market did. Never logged: a log line that it caused names it by instrument, kind and time."""

    ts: int
    instrument: InstrumentId

    @property
    def symbol(self) -> str:
        """The instrument without its market: BTCUSDT."""
        return self.instrument.partition(":")[2]

    def cause(self) -> str:
        """Return the name by which the log refers to this record."""
        return f"{self.instrument}/{type(self).__name__.lower()}/{self.ts}"


class Candle(MarketEvent, frozen=True, gc=False):
    """Open, high, low, close and volume over [open_time, close_time); known at its end, so ts is close_time.

    Prices in quote per base, volume in base units. complete is false for a derived candle with missing parts.
    """

    timeframe: str
    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    complete: bool = True

    @property
    def close_time(self) -> int:
        """When the candle ended and became known."""
        return self.ts

    def cause(self) -> str:
        """Return instrument, kind, timeframe and open time."""
        return f"{self.instrument}/candle/{self.timeframe}/{self.open_time}"


class Trade(MarketEvent, frozen=True, gc=False):
    """A print on the tape. qty in base units (contracts where the venue counts those); is_buyer_maker: the seller was
    the taker. trade_id: the venue's id, of the aggregate for aggregated trades.
    """

    trade_id: int
    price: float
    qty: float
    is_buyer_maker: bool

    def cause(self) -> str:
        """Return instrument, kind and trade id."""
        return f"{self.instrument}/trade/{self.trade_id}"


class Quote(MarketEvent, frozen=True, gc=False):
    """Best bid and ask with their sizes in base units."""

    bid: float
    bid_qty: float
    ask: float
    ask_qty: float


class FundingRate(MarketEvent, frozen=True, gc=False):
    """A published funding rate (a fraction: longs pay shorts when positive) and its interval in microseconds.

    interval is 0 where the source does not say it.
    """

    rate: float
    interval: int


class ReferencePrice(MarketEvent, frozen=True, gc=False):
    """A price that is computed, not traded: `price` at ts, and its path over the timeframe that ended then."""

    timeframe: str
    open: float
    high: float
    low: float
    price: float

    def cause(self) -> str:
        """Return instrument, kind, timeframe and time."""
        return f"{self.instrument}/{type(self).__name__.lower()}/{self.timeframe}/{self.ts}"


class MarkPrice(ReferencePrice, frozen=True, gc=False):
    """The price that values positions and liquidates them."""


class IndexPrice(ReferencePrice, frozen=True, gc=False):
    """The price of the underlying over several venues."""


class PremiumIndex(ReferencePrice, frozen=True, gc=False):
    """How far the contract trades from its index, a fraction that may be negative; funding follows from it."""


class FuturesMetrics(MarketEvent, frozen=True, gc=False):
    """Open interest (contracts or base units, and in quote) and ratios of long to short; NaN where one is unknown.

    top_account_ratio, top_position_ratio: of the largest traders, by head and by size. account_ratio: of all.
    taker_volume_ratio: bought over sold by takers.
    """

    open_interest: float
    open_interest_value: float
    top_account_ratio: float
    top_position_ratio: float
    account_ratio: float
    taker_volume_ratio: float


class VolatilityIndex(MarketEvent, frozen=True, gc=False):
    """An index of implied volatility, in percent a year."""

    value: float


class OptionQuote(msgspec.Struct, frozen=True, gc=False):
    """One contract of a chain over an hour: its candle, and at the hour's end quotes, volatilities, mark and Greeks.

    contract: BTC-231229-34000-C. expiry: UTC µs. Prices in quote, quantities in contracts, volatilities as fractions a
    year; NaN where a figure is unknown.
    """

    contract: str
    expiry: int
    strike: float
    is_call: bool
    open: float
    high: float
    low: float
    close: float
    volume: float
    bid: float
    ask: float
    bid_qty: float
    ask_qty: float
    bid_iv: float
    ask_iv: float
    mark: float
    mark_iv: float
    delta: float
    gamma: float
    vega: float
    theta: float
    open_interest: float
    open_interest_value: float


class OptionChain(MarketEvent, frozen=True, gc=False):
    """All contracts on one underlying, as they stood at ts; sorted by expiry, strike, puts before calls.

    instrument: the underlying, `option:BTCUSDT`.
    """

    quotes: tuple[OptionQuote, ...]


class ChainRows(msgspec.Struct, frozen=True, gc=False):
    """The rows of all chains that become known at one instant, in the order of their names."""

    ts: int
    rows: tuple[OptionChain, ...]


class TimerFired(msgspec.Struct, frozen=True, gc=False):
    """The moment that a strategy asked to be called at."""

    ts: int


# --- market data, as the exchange sees it ---------------------------------------------------------------------


class MarketCandle(MarketEvent, frozen=True, gc=False):
    """A closed execution candle in the instrument's integers; ts is its close time."""

    timeframe: str
    open_time: int
    open_units: int
    high_units: int
    low_units: int
    close_units: int
    volume: float

    def cause(self) -> str:
        """Return the same name as the trader's candle."""
        return f"{self.instrument}/candle/{self.timeframe}/{self.open_time}"


class MarketTrade(MarketEvent, frozen=True, gc=False):
    """A print on the execution tape in the instrument's integers. is_buyer_maker: the seller was the taker."""

    trade_id: int
    price_units: int
    qty_units: int
    is_buyer_maker: bool

    def cause(self) -> str:
        """Return the same name as the trader's trade."""
        return f"{self.instrument}/trade/{self.trade_id}"


class MarketQuote(NamedTuple):
    """Best bid and ask with their sizes, in the instrument's integers, as known since ts."""

    ts: int
    bid_units: int
    bid_qty_units: int
    ask_units: int
    ask_qty_units: int


class MarketOpen(MarketEvent, frozen=True, gc=False):
    """The open price, and nothing else, of a candle that begins at ts.

    volume_before: of the last candle that closed and traded, in base units; -1 when there is none.
    """

    price_units: int
    volume_before: float = -1.0

    def cause(self) -> str:
        """Return instrument, kind and open time."""
        return f"{self.instrument}/open/{self.ts}"


class Expiry(msgspec.Struct, frozen=True, gc=False):
    """The time till which some order is good has come."""

    ts: int


class FundingDue(MarketEvent, frozen=True, gc=False):
    """Funding is paid at ts on what is held then. rate_units, mark_units: in 1e-8; a mark of 0: none is known.

    recorded: when the venue wrote the rate, some milliseconds later.
    """

    recorded: int
    rate_units: int
    mark_units: int

    def cause(self) -> str:
        """Return the name of the record as strategies see it."""
        return f"{self.instrument}/fundingrate/{self.recorded}"


class Dues(msgspec.Struct, frozen=True, gc=False):
    """The instant for funding, expiry, margin checks and snapshots: every instrument is marked."""

    ts: int


class Marks(msgspec.Struct, frozen=True):
    """A stretch of ticks is over: the close of every instrument at each of them, in columns.

    ticks: their times, shape (n,). closes: per instrument the last close in price units at each tick, shape (n,); 0
    before its first.
    """

    ts: int
    ticks: NDArray[np.int64]
    closes: dict[InstrumentId, NDArray[np.int64]]


class TickSettled(msgspec.Struct, frozen=True, gc=False):
    """All of one tick has been delivered."""

    ts: int
