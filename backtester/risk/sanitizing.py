"""What makes an intent a sanitized order: rounding, rules, limits and funds; or the reason why it is none."""

from collections.abc import Mapping

from msgspec import structs

from backtester.core.board import Board
from backtester.core.events import OrderIntent, OrderKind, Reason, SanitizedOrder, Side, TrailingStopIntent
from backtester.core.folds import Ledger
from backtester.core.funds import Need, opening_qty
from backtester.core.instruments import Instrument, InstrumentId, is_one_strategy, split_holding
from backtester.core.numbers import decimal
from backtester.core.risk_events import ClosingIntent
from backtester.core.rules import InstrumentRules, OrderLimits
from backtester.core.time import format_time
from backtester.core.timeline import Timeline
from backtester.risk.brackets import attached_orders, rate_units
from backtester.risk.leverage import leverage_refusal
from backtester.risk.limits import Asked, OrderLimiter, asked_of
from backtester.risk.open_orders import OpenOrders
from backtester.risk.option_orders import closing_limit, option_refusal
from backtester.risk.order_funds import OrderFunds, money_text
from backtester.risk.order_validation import Refusal, RoundedOrder, SymbolSpecs, plain
from backtester.risk.pauses import Pauses
from backtester.risk.venue_filters import filters_refusal
from backtester.sim.brackets import BracketTable


