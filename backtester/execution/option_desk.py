"""Options at the exchange: rows of a chain mark what is held, and meet the limit orders that wait for them.

An order meets the rows that become known after it was accepted: a purchase fills at the best ask, a sale at the best
bid, if its limit allows, up to the quantity shown, each quantity once. What a row does not show does not trade.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from backtester.core.board import Board, Greeks
from backtester.core.bus import Bus
from backtester.core.events import Fill, Liquidity, Reason, Side
from backtester.core.folds import Ledger
from backtester.core.instruments import OPTION, Instrument, InstrumentId, instrument_id
from backtester.core.market import ChainRows, Expiry, MarketCandle, OptionChain, OptionQuote
from backtester.core.time import DAY
from backtester.core.topics import T_EXPIRIES, T_MARKET_CHAIN
from backtester.execution.combos import combos_of, is_whole
from backtester.execution.exchange_rules import OptionRules
from backtester.execution.option_margin import ShortWatch
from backtester.execution.orders import WorkingOrder
from backtester.execution.pool import Pool
from backtester.pricing.black import DAYS_PER_YEAR, black76_price
from backtester.sim.options import option_fee
from backtester.sim.settlement import option_payoff

_YEAR = DAYS_PER_YEAR * DAY


class Exchange(Protocol):
    """What the exchange does for its option desk."""

    def execute(
        self, working: WorkingOrder, price: int, liquidity: Liquidity, ts: int, pool: Pool
    ) -> list[WorkingOrder]:
        """Fill an order as far as the pool reaches, or end it."""

    def execute_together(self, legs: list[tuple[WorkingOrder, int, Pool]], ts: int) -> Reason | None:
        """Fill all legs at their prices, or none; return why none."""

    def expire(self, working: WorkingOrder, reason: Reason) -> None:
        """End an order."""

    def withdraw(self, instrument: InstrumentId, reason: Reason, candle: MarketCandle | None = None) -> None:
        """Take back all working orders of an instrument."""

    def force(self, spec: Instrument, side: Side, qty: int, price: int, fee: int, ts: int, tag: str) -> Fill:
        """Change a position by an order of the exchange's own."""


