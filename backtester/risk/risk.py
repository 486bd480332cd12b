"""Risk: turns order intents into sanitized orders with reserved funds, or refuses them with a reason."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import structs

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import (
    AnyIntent,
    CancelIntent,
    Cashflow,
    Fill,
    IcebergIntent,
    MultiLegIntent,
    OrderIntent,
    OrderKind,
    OrderRejected,
    OrderUpdate,
    Reason,
    ReduceOnlyIntent,
    ReplaceIntent,
    SanitizedCancel,
    SanitizedOrder,
    SanitizedReduceOnly,
    Side,
    TrailingStopIntent,
    TwapIntent,
)
from backtester.core.folds import Ledger, Reservations
from backtester.core.funds import (
    Need,
    affordable_budget,
    bound_units,
    budget_need,
    opening_qty,
    order_need,
    released_units,
    sellable_units,
)
from backtester.core.instruments import Holding, Instrument, InstrumentId, is_one_strategy, split_holding
from backtester.core.numbers import FLOOR, MONEY_EXPONENT, decimal, floor_to, units_of
from backtester.core.risk_events import ClosingIntent
from backtester.core.rules import InstrumentRules, OrderLimits
from backtester.core.time import format_time
from backtester.core.timeline import Timeline
from backtester.core.topics import (
    T_CASHFLOWS,
    T_CONTROL,
    T_FILLS,
    T_ORDERS_CHANGED,
    T_ORDERS_INTENT,
    T_ORDERS_REJECTED,
    T_ORDERS_SANITIZED,
    T_ORDERS_UPDATE,
    T_RISK_ALERT,
    T_TRANSFERS,
)
from backtester.core.transfer_events import Transfer, TransferIntent
from backtester.risk.brackets import attached_orders, rate_units
from backtester.risk.exposure import rough_lots
from backtester.risk.leverage import leverage_refusal
from backtester.risk.limits import Asked, OrderLimiter, asked_of
from backtester.risk.open_orders import OpenOrders
from backtester.risk.option_orders import closing_limit, leg_refusal, option_refusal, singles_of
from backtester.risk.order_validation import Refusal, RoundedOrder, SymbolSpecs, plain
from backtester.risk.parents import parent_order
from backtester.risk.pauses import Pauses
from backtester.risk.position_sides import held_to_its_side, side_refusal
from backtester.risk.replacing import changed_intent
from backtester.risk.sizing import Sizing
from backtester.risk.transfers import judged_transfer
from backtester.risk.venue_filters import filters_refusal
from backtester.sim.brackets import BracketTable


class Risk:
    """Rounds, sizes, and reserves funds per open order, first come first served.

    A reservation ends with its order. What a cancel request names counts as free for later intents of the same
    tick, because the exchange hears of the cancel first.
    """

    def __init__(
        self,
        specs: SymbolSpecs,
        ledger: Ledger,
        board: Board,
        bus: Bus,
        *,
        worst_fee_rates: Mapping[InstrumentId, Timeline[int]],
        allow_short: bool,
        sizing: Mapping[str, Sizing],
        candle_us: Mapping[InstrumentId, int],
        paused: Mapping[InstrumentId, Sequence[tuple[int, int]]] | None = None,
        limiter: OrderLimiter | None = None,
        travel: bool = False,
        brackets: Mapping[InstrumentId, Timeline[BracketTable]] | None = None,
    ) -> None:
        """Wire the component.

        sizing: finds sizes, for each strategy of the run; "" for the only one. candle_us: length of the candles that
        execute, µs. paused: the spans [from, to) of ticks in which no
        position may be opened. limiter: the user's own limits. travel: orders take time to reach the exchange.
        brackets: what the leverage of futures may be, by date.
        """
        self._specs = specs
        self._ledger = ledger
        self._board = board
        self._bus = bus
        self._worst_fee_rates = worst_fee_rates
        self._allow_short = allow_short
        self._sizing = sizing
        self._candle_us = candle_us
        self._pauses = Pauses(paused or {})
        self._reservations = Reservations()
        self._wallets = {spec.wallet for spec in ledger.instruments.values()}
        self._limiter = limiter
        self._brackets = brackets or {}
        self.open_orders = OpenOrders(travel=travel)
        self._last_order_id = 0
        if limiter is not None:
            bus.subscribe(T_RISK_ALERT, limiter.restrictions.on_alert, type(self).__name__)
            bus.subscribe(T_CONTROL, limiter.restrictions.on_control, type(self).__name__)
        bus.subscribe(T_ORDERS_INTENT, self.on_intent)
        bus.subscribe(T_ORDERS_CHANGED, self.on_changed)
        bus.subscribe(T_ORDERS_REJECTED, self.on_rejected)
        bus.subscribe(T_ORDERS_UPDATE, self.on_update)
        bus.subscribe(T_FILLS, self.on_fill)
        bus.subscribe(T_CASHFLOWS, self.on_cashflow)

    # --- intents -------------------------------------------------------------------------------------------------

    def on_intent(self, intent: AnyIntent | TransferIntent) -> None:
        """Send an order, a replacement, a cancel or a transfer on, or refuse it."""
        match intent:
            case TransferIntent():
                self._on_transfer(intent)
            case CancelIntent():
                self._on_cancel(intent)
            case ReplaceIntent():
                self._on_replace(intent)
            case ReduceOnlyIntent():
                self._on_reduce_only(intent)
            case MultiLegIntent():
                self._on_combo(intent)
            case _:
                self._on_order(intent)

    def _on_order(self, intent: OrderIntent) -> None:
        refusal = side_refusal(intent, self._specs)
        if refusal is not None:
            self._refuse(intent, refusal)
            return
        if self._known(intent.instrument) is None:
            self._refuse(intent, Refusal(Reason.UNKNOWN_INSTRUMENT, {}))
            return
        intent = held_to_its_side(intent, self._specs)
        if isinstance(intent, TwapIntent | IcebergIntent):
            self._on_sliced(intent)
            return
        order = self._sanitized(intent) if intent.has_size else self._sized(intent)
        if isinstance(order, Refusal):
            self._refuse(intent, order)
        else:
            self._send(order)

    def _on_transfer(self, intent: TransferIntent) -> None:
        """Let money move that nothing binds; a kill holds it where it is."""
        killed = None if self._limiter is None else self._limiter.kill_refusal()
        units = killed or judged_transfer(
            intent, self._wallets, self._ledger, self._reservations, self._board.price_units
        )
        if isinstance(units, Refusal):
            self._refuse(intent, units)
            return
        self._last_order_id += 1
        transfer = Transfer(
            ts=self._board.now,
            order_id=self._last_order_id,
            asset=intent.asset,
            amount_units=units,
            source=intent.source,
            target=intent.target,
            tag=intent.tag,
        )
        self._reservations.hold(transfer.order_id, transfer.reserved, units, "")
        self._bus.publish(T_TRANSFERS, transfer)

    def _sized(self, intent: OrderIntent) -> SanitizedOrder | Refusal:
        """Return the order of an intent whose size the run's sizing finds; its instrument is known."""
        spec = self._ledger.instruments[intent.instrument]
        free = self._affordable(spec, self._free(spec, spec.cash))
        refused = self._contract_refusal(intent, spec)
        sized = refused or self._sizing[spec.sleeve].sized(intent, free)
        if isinstance(sized, Refusal):
            return sized
        order = self._sanitized(sized.intent)
        if isinstance(order, Refusal):
            return Refusal(order.reason, order.numbers | {f"sizing.{key}": text for key, text in sized.numbers.items()})
        return structs.replace(order, sizing=sized.numbers)

    def _on_sliced(self, intent: TwapIntent | IcebergIntent) -> None:
        """Let a sliced order begin: its parts are judged when they come. The exchange never hears of it."""
        sliced = self._known(intent.instrument)
        refused = None if sliced is None else self._contract_refusal(intent, sliced)
        order = (
            refused
            or self._conditions_refusal(intent, None)
            or parent_order(intent, self._specs, self._board, self._candle_us, self._last_order_id + 1)
        )
        if isinstance(order, SanitizedOrder) and self._limiter is not None:
            spec = self._ledger.instruments[order.instrument]
            opening = opening_qty(self._ledger, spec, order.side, order.qty_units)
            ruling = self._limiter.ruling_of_sliced(order, spec, opening)
            if isinstance(ruling, Refusal):
                order = ruling
            elif ruling:
                order = structs.replace(order, terms=structs.replace(order.terms, reduce_only=True))
        if isinstance(order, Refusal):
            self._refuse(intent, order)
            return
        self._last_order_id = order.order_id
        self.open_orders.put(order)
        self._reserve(order)
        self._bus.publish(T_ORDERS_CHANGED, order)

    def _on_combo(self, intent: MultiLegIntent) -> None:
        """Send all legs of a combination, each funded beside the ones before it; or refuse each of them."""
        singles = singles_of(intent)
        first, orders = self._last_order_id + 1, list[SanitizedOrder]()
        for place, single in enumerate(singles):
            refusal = leg_refusal(self._known(single.instrument), [one.instrument for one in singles[:place]])
            order = refusal or self._sanitized(single)
            if isinstance(order, Refusal):
                for sent in orders:
                    self._reservations.release(sent.order_id)
                self._last_order_id = first - 1
                for other in singles:
                    why = Refusal(Reason.COMBO, {"refused": str(single.instrument), "why": order.reason.value})
                    self._refuse(other, order if other is single else why)
                return
            orders.append(structs.replace(order, combo_id=first, combo_legs=len(singles)))
            self._reserve(order)
        for order in orders:
            self._send(order)

    def _send(self, order: SanitizedOrder) -> None:
        if self._limiter is not None:
            self._limiter.sent()
        self.open_orders.put(order)
        self._reserve(order)
        self._bus.publish(T_ORDERS_SANITIZED, order)

    def _reserve(self, order: SanitizedOrder) -> None:
        self._reservations.hold(order.order_id, order.reserved, order.reserve_units, order.oco)

    def _on_replace(self, intent: ReplaceIntent) -> None:
        """Let the changed order through with the funds of the old one, or leave that as it is."""
        old = self.open_orders.get(intent.order_id)
        if old is None:
            self._refuse(intent, Refusal(Reason.UNKNOWN_ORDER, {"order_id": str(intent.order_id)}))
            return
        if old.combo_id:
            self._refuse(intent, Refusal(Reason.BAD_REPLACE, {"why": "it is a leg of a combination"}))
            return
        changed = changed_intent(old, intent)
        self._reservations.release(old.order_id)
        order = changed if isinstance(changed, Refusal) else self._sanitized(changed, replaces=old)
        if isinstance(order, Refusal):
            self._reserve(old)
            self._refuse(intent, order)
            return
        self.open_orders.going(old.order_id)
        self._send(order)

    def _sanitized(self, intent: OrderIntent, replaces: SanitizedOrder | None = None) -> SanitizedOrder | Refusal:
        """Return the order that an intent makes: rounded, sized, funded, with its exits."""
        spec, now = self._known(intent.instrument), self._board.now
        if spec is None:
            return Refusal(Reason.UNKNOWN_INSTRUMENT, {})
        refused = self._contract_refusal(intent, spec)
        if refused is not None:
            return refused
        rounded = self._specs.rounded(intent, self._board.price_units.get(spec.listed), now)
        if isinstance(rounded, Refusal):
            return rounded
        if isinstance(intent, ClosingIntent) and spec.is_option:
            intent, rounded = closing_limit(
                intent, spec, rounded, self._specs.rules(spec.id, now).tick_units, self._board.price_units
            )
        order = self._conditions_refusal(intent, replaces) or self._funded(intent, spec, rounded, replaces)
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
        self._last_order_id = order.order_id
        if order.attached:  # their ids follow, unless they are those of an order that is replaced
            self._last_order_id = max(order.order_id, order.attached[-1].order_id)
        return order

    def _known(self, instrument: InstrumentId) -> Instrument | None:
        """Return an instrument of the run; None also for a contract that nobody can know of yet."""
        return self._specs.get(instrument) if self._board.is_listed(instrument) else None

    def _contract_refusal(self, intent: OrderIntent, spec: Instrument) -> Refusal | None:
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

    def _on_cancel(self, intent: CancelIntent) -> None:
        order = self.open_orders.get(intent.order_id)
        if order is None:
            self._refuse(intent, Refusal(Reason.UNKNOWN_ORDER, {"order_id": str(intent.order_id)}))
            return
        if not order.kind.is_sliced:
            self._cancel(order, intent.reason)
            return
        self.open_orders.going(
            order.order_id
        )  # no part follows; what slices it hears of this and ends it after its part
        for part in [o for o in self.open_orders if o.algo_id == order.order_id]:
            self._cancel(part, intent.reason)

    def _on_reduce_only(self, intent: ReduceOnlyIntent) -> None:
        """Let an open order only reduce; what is over or being taken back needs it no more."""
        order = self.open_orders.get(intent.order_id)
        if order is None or self.open_orders.is_going(order.order_id):
            return
        if order.kind.is_sliced:  # the exchange does not know it
            terms = structs.replace(order.terms, reduce_only=True)
            self._bus.publish(T_ORDERS_CHANGED, structs.replace(order, ts=self._board.now, terms=terms))
        else:
            self._bus.publish(
                T_ORDERS_SANITIZED,
                SanitizedReduceOnly(ts=self._board.now, order_id=order.order_id, instrument=order.instrument),
            )

    def _cancel(self, order: SanitizedOrder, reason: Reason) -> None:
        """Send a cancel on; of a part only one, because its slicer and the trader may cancel it at one instant."""
        if order.algo_id and self.open_orders.is_going(order.order_id):
            return
        self._reservations.release(order.order_id)
        self.open_orders.going(order.order_id)
        self._bus.publish(
            T_ORDERS_SANITIZED,
            SanitizedCancel(ts=self._board.now, order_id=order.order_id, instrument=order.instrument, reason=reason),
        )

    def _conditions_refusal(self, intent: OrderIntent, replaces: SanitizedOrder | None) -> Refusal | None:
        """Return why an order may not be sent whatever its size, or None; a replacement keeps its client id."""
        if 0 < intent.terms.good_till <= self._board.now:
            return Refusal(Reason.GOOD_TILL, {"good_till": format_time(intent.terms.good_till)})
        if intent.algo_id and not self.open_orders.goes_on(intent.algo_id):
            return Refusal(Reason.PARENT_ENDED, {"order_id": str(intent.algo_id)})
        if replaces is None and intent.client_id and not intent.algo_id:  # a part goes by the name of its parent
            for order in self.open_orders:
                if order.client_id == intent.client_id and is_one_strategy(order.instrument, intent.instrument):
                    return Refusal(Reason.DUPLICATE_CLIENT_ID, {"order_id": str(order.order_id)})
        return None

    def _funded(
        self, intent: OrderIntent, spec: Instrument, rounded: RoundedOrder, replaces: SanitizedOrder | None
    ) -> SanitizedOrder | Refusal:
        """Size an order and find the funds it binds."""
        if intent.oco and any(
            o.oco == intent.oco and o.instrument != spec.id and is_one_strategy(o.instrument, spec.id)
            for o in self.open_orders
        ):
            return Refusal(Reason.BAD_GROUP, {"oco": intent.oco, "why": "a group has one instrument"})
        rules, terms = self._specs.rules(spec.id, self._board.now), intent.terms
        limits = rules.limits(rounded.kind)
        budget = 0
        valued = self._specs.valued(intent, rounded, self._board.price_units.get(spec.listed))
        if intent.terms.close_position:
            need, opening = Need(spec.cash, 0), 0
        elif rounded.qty_units:
            fee_rate = self._worst_fee_rates[spec.id].at(self._board.now)
            need = order_need(
                self._ledger,
                spec,
                intent.side,
                rounded.qty_units,
                valued.price_units,
                fee_rate,
                self._board.price_units,
            )
            opening = opening_qty(self._ledger, spec, intent.side, rounded.qty_units)
        else:
            sized = self._budget(intent, spec, rounded, limits)
            if isinstance(sized, Refusal):
                return sized
            budget, need, opening = sized
        if intent.terms.reduce_only:
            need, opening = self._reducing_need(intent, spec, rounded), 0
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
        free = self._free(spec, need.holding)
        if spec.is_spot and intent.side is Side.SELL:
            free = min(free, sellable_units(self._ledger, spec) - self._reservations.total(need.holding))
        if spec.is_margined and rounded.qty_units and opening:
            notional = spec.notional_units(rounded.qty_units, valued.price_units)
            free += released_units(self._ledger, spec, rounded.qty_units, opening, notional, self._board.price_units)
        required = self._reservations.extra(need.holding, need.units, intent.oco)
        if required > max(0, free):  # what needs nothing is never refused for want of it
            return Refusal(
                Reason.INSUFFICIENT_BALANCE,
                {"required": _money(required), "free": _money(free), "asset": split_holding(need.holding)[1]},
            )
        return SanitizedOrder(
            ts=self._board.now,
            order_id=self._last_order_id + 1,
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
            refusal = filters_refusal(rules.filters, asked, last, self._ledger, self.open_orders)
            if refusal is not None:
                return refusal
        if self._limiter is None or isinstance(intent, ClosingIntent):
            return False
        return self._limiter.ruling(asked, self.open_orders)

    def _reducing_need(self, intent: OrderIntent, spec: Instrument, rounded: RoundedOrder) -> Need:
        """Return what an order that only reduces binds: on spot, of what it would sell as much as is free now."""
        if not spec.is_spot or intent.side is Side.BUY:
            return Need(spec.cash, 0)
        wanted = spec.base_money(rounded.qty_units)
        extra = self._reservations.extra(spec.coin, wanted, intent.oco)
        return Need(spec.coin, wanted - max(0, extra - max(0, self._free(spec, spec.coin))))

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

    def _budget(
        self, intent: OrderIntent, spec: Instrument, rounded: RoundedOrder, limits: OrderLimits
    ) -> tuple[int, Need, int] | Refusal:
        """Return money to spend, the funds it binds, and the quantity that it roughly opens.

        A quote amount is what it says; of an inverse contract it is a quantity already. A fraction is of equity at this
        decision, in what the instrument settles in; when it opens, at most what is free in its wallet.
        """
        if intent.quote is not None:
            asked, budget = intent.quote, units_of(intent.quote, MONEY_EXPONENT, FLOOR)
        else:
            assert intent.fraction is not None
            prices, valuation = self._board.price_units, self._ledger.valuation
            if not valuation.is_known(spec.settle, prices):
                return Refusal(Reason.NO_PRICE, {"asset": spec.settle, "currency": valuation.currency})
            asked = intent.fraction
            budget = units_of(self._equity_in(spec) * asked, MONEY_EXPONENT, FLOOR)
        if asked <= 0:
            return Refusal(Reason.BAD_SIZE, {"size": plain(asked)})
        lots = floor_to(rough_lots(spec, budget, rounded.price_units), limits.lot_units)
        sells_spot = spec.is_spot and intent.side is Side.SELL
        opening = lots if spec.is_spot else opening_qty(self._ledger, spec, intent.side, lots)
        if intent.fraction is not None and opening and not sells_spot:
            budget = min(budget, self._affordable(spec, self._free(spec, spec.cash)))
        least = max(limits.min_notional_units, spec.notional_units(limits.min_qty_units, rounded.price_units))
        most = limits.max_notional_units
        if most and budget > most:
            if intent.quote is not None:
                return Refusal(Reason.ABOVE_MAX_NOTIONAL, {"notional": _money(budget), "max_notional": _money(most)})
            budget = most
        if budget < least:
            return Refusal(Reason.BELOW_MIN_NOTIONAL, {"notional": _money(budget), "min_notional": _money(least)})
        if sells_spot:
            held = floor_to(max(0, self._ledger.position(spec.id).qty_units), limits.lot_units)
            return budget, Need(spec.coin, spec.base_money(min(lots, held))), opening
        fee_rate = self._worst_fee_rates[spec.id].at(self._board.now)
        bound = budget_need(self._ledger.margin, spec, budget, fee_rate) if opening else 0
        return budget, Need(spec.cash, bound), opening

    def _refuse(self, intent: AnyIntent | TransferIntent, refusal: Refusal) -> None:
        self._bus.publish(
            T_ORDERS_REJECTED,
            OrderRejected(
                ts=self._board.now,
                who="risk",
                reason=refusal.reason,
                instrument=InstrumentId("") if isinstance(intent, TransferIntent) else intent.instrument,
                order_id=intent.order_id if isinstance(intent, CancelIntent) else None,
                tag=intent.tag if isinstance(intent, OrderIntent | TransferIntent) else "",
                client_id=intent.client_id if isinstance(intent, OrderIntent) else "",
                numbers=refusal.numbers,
                algo_id=intent.algo_id if isinstance(intent, OrderIntent) else 0,
                strategy=intent.strategy if isinstance(intent, TransferIntent) else "",
            ),
        )

    # --- what is there -------------------------------------------------------------------------------------------

    def free_for(self, instrument: InstrumentId) -> int:
        """Return what neither orders nor positions bind (1e-8) of the asset that secures an instrument."""
        spec = self._ledger.instruments[instrument]
        return self._free(spec, spec.cash)

    def _free(self, spec: Instrument, holding: Holding) -> int:
        """Return what neither orders nor positions bind of an asset, for who opens a position in an instrument."""
        bound = bound_units(self._ledger, spec, self._board.price_units, holding)
        return self._ledger.asset(holding).cash_units - bound - self._reservations.total(holding)

    def _affordable(self, spec: Instrument, free: int) -> int:
        """Return the largest budget that what is free can pay for, or secure."""
        return affordable_budget(self._ledger.margin, spec, free, self._worst_fee_rates[spec.id].at(self._board.now))

    def _equity_in(self, spec: Instrument) -> Decimal:
        """Return the equity that trades an instrument, in what it settles in."""
        return decimal(self._ledger.equity_for(spec, self._board.price_units), MONEY_EXPONENT)

    # --- what happened -------------------------------------------------------------------------------------------

    def on_rejected(self, rejected: OrderRejected) -> None:
        """Free what an order held that the exchange refused; the order that it should have replaced holds again."""
        if rejected.who == "risk" or rejected.order_id is None or rejected.reason is Reason.UNKNOWN_ORDER:
            return
        refused = self.open_orders.get(rejected.order_id)
        self._end(rejected.order_id)
        old = None if refused is None else self.open_orders.get(refused.replaces)
        if old is not None:
            self.open_orders.stay(old.order_id)
            self._reserve(old)

    def on_changed(self, order: SanitizedOrder) -> None:
        """Know an exit that came to life, or what is left of an order that was cut."""
        self.open_orders.put(order)
        self._reserve(order)

    def on_update(self, update: OrderUpdate) -> None:
        """Free what an order held that ended without a fill."""
        if update.status.ends:
            self._end(update.order_id)

    def on_fill(self, fill: Fill) -> None:
        """Fold a fill; free what its order held when it is complete."""
        self._ledger.apply_fill(fill)
        self.open_orders.filled(fill)
        if fill.leaves_units == 0:
            self._reservations.release(fill.order_id)

    def on_cashflow(self, flow: Cashflow) -> None:
        """Fold money that moved without a trade; a transfer binds nothing any more."""
        self._ledger.apply_cashflow(flow)
        if flow.order_id:
            self._reservations.release(flow.order_id)

    def _end(self, order_id: int) -> None:
        self.open_orders.end(order_id)
        self._reservations.release(order_id)


def _money(units: int) -> str:
    return plain(decimal(units, MONEY_EXPONENT))
