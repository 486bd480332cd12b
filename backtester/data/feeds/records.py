"""How rows of each kind become what strategies are shown, and when each is known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtester.core.feed import CANDLE_RANK
from backtester.core.instruments import InstrumentId, split_id, split_symbol
from backtester.core.market import (
    FundingRate,
    FuturesMetrics,
    IndexPrice,
    MarketEvent,
    MarkPrice,
    OptionChain,
    OptionQuote,
    PremiumIndex,
    Quote,
    ReferencePrice,
    Trade,
    VolatilityIndex,
)
from backtester.core.time import HOUR, utc
from backtester.core.topics import (
    T_CHAIN,
    T_FUNDING,
    T_INDEX,
    T_MARK,
    T_METRICS,
    T_PREMIUM,
    T_QUOTES,
    T_TRADES,
    T_VOLATILITY,
    Topic,
)

Columns = Mapping[str, NDArray[Any]]


class RecordRows(NamedTuple):
    """Rows of one instrument and kind, at least one; known: when each is known, UTC µs, shape (n,)."""

    instrument: InstrumentId
    timeframe: str
    known: NDArray[np.int64]
    columns: Columns

    def floats(self, *names: str) -> list[list[float]]:
        """Return columns as lists."""
        return [self.columns[name].tolist() for name in names]


MakeEvents = Callable[[RecordRows], list[MarketEvent]]


@dataclass(frozen=True, slots=True)
class RecordKind:
    """One kind of market data other than candles.

    rank: its place among what is known at one instant; references come before candles, and what happens at the
    instant itself, trades and quotes, after the candles that end there.
    delay: how long after a row's time it is known, µs, besides the timeframe of kinds that have one.
    events: makes events of rows: one each, or (grouped) one of all rows of a time.
    """

    rank: int
    topic: Topic[Any]
    events: MakeEvents
    delay: int = 0
    grouped: bool = False


def _trades(id_column: str) -> MakeEvents:
    def events(rows: RecordRows) -> list[MarketEvent]:
        ids, makers = rows.columns[id_column].tolist(), rows.columns["is_buyer_maker"].tolist()
        return list(
            map(Trade, rows.known.tolist(), repeat(rows.instrument), ids, *rows.floats("price", "quantity"), makers)
        )

    return events


def _quotes(rows: RecordRows) -> list[MarketEvent]:
    values = rows.floats("bid_price", "bid_quantity", "ask_price", "ask_quantity")
    return list(map(Quote, rows.known.tolist(), repeat(rows.instrument), *values))


def _funding(rows: RecordRows) -> list[MarketEvent]:
    intervals = (np.maximum(rows.columns["interval_hours"], 0) * HOUR).tolist()
    return list(
        map(FundingRate, rows.known.tolist(), repeat(rows.instrument), rows.columns["funding_rate"].tolist(), intervals)
    )


def _reference(event: type[ReferencePrice]) -> MakeEvents:
    def events(rows: RecordRows) -> list[MarketEvent]:
        path = rows.floats("open", "high", "low", "close")
        return list(map(event, rows.known.tolist(), repeat(rows.instrument), repeat(rows.timeframe), *path))

    return events


def _metrics(rows: RecordRows) -> list[MarketEvent]:
    values = rows.floats(*FuturesMetrics.__struct_fields__[2:])
    return list(map(FuturesMetrics, rows.known.tolist(), repeat(rows.instrument), *values))


def _volatility(rows: RecordRows) -> list[MarketEvent]:
    return list(
        map(VolatilityIndex, rows.known.tolist(), repeat(rows.instrument), rows.columns["index_value"].tolist())
    )


def _chains(rows: RecordRows) -> list[MarketEvent]:
    """Return one chain per distinct time, from at least one row."""
    symbol = split_id(rows.instrument)[1]
    base = (split_symbol(symbol) or (symbol, ""))[0]
    expiries, strikes, calls = (rows.columns[name].tolist() for name in ("expiry", "strike", "is_call"))
    contracts = [contract_symbol(base, *one) for one in zip(expiries, strikes, calls, strict=True)]
    quotes = list(map(OptionQuote, contracts, expiries, strikes, calls, *rows.floats(*_OPTION_COLUMNS)))
    starts = starts_of(rows.known).tolist()
    ends = [*starts[1:], len(rows.known)]
    return [
        OptionChain(int(rows.known[a]), rows.instrument, tuple(quotes[a:b])) for a, b in zip(starts, ends, strict=True)
    ]


def starts_of(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each run of equal times begins, of sorted times of shape (n,)."""
    return np.flatnonzero(np.diff(times, prepend=times[:1] - 1)).astype(np.int64)


_OPTION_COLUMNS: Final = (
    *("open", "high", "low", "close", "volume", "bid_price", "ask_price", "bid_quantity", "ask_quantity"),
    *("bid_iv", "ask_iv", "mark_price", "mark_iv", "delta", "gamma", "vega", "theta"),
    *("open_interest", "open_interest_value"),
)


def contract_symbol(base: str, expiry: int, strike: float, is_call: bool) -> str:
    """Return a contract's symbol as the venue writes it."""
    return f"{base}-{utc(expiry):%y%m%d}-{strike:.10f}".rstrip("0").rstrip(".") + ("-C" if is_call else "-P")


RECORD_KINDS: Final[dict[str, RecordKind]] = {
    "fundingRate": RecordKind(1, T_FUNDING, _funding),
    "markPriceKlines": RecordKind(2, T_MARK, _reference(MarkPrice)),
    "indexPriceKlines": RecordKind(3, T_INDEX, _reference(IndexPrice)),
    "premiumIndexKlines": RecordKind(4, T_PREMIUM, _reference(PremiumIndex)),
    "metrics": RecordKind(5, T_METRICS, _metrics),
    "BVOLIndex": RecordKind(6, T_VOLATILITY, _volatility),
    "EOHSummary": RecordKind(7, T_CHAIN, _chains, delay=HOUR, grouped=True),
    "aggTrades": RecordKind(CANDLE_RANK + 1, T_TRADES, _trades("agg_trade_id")),
    "trades": RecordKind(CANDLE_RANK + 1, T_TRADES, _trades("trade_id")),
    "bookTicker": RecordKind(CANDLE_RANK + 2, T_QUOTES, _quotes),
}
