"""funding_carry: long spot and short the perpetual in equal quantity while funding pays for it."""

from collections import deque
from decimal import ROUND_FLOOR, Decimal
from math import lcm
from typing import Annotated, Final

from pydantic import model_validator

from backtester.core.errors import UsageError
from backtester.core.events import AnyIntent, Fill, OrderRejected, OrderUpdate, Reason, SanitizedOrder, Status
from backtester.core.instruments import Contract, Instrument
from backtester.core.market import Candle, FundingRate
from backtester.core.numbers import decimal, decimal_of
from backtester.core.rules import OrderLimits
from backtester.core.time import DAY
from backtester.strategy.base import Intents, Strategy, StrategyParams
from backtester.strategy.params import param

ENTER: Final = "enter"
LEAVE: Final = "leave"
REBALANCE: Final = "rebalance"
HEDGE: Final = "hedge"
_OWN: Final = frozenset({ENTER, LEAVE, REBALANCE, HEDGE})


class FundingCarryParams(StrategyParams):
    """When a pair is opened and closed, how large it is, and when its size is changed."""

    window: Annotated[int, param("of the mean", unit="funding rates", ge=1, le=1_000)] = 9
    enter: Annotated[Decimal, param("above which the mean opens a pair", unit="rate per payment", gt=-1, lt=1)] = (
        Decimal("0.0001")
    )
    leave: Annotated[Decimal, param("below which the mean closes it", unit="rate per payment", gt=-1, lt=1)] = Decimal(
        "0.00003"
    )
    usage_pct: Annotated[Decimal, param("of the wallets that the legs may take", unit="percent", gt=0, le=100)] = (
        Decimal(90)
    )
    leverage: Annotated[
        Decimal, param("what the short is worth over the money that is kept for it", unit="times", ge=1, le=100)
    ] = Decimal(1)
    drift_pct: Annotated[
        Decimal,
        param("by how much the right quantity must differ to be traded at midnight", unit="percent", ge=0, le=100),
    ] = Decimal(5)

    @model_validator(mode="after")
    def _leaves_below(self) -> "FundingCarryParams":
        if self.leave > self.enter:
            raise ValueError(f"leave ({self.leave}) must not be above enter ({self.enter})")
        return self


class _Pair:
    """The two legs of a base asset, and what is under way in them."""

    def __init__(self, spot: Instrument, perpetual: Instrument, window: int) -> None:
        self.spot = spot
        self.perpetual = perpetual
        self.rates: deque[Decimal] = deque(maxlen=window)
        self.closes: dict[str, tuple[int, Decimal]] = {}
        self.wanted = False
        self.working = 0  # orders of ours that have not ended
        self.broken = False  # one of them ended short, so that the other must not go on
        self.taken_back: set[int] = set()  # orders whose cancel is under way
        self.rests_until = 0  # not opened before: a leg was refused, or cut to the other


