"""What an order binds, and what is free for it: money to spend, or what secures a position."""

from collections.abc import Mapping
from decimal import Decimal

from backtester.core.board import Board
from backtester.core.events import OrderIntent, Reason, Side
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
from backtester.core.instruments import Holding, Instrument, InstrumentId
from backtester.core.numbers import FLOOR, MONEY_EXPONENT, decimal, floor_to, units_of
from backtester.core.rules import OrderLimits
from backtester.core.timeline import Timeline
from backtester.risk.exposure import rough_lots
from backtester.risk.order_validation import Refusal, RoundedOrder, plain


class OrderFunds:
    """Reads the ledger of risk and its reservations, and changes neither. Money in 1e-8."""

    def __init__(
        self,
        ledger: Ledger,
        reservations: Reservations,
        board: Board,
        worst_fee_rates: Mapping[InstrumentId, Timeline[int]],
    ) -> None:
        """worst_fee_rates: what a fill may cost at most, 1e-8 of its notional."""
        self._ledger = ledger
        self._reservations = reservations
        self._board = board
        self._worst_fee_rates = worst_fee_rates

    # --- what an order binds -------------------------------------------------------------------------------------

    def order_need(self, intent: OrderIntent, spec: Instrument, rounded: RoundedOrder, price: int) -> Need:
        """Return what an order of a known quantity binds; price: at which it is valued (10^-p)."""
        fee_rate = self._worst_fee_rates[spec.id].at(self._board.now)
        return order_need(self._ledger, spec, intent.side, rounded.qty_units, price, fee_rate, self._board.price_units)

    def reducing_need(self, intent: OrderIntent, spec: Instrument, rounded: RoundedOrder) -> Need:
        """Return what an order that only reduces binds: on spot, of what it would sell as much as is free now."""
        if not spec.is_spot or intent.side is Side.BUY:
            return Need(spec.cash, 0)
        wanted = spec.base_money(rounded.qty_units)
        extra = self._reservations.extra(spec.coin, wanted, intent.oco)
        return Need(spec.coin, wanted - max(0, extra - max(0, self.free(spec, spec.coin))))

    def budget(
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
            budget = min(budget, self.affordable(spec, self.free(spec, spec.cash)))
        least = max(limits.min_notional_units, spec.notional_units(limits.min_qty_units, rounded.price_units))
        most = limits.max_notional_units
        if most and budget > most:
            if intent.quote is not None:
                return Refusal(
                    Reason.ABOVE_MAX_NOTIONAL, {"notional": money_text(budget), "max_notional": money_text(most)}
                )
            budget = most
        if budget < least:
            return Refusal(
                Reason.BELOW_MIN_NOTIONAL, {"notional": money_text(budget), "min_notional": money_text(least)}
            )
        if sells_spot:
            held = floor_to(max(0, self._ledger.position(spec.id).qty_units), limits.lot_units)
            return budget, Need(spec.coin, spec.base_money(min(lots, held))), opening
        fee_rate = self._worst_fee_rates[spec.id].at(self._board.now)
        bound = budget_need(self._ledger.margin, spec, budget, fee_rate) if opening else 0
        return budget, Need(spec.cash, bound), opening

    # --- what is there -------------------------------------------------------------------------------------------

    def free_for(self, instrument: InstrumentId) -> int:
        """Return what neither orders nor positions bind (1e-8) of the asset that secures an instrument."""
        spec = self._ledger.instruments[instrument]
        return self.free(spec, spec.cash)

    def free(self, spec: Instrument, holding: Holding) -> int:
        """Return what neither orders nor positions bind of an asset, for who opens a position in an instrument."""
        bound = bound_units(self._ledger, spec, self._board.price_units, holding)
        return self._ledger.asset(holding).cash_units - bound - self._reservations.total(holding)

    def affordable(self, spec: Instrument, free: int) -> int:
        """Return the largest budget that what is free can pay for, or secure."""
        return affordable_budget(self._ledger.margin, spec, free, self._worst_fee_rates[spec.id].at(self._board.now))

    def _equity_in(self, spec: Instrument) -> Decimal:
        """Return the equity that trades an instrument, in what it settles in."""
        return decimal(self._ledger.equity_for(spec, self._board.price_units), MONEY_EXPONENT)

    def required(self, need: Need, oco: str) -> int:
        """Return what an order binds beyond what others of its group do already."""
        return self._reservations.extra(need.holding, need.units, oco)

    def free_for_order(
        self, intent: OrderIntent, spec: Instrument, need: Need, qty: int, opening: int, price: int
    ) -> int:
        """Return what is free for an order of what it binds.

        Args:
            qty: its quantity (10^-q), 0 where the exchange sizes it; opening: what of it opens a position.
            price: at which it is valued (10^-p).
        """
        free = self.free(spec, need.holding)
        if spec.is_spot and intent.side is Side.SELL:
            free = min(free, sellable_units(self._ledger, spec) - self._reservations.total(need.holding))
        if spec.is_margined and qty and opening:
            notional = spec.notional_units(qty, price)
            free += released_units(self._ledger, spec, qty, opening, notional, self._board.price_units)
        return free


def money_text(units: int) -> str:
    """Return an amount of money (1e-8) as people read it."""
    return plain(decimal(units, MONEY_EXPONENT))
