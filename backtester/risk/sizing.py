"""Sizing: between an intent that does not say how much, and the order. What it needs to know it folds itself."""

from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from msgspec import structs

from backtester.config.sizing import SizingRules
from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import OrderIntent, Reason, Side
from backtester.core.folds import Ledger
from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.numbers import FLOOR, MONEY_EXPONENT, RATE_SCALE, decimal, exact_units, fixed, mul_div, units_of
from backtester.core.round_trips import RoundTrip, RoundTrips
from backtester.core.rules import RuleBook
from backtester.core.time import timeframe_us
from backtester.core.timeline import Timeline
from backtester.core.topics import T_CANDLES, T_FILLS
from backtester.risk.order_validation import Refusal, RoundedOrder, SymbolSpecs, contracts_for, plain, rounded_price
from backtester.risk.volatility import Volatility
from backtester.sim.contracts import terms_of
from backtester.sim.position_sizing import annualised, kelly_rate, kelly_rate_of, lots_for_risk, target_rate
from backtester.sim.sim_models import SlippageModel

_PERCENT = 6  # a percent in 1e-6 of itself is a rate in 1e-8


class Sized(NamedTuple):
    """An intent with a size, and what that was made of."""

    intent: OrderIntent
    numbers: dict[str, str]


class _Entry(NamedTuple):
    """What a model looks at. price: at which the order is valued, and at worst executes apart from gaps (10^-p).
    equity: of the account, in 1e-8 of what the instrument settles in.
    """

    intent: OrderIntent
    spec: Instrument
    rules: SizingRules
    price: int
    worst: int
    lot: int
    equity: int


