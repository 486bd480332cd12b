"""The user's own limits on orders: how large, how many, how far from the market, and what they may add up to."""

from collections import deque
from typing import NamedTuple

from backtester.core.board import Board
from backtester.core.events import OrderIntent, Reason, SanitizedOrder, Side
from backtester.core.folds import Ledger
from backtester.core.instruments import Instrument
from backtester.core.numbers import FLOOR, MONEY_EXPONENT, RATE_SCALE, decimal, fixed, mul_div
from backtester.core.time import MINUTE
from backtester.risk.blackouts import Blackouts
from backtester.risk.exposure import Claim, claims_of, rough_lots, worst_case
from backtester.risk.open_orders import OpenOrders
from backtester.risk.order_validation import Refusal, RoundedOrder, plain
from backtester.risk.restrictions import Level, Restrictions


class Cap(NamedTuple):
    """A limit of money (1e-8), or of a multiple of equity (1e-8)."""

    units: int
    of_equity: bool = False

    def at(self, equity_units: int) -> int:
        """Return the limit in money; who has no equity may open nothing."""
        return mul_div(max(0, equity_units), self.units, RATE_SCALE, FLOOR) if self.of_equity else self.units


class Limits(NamedTuple):
    """The limits of a run; None and 0 are none. price_collar: a fraction of the last price, 1e-8."""

    max_order_notional: Cap | None = None
    max_symbol_notional: Cap | None = None
    max_gross_exposure: Cap | None = None
    max_net_exposure: Cap | None = None
    max_leverage: Cap | None = None
    max_orders_per_minute: int = 0
    max_open_orders: int = 0
    price_collar: int = 0


class Asked(NamedTuple):
    """An order that is to be judged. opening: how much of it (10^-q, roughly, when it is sized at its fill) opens.

    qty_units: its quantity, as roughly. budget: the money (1e-8) that sizes it, or 0. replaces: the order that it would
    replace, or 0.
    """

    spec: Instrument
    side: Side
    oco: str
    rounded: RoundedOrder
    qty_units: int
    budget: int
    opening: int
    only_reduces: bool
    replaces: int

    @property
    def claim(self) -> Claim:
        """What it may add."""
        return Claim(self.spec.id, self.oco or "#", self.side, self.qty_units, self.rounded.price_units)


def asked_of(
    intent: OrderIntent,
    spec: Instrument,
    rounded: RoundedOrder,
    *,
    budget: int,
    opening: int,
    replaces: SanitizedOrder | None,
) -> Asked:
    """Return an order as it is judged; budget: the money (1e-8) that sizes it at its fill, or 0."""
    return Asked(
        spec,
        intent.side,
        intent.oco,
        rounded,
        rounded.qty_units or (rough_lots(spec, budget, rounded.price_units) if budget else 0),
        budget,
        opening,
        intent.terms.only_reduces,
        0 if replaces is None else replaces.order_id,
    )


