"""Working orders meet a closed candle, along the path that the run assumes. The rules are those of `sim`."""

from collections.abc import Mapping
from typing import Protocol

from backtester.core.events import Liquidity, OrderKind, Reason
from backtester.core.market import MarketCandle
from backtester.execution.orders import WorkingOrder
from backtester.execution.pool import Pool
from backtester.sim.matching import NO_FILL, stop_is_through
from backtester.sim.paths import (
    PESSIMISTIC,
    corners,
    limit_on_leg,
    surely_filled,
    trail_on_leg,
    trigger_on_leg,
)
from backtester.sim.trailing import trail_fires_at_open


class Exchange(Protocol):
    """What a meeting does to orders."""

    def trigger(self, working: WorkingOrder) -> None:
        """Let an order enter the market."""

    def execute(
        self, working: WorkingOrder, price: int, liquidity: Liquidity, ts: int, pool: Pool
    ) -> list[WorkingOrder]:
        """Fill an order as far as the pool reaches, or end it; return what came to life and still works."""

    def expire(self, working: WorkingOrder, reason: Reason) -> None:
        """End an order."""


class Meeting:
    """One candle and the orders that work along it.

    met: some order did from its open on. ambiguous: another path might have ended otherwise. ahead: the lowest and the
    highest price that may come after what executes now.

    What is left of an order that the pool could not fill is done with this candle. watches: whether what waits for a
    trigger looks at this candle.
    """

    def __init__(
        self,
        exchange: Exchange,
        book: Mapping[int, WorkingOrder],
        candle: MarketCandle,
        pool: Pool,
        *,
        path: int,
        touch_fills: bool,
        watches: bool = True,
    ) -> None:
        self.ambiguous = False
        self.ahead = (candle.low_units, candle.high_units)
        self._exchange = exchange
        self._book = book
        self._candle = candle
        self._pool = pool
        self._path = path
        self._touch = touch_fills
        self._watches = watches
        self._orders = [
            w for w in book.values() if not w.waits_for_open and w.accepted <= candle.open_time and self._takes_part(w)
        ]
        self._born_within: set[int] = set()
        self._done: set[int] = set()
        self._triggered_at: dict[int, int] = {}  # where take-profits triggered that rest now, by order
        self.met = bool(self._orders)

    def run(self) -> None:
        """Let every order meet the candle: at its open, then along its path."""
        candle = self._candle
        for working in self._orders:  # and what these bring to life at the open
            if self._open_decides(working):
                self._meet(working, self._price_at_open(working), candle.open_time)
        hits = [(w, price) for w in self._alive() if (price := self._price(w)) != NO_FILL]
        helpful = [(w, price) for w, price in hits if w.favours_trader]
        harmful = [(w, price) for w, price in hits if not w.favours_trader]
        self.ambiguous = self.ambiguous or bool(helpful and harmful)
        if self._path == PESSIMISTIC:
            for working, price in harmful:
                self._meet(working, price, candle.ts)
            self._meet_the_nearest_first(helpful)
            self._follow_what_is_known()
        elif hits or any(w.is_trailing for w in self._orders):
            self._walk(-sum(w.sign for w, _ in helpful))
        for working in self._orders:
            working.takes_at_open = False

    def _meet_the_nearest_first(self, hits: list[tuple[WorkingOrder, int]]) -> None:
        """Let limits and take-profits fill from the open outwards, for no path meets the farther one first."""
        open_ = self._candle.open_units
        while hits:
            working, price = min(hits, key=lambda hit: abs(hit[1] - open_))
            hits.remove((working, price))
            if working.order.order_id in self._triggered_at:
                self._live_within([working], self._triggered_at.pop(working.order.order_id))
            else:
                self._meet(working, price, self._candle.ts)
                if working.order.order_id in self._triggered_at:  # it rests, farther out or where it triggered
                    hits.append((working, working.order.limit_price_units))

    def _takes_part(self, working: WorkingOrder) -> bool:
        return self._watches or not working.waits_for_trigger

    def _alive(self) -> list[WorkingOrder]:
        return [w for w in self._orders if w.order.order_id in self._book and w.order.order_id not in self._done]

    # --- one order and the candle as a whole ---------------------------------------------------------------------

    def _open_decides(self, working: WorkingOrder) -> bool:
        """Say whether the order executes at the open itself, before anything else of the candle."""
        order, open_ = working.order, self._candle.open_units
        if not working.waits_for_trigger:
            return working.takes_at(open_, self._touch)
        if working.is_trailing:
            return trail_fires_at_open(working.sign, working.peak, order.trail_units, open_)
        return stop_is_through(working.direction, order.stop_price_units, open_)

    def _price_at_open(self, working: WorkingOrder) -> int:
        """Return the open; for a limit that rested before it, its limit: who moved the market there came through it."""
        rests = not (working.waits_for_trigger or working.takes_at_open)
        return working.order.limit_price_units if rests else self._candle.open_units

    def _price(self, working: WorkingOrder, open_: int = 0) -> int:
        """Return where some path from the open, or from another price, fills or triggers the order, or NO_FILL."""
        candle = self._candle
        return working.met_at(open_ or candle.open_units, candle.high_units, candle.low_units, self._touch)

    def _surely(self, working: WorkingOrder, born: int, *, after: bool) -> bool:
        """Say whether every path from a price within the candle fills or triggers the order."""
        if working.is_trailing:
            return False
        candle, waits = self._candle, working.waits_for_trigger
        return surely_filled(
            -working.direction if waits else working.sign,
            working.order.stop_price_units if waits else working.order.limit_price_units,
            born,
            born if after else candle.open_units,
            candle.high_units,
            candle.low_units,
            candle.close_units,
            waits or self._touch,
        )

    # --- what happens --------------------------------------------------------------------------------------------

    def _meet(self, working: WorkingOrder, price: int, ts: int) -> None:
        order_id = working.order.order_id
        if order_id not in self._book or order_id in self._done:
            return  # its group ended a moment ago, or there is nothing left to take
        if not working.waits_for_trigger:
            liquidity = Liquidity.TAKER if working.takes_at_open else Liquidity.MAKER
            born = self._execute(working, price, liquidity, ts)
        else:
            self._exchange.trigger(working)
            if not working.order.limit_price_units or working.takes_at(price, False):
                born = self._execute(working, price, Liquidity.TAKER, ts)
            elif working.order.terms.at_once:
                self._exchange.expire(working, Reason.NOT_FILLED_AT_ONCE)
                born = []
            elif self._touch and price == working.order.limit_price_units:  # it rests there, and is touched
                born = self._execute(working, price, Liquidity.MAKER, ts)
            else:
                born = self._rest(working, price, ts)
        born = [w for w in born if self._takes_part(w)]
        self._orders += [w for w in born if w is not working]
        if ts != self._candle.open_time:  # what lives since the open meets the candle like all others
            self._live_within(born, price, after=order_id in self._born_within)

    def _rest(self, working: WorkingOrder, price: int, ts: int) -> list[WorkingOrder]:
        """Let what triggered rest at its limit; return it, unless what it may still meet is looked at later.

        On the pessimistic path the others of a stop's group miss the candle, for on the way to them it may have filled.
        """
        if self._path != PESSIMISTIC or ts == self._candle.open_time:
            return [working]
        if working.order.kind is OrderKind.TAKE_PROFIT_LIMIT:
            self._triggered_at[working.order.order_id] = price
            return []
        if group := working.order.oco:
            self._done |= {w.order.order_id for w in self._orders if w.order.oco == group and w is not working}
        return [working]

    def _execute(self, working: WorkingOrder, price: int, liquidity: Liquidity, ts: int) -> list[WorkingOrder]:
        born = self._exchange.execute(working, price, liquidity, ts, self._pool)
        if working.order.order_id in self._book:
            self._done.add(working.order.order_id)
        return born

    def _live_within(self, born: list[WorkingOrder], price: int, *, after: bool = False) -> None:
        """Let what came to life at a price within the candle meet the rest of it; after: not at the first passage."""
        for working in born:
            if working.order.order_id not in self._book:
                continue
            self._born_within.add(working.order.order_id)
            reached, surely = self._price(working, price), self._surely(working, price, after=after)
            self.ambiguous = self.ambiguous or (reached != NO_FILL) != surely
            if self._path == PESSIMISTIC and reached != NO_FILL and (surely or not working.favours_trader):
                self._meet(working, reached, self._candle.ts)

    def live_from(self, born: list[WorkingOrder], price: int) -> None:
        """Let what came to life at some unknown moment, after all else, meet what of the candle came after that.

        On every path what the close is beyond executes; what another path might have reached before the close only on
        the pessimistic one, and only against the trader.
        """
        born = [w for w in born if self._takes_part(w)]
        self._orders += born
        self.met = self.met or bool(born)
        self._born_within |= {w.order.order_id for w in born}
        sure = [w for w in born if self._surely(w, price, after=True)]
        self._live_within([w for w in born if w not in sure], price, after=True)
        for working in sure:
            self._meet(working, self._price(working, price), self._candle.ts)
        for working in born:
            if working.is_trailing and working.order.order_id in self._book:
                working.see(self._candle.close_units)

    def _follow_what_is_known(self) -> None:
        """Let trailing stops follow: to the best price, or if they came later to what surely came after them."""
        candle = self._candle
        for working in self._alive():
            if working.is_trailing and working.order.order_id in self._born_within:
                working.see(candle.close_units)
            elif working.is_trailing:
                working.see(candle.high_units if working.sign < 0 else candle.low_units)

    # --- a path that is walked -----------------------------------------------------------------------------------

    def _walk(self, favour: int) -> None:
        """Go from open over both extremes to the close and trigger orders as they are met."""
        candle = self._candle
        at = candle.open_units
        ends = [at, *corners(self._path, at, candle.high_units, candle.low_units, favour), candle.close_units]
        for place, end in enumerate(ends):
            while (hit := self._next_on_leg(at, end)) is not None:
                working, at = hit
                self.ahead = (min(at, *ends[place:]), max(at, *ends[place:]))
                self._meet(working, at, candle.ts)
            at = end
            for working in self._orders:
                if working.is_trailing:
                    working.see(end)

    def _next_on_leg(self, start: int, end: int) -> tuple[WorkingOrder, int] | None:
        """Return the order that a straight move meets first, and where; at one price stops come first, then age."""
        met = [
            (abs(price - start), w.favours_trader, place, w, price)
            for place, w in enumerate(self._alive())
            if (price := self._on_leg(w, start, end)) != NO_FILL
        ]
        if not met:
            return None
        *_, working, price = min(met, key=lambda hit: hit[:3])
        return working, price

    def _on_leg(self, working: WorkingOrder, start: int, end: int) -> int:
        order = working.order
        if not working.waits_for_trigger:
            return limit_on_leg(working.sign, order.limit_price_units, start, end, self._touch)
        if working.is_trailing:
            return trail_on_leg(working.sign, working.peak, order.trail_units, start, end)
        return trigger_on_leg(working.direction, order.stop_price_units, start, end)
