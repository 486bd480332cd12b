"""Liquidation: who cannot keep a position has it closed by the exchange, before anything else of a candle.

Isolated positions fall at a price of their own, along the range of each candle. Positions with cross margin fall
together: at the opens, then with all adverse extremes at once, then at the closes.
"""

from collections import Counter
from functools import partial
from typing import Protocol

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import Cashflow, Fill, Reason, Side
from backtester.core.folds import Ledger
from backtester.core.instruments import Holding, Instrument, InstrumentId
from backtester.core.margin_events import MarginAlert, MarginState, MarginTermsSet
from backtester.core.market import Dues, MarketCandle, MarketOpen, MarketTrade
from backtester.core.numbers import FLOOR, MONEY_EXPONENT, RATE_SCALE, fixed, mul_div
from backtester.core.time import DAY
from backtester.core.topics import T_CASHFLOWS, T_DUES, T_FILLS, T_MARGIN, T_MARGIN_TERMS, T_MARKET, T_OPENS
from backtester.execution.exchange_rules import ExchangeRules
from backtester.execution.insurance import InsuranceFund
from backtester.execution.mark_path import Path
from backtester.execution.quiet import WIDTHS, Quiet
from backtester.execution.secured_positions import SecuredPositions
from backtester.sim.contracts import terms_of
from backtester.sim.liquidation import (
    NO_PRICE,
    Leg,
    is_liquidated,
    liquidation_result,
)

_CALL_RATE = 80 * RATE_SCALE // 100  # maintenance margin over balance at which the venue warns


class Exchange(Protocol):
    """What the exchange does for a liquidation."""

    def rest(self, instrument: InstrumentId) -> None:
        """Hear of no trade in an instrument while none can matter to an order."""

    def withdraw(self, instrument: InstrumentId, reason: Reason, candle: MarketCandle | None = None) -> None:
        """Take back all working orders of an instrument; candle: along which it is liquidated."""

    def force(self, spec: Instrument, side: Side, qty: int, price: int, fee: int, ts: int, tag: str) -> Fill:
        """Close a part of a position by an order of the exchange's own."""


