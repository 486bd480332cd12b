"""What an order's execution comes to: price, quantity and fee, or the reason why it cannot execute."""

from collections.abc import Mapping, Sequence

from backtester.core.board import Board
from backtester.core.events import Cashflow, Fill, Liquidity, Reason, SanitizedOrder, Side
from backtester.core.folds import Ledger, Reservations
from backtester.core.funds import bound_units, collateral_units, opening_qty, released_units, sellable_units
from backtester.core.instruments import Asset, Instrument, InstrumentId, listed_id
from backtester.core.numbers import CEIL, FLOOR, floor_to, mul_div
from backtester.core.option_rates import initial_margin
from backtester.core.order_terms import TimeInForce
from backtester.core.rules import OrderLimits
from backtester.execution.conditions import MarketMemory
from backtester.execution.exchange_rules import ExchangeRules
from backtester.execution.orders import WorkingOrder
from backtester.execution.pool import Pool
from backtester.execution.volume import TradedVolume
from backtester.sim.brackets import max_size
from backtester.sim.contracts import terms_of
from backtester.sim.options import option_fee
from backtester.sim.sim_models import worse_price
from backtester.sim.sizing import fee_of


class Cashier:
    """Keeps the exchange's own view of the account, and works out fills against it."""

    def __init__(
        self,
        rules: ExchangeRules,
        instruments: Mapping[InstrumentId, Instrument],
        board: Board,
        memory: MarketMemory | None,
    ) -> None:
        """memory: what slippage and impact look at; None when they are fixed rates."""
        self.fills_before_warm = 0  # priced while the memory was shorter than its window
        self.reservations = Reservations()
        self._memory = memory
        self._rules = rules
        self._instruments = instruments
        self._terms = {i: terms_of(spec) for i, spec in instruments.items()}
        self._board = board
        self.ledger = Ledger(instruments, rules.margin, rules.valuation)
        self._volume = TradedVolume()
        self._taken: dict[tuple[InstrumentId, int], tuple[int, int]] = {}  # by side: in which candle, and how much

    def fill(
        self, working: WorkingOrder, reference: int, liquidity: Liquidity, ts: int, pool: Pool
    ) -> Fill | Reason | None:
        """Return the fill of an order at a reference price (10^-p), taken into account and out of the pool.

        Or why there will be none; None when the pool has nothing for an order that can wait.
        """
        order, sign = working.order, working.sign
        spec = self._instruments[order.instrument]
        price = reference
        if liquidity is Liquidity.TAKER and not spec.is_option:
            price = self._taker_price(working, spec, reference, pool, self._window(pool, ts))
        if price <= 0:
            return Reason.BAD_PRICE
        limits = self._limits(order, ts)
        rate = 0
        if liquidity is not Liquidity.INTERNAL:
            rate = self._rules.fees[spec.id].at(ts).rate(liquidity is Liquidity.MAKER, self._volume.at(self._board.now))
        received = spec.is_spot and self._rules.fee_from_received and sign > 0
        paid_rate = 0 if spec.is_spot and (received or sign < 0) else rate
        sized = self._quantities(order, limits, price, paid_rate, ts, pool)
        if not isinstance(sized, tuple):
            return sized
        asked, qty = sized
        notional = spec.notional_units(qty, price)
        charged = spec.base_money(qty) if received else notional
        fee = fee_of(charged, rate)
        if spec.is_option:
            fee = self._option_fee(spec, qty, notional, rate)
            refused = self._option_unpayable(order, spec, qty, notional, fee)
        else:
            cost = self._terms[spec.id].cost(qty, price, 0 if received else rate)
            refused = self._unpayable(order, spec, qty, notional, cost)
        if refused is not None:
            return refused
        fill = _executed(
            order,
            spec,
            ts,
            qty=qty,
            price=price,
            reference=reference,
            fee=fee,
            fee_asset=spec.base if received else spec.settle,
            liquidity=liquidity,
            leaves=asked - qty,
        )
        pool.left -= qty
        if liquidity is Liquidity.TAKER and not spec.is_option:
            self.fills_before_warm += not self.is_warm(spec.id)
            window = self._window(pool, ts)
            self._taken[spec.listed, sign] = (window, self._taken_in(window, spec.listed, sign) + qty)
        if liquidity is not Liquidity.INTERNAL:
            traded = self._rules.valuation.worth(spec.settle, notional, self._board.price_units)
            self._volume.add(self._board.now, traded)
        self.ledger.apply_fill(fill)
        return fill

    def crossed(self, buy: WorkingOrder, sell: WorkingOrder, price: int, ts: int) -> tuple[Fill, Fill] | None:
        """Return the fills of two strategies' orders that meet at a price (10^-p), without fee: as much as both want
        and can pay for. None when that is nothing; then nothing changed.
        """
        asked = [self._wanted(working, price, ts) for working in (buy, sell)]
        lot = max(self._limits(working.order, ts).lot_units for working in (buy, sell))
        qty = floor_to(min(asked), lot)
        if qty == 0:
            return None
        before, fills = self.ledger.copied(), []
        for working in (buy, sell):
            fill = self.fill(working, price, Liquidity.INTERNAL, ts, Pool(qty))
            if not isinstance(fill, Fill) or fill.qty_units != qty:
                self.ledger.restore(before)
                return None
            fills.append(fill)
        return fills[0], fills[1]

    def rest_refused(self, order: SanitizedOrder, price: int, ts: int) -> Reason | None:
        """Return why the venue does not take what other strategies left of an order at a price (10^-p), or None.

        Only now does it reach the venue. What it sizes itself is judged where it fills.
        """
        notional = self._instruments[order.instrument].notional_units(order.qty_units, price)
        return _too_small(self._limits(order, ts), order.qty_units, notional) if order.qty_units else None

    def _wanted(self, working: WorkingOrder, price: int, ts: int) -> int:
        """Return the quantity that an order would fill at a price without fee; 0 for one that cannot."""
        order = working.order
        sized = self._quantities(order, self._limits(order, ts), price, 0, ts, Pool())
        return sized[1] if isinstance(sized, tuple) else 0

    def _limits(self, order: SanitizedOrder, ts: int) -> OrderLimits:
        return self._rules.rules[order.instrument].at(ts).limits(order.kind)

    def taker_rate(self, instrument: InstrumentId, ts: int) -> int:
        """Return the fee rate (1e-8) of taking liquidity at a time."""
        return self._rules.fees[instrument].at(ts).rate(is_maker=False, volume_units=self._volume.at(self._board.now))

    def fill_all(self, legs: Sequence[tuple[WorkingOrder, int, Pool]], ts: int) -> list[Fill] | Reason:
        """Return the fills of all legs of a combination, each whole; or why there are none, and then nothing changed.

        They are paid for in the order of the legs.
        """
        before, pools = self.ledger.copied(), [pool.left for _, _, pool in legs]
        for working, _, _ in legs:
            self.reservations.release(working.order.order_id)
        volume = self._volume.copied()
        fills: list[Fill] = []
        for working, price, pool in legs:
            fill = self.fill(working, price, Liquidity.TAKER, ts, pool)
            if not isinstance(fill, Fill) or fill.leaves_units:
                self.ledger.restore(before)
                self._volume = volume
                for (_, _, pool_of), left in zip(legs, pools, strict=True):
                    pool_of.left = left
                for one, _, _ in legs:
                    self.reservations.hold(
                        one.order.order_id, one.order.reserved, one.order.reserve_units, one.order.oco
                    )
                return fill if isinstance(fill, Reason) else Reason.NOT_FILLED_AT_ONCE
            fills.append(fill)
        return fills

    def _option_fee(self, spec: Instrument, qty: int, premium: int, rate: int) -> int:
        """Return the fee of a trade in an option: of the underlying at its index; rebates are not paid."""
        assert self._rules.options is not None
        underlying = spec.notional_units(qty, self._board.price_units[spec.underlying])
        return option_fee(underlying, premium, max(0, rate), self._rules.options.rates.fee_cap)

    def _option_unpayable(
        self, order: SanitizedOrder, spec: Instrument, qty: int, premium: int, fee: int
    ) -> Reason | None:
        """Return why the wallet cannot take a fill of an option, or None; closing a long always may."""
        assert self._rules.options is not None
        rates, prices = self._rules.options.rates, self._board.price_units
        opening = opening_qty(self.ledger, spec, order.side, qty)
        cash = self.ledger.asset(spec.cash).cash_units
        free = cash - self.reservations.total_without(order.order_id) - collateral_units(self.ledger, prices, spec.cash)
        if order.side is Side.BUY:
            freed = initial_margin(rates, spec, qty - opening, prices)
            payable = premium + fee <= (free + freed if opening else cash)
        elif opening == 0:
            return None
        elif not rates.allow_short:
            return Reason.SHORT_NOT_ALLOWED
        else:
            payable = initial_margin(rates, spec, opening, prices) + fee <= free + premium
        return None if payable else Reason.INSUFFICIENT_BALANCE

    def forced(self, order: SanitizedOrder, qty: int, price: int, fee_units: int, ts: int) -> Fill:
        """Return a fill of the exchange's own at a price, taken into account; its fee is what the wallet can pay."""
        spec = self._instruments[order.instrument]
        fill = _executed(
            order,
            spec,
            ts,
            qty=qty,
            price=price,
            reference=price,
            fee=fee_units,
            fee_asset=spec.settle,
            liquidity=Liquidity.TAKER,
            leaves=0,
        )
        self.ledger.apply_fill(fill)
        return fill

    def _window(self, pool: Pool, ts: int) -> int:
        """Return when the candle began along which what we take adds up."""
        if pool.window >= 0 or self._memory is None:
            return pool.window
        return ts // self._memory.candle_us * self._memory.candle_us

    def _taken_in(self, window: int, instrument: InstrumentId, sign: int) -> int:
        began, taken = self._taken.get((instrument, sign), (window, 0))
        return taken if began == window else 0

    def _taker_price(self, working: WorkingOrder, spec: Instrument, reference: int, pool: Pool, window: int) -> int:
        """Return what an order that takes liquidity pays or gets; a limit is never filled worse than its price.

        Models that look at its size look at all that we took on its side in this candle.
        """
        order, sign, rules = working.order, working.sign, self._rules
        if self._memory is None:
            price = rules.slippage.price_units(sign, reference)
        else:
            now = self._memory.of(spec.listed)
            asked = order.qty_units or self._terms[spec.id].lots_for(order.budget_units, reference, 1, 0)
            qty = min(pool.left, asked or abs(self.ledger.position(spec.id).qty_units))
            volume = pool.volume or now.volume // max(1, now.candles)
            qty += self._taken_in(window, spec.listed, sign)
            rate = rules.slippage.rate_of(qty, volume, now.mean_range)
            rate += rules.impact.rate_of(qty, now.volume, now.variance)
            price = worse_price(sign, reference, rate)
        if order.limit_price_units:
            price = min(price, order.limit_price_units) if sign > 0 else max(price, order.limit_price_units)
        return price

    def _quantities(
        self, order: SanitizedOrder, limits: OrderLimits, price: int, fee_rate: int, ts: int, pool: Pool
    ) -> tuple[int, int] | Reason | None:
        """Return what an order asks for and what it gets; or why it ends; or None when it waits."""
        spec = self._instruments[order.instrument]
        asked = order.qty_units or (self._sized(order, spec, limits, price, fee_rate) if order.budget_units else 0)
        wanted = asked
        if order.terms.only_reduces:
            held = self.reducible(order, ts)
            wanted = min(asked, held) if asked else held
            asked = asked or held
            if wanted == 0:
                return Reason.NOTHING_TO_REDUCE
        if not order.qty_units:  # quantities given by the trader were checked by risk
            refused = _too_small(limits, wanted, spec.notional_units(wanted, price))
            if refused is not None:
                return refused
        qty = wanted if wanted <= pool.left else floor_to(pool.left, limits.lot_units)
        if qty < asked and order.terms.time_in_force is TimeInForce.FOK:
            return Reason.NOT_FILLED_AT_ONCE
        if qty == 0:
            return Reason.NOT_FILLED_AT_ONCE if order.terms.at_once else None
        return asked, qty

    def is_warm(self, instrument: InstrumentId) -> bool:
        """Say whether slippage and impact know as many candles as they look at."""
        return self._memory is None or self._memory.of(listed_id(instrument)).candles >= self._memory.window

    def on_cashflow(self, flow: Cashflow) -> None:
        """Fold money that moved without a trade."""
        self.ledger.apply_cashflow(flow)

    def _sized(self, order: SanitizedOrder, spec: Instrument, limits: OrderLimits, price: int, fee_rate: int) -> int:
        """Return the largest lot that the order's money pays for at this price; a spot sale at most what is held."""
        lot = limits.lot_units
        qty = self._terms[spec.id].lots_for(order.budget_units, price, lot, fee_rate)
        if limits.max_qty_units:
            qty = min(qty, floor_to(limits.max_qty_units, lot))
        if spec.is_spot and order.side is Side.SELL:
            qty = min(qty, floor_to(self._free_base(order, spec), lot))
        return qty

    def _free_base(self, order: SanitizedOrder, spec: Instrument) -> int:
        """Return the quantity of a spot asset that no order outside this one's group binds."""
        free = sellable_units(self.ledger, spec) - self.reservations.total_without(order.order_id)
        return max(0, free) // spec.base_money(1)

    def reducible(self, order: SanitizedOrder, ts: int) -> int:
        """Return how much of the position an order can close; what other orders bind is left to them, unless it closes
        the whole position.
        """
        spec = self._instruments[order.instrument]
        limits = self._rules.rules[spec.id].at(ts).limits(order.kind)
        held = max(0, -self.ledger.position(spec.id).qty_units * order.side.sign)
        if spec.is_spot and not order.terms.close_position:
            held = min(held, self._free_base(order, spec))
        return floor_to(held, limits.lot_units)

    def _unpayable(self, order: SanitizedOrder, spec: Instrument, qty: int, notional: int, cost: int) -> Reason | None:
        """Return why the account cannot take a fill, or None."""
        others = self.reservations.total_without(order.order_id)
        if spec.is_spot and order.side is Side.SELL:
            bound = 0 if order.terms.close_position else others
            payable = spec.base_money(qty) <= sellable_units(self.ledger, spec) - bound
        elif spec.is_spot:
            payable = cost <= self.ledger.asset(spec.cash).cash_units - others
        elif self._opens_forbidden_short(order, spec, qty):
            return Reason.SHORT_NOT_ALLOWED
        elif self._too_large(order, spec, qty, notional):
            return Reason.LEVERAGE_BRACKET
        else:
            payable = self._can_carry(order, spec, qty, notional, cost, others)
        return None if payable else Reason.INSUFFICIENT_BALANCE

    def free_for(self, instrument: InstrumentId) -> int:
        """Return what neither orders nor positions bind (1e-8) of the asset that secures an instrument."""
        spec = self._instruments[instrument]
        bound = bound_units(self.ledger, spec, self._board.price_units, spec.cash)
        return self.ledger.asset(spec.cash).cash_units - bound - self.reservations.total(spec.cash)

    def _opens_forbidden_short(self, order: SanitizedOrder, spec: Instrument, qty: int) -> bool:
        """Say whether a sale would go below zero where that is not allowed; each of two sales alone may only reduce."""
        short = order.side is Side.SELL and opening_qty(self.ledger, spec, order.side, qty) > 0
        return short and not self._rules.allow_short

    def _too_large(self, order: SanitizedOrder, spec: Instrument, qty: int, notional: int) -> bool:
        """Say whether a position would become larger than its leverage allows; reducing always may."""
        table = self._rules.brackets.get(spec.id)
        if table is None or opening_qty(self.ledger, spec, order.side, qty) == 0:
            return False
        after = abs(self.ledger.position(spec.id).qty_units + order.side.sign * qty)
        size = mul_div(notional, after, qty, CEIL)
        return size > max_size(table.at(self._board.now), self.ledger.margin.leverage_of(spec.id))

    def _can_carry(
        self, order: SanitizedOrder, spec: Instrument, qty: int, notional: int, cost: int, others: int
    ) -> bool:
        """Say whether the initial margin of what a fill opens, and its fee, are there; reducing always may."""
        opening = opening_qty(self.ledger, spec, order.side, qty)
        if opening == 0:
            return True
        free = self.ledger.asset(spec.cash).cash_units - others
        prices = self._board.price_units
        free -= bound_units(self.ledger, spec, prices, spec.cash)
        free += released_units(self.ledger, spec, qty, opening, notional, prices)
        opened = notional - mul_div(notional, qty - opening, qty, FLOOR)
        return self.ledger.margin.margin_units(spec.id, opened) + cost - notional <= free


def _executed(
    order: SanitizedOrder,
    spec: Instrument,
    ts: int,
    *,
    qty: int,
    price: int,
    reference: int,
    fee: int,
    fee_asset: Asset,
    liquidity: Liquidity,
    leaves: int,
) -> Fill:
    """Return what an order's execution is called in the log."""
    return Fill(
        ts=ts,
        order_id=order.order_id,
        instrument=order.instrument,
        base=spec.base,
        quote=spec.quote,
        kind=order.kind,
        side=order.side,
        qty_units=qty,
        price_units=price,
        reference_price_units=reference,
        fee_units=fee,
        fee_asset=fee_asset,
        liquidity=liquidity,
        leaves_units=leaves,
        tag=order.tag,
        client_id=order.client_id,
        contract_units=spec.contract_units,
        scale=order.scale,
    )


def _too_small(limits: OrderLimits, qty: int, notional: int) -> Reason | None:
    """Return why a quantity that the exchange sized is less than the venue takes, or None."""
    if qty < limits.min_qty_units:
        return Reason.BELOW_MIN_QTY
    return Reason.BELOW_MIN_NOTIONAL if notional < limits.min_notional_units else None