class OrderLimiter:
    """Judges orders by limits, blackouts and restrictions, at the last prices.

    What only reduces is held up by the collar and a kill alone. Where nothing may be opened, or no more, an order that
    closes for now but might open the other side, once others have filled, goes on as reduce-only.
    """

    def __init__(
        self,
        limits: Limits,
        blackouts: Blackouts,
        restrictions: Restrictions,
        *,
        ledger: Ledger,
        board: Board,
    ) -> None:
        self.restrictions = restrictions
        self._limits = limits
        self._blackouts = blackouts
        self._ledger = ledger
        self._board = board
        self._sent: deque[int] = deque()

    def sent(self) -> None:
        """Count an order that was let through."""
        if self._limits.max_orders_per_minute:
            self._sent.append(self._board.now)

    def kill_refusal(self) -> Refusal | None:
        """Return why nothing at all is done any more, or None."""
        return self.restrictions.refusal() if self.restrictions.level is Level.KILLED else None

    def ruling(self, asked: Asked, open_orders: OpenOrders) -> Refusal | bool:
        """Return why an order may not go on; else whether it must go on as reduce-only."""
        closed = self.restrictions.refusal() or self._blackouts.refusal(self._board.now)
        if closed is not None and self.restrictions.level is Level.KILLED:
            return closed
        refused = self._collar_refusal(asked)
        if refused is not None:
            return refused
        if asked.opening and not (asked.spec.is_spot and asked.side is Side.SELL):
            return (
                closed
                or self._size_refusal(asked)
                or self._count_refusal(asked, open_orders)
                or self._exposure_refusal(asked, open_orders)
                or False
            )
        if asked.only_reduces or asked.spec.is_spot:
            return False
        return closed is not None or self._exposure_refusal(asked, open_orders) is not None

    def ruling_of_sliced(self, order: SanitizedOrder, spec: Instrument, opening: int) -> Refusal | bool:
        """Return why a sliced order may not begin; else whether it must only reduce. Its parts are judged one by one.

        opening: how much of it (10^-q) opens.
        """
        closed = self.restrictions.refusal() or self._blackouts.refusal(self._board.now)
        if closed is None or self.restrictions.level is Level.KILLED:
            return closed or False
        if order.terms.only_reduces or (spec.is_spot and order.side is Side.SELL):
            return False
        return closed if opening else True

    def _collar_refusal(self, asked: Asked) -> Refusal | None:
        collar, last = self._limits.price_collar, self._board.price_units.get(asked.spec.listed)
        if not collar or last is None:
            return None
        p = asked.spec.scale.price
        for price in filter(None, (asked.rounded.limit_units, asked.rounded.stop_units)):
            if abs(price - last) * RATE_SCALE > collar * last:
                allowed = plain(decimal(collar, MONEY_EXPONENT - 2))
                return Refusal(
                    Reason.PRICE_COLLAR,
                    {"price": fixed(price, p), "last": fixed(last, p), "price_collar_pct": allowed},
                )
        return None

    def _size_refusal(self, asked: Asked) -> Refusal | None:
        cap = self._limits.max_order_notional
        if cap is None:
            return None
        notional = asked.budget or asked.spec.notional_units(asked.qty_units, asked.rounded.price_units)
        notional = self._ledger.valuation.worth(asked.spec.settle, notional, self._board.price_units)
        allowed = cap.at(self._equity())
        if notional <= allowed:
            return None
        return Refusal(Reason.MAX_ORDER_NOTIONAL, {"notional": _money(notional), "max_order_notional": _money(allowed)})

    def _count_refusal(self, asked: Asked, open_orders: OpenOrders) -> Refusal | None:
        most, sent = self._limits.max_orders_per_minute, self._sent
        while sent and sent[0] <= self._board.now - MINUTE:
            sent.popleft()
        if 0 < most <= len(sent):
            return Refusal(Reason.MAX_ORDERS_PER_MINUTE, {"sent": str(len(sent)), "max_orders_per_minute": str(most)})
        most = self._limits.max_open_orders
        if most:
            found = len(open_orders.counted(without=asked.replaces))
            if found >= most:
                return Refusal(Reason.MAX_OPEN_ORDERS, {"open": str(found), "max_open_orders": str(most)})
        return None

    def _exposure_refusal(self, asked: Asked, open_orders: OpenOrders) -> Refusal | None:
        """Return the first exposure that would pass its limit, and what it could become without this order."""
        limits, listed = self._limits, asked.spec.listed
        caps = (limits.max_symbol_notional, limits.max_gross_exposure, limits.max_net_exposure, limits.max_leverage)
        if not any(caps):
            return None
        prices, equity = self._board.price_units, self._equity()
        others = claims_of(open_orders, self._ledger, prices, without=asked.replaces)
        before, after = (worst_case(self._ledger, claims, prices) for claims in (others, [*others, asked.claim]))
        found = (
            (Reason.MAX_SYMBOL_NOTIONAL, before.symbol.get(listed, 0), after.symbol[listed]),
            (Reason.MAX_GROSS_EXPOSURE, before.gross, after.gross),
            (Reason.MAX_NET_EXPOSURE, before.net, after.net),
            (Reason.MAX_LEVERAGE, before.gross, after.gross),
        )
        for cap, (reason, was, becomes) in zip(caps, found, strict=True):
            if cap is not None and becomes > max(was, cap.at(equity)):
                numbers = {"exposure": _money(becomes), "equity": _money(equity), str(reason): _shown(cap)}
                return Refusal(reason, numbers)
        return None

    def _equity(self) -> int:
        return self._ledger.equity_units(self._board.price_units)


def _money(units: int) -> str:
    return plain(decimal(units, MONEY_EXPONENT))


def _shown(cap: Cap) -> str:
    return f"{_money(cap.units)}{'x' if cap.of_equity else ''}"