class Sanitizer:
    """Judges one intent by how things are now, and changes nothing."""

    def __init__(
        self,
        specs: SymbolSpecs,
        ledger: Ledger,
        funds: OrderFunds,
        open_orders: OpenOrders,
        board: Board,
        *,
        allow_short: bool,
        pauses: Pauses,
        limiter: OrderLimiter | None,
        brackets: Mapping[InstrumentId, Timeline[BracketTable]],
    ) -> None:
        """limiter: the user's own limits. brackets: what the leverage of futures may be, by date."""
        self._specs = specs
        self._ledger = ledger
        self._funds = funds
        self._open_orders = open_orders
        self._board = board
        self._allow_short = allow_short
        self._pauses = pauses
        self._limiter = limiter
        self._brackets = brackets

    def known(self, instrument: InstrumentId) -> Instrument | None:
        """Return an instrument of the run; None also for a contract that nobody can know of yet."""
        return self._specs.get(instrument) if self._board.is_listed(instrument) else None

    def sanitized(
        self, intent: OrderIntent, order_id: int, replaces: SanitizedOrder | None = None
    ) -> SanitizedOrder | Refusal:
        """Return the order that an intent makes: rounded, sized, funded, with its exits, whose ids follow its own."""
        spec, now = self.known(intent.instrument), self._board.now
        if spec is None:
            return Refusal(Reason.UNKNOWN_INSTRUMENT, {})
        refused = self.contract_refusal(intent, spec)
        if refused is not None:
            return refused
        rounded = self._specs.rounded(intent, self._board.price_units.get(spec.listed), now)
        if isinstance(rounded, Refusal):
            return rounded
        if isinstance(intent, ClosingIntent) and spec.is_option:
            intent, rounded = closing_limit(
                intent, spec, rounded, self._specs.rules(spec.id, now).tick_units, self._board.price_units
            )
        order = self.conditions_refusal(intent, replaces) or self._funded(intent, spec, rounded, order_id, replaces)
        if isinstance(order, Refusal):
            return order
        if replaces is not None:
            order = structs.replace(
                order, replaces=replaces.order_id, parent_id=replaces.parent_id, attached=replaces.attached
            )
        elif intent.bracket is not None:
            tick = self._specs.rules(spec.id, now).tick_units
            attached = attached_orders(intent, intent.bracket, spec, tick, rounded.price_units, order.order_id)
            if isinstance(attached, Refusal):
                return attached
            order = structs.replace(order, attached=attached)
        return order

    def contract_refusal(self, intent: OrderIntent, spec: Instrument) -> Refusal | None:
        """Return why a contract cannot be traded at all, or not by such an order; brings the mark of an option."""
        if 0 < spec.expiry <= self._board.now:
            return Refusal(Reason.CONTRACT_EXPIRED, {"expiry": format_time(spec.expiry)})
        if not spec.is_option:
            return None
        if self._board.option_mark is not None:
            self._board.option_mark(spec.id)
        if not self._board.price_units.get(spec.underlying):
            return Refusal(Reason.NO_PRICE, {"why": "no row of the chain is known yet"})
        return None if isinstance(intent, ClosingIntent) else option_refusal(intent, spec, self._ledger)

    def conditions_refusal(self, intent: OrderIntent, replaces: SanitizedOrder | None) -> Refusal | None:
        """Return why an order may not be sent whatever its size, or None; a replacement keeps its client id."""
        if 0 < intent.terms.good_till <= self._board.now:
            return Refusal(Reason.GOOD_TILL, {"good_till": format_time(intent.terms.good_till)})
        if intent.algo_id and not self._open_orders.goes_on(intent.algo_id):
            return Refusal(Reason.PARENT_ENDED, {"order_id": str(intent.algo_id)})
        if replaces is None and intent.client_id and not intent.algo_id:  # a part goes by the name of its parent
            for order in self._open_orders:
                if order.client_id == intent.client_id and is_one_strategy(order.instrument, intent.instrument):
                    return Refusal(Reason.DUPLICATE_CLIENT_ID, {"order_id": str(order.order_id)})
        return None

    def _funded(
        self,
        intent: OrderIntent,
        spec: Instrument,
        rounded: RoundedOrder,
        order_id: int,
        replaces: SanitizedOrder | None,
    ) -> SanitizedOrder | Refusal:
        """Size an order and find the funds it binds."""
        if intent.oco and any(
            o.oco == intent.oco and o.instrument != spec.id and is_one_strategy(o.instrument, spec.id)
            for o in self._open_orders
        ):
            return Refusal(Reason.BAD_GROUP, {"oco": intent.oco, "why": "a group has one instrument"})
        rules, terms = self._specs.rules(spec.id, self._board.now), intent.terms
        limits = rules.limits(rounded.kind)
        budget = 0
        valued = self._specs.valued(intent, rounded, self._board.price_units.get(spec.listed))
        if intent.terms.close_position:
            need, opening = Need(spec.cash, 0), 0
        elif rounded.qty_units:
            need = self._funds.order_need(intent, spec, rounded, valued.price_units)
            opening = opening_qty(self._ledger, spec, intent.side, rounded.qty_units)
        else:
            sized = self._funds.budget(intent, spec, rounded, limits)
            if isinstance(sized, Refusal):
                return sized
            budget, need, opening = sized
        if intent.terms.reduce_only:
            need, opening = self._funds.reducing_need(intent, spec, rounded), 0
        refusal = self._opening_refusal(intent, spec, opening, limits) or leverage_refusal(
            self._brackets.get(spec.id), self._ledger, spec, intent.side, valued, budget, self._board.now
        )
        if refusal is not None:
            return refusal
        if rules.filters is not None or self._limiter is not None:
            asked = asked_of(intent, spec, rounded, budget=budget, opening=opening, replaces=replaces)
            ruling = self._ruling(intent, asked, rules)
            if isinstance(ruling, Refusal):
                return ruling
            terms = structs.replace(terms, reduce_only=True) if ruling else terms
        free = self._funds.free_for_order(intent, spec, need, rounded.qty_units, opening, valued.price_units)
        required = self._funds.required(need, intent.oco)
        if required > max(0, free):  # what needs nothing is never refused for want of it
            return Refusal(
                Reason.INSUFFICIENT_BALANCE,
                {"required": money_text(required), "free": money_text(free), "asset": split_holding(need.holding)[1]},
            )
        return SanitizedOrder(
            ts=self._board.now,
            order_id=order_id,
            instrument=spec.id,
            kind=rounded.kind,
            side=intent.side,
            qty_units=rounded.qty_units,
            budget_units=budget,
            limit_price_units=rounded.limit_units,
            stop_price_units=0 if rounded.kind is OrderKind.TRAILING_STOP else rounded.stop_units,
            trail_units=rate_units(intent.trail) if isinstance(intent, TrailingStopIntent) else 0,
            activation_price_units=rounded.stop_units if rounded.kind is OrderKind.TRAILING_STOP else 0,
            reserve_asset=split_holding(need.holding)[1],
            reserve_units=need.units,
            tag=intent.tag,
            oco=intent.oco,
            client_id=intent.client_id,
            terms=terms,
            algo_id=intent.algo_id,
            scale=spec.scale,
        )

    def _ruling(self, intent: OrderIntent, asked: Asked, rules: InstrumentRules) -> Refusal | bool:
        """Return why venue or user do not want an order, or whether it must become reduce-only."""
        if rules.filters is not None:
            last = self._board.price_units.get(asked.spec.listed)
            refusal = filters_refusal(rules.filters, asked, last, self._ledger, self._open_orders)
            if refusal is not None:
                return refusal
        if self._limiter is None or isinstance(intent, ClosingIntent):
            return False
        return self._limiter.ruling(asked, self._open_orders)

    def _opening_refusal(
        self, intent: OrderIntent, spec: Instrument, opening: int, limits: OrderLimits
    ) -> Refusal | None:
        """Return why a quantity may not open a position, or None."""
        if not opening:
            return None
        if intent.side is Side.SELL:
            if spec.is_spot:
                held = self._ledger.position(spec.id).qty_units
                shown = {"held": plain(decimal(held, spec.scale.qty))}
                return Refusal(Reason.SHORT_NOT_ALLOWED, shown) if held < limits.lot_units else None
            if not spec.is_option and not self._allow_short:
                return Refusal(Reason.SHORT_NOT_ALLOWED, {"risk.allow_short": "false"})
        since = self._pauses.since(spec.listed, self._board.now)
        return None if since is None else Refusal(Reason.PAUSED_AFTER_GAP, {"since": format_time(since)})