class OptionDesk:
    """Marks, fills and settles the contracts of all chains of a run.

    marks: from what marks were taken. settled: positions by how they ended (exercise, expired). fees: what that, and
    liquidations, cost, 1e-8.
    """

    def __init__(
        self,
        exchange: Exchange,
        rules: OptionRules,
        ledger: Ledger,
        book: Mapping[InstrumentId, Mapping[int, WorkingOrder]],
        board: Board,
        bus: Bus,
    ) -> None:
        """Wire the desk; ledger and book: the exchange's own, only read here."""
        self.marks: Counter[str] = Counter()
        self.settled: Counter[str] = Counter()
        self.fees: Counter[str] = Counter()
        self._exchange = exchange
        self._rules = rules
        self._ledger = ledger
        self._book = book
        self._board = board
        self._rows: dict[InstrumentId, OptionChain] = {}
        self._quotes: dict[InstrumentId, OptionQuote] = {}  # of the last rows, of contracts that were looked for
        self._volatility: dict[InstrumentId, float] = {}  # the last that rows said of contracts that were looked at
        self._ordered: set[InstrumentId] = set()  # contracts with working orders
        self.watch = ShortWatch(exchange, rules.rates, ledger, self.fees, board, bus)
        self.allows_shorts = rules.rates.allow_short
        board.option_mark = self.mark
        bus.subscribe(T_MARKET_CHAIN, self.on_rows)
        bus.subscribe(T_EXPIRIES, self.on_expiry)
        for expiry in sorted({expiry for _, expiry in rules.settlements}):
            board.set_expiry(expiry)

    # --- orders --------------------------------------------------------------------------------------------------

    def join(self, working: WorkingOrder) -> None:
        """Let an order wait for the next row."""
        self._ordered.add(working.order.instrument)

    def legs_of(self, combo_id: int) -> list[WorkingOrder]:
        """Return the legs of a combination that still work."""
        waiting = (w for i in sorted(self._ordered) for w in self._book[i].values())
        return [w for w in waiting if w.order.combo_id == combo_id]

    def takes(self, working: WorkingOrder) -> bool:
        """Say whether an order would execute at once by what the last row shows."""
        instrument = working.order.instrument
        quote = self._quote(instrument)
        return quote is not None and self._price(working, quote) > 0

    # --- rows ----------------------------------------------------------------------------------------------------

    def on_rows(self, known: ChainRows) -> None:
        """Settle what expires, mark what is held, judge what is short, then let the orders meet their rows: each step
        for all chains of the instant, for their contracts share a wallet.
        """
        specs, ts = self._ledger.instruments, known.ts
        for row in known.rows:
            self._rows[row.instrument] = row
            self._board.price_units[row.instrument] = self._rules.indices[row.instrument][ts]
            self._board.price_time[row.instrument] = ts
        self._expire(ts)
        shown = {row.instrument for row in known.rows}
        held = [i for i in self._ledger.positions if specs[i].is_option and specs[i].underlying in shown]
        self._ordered = {i for i in self._ordered if self._book[i]}
        ordered = sorted(i for i in self._ordered if specs[i].underlying in shown)
        self._quotes = {i: q for i, q in self._quotes.items() if specs[i].underlying not in shown}
        wanted = {*held, *ordered}
        if not wanted:
            return
        for row in known.rows:
            for quote in row.quotes:
                instrument = instrument_id(OPTION, quote.contract)
                if instrument in wanted:
                    self._quotes[instrument] = quote
        for instrument in sorted(wanted):
            self.marks[self._mark(specs[instrument], self._quotes.get(instrument), ts)] += 1
        options = sorted(i for i in self._ledger.positions if specs[i].is_option)
        self.watch.judge(ts, {i: self._side(i, Side.BUY)[0] for i in options})
        self._meet(ordered, ts)

    def _meet(self, ordered: list[InstrumentId], ts: int) -> None:
        pools = {(i, side): Pool(self._side(i, side)[1]) for i in ordered for side in Side}
        waiting = [w for i in ordered for w in self._book[i].values()]
        waiting.sort(key=lambda w: w.order.order_id)
        for legs in combos_of(waiting):
            if legs[0].order.combo_id:
                self._meet_combo(legs, pools, ts)
                continue
            working = legs[0]
            order = working.order
            if order.order_id not in self._book[order.instrument]:
                continue  # its group ended a moment ago
            quote = self._quotes.get(order.instrument)
            price = 0 if quote is None else self._price(working, quote)
            pool = pools[order.instrument, order.side]
            if price > 0 and (pool.left > 0 or order.terms.at_once):
                maker = order.terms.post_only
                liquidity = Liquidity.MAKER if maker else Liquidity.TAKER
                self._exchange.execute(working, order.limit_price_units if maker else price, liquidity, ts, pool)
            if order.terms.at_once and order.order_id in self._book[order.instrument]:
                self._exchange.expire(working, Reason.NOT_FILLED_AT_ONCE)

    def _meet_combo(self, legs: list[WorkingOrder], pools: Mapping[tuple[InstrumentId, Side], Pool], ts: int) -> None:
        """Fill all legs of a combination or none of them; their chains must all show a row at this instant."""
        priced = []
        for working in legs:
            quote = self._quotes.get(working.order.instrument)
            price = 0 if quote is None else self._price(working, quote)
            priced.append((working, price, pools[working.order.instrument, working.order.side]))
        why: Reason | None = Reason.NOT_FILLED_AT_ONCE
        if is_whole(legs) and all(price > 0 for _, price, _ in priced):
            why = self._exchange.execute_together(priced, ts)
        if why is not None and (why is not Reason.NOT_FILLED_AT_ONCE or legs[0].order.terms.at_once):
            self._exchange.expire(legs[0], why)  # and the others with it

    def _price(self, working: WorkingOrder, quote: OptionQuote) -> int:
        """Return the quote that an order would take (10^-p) where its limit allows, else 0."""
        shown = self._units(quote.ask if working.sign > 0 else quote.bid, working.order.scale.price)
        size = quote.ask_qty if working.sign > 0 else quote.bid_qty
        if shown <= 0 or not size > 0 or (working.order.limit_price_units - shown) * working.sign < 0:
            return 0
        return shown

    def _side(self, instrument: InstrumentId, side: Side) -> tuple[int, int]:
        """Return (price, quantity) that a row shows to those who buy or sell; 0 where it shows none."""
        quote, spec = self._quotes.get(instrument), self._ledger.instruments[instrument]
        if quote is None:
            return 0, 0
        price, size = (quote.ask, quote.ask_qty) if side is Side.BUY else (quote.bid, quote.bid_qty)
        units = self._units(size, spec.scale.qty)
        units -= units / 10**spec.scale.qty > size  # what the scale does not keep is cut
        return (self._units(price, spec.scale.price), units) if units > 0 and price > 0 else (0, 0)

    @staticmethod
    def _units(value: float, exponent: int) -> int:
        return round(value * 10**exponent) if value > 0 else 0  # NaN: unknown

    # --- marks ---------------------------------------------------------------------------------------------------

    def mark(self, instrument: InstrumentId) -> None:
        """Bring the last mark of a contract to the board, for who is about to judge an order in it."""
        spec = self._ledger.instruments[instrument]
        row = self._rows.get(spec.underlying)
        if row is not None and self._board.price_time.get(instrument) != row.ts:
            self._mark(spec, self._quote(instrument), row.ts)

    def _quote(self, instrument: InstrumentId) -> OptionQuote | None:
        """Return what the last row says of a contract; None: nothing."""
        found = self._quotes.get(instrument)
        row = self._rows.get(self._ledger.instruments[instrument].underlying)
        if found is None and row is not None:
            contract = self._ledger.instruments[instrument].symbol
            found = next((q for q in row.quotes if q.contract == contract), None)
            if found is not None:
                self._quotes[instrument] = found
        return found

    def _mark(self, spec: Instrument, quote: OptionQuote | None, ts: int) -> str:
        """Mark a contract: as the row does, else by its volatility, else between its quotes, else by the last
        volatility that is known, else as it was but for no less than its payoff; return which of them.
        """
        source, price = "last", self._board.price_units.get(spec.id, 0)
        exponent, index = spec.scale.price, self._board.price_units[spec.underlying]
        bid = ask = 0
        told = False
        if quote is not None:
            bid, ask = self._units(quote.bid, exponent), self._units(quote.ask, exponent)
            if told := quote.mark_iv > 0:
                self._volatility[spec.id] = quote.mark_iv
        volatility = self._volatility.get(spec.id, 0.0)
        if quote is not None and quote.mark > 0:
            source, price = "row", self._units(quote.mark, exponent)
        elif told and index:
            source, price = "black76", self._black76(spec, index, volatility, ts)
        elif bid and ask:
            source, price = "mid", (bid + ask) // 2
        elif volatility and index:
            source, price = "last volatility", self._black76(spec, index, volatility, ts)
        else:
            if not price and (bid or ask):
                source, price = "one side", bid or ask
            if index and (payoff := option_payoff(spec.is_call, spec.strike_units, index)) > price:
                source, price = "payoff", payoff
        self._board.mark(spec.id, price, ts)
        if quote is not None:
            known = Greeks(quote.delta, quote.gamma, quote.vega, quote.theta)
            self._board.greeks.setdefault(spec.id, []).append((ts, known))
        return source

    def _black76(self, spec: Instrument, index: int, volatility: float, ts: int) -> int:
        """Return what a contract is worth at an index (10^-p) and a volatility."""
        one, years = 10**spec.scale.price, max(0, spec.expiry - ts) / _YEAR
        worth = black76_price(index / one, spec.strike_units / one, years, volatility, spec.is_call)
        return self._units(float(np.asarray(worth)), spec.scale.price)

    # --- expiry --------------------------------------------------------------------------------------------------

    def on_expiry(self, expiry: Expiry) -> None:
        """End what expires when no row of its chain came at that time."""
        self._expire(expiry.ts)

    def _expire(self, ts: int) -> None:
        """End orders, then positions against money: longs are paid before shorts pay."""
        specs = self._ledger.instruments
        due = [i for i in {*self._ordered, *self._ledger.positions} if specs[i].is_option and specs[i].expiry <= ts]
        for instrument in sorted(due):
            for working in list(self._book[instrument].values()):
                if working.order.order_id in self._book[instrument]:
                    self._exchange.expire(working, Reason.CONTRACT_EXPIRED)
            self._ordered.discard(instrument)
        held = {i: self._ledger.position(i).qty_units for i in due}
        for instrument in sorted((i for i in due if held[i]), key=lambda i: (held[i] < 0, i)):
            self._settle(specs[instrument], ts)

    def _settle(self, spec: Instrument, ts: int) -> None:
        """Pay a position out at its payoff, as a fill of the exchange's own."""
        at = self._rules.settlements[spec.underlying, spec.expiry]
        payoff = option_payoff(spec.is_call, spec.strike_units, at)
        held = self._ledger.position(spec.id).qty_units
        qty, worth = abs(held), spec.notional_units(abs(held), payoff)
        fee = option_fee(spec.notional_units(qty, at), worth, self._rules.rates.exercise, self._rules.rates.fee_cap)
        if held < 0:  # what the wallet does not have, it cannot pay
            left = self.watch.balance(spec.cash) - worth
            fee = min(fee, max(0, left))
            self.watch.insurance.pay(spec, max(0, -left), ts)
        tag = "exercise" if payoff else "expired"
        self.settled[tag] += 1
        self.fees[tag] += fee
        self._board.mark(spec.id, payoff, ts)
        self._exchange.force(spec, Side.SELL if held > 0 else Side.BUY, qty, payoff, fee, ts, tag)