class Sizing:
    """Finds the size of entries by the rules of each instrument.

    It listens to candles only when a model measures volatility, and to fills only when one learns from trades.
    """

    def __init__(
        self,
        rules: Mapping[InstrumentId, SizingRules],
        specs: SymbolSpecs,
        ledger: Ledger,
        board: Board,
        bus: Bus,
        *,
        book: RuleBook,
        timeframe: str,
        fee_rates: Mapping[InstrumentId, Timeline[int]],
        slippage: SlippageModel,
    ) -> None:
        """Wire the component; ledger: risk's own, which feeds it. fee_rates: the worst of each instrument, by date."""
        self._rules = rules
        self._specs = specs
        self._ledger = ledger
        self._board = board
        self._candle_us = timeframe_us(timeframe)
        self._fee_rates = fee_rates
        self._slippage = slippage
        self._volatility = Volatility({i: (r.measures, r.window) for i, r in rules.items() if r.measures}, timeframe)
        self._returns: dict[InstrumentId, deque[int]] = {
            i: deque(maxlen=r.window) for i, r in rules.items() if r.model == "kelly" and r.win_rate is None
        }
        if any(r.measures for r in rules.values()):
            bus.subscribe(T_CANDLES, self._volatility.on_candle, type(self).__name__)
        if self._returns:
            bus.subscribe(T_FILLS, RoundTrips(ledger.instruments, book, self._on_trade).on_fill, type(self).__name__)

    def _on_trade(self, trade: RoundTrip) -> None:
        returns = self._returns.get(trade.instrument)
        if returns is not None:
            returns.append(mul_div(trade.net_units, RATE_SCALE, trade.entry_notional_units, FLOOR))

    def sized(self, intent: OrderIntent, free_units: int) -> Sized | Refusal:
        """Return an intent without a size with one; free_units: what nothing binds of what pays, 1e-8 of it."""
        rules, spec = self._rules.get(intent.instrument), self._specs.get(intent.instrument)
        if rules is None or spec is None:
            return Refusal(Reason.UNKNOWN_INSTRUMENT, {})
        if rules.model == "none":
            return Refusal(
                Reason.NO_SIZE, {"sizing.model": "none", "why": "neither the order nor the run says how much"}
            )
        held = self._ledger.position(spec.id).qty_units
        if held * intent.side.sign < 0 or intent.terms.only_reduces:
            return Refusal(
                Reason.NO_SIZE, {"held": fixed(held, spec.scale.qty), "why": "only an entry is sized; this one reduces"}
            )
        rounded = self._specs.rounded(intent, self._board.price_units.get(spec.listed), self._board.now)
        if isinstance(rounded, Refusal):
            return rounded
        entry = self._entry(intent, spec, rules, rounded)
        size = self._size(entry)
        if isinstance(size, Refusal):
            return size
        field, value, numbers = size
        numbers = {"model": rules.model, "equity": _money(entry.equity)} | numbers
        most = min(units_of(rules.max_percent, _PERCENT, FLOOR), RATE_SCALE)
        cap, cost = mul_div(max(0, entry.equity), most, RATE_SCALE, FLOOR), self._cost(entry, field, value)
        room = min(cap, max(0, free_units)) if rules.model == "risk_per_trade" else cap
        if cost > room:
            numbers |= {field: plain(value), "limited_by": "max_percent" if room == cap else "free"}
            field, value = "fraction", decimal(most, MONEY_EXPONENT)
        return Sized(structs.replace(intent, **{field: value}), numbers | {f"sized_{field}": plain(value)})

    def _entry(self, intent: OrderIntent, spec: Instrument, rules: SizingRules, rounded: RoundedOrder) -> _Entry:
        price = worst = rounded.price_units
        if not rounded.limit_units:
            worst = self._slippage.price_units(intent.side.sign, price)
        limits = self._specs.rules(spec.id, self._board.now).limits(rounded.kind)
        equity = self._ledger.equity_for(spec, self._board.price_units)
        return _Entry(intent, spec, rules, price, worst, limits.lot_units, equity)

    def _cost(self, entry: _Entry, field: str, value: Decimal) -> int:
        """Return the money that a size takes, in 1e-8 of what the instrument settles in."""
        spec, prices = entry.spec, (entry.price, entry.worst)
        if field == "quote" and not spec.is_inverse:
            return units_of(value, MONEY_EXPONENT, FLOOR)
        if field == "fraction":
            return mul_div(max(0, entry.equity), units_of(value, MONEY_EXPONENT, FLOOR), RATE_SCALE, FLOOR)
        qty = units_of(contracts_for(spec, value) if field == "quote" else value, spec.scale.qty, FLOOR)
        fee_rate = self._fee_rates[spec.id].at(self._board.now)
        return terms_of(spec).cost(qty, min(prices) if spec.is_inverse else max(prices), fee_rate)

    # --- the models: which field of the intent, its value, and the numbers that it was made of ---------------------

    def _size(self, entry: _Entry) -> tuple[str, Decimal, dict[str, str]] | Refusal:
        rules = entry.rules
        match rules.model:
            case "fixed_qty":
                assert rules.qty is not None
                return "qty", rules.qty, {}
            case "fixed_quote":
                assert rules.quote is not None
                return "quote", rules.quote, {}
            case "percent_equity":
                assert rules.percent is not None
                return "fraction", rules.percent / 100, {"percent": plain(rules.percent)}
            case "risk_per_trade":
                return self._by_risk(entry)
            case "volatility_target":
                return self._by_volatility(entry)
            case _:
                return self._by_kelly(entry)

    def _by_risk(self, entry: _Entry) -> tuple[str, Decimal, dict[str, str]] | Refusal:
        rules, spec, sign = entry.rules, entry.spec, entry.intent.side.sign
        assert rules.percent is not None
        stop = self._stop(entry)
        if isinstance(stop, Refusal):
            return stop
        numbers = {"percent": plain(rules.percent), "entry": fixed(entry.price, spec.scale.price)}
        numbers |= {"stop": fixed(stop, spec.scale.price)}
        if (entry.price - stop) * sign <= 0 or stop <= 0:
            return Refusal(Reason.BAD_BRACKET, numbers | {"why": "wrong side of entry"})
        worst, at_stop, fee_rate = entry.price, stop, 0
        if rules.include_costs:
            worst, at_stop = entry.worst, self._slippage.price_units(-sign, stop)
            fee_rate = self._fee_rates[spec.id].at(self._board.now)
        budget = mul_div(max(0, entry.equity), exact_units(rules.percent, _PERCENT), RATE_SCALE, FLOOR)
        qty = lots_for_risk(budget, worst, at_stop, sign, fee_rate, entry.lot, terms_of(spec))
        numbers |= {"risk": _money(budget)}
        if qty == 0:
            return Refusal(Reason.BELOW_MIN_QTY, {"model": rules.model} | numbers | {"why": "a lot would lose more"})
        return "qty", decimal(qty, spec.scale.qty), numbers

    def _stop(self, entry: _Entry) -> int | Refusal:
        """Return the price at which an entry would be stopped (10^-p)."""
        bracket, spec, sign = entry.intent.bracket, entry.spec, entry.intent.side.sign
        if bracket is not None and bracket.stop_loss is not None:
            tick = self._specs.rules(spec.id, self._board.now).tick_units
            return rounded_price(bracket.stop_loss, spec.scale.price, tick, Side.SELL if sign > 0 else Side.BUY)
        if bracket is not None and bracket.stop_trail is not None:
            rate = units_of(bracket.stop_trail, MONEY_EXPONENT, FLOOR)
            return entry.price - sign * mul_div(entry.price, rate, RATE_SCALE, FLOOR)
        if not entry.rules.stop_atr:
            return Refusal(
                Reason.NO_STOP, {"model": "risk_per_trade", "why": "no stop_loss, no stop_trail, no sizing.stop_atr"}
            )
        atr = self._measured(entry)
        if isinstance(atr, Refusal):
            return atr
        distance = round(float(entry.rules.stop_atr) * atr * int(10**spec.scale.price))
        return entry.price - sign * distance

    def _by_volatility(self, entry: _Entry) -> tuple[str, Decimal, dict[str, str]] | Refusal:
        rules = entry.rules
        assert rules.target_percent is not None
        measured = self._measured(entry)
        if isinstance(measured, Refusal):
            return measured
        if rules.measure == "atr":
            measured /= entry.price / 10**entry.spec.scale.price
        volatility = annualised(measured, self._candle_us)
        if volatility <= 0:  # any size would have no volatility: a market that stands still says nothing
            seen = {"model": rules.model, "measure": rules.measure, "candles": str(rules.window)}
            return Refusal(Reason.NO_VOLATILITY, seen | {"why": "the price did not move"})
        rate = target_rate(exact_units(rules.target_percent, _PERCENT), volatility, 10**4 * RATE_SCALE)
        numbers = {"target_percent": plain(rules.target_percent), "volatility_percent": f"{100 * volatility:.6f}"}
        return _share(rate, numbers)

    def _measured(self, entry: _Entry) -> float | Refusal:
        value = self._volatility.value(entry.spec.listed)
        if value is None:
            seen = self._volatility.seen(entry.spec.listed)
            return Refusal(Reason.NOT_WARM, {"candles": str(seen), "needed": str(entry.rules.window + 1)})
        return value

    def _by_kelly(self, entry: _Entry) -> tuple[str, Decimal, dict[str, str]] | Refusal:
        rules = entry.rules
        if rules.win_rate is not None and rules.payoff is not None:
            kelly = kelly_rate(exact_units(rules.win_rate, MONEY_EXPONENT), exact_units(rules.payoff, MONEY_EXPONENT))
            numbers = {"win_rate": plain(rules.win_rate), "payoff": plain(rules.payoff)}
        else:
            assert rules.start_percent is not None
            returns = self._returns[entry.spec.id]
            numbers = {"trades": str(len(returns))}
            if len(returns) < rules.min_trades:
                return "fraction", rules.start_percent / 100, numbers | {"percent": plain(rules.start_percent)}
            kelly = kelly_rate_of(returns)
        numbers |= {"kelly": _money(kelly), "fraction": plain(rules.fraction)}
        rate = mul_div(kelly, exact_units(rules.fraction, MONEY_EXPONENT), RATE_SCALE, FLOOR)
        return _share(rate, numbers) if rate > 0 else Refusal(Reason.KELLY_NO_EDGE, numbers)


def _share(rate: int, numbers: dict[str, str]) -> tuple[str, Decimal, dict[str, str]]:
    return "fraction", decimal(rate, MONEY_EXPONENT), numbers


def _money(units: int) -> str:
    return plain(decimal(units, MONEY_EXPONENT))
