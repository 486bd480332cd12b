"""Working orders meet the trades of a tape, one by one, and the quotes beside them. The rules are those of `sim`."""

from collections.abc import Mapping
from typing import Protocol

from backtester.core.board import NEVER, Board
from backtester.core.events import Liquidity, Reason
from backtester.core.instruments import InstrumentId
from backtester.core.market import MarketQuote, MarketTrade
from backtester.core.numbers import RATE_SCALE
from backtester.execution.orders import WorkingOrder
from backtester.execution.pool import Pool
from backtester.sim.matching import stop_is_through
from backtester.sim.queue import BEHIND_ALL, ahead_of, served
from backtester.sim.trailing import trail_fires_at_open, trail_level


class Exchange(Protocol):
    """What a trade does to orders."""

    def trigger(self, working: WorkingOrder) -> None:
        """Let an order enter the market."""

    def enter(self, working: WorkingOrder, last: int) -> None:
        """Let an order that triggered take at the next trade, or rest."""

    def execute(
        self, working: WorkingOrder, price: int, liquidity: Liquidity, ts: int, pool: Pool
    ) -> list[WorkingOrder]:
        """Fill an order as far as the pool reaches, or end it."""

    def expire(self, working: WorkingOrder, reason: Reason) -> None:
        """End an order."""


class Tape:
    """Trades meet the orders that were there before: first what takes, then triggers, then limits by price and age.

    What a trade or a quote offers is taken once. An order that triggers takes from the next trade on.
    """

    def __init__(
        self,
        exchange: Exchange,
        board: Board,
        *,
        share: int,
        touch_fills: bool,
        watches: bool,
        quote_age_us: Mapping[InstrumentId, int],
    ) -> None:
        """share: of each trade that our orders may take, in 1e-8; 0 is all. touch_fills: where no quote tells
        the queue, nobody is ahead; else everybody is. watches: trades trigger; else the mark price does.
        quote_age_us: how long a quote of an instrument is good.
        """
        self._exchange = exchange
        self._board = board
        self._share = share
        self._touch = touch_fills
        self._watches = watches
        self._quote_age_us = quote_age_us
        self._taken: dict[tuple[InstrumentId, int], tuple[int, int]] = {}  # of what is quoted: price, quantity

    # --- an order arrives ----------------------------------------------------------------------------------------

    def takes(self, working: WorkingOrder, last: int) -> bool:
        """Say whether an order with a limit would take at once: it reaches the quote, or is beyond the last price."""
        quote = self._quote_now(working.order.listed, last)
        if quote is None:
            return working.takes_at(last, False)
        price, _ = _offer(quote, working.sign)
        return price > 0 and working.takes_at(price, True)

    def join(self, working: WorkingOrder, last: int) -> None:
        """Put a limit at the end of the queue at its price, as quoted now; last: the last price."""
        self._join(working, self._quote_now(working.order.listed, last))

    def _join(self, working: WorkingOrder, quote: MarketQuote | None) -> None:
        working.ahead = _ahead(working, quote, 0 if self._touch else BEHIND_ALL)

    def _quote_now(self, instrument: InstrumentId, last: int) -> MarketQuote | None:
        return self._quote(instrument, self._board.now, last, self._board.price_time[instrument])

    def _quote_before(self, trade: MarketTrade) -> MarketQuote | None:
        return self._quote(trade.instrument, trade.ts - 1, trade.price_units, trade.ts)

    def _quote(self, instrument: InstrumentId, time: int, price: int, traded: int) -> MarketQuote | None:
        """Return the last quote at or before a time, unless it is too old or a later trade was outside of it."""
        quote = self._board.quote(instrument, time)
        if quote is None or time - quote.ts > self._quote_age_us[instrument]:
            return None
        outside = price < quote.bid_units or 0 < quote.ask_units < price
        return None if outside and traded > quote.ts else quote

    # --- a trade -------------------------------------------------------------------------------------------------

    def meet(self, book: Mapping[int, WorkingOrder], trade: MarketTrade) -> None:
        """Let the orders that came before a trade meet it."""
        there = [w for w in book.values() if w.accepted < trade.ts]
        offered = Pool(self._ours(trade.qty_units))
        for working in [w for w in there if w.waits_for_open or w.takes_at_open]:
            if working.order.order_id in book:  # or its group ended a moment ago
                self._take(working, trade, offered)
        for working in [w for w in there if w.waits_for_trigger and self._watches]:
            if working.order.order_id in book:
                self._watch(working, trade)
        resting = [w for w in there if w.order.order_id in book and _rests(w) and w.accepted < trade.ts]
        for working in sorted(resting, key=lambda w: -w.sign * w.order.limit_price_units):
            if working.order.order_id in book:
                self._serve(working, trade, offered)
        self._sleep(book, trade.instrument)

    def _take(self, working: WorkingOrder, trade: MarketTrade, offered: Pool) -> None:
        order = working.order
        if working.waits_for_open and trade.ts >= working.deadline:
            self._exchange.expire(working, Reason.MAX_WAIT)
            return
        price, pool, touch = trade.price_units, offered, self._touch
        quote = self._quote_before(trade)
        if quote is not None:
            price, shown = _offer(quote, working.sign)
            touch, pool = True, self._quoted(working, price, shown)
        elif trade.is_buyer_maker == (working.sign > 0):
            return  # a print of the other side: nobody paid that who wanted what this order wants
        in_reach = price > 0 and (not order.limit_price_units or working.takes_at(price, touch))
        if in_reach:
            before = pool.left
            self._exchange.execute(working, price, Liquidity.TAKER, trade.ts, pool)
            if quote is not None:
                self._note(working, price, before - pool.left)
        elif order.terms.at_once:
            self._exchange.expire(working, Reason.NOT_FILLED_AT_ONCE)
        elif order.limit_price_units:
            working.takes_at_open = False
            self._join(working, quote)

    def _quoted(self, working: WorkingOrder, price: int, shown: int) -> Pool:
        """Return what is left of what is quoted, after what we took there since the price last changed."""
        at, taken = self._taken.get((working.order.listed, working.sign), (0, 0))
        return Pool(max(0, shown - (taken if at == price else 0)))

    def _note(self, working: WorkingOrder, price: int, taken: int) -> None:
        key = (working.order.listed, working.sign)
        at, before = self._taken.get(key, (0, 0))
        self._taken[key] = (price, taken + (before if at == price else 0))

    def _watch(self, working: WorkingOrder, trade: MarketTrade) -> None:
        order, price = working.order, trade.price_units
        if working.is_trailing:
            fires = trail_fires_at_open(working.sign, working.peak, order.trail_units, price)
        else:
            fires = stop_is_through(working.direction, order.stop_price_units, price)
        if fires:
            self._exchange.trigger(working)
            working.accepted = trade.ts
            self._exchange.enter(working, price)
        elif working.is_trailing:
            working.see(price)

    def _serve(self, working: WorkingOrder, trade: MarketTrade, offered: Pool) -> None:
        """Give a resting limit what a trade leaves for it."""
        limit, price = working.order.limit_price_units, trade.price_units
        if price == limit and working.ahead:  # less may be shown there by now than when it joined
            working.ahead = min(working.ahead, _ahead(working, self._quote_before(trade), working.ahead))
        left = trade.qty_units - (self._ours(trade.qty_units) - offered.left)
        for_it, working.ahead = served(working.sign, limit, price, trade.is_buyer_maker, left, working.ahead)
        pool = Pool(min(for_it, offered.left))
        if pool.left:
            offered.left -= pool.left
            self._exchange.execute(working, limit, Liquidity.MAKER, trade.ts, pool)
            offered.left += pool.left

    def _ours(self, qty: int) -> int:
        return qty * self._share // RATE_SCALE if self._share else qty

    # --- between trades ------------------------------------------------------------------------------------------

    def _sleep(self, book: Mapping[int, WorkingOrder], instrument: InstrumentId) -> None:
        """Ask to be told only of trades that can matter to an order of the book."""
        above, below = -1, NEVER
        touches = instrument in self._board.quote_at
        for working in book.values():
            if working.waits_for_open or working.takes_at_open:
                return  # every trade does
            low, high = _waits_for(working, touches=touches)
            above, below = max(above, low), min(below, high)
        self._board.sleep(instrument, above, below)


