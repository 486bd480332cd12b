"""The tape of one instrument: trades that meet its orders and mark it, and the quotes that they meet them by."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backtester.core.instruments import Instrument
from backtester.core.market import MarketEvent, MarketQuote, MarketTrade
from backtester.data.feeds.record_feed import Columns, RecordFeed
from backtester.data.feeds.records import RecordRows
from backtester.data.feeds.units import price_units, quantity_units

TRADE_IDS: Final = {"trades": "trade_id", "aggTrades": "agg_trade_id"}
QUOTE_COLUMNS: Final = ("time", "bid_price", "bid_quantity", "ask_price", "ask_quantity")


def trade_columns(kind: str) -> tuple[str, ...]:
    """Return the columns of a kind of trades that the exchange needs."""
    return ("time", TRADE_IDS[kind], "price", "quantity", "is_buyer_maker")


class TradeFeed(RecordFeed):
    """The trades of one instrument, for the exchange and, when somebody hears them, for strategies."""

    executes = True

    def __init__(self, spec: Instrument, kind: str, batches: Iterator[Columns], *, decides: bool) -> None:
        """Wrap batches in time order; kind: `trades` or `aggTrades`. decides: strategies see these trades."""
        super().__init__(spec.id, kind, "", batches)
        if not decides:
            self.topic = None
        self._spec = spec
        self._id = TRADE_IDS[kind]
        self._times: list[int] = []
        self._ids: list[int] = []
        self._prices: list[int] = []
        self._makers: list[bool] = []
        self._quantities: NDArray[np.float64] = np.empty(0)
        self._qty_units: list[int] | None = None

    def take(self, rows: int) -> tuple[list[MarketEvent] | None, NDArray[np.int64] | None]:
        """Move the first trades of the buffer into the current window."""
        if not rows:
            return ([] if self.topic is not None else None), np.empty(0, dtype=np.int64)
        window = self.cut(rows)
        units = price_units(window.columns["price"], self._spec, window.known)
        self._times, self._ids = window.known.tolist(), window.columns[self._id].tolist()
        self._prices, self._makers = units.tolist(), window.columns["is_buyer_maker"].tolist()
        self._quantities, self._qty_units = window.columns["quantity"], None
        return (self.events_of(window) if self.topic is not None else None), units

    def market(self, row: int) -> MarketTrade:
        """Return a row of the current window as the exchange sees it."""
        if self._qty_units is None:  # converted when first needed, for orders that work
            self._qty_units = quantity_units(self._quantities, self._spec).tolist()
        return MarketTrade(
            self._times[row],
            self.instrument,
            self._ids[row],
            self._prices[row],
            self._qty_units[row],
            self._makers[row],
        )

    def next_open(self, at: int) -> tuple[int, int, float] | None:  # noqa: ARG002 - as the protocol has it
        """A tape has no opens."""
        return None


class QuoteFeed(RecordFeed):
    """The best bid and ask of an instrument whose trades execute: the exchange may ask what was quoted at a time."""

    def __init__(self, spec: Instrument, batches: Iterator[Columns], *, decides: bool) -> None:
        """Wrap batches of bookTicker in time order; decides: strategies see these quotes."""
        super().__init__(spec.id, "bookTicker", "", batches)
        if not decides:
            self.topic = None
        self._spec = spec
        self._window: RecordRows | None = None
        self._before: MarketQuote | None = None  # the last one of the windows that are over

    def take(self, rows: int) -> tuple[list[MarketEvent] | None, NDArray[np.int64] | None]:
        """Move the first quotes of the buffer into the current window."""
        if self._window is not None:
            self._before, self._window = self._quote(len(self._window.known) - 1), None
        if not rows:
            return ([] if self.topic is not None else None), None
        self._window = self.cut(rows)
        return (self.events_of(self._window) if self.topic is not None else None), None

    def at(self, time: int) -> MarketQuote | None:
        """Return the last quote at or before a time of the current window; None before the first."""
        row = -1 if self._window is None else int(np.searchsorted(self._window.known, time, side="right")) - 1
        return self._before if row < 0 else self._quote(row)

    def _quote(self, row: int) -> MarketQuote:
        assert self._window is not None
        known, columns = self._window.known, self._window.columns
        bid, bid_qty, ask, ask_qty = (columns[name][row : row + 1] for name in QUOTE_COLUMNS[1:])
        hint = f"give it more decimals: --set 'instruments.\"{self.instrument}\".price_decimals=N'"
        prices = price_units(np.concatenate([bid, ask]), self._spec, np.repeat(known[row], 2), hint)
        sizes = quantity_units(np.concatenate([bid_qty, ask_qty]), self._spec)
        return MarketQuote(int(known[row]), int(prices[0]), int(sizes[0]), int(prices[1]), int(sizes[1]))