class Liquidator:
    """Watches over positions in futures while there are any.

    liquidated, calls: how often parts of positions were closed, and how often that came near. insurance: what
    pays for those that lost more than secured them.
    """

    def __init__(self, exchange: Exchange, rules: ExchangeRules, ledger: Ledger, board: Board, bus: Bus) -> None:
        """Wire the component; ledger: the exchange's own, only read here."""
        self.liquidated: Counter[InstrumentId] = Counter()
        self.calls: Counter[InstrumentId] = Counter()
        self.insurance = InsuranceFund(bus)
        self._exchange = exchange
        self._rules = rules
        self._ledger = ledger
        self._board = board
        self._bus = bus
        self._tick = 0
        self._candles: dict[InstrumentId, MarketCandle] = {}  # of this tick
        self._paths: dict[InstrumentId, Path] = {}
        self._called: set[InstrumentId] = set()
        self._held = SecuredPositions(ledger, rules.brackets, self.insurance, board)
        self._sides = self._held.sides
        self._seen: dict[InstrumentId, int] = {}  # where the last candle of each left it
        self._quiet = Quiet(rules.tapes, board)
        self._sought = False  # in this tick, before its candles were judged
        self._market = bus.subscribe(T_MARKET, self.on_market)
        self._market.pause()  # until something is held
        bus.subscribe(T_OPENS, self.on_open)
        bus.subscribe(T_FILLS, self.on_fill)
        bus.subscribe(T_CASHFLOWS, self.on_cashflow)
        bus.subscribe(T_MARGIN_TERMS, self.on_terms)
        bus.subscribe(T_DUES, self.on_dues)

    def on_fill(self, fill: Fill) -> None:
        """Begin to watch, or cease to."""
        self._quiet.forget()
        if fill.instrument not in self._ledger.positions:
            self._called.discard(fill.instrument)
        if self._held.positions():
            self._market.resume()
        else:
            self._market.pause()
            self._seen = {}

    def on_cashflow(self, flow: Cashflow) -> None:
        """What the insurance fund paid is in the account now."""
        self._quiet.forget()
        self.insurance.settle(flow)

    def on_terms(self, terms: MarginTermsSet) -> None:  # noqa: ARG002 - the ledger has folded it
        """Look again at all: what secures positions is another now."""
        self._quiet.forget()

    def on_open(self, opened: MarketOpen) -> None:
        """Judge what is held by an open, before an order that waits for it closes at a price that bankrupts."""
        at, instrument = opened.price_units, opened.instrument
        if not self._is_held(instrument) or self._quiet.covers(instrument, at, at, opened.ts):
            return
        self._candles, self._paths = {}, {}
        if self._is_cross(instrument):
            markets = self._held.listed(self._held.crossed())
            self._cross({i: at if i == instrument else self._last(i) for i in markets}, opened.ts)
        if instrument in self._rules.brackets:
            self._isolated_sides(instrument, Path(at, at, at, at), opened.ts)

    def on_market(self, market: MarketCandle | MarketTrade) -> None:
        """Judge what is held by a candle that closed, before any order meets it; by trades only at their last."""
        instrument, ts = market.instrument, market.ts
        if instrument not in self._rules.brackets:
            return
        if isinstance(market, MarketTrade):
            if self._quiet.covers(instrument, market.price_units, market.price_units, ts):
                self._exchange.rest(instrument)
            else:
                self._quiet.forget()
            return
        is_held = self._is_held(instrument)
        if not is_held and instrument not in self._rules.mark_paths:
            self._seen[instrument] = market.close_units
            return
        path, _ = self._path_of(market)
        if is_held and not self._is_quiet(instrument, path, ts):
            self._quiet.forget()
            if self._is_cross(instrument):
                assets = self._held.cross_assets()
                for asset in assets:
                    self._cross_in(asset, {i: self._open(i) for i in self._held.listed(self._held.crossed(asset))}, ts)
                for asset in assets:
                    while self._cross_in(asset, self._adverse(asset, ts), ts):
                        pass  # what is left of a hedge may be hurt by the other extreme
            self._isolated_sides(instrument, path, ts)
        self._seen[instrument] = path.close

    def _path_of(self, candle: MarketCandle) -> tuple[Path, bool]:
        """Return by what of a candle positions are judged, noted for its tick, and whether marks say it."""
        if candle.ts != self._tick:
            self._tick, self._candles, self._paths = candle.ts, {}, {}
            self._sought = False
        marks = self._rules.mark_paths.get(candle.instrument)
        path = None if marks is None else marks.over(candle.open_time, candle.ts)
        traded = Path(candle.open_units, candle.low_units, candle.high_units, candle.close_units)
        self._candles[candle.instrument], self._paths[candle.instrument] = candle, path or traded
        return path or traded, path is not None

    def judge_entry(
        self, instrument: InstrumentId, candle: MarketCandle, ahead: tuple[int, int], *, by_marks: bool
    ) -> None:
        """Judge a position that grew within a candle by the prices that may have come after that.

        Args:
            ahead: the lowest and the highest of them.
            by_marks: where marks are known, by all of the candle's: when they were there nobody knows.
        """
        path, marked = self._path_of(candle)
        low, high = (path.low, path.high) if marked and by_marks else ahead
        self._quiet.forget()
        is_long = self._ledger.position(instrument).qty_units > 0
        if instrument not in self._ledger.margin.cross:
            self._isolated(instrument, Path(high if is_long else low, low, high, path.close), candle.ts)
            return
        prices = {i: self._last(i) for i in self._held.listed(self._held.crossed())}
        self._cross(prices | {candle.instrument: low if is_long else high}, candle.ts)

    def _is_quiet(self, instrument: InstrumentId, path: Path, ts: int) -> bool:
        """Say whether a candle needs no look; where nothing is known any more, ask once a tick."""
        if not self._quiet.till and not self._sought:
            self._sought = True
            self._find_quiet(ts)
        return self._quiet.covers(instrument, path.low, path.high, ts)

    def on_dues(self, dues: Dues) -> None:
        """Judge what is held by the last prices, and warn of what comes near."""
        if dues.ts >= self._quiet.till:
            held = self._held.positions()
            last = {i: self._last(i) for i in self._held.listed(held)}
            self._candles = {}  # what was traded along them is over
            self._cross(last, dues.ts)
            for listed, at in last.items():
                self._isolated_sides(listed, Path(at, at, at, at), dues.ts)
            held = self._held.positions()
            for group, wallet in self._held.secured(held):
                self._warn(group, wallet, last, dues.ts)
            if held:
                self._find_quiet(dues.ts)
            else:
                self._quiet.end()
        self._board.want_dues(self._quiet.till)

    def _find_quiet(self, ts: int) -> None:
        """Look for corridors around the last prices in which nothing can come, the same part of each price wide.

        Both conditions only worsen toward one end of each, and maintenance margin grows toward the upper one.
        """
        held = self._held.positions()
        if self._rules.margin.collateral:  # its worth moves, too
            return
        if self._called.isdisjoint(held):
            last = {i: self._last(i) for i in self._held.listed(held)}
            for width in WIDTHS:
                bands = {i: (at - at // width, at + at // width) for i, at in last.items()}
                if not self._is_near(bands, ts):
                    self._quiet.begin(bands, ts - ts % DAY + DAY)  # leverage tables change at midnight
                    return

    def _is_near(self, bands: dict[InstrumentId, tuple[int, int]], ts: int) -> bool:
        """Say whether a call, of which every liquidation is one, could come of prices within bands.

        What two sides of a hedge win and lose goes by one price.
        """
        for group, wallet in self._held.secured(self._held.positions()):
            worst = keeps = 0
            for listed, (low, high) in bands.items():
                own = [i for i in self._sides[listed] if i in group]
                worst += min(sum(self._ledger.unrealised_units(i, end) for i in own) for end in (low, high))
                keeps += max(sum(self._held.maintenance(i, end, ts) for i in own) for end in (low, high))
            if _is_call(wallet + worst, keeps):
                return True
        return False

    def _is_held(self, listed: InstrumentId) -> bool:
        positions, sides = self._ledger.positions, self._sides[listed]  # asked at every candle
        return sides[0] in positions or (len(sides) > 1 and not positions.keys().isdisjoint(sides))

    def _is_cross(self, listed: InstrumentId) -> bool:
        return not self._ledger.margin.cross.isdisjoint(self._sides[listed])

    def _last(self, listed: InstrumentId) -> int:
        """Return where the last candle left an instrument, by its mark where known; on a tape the last trade."""
        seen = None if listed in self._rules.tapes else self._seen.get(listed)
        return self._board.price_units[listed] if seen is None else seen

    # --- isolated ------------------------------------------------------------------------------------------------

    def _isolated_sides(self, listed: InstrumentId, path: Path, ts: int) -> None:
        """Judge what is held of an instrument with isolated margin, each side by its own."""
        for side in self._sides[listed]:
            if side in self._ledger.positions and side not in self._ledger.margin.cross:
                self._isolated(side, path, ts)

    def _isolated(self, instrument: InstrumentId, path: Path, ts: int) -> None:
        """Reduce a position bracket by bracket, as long as the path reaches a price at which it falls."""
        spec = self._ledger.instruments[instrument]
        terms = terms_of(spec)
        while qty := self._ledger.position(instrument).qty_units:
            leg = Leg(qty, self._ledger.position(instrument).basis_units)
            wallet = self._held.isolated_wallet(instrument)
            table = self._rules.brackets[instrument].at(ts)
            band = terms.band(wallet, (leg,), table)
            if not band.is_reached(path.low, path.high):
                return
            at = band.lower if qty > 0 else band.upper
            price = path.open if at == NO_PRICE else min(path.open, at) if qty > 0 else max(path.open, at)
            price = self._traded(spec.listed, price)
            equity = wallet + spec.profit_units(qty, leg.basis, price)
            step = terms.reduction(qty, price, self._lot(instrument, ts), table)
            self._close(spec, step if equity > 0 else abs(qty), price, wallet, ts)

    def _close(self, spec: Instrument, qty: int, price: int, wallet: int, ts: int) -> None:
        """Close a part at a price; fee and shortfall are those of its share of the wallet."""
        position = self._ledger.position(spec.id)
        held, basis = abs(position.qty_units), abs(position.basis_units)
        side = Side.SELL if position.qty_units > 0 else Side.BUY
        share = wallet if qty == held else mul_div(wallet, qty, held, FLOOR)
        released = basis if qty == held else mul_div(basis, qty, held, FLOOR)
        worth = spec.notional_units(qty, price)
        balance = share + spec.gain * (worth - released if side is Side.SELL else released - worth)
        self._execute(spec, side, qty, price, balance, ts)

    def _execute(self, spec: Instrument, side: Side, qty: int, price: int, balance: int, ts: int) -> None:
        rate = self._rules.liquidation_fees.get(spec.id, 0)
        result = liquidation_result(balance, spec.notional_units(qty, price), rate)
        self.liquidated[spec.id] += 1
        self._alert(MarginState.LIQUIDATED, spec.id, balance, price, ts)
        self._exchange.withdraw(spec.id, Reason.LIQUIDATION, self._candles.get(spec.listed))
        self.insurance.pay(spec, result.shortfall, ts)
        self._exchange.force(spec, side, qty, price, result.fee, ts, Reason.LIQUIDATION.value)

    def balance_at(self, instrument: InstrumentId, price: int) -> int:
        """Return what secures a position, with its profit at a price; with cross margin what others have stands for it,
        so that only the last one's loss can be more than all.
        """
        position, spec = self._ledger.position(instrument), self._ledger.instruments[instrument]
        profit = spec.profit_units(position.qty_units, position.basis_units, price)
        if instrument not in self._ledger.margin.cross:
            return self._held.isolated_wallet(instrument) + profit
        others = [i for i in self._held.crossed(spec.cash) if i != instrument]
        balance = self._held.cross_wallet(spec.cash, whole=True) + profit
        balance += sum(self._ledger.unrealised_units(i, self._last(self._ledger.instruments[i].listed)) for i in others)
        return max(0, balance) if others else balance

    def _traded(self, listed: InstrumentId, price: int) -> int:
        """Return the price within the candle that is judged: nobody sells where nobody bought, whatever the mark."""
        candle = self._candles.get(listed)
        return price if candle is None else min(max(price, candle.low_units), candle.high_units)

    # --- cross ---------------------------------------------------------------------------------------------------

    def _open(self, listed: InstrumentId) -> int:
        """Return an open of this tick; the last price of what had no candle yet."""
        path = self._paths.get(listed)
        return self._last(listed) if path is None else path.open

    def _adverse(self, asset: Holding, ts: int) -> dict[InstrumentId, int]:
        """Return the extremes that hurt what an asset secures; the last price of what had no candle yet. Of two sides
        only one can be hurt at a time: the extreme that leaves both together less.
        """
        found = {}
        for listed in self._held.listed(self._held.crossed(asset)):
            path = self._paths.get(listed)
            if path is None:
                found[listed] = self._last(listed)
                continue
            legs = self._held.legs(listed, asset)
            if len(legs) == 1:
                found[listed] = path.low if legs[0].qty > 0 else path.high
            else:
                found[listed] = min(path.low, path.high, key=partial(self._held.surplus, listed, asset, ts=ts))
        return found

    def _cross(self, prices: dict[InstrumentId, int], ts: int) -> bool:
        """Judge the positions of each wallet's asset together at these prices, by listed instrument; return whether
        anything was closed.
        """
        closed = False
        for asset in self._held.cross_assets():
            closed |= self._cross_in(asset, prices, ts)
        return closed

    def _cross_in(self, asset: Holding, prices: dict[InstrumentId, int], ts: int) -> bool:
        """Reduce the position that must keep most, bracket by bracket, until the rest is safe."""
        specs, closed = self._ledger.instruments, False
        while held := self._held.crossed(asset):
            wallet = self._held.cross_wallet(asset)
            surplus = sum(self._held.surplus(i, asset, prices[i], ts) for i in self._held.listed(held))
            if not is_liquidated(wallet, surplus):
                break
            closed = True
            keeps = {i: self._held.maintenance(i, prices[specs[i].listed], ts) for i in held}
            worst = max(held, key=lambda i: (keeps[i], i))
            qty = self._ledger.position(worst).qty_units
            table = self._rules.brackets[worst].at(ts)
            market = specs[worst].listed
            price = self._traded(market, prices[market])
            closes_at = {**prices, market: price}
            balance = self._held.cross_wallet(asset, whole=True)
            balance += sum(self._ledger.unrealised_units(i, closes_at[specs[i].listed]) for i in held)
            step = terms_of(specs[worst]).reduction(qty, price, self._lot(worst, ts), table)
            size = abs(qty) if balance <= 0 else step
            last = len(held) == 1 and size == abs(qty)
            side = Side.SELL if qty > 0 else Side.BUY
            # what the others still have stands for this one: only the last one's loss can be more than all
            self._execute(specs[worst], side, size, price, balance if last else max(0, balance), ts)
        return closed

    def _lot(self, instrument: InstrumentId, ts: int) -> int:
        return self._rules.rules[instrument].at(ts).at_market.lot_units

    # --- warnings ------------------------------------------------------------------------------------------------

    def _warn(self, group: list[InstrumentId], wallet: int, last: dict[InstrumentId, int], ts: int) -> None:
        """Say once that maintenance margin has come to most of the balance; again after it was less."""
        at = {i: last[self._ledger.instruments[i].listed] for i in group}
        balance = wallet + sum(self._ledger.unrealised_units(i, at[i]) for i in group)
        keeps = sum(self._held.maintenance(i, at[i], ts) for i in group)
        if not _is_call(balance, keeps):
            self._called.difference_update(group)
            return
        for instrument in group:
            if instrument not in self._called:
                self._called.add(instrument)
                self.calls[instrument] += 1
                self._alert(MarginState.CALL, instrument, balance, at[instrument], ts)

    def _alert(self, state: MarginState, instrument: InstrumentId, balance: int, price: int, ts: int) -> None:
        spec = self._ledger.instruments[instrument]
        numbers = {
            "price": fixed(price, spec.scale.price),
            "balance": fixed(balance, MONEY_EXPONENT),
            "maintenance": fixed(self._held.maintenance(instrument, price, ts), MONEY_EXPONENT),
        }
        self._bus.publish(T_MARGIN, MarginAlert(ts=ts, instrument=instrument, state=state, numbers=numbers))


def _is_call(balance: int, keeps: int) -> bool:
    """Say whether maintenance margin has come to most of a balance."""
    return keeps * RATE_SCALE >= balance * _CALL_RATE