def _offer(quote: MarketQuote, sign: int) -> tuple[int, int]:
    """Return price and size of what an order of this side takes: the ask for a purchase."""
    return (quote.ask_units, quote.ask_qty_units) if sign > 0 else (quote.bid_units, quote.bid_qty_units)


def _ahead(working: WorkingOrder, quote: MarketQuote | None, unknown: int) -> int:
    """Return the quantity that a quote shows ahead of a limit; unknown: where it does not tell."""
    if quote is None:
        return unknown
    best, size = _offer(quote, -working.sign)
    return ahead_of(working.sign, working.order.limit_price_units, best, size, unknown)


def _rests(working: WorkingOrder) -> bool:
    return not (working.waits_for_open or working.waits_for_trigger or working.takes_at_open)


def _waits_for(working: WorkingOrder, *, touches: bool) -> tuple[int, int]:
    """Return the prices at or below which, and at or above which, a trade matters to an order."""
    order, sign = working.order, working.sign
    if not working.waits_for_trigger:
        limit = order.limit_price_units
        if not touches and working.ahead == BEHIND_ALL:
            limit -= sign  # only trades through it
        return (limit, NEVER) if sign > 0 else (-1, limit)
    if not working.is_trailing:
        stop = order.stop_price_units
        return (-1, stop) if working.direction > 0 else (stop, NEVER)
    if working.peak == 0:
        activation = order.activation_price_units
        return (activation, NEVER) if sign > 0 else (-1, activation)
    level = trail_level(sign, working.peak, order.trail_units)
    return (working.peak - 1, level) if sign > 0 else (level, working.peak + 1)