class FundingCarry(Strategy):
    """Both legs at once or none: what one of them lacks is taken off the other as soon as its orders have ended."""

    Params = FundingCarryParams

    def __init__(self, params: FundingCarryParams) -> None:
        super().__init__(params)
        self._usage = params.usage_pct / 100
        self._pairs: dict[str, _Pair] = {}  # by both instruments

    @property
    def feeds(self) -> tuple[str, ...]:
        """Funding rates of the perpetuals."""
        return ("fundingRate",)

    def on_start(self) -> None:
        """Find the pairs.

        Raises:
            UsageError: an instrument has no other half.
        """
        halves: dict[tuple[str, str], dict[bool, Instrument]] = {}
        for spec in self.instruments:
            usable = spec.is_spot or (spec.kind is Contract.LINEAR and not spec.expiry)
            if usable:
                halves.setdefault((spec.base, spec.quote), {})[spec.is_spot] = spec
            if not usable or spec not in halves[spec.base, spec.quote].values():
                raise UsageError(f"funding_carry cannot trade {spec.id}", hint="spot and um perpetuals: spot:X um:X")
        for found in halves.values():
            if len(found) < 2:
                (spec,) = found.values()
                other = f"um:{spec.symbol}" if spec.is_spot else f"spot:{spec.symbol}"
                raise UsageError(f"funding_carry needs {other} beside {spec.id}", hint=f"--symbols {spec.id} {other}")
            pair = _Pair(found[True], found[False], self.params.window)
            self._pairs |= {pair.spot.id: pair, pair.perpetual.id: pair}

    # --- when --------------------------------------------------------------------------------------------------------

    def on_funding(self, funding: FundingRate) -> None:
        """Remember the rate; what follows from it is decided at the next close."""
        pair = self._pairs.get(funding.instrument)
        if pair is not None:
            pair.rates.append(decimal_of(funding.rate))

    def on_candle(self, candle: Candle) -> Intents:
        """Decide once both legs have closed and nothing is under way."""
        pair = self._pairs.get(candle.instrument)
        if pair is None:
            return None
        pair.closes[candle.instrument] = candle.ts, decimal_of(candle.close)
        pair.working = len(self._open(pair))  # what was wanted while the run warmed up was never sent
        if pair.working or len(pair.closes) < 2 or len({ts for ts, _ in pair.closes.values()}) > 1:
            return None
        self._judge(pair)
        if not pair.wanted:
            return self._reach(pair, Decimal(0), LEAVE)
        return self._hedge(pair) or self._carried(pair, candle.ts)

    def _carried(self, pair: _Pair, now: int) -> Intents:
        """Open the legs, or bring them to the right quantity."""
        lot, (_, short) = self._lot(pair), self._held(pair)
        if not short and now >= pair.rests_until:
            return self._both(pair, self._target(pair, lot), ENTER)
        if short and now % DAY == 0:
            target = self._target(pair, lot)
            if abs(target - short) * 100 >= self.params.drift_pct * short:
                return self._both(pair, target, REBALANCE)
        return None

    def on_fill(self, fill: Fill) -> Intents:
        """Look at the other leg when an order is complete, or when the exchange closed something."""
        pair = self._pairs[fill.instrument]
        if fill.leaves_units:
            return None
        if fill.tag in _OWN:
            pair.working -= 1
        return self._settle(pair, fill.tag)

    def on_order_update(self, update: OrderUpdate | OrderRejected) -> Intents:
        """Take back the other leg's order when one was refused or ended short; then look at what is held."""
        pair = self._pairs.get(update.instrument)
        if pair is None or update.tag not in _OWN or update.reason is Reason.UNKNOWN_ORDER:
            return None
        if isinstance(update, OrderUpdate) and not update.status.ends:
            return self._take_back(pair) if pair.broken and update.status is Status.ACCEPTED else None
        pair.working -= 1
        pair.broken = True
        self._rest(pair)
        if update.tag == HEDGE:  # not again before the next close
            pair.broken = False
            return None
        return self._take_back(pair) if pair.working else self._settle(pair, update.tag)

    # --- what --------------------------------------------------------------------------------------------------------

    def _judge(self, pair: _Pair) -> None:
        """Let the mean of the last rates say whether the legs are wanted; between the thresholds nothing changes."""
        if len(pair.rates) < self.params.window:
            return
        total = sum(pair.rates, Decimal(0))
        if total > self.params.enter * self.params.window:
            pair.wanted = True
        elif total < self.params.leave * self.params.window:
            pair.wanted = False

    def _take_back(self, pair: _Pair) -> list[AnyIntent]:
        found = [order for order in self._open(pair) if order.order_id not in pair.taken_back]
        pair.taken_back |= {order.order_id for order in found}
        return [self.cancel(order) for order in found]

    def _open(self, pair: _Pair) -> list[SanitizedOrder]:
        legs = self.open_orders(pair.spot.id), self.open_orders(pair.perpetual.id)
        return [order for leg in legs for order in leg if order.tag in _OWN]

    def _rest(self, pair: _Pair) -> None:
        pair.rests_until = self.now - self.now % DAY + DAY

    def _settle(self, pair: _Pair, tag: str) -> Intents:
        """Make the legs equal once nothing is under way any more."""
        if pair.working:
            return self._take_back(pair) if pair.broken else None
        pair.broken = False
        pair.taken_back.clear()
        return None if tag == HEDGE or len(pair.closes) < 2 else self._hedge(pair)

    def _hedge(self, pair: _Pair) -> Intents:
        bought, short = self._held(pair)
        equal = _floor(bought, self._lot(pair))
        if equal == short:
            return None
        self._rest(pair)
        return self._reach(pair, min(equal, short), HEDGE)

    def _both(self, pair: _Pair, target: Decimal, tag: str) -> Intents:
        """Change both legs, or neither."""
        orders = self._orders(pair, target, tag)
        return self._sent(pair, orders) if len(orders) == 2 else None

    def _reach(self, pair: _Pair, target: Decimal, tag: str) -> Intents:
        return self._sent(pair, self._orders(pair, target, tag))

    def _sent(self, pair: _Pair, orders: list[AnyIntent]) -> Intents:
        pair.working += len(orders)
        return orders

    def _orders(self, pair: _Pair, target: Decimal, tag: str) -> list[AnyIntent]:
        """Return what brings each leg to a quantity, as far as its market takes so little."""
        bought, short = self._held(pair)
        found: list[AnyIntent] = []
        if self._takes(pair, pair.spot, abs(target - bought)):
            order = self.buy if target > bought else self.sell
            found.append(order(pair.spot.id, abs(target - bought), tag=tag))
        if self._takes(pair, pair.perpetual, abs(target - short)):
            if target > short:
                found.append(self.sell(pair.perpetual.id, target - short, tag=tag))
            else:
                found.append(self.buy(pair.perpetual.id, short - target, reduce_only=True, tag=tag))
        return found

    # --- how much ----------------------------------------------------------------------------------------------------

    def _held(self, pair: _Pair) -> tuple[Decimal, Decimal]:
        """Return what is bought, in whole lots of spot, and what is sold short."""
        bought = _floor(self.position(pair.spot.id).qty, _lot_of(pair.spot, self._limits(pair.spot)))
        return bought, -self.position(pair.perpetual.id).qty

    def _limits(self, spec: Instrument) -> OrderLimits:
        return self.trading_rules(spec.id).at_market

    def _lot(self, pair: _Pair) -> Decimal:
        """Return the least quantity that is whole lots of both markets."""
        lots = [_lot_of(spec, self._limits(spec)) for spec in (pair.spot, pair.perpetual)]
        decimals = max(pair.spot.scale.qty, pair.perpetual.scale.qty)
        return decimal(lcm(*(int(lot.scaleb(decimals)) for lot in lots)), decimals)

    def _takes(self, pair: _Pair, spec: Instrument, qty: Decimal) -> bool:
        """Say whether a market takes an order of so little."""
        limits = self._limits(spec)
        least = decimal(limits.min_qty_units, spec.scale.qty)
        notional = decimal(limits.min_notional_units, 8)
        return qty > 0 and qty >= least and qty * pair.closes[spec.id][1] >= notional

    def _target(self, pair: _Pair, lot: Decimal) -> Decimal:
        """Return the quantity that both wallets can carry: each pair may take its share of them, and no more than what
        is held and what is free.
        """
        quote, leverage = pair.spot.quote, self.params.leverage
        pairs = [p for p in dict.fromkeys(self._pairs.values()) if p.spot.quote == quote]
        worth = {"spot": self.balance("spot", quote), "um": self.balance("um", quote)}
        for each in pairs:
            if len(each.closes) == 2:
                worth["spot"] += self._held(each)[0] * each.closes[each.spot.id][1]
                worth["um"] += self.position(each.perpetual.id).unrealised
        price = max(close for _, close in pair.closes.values())
        short = self._held(pair)[1]
        share = self._usage * min(worth["spot"], worth["um"] * leverage) / len(pairs)
        free = self._usage * min(self.free("spot", quote), self.free("um", quote) * leverage)
        return max(Decimal(0), _floor(min(share / price, short + free / price), lot))


def _lot_of(spec: Instrument, limits: OrderLimits) -> Decimal:
    return decimal(limits.lot_units, spec.scale.qty)


def _floor(qty: Decimal, lot: Decimal) -> Decimal:
    return (qty / lot).to_integral_value(ROUND_FLOOR) * lot
