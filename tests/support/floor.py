"""A trading floor without a lake: risk, exchange and account on one bus, candles by hand, every event kept."""

import json
from collections import defaultdict
from decimal import Decimal
from typing import Any

from backtester.account.account import Account
from backtester.algos.slicer import Slicer
from backtester.audit.encoding import event_writer
from backtester.audit.fold import FoldedAccount
from backtester.audit.reader import LogLine
from backtester.config.configs import BacktestConfig
from backtester.config.sizing import SizingRules
from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.events import AnyIntent, Cashflow, Event, Fill, SanitizedOrder
from backtester.core.folds import Ledger
from backtester.core.margin import MarginTerms
from backtester.core.market import Dues, Expiry, MarketCandle, MarketOpen
from backtester.core.numbers import BPS
from backtester.core.risk_events import Control, ControlAction
from backtester.core.time import MINUTE
from backtester.core.timeline import Timeline
from backtester.core.topics import (
    T_CASHFLOWS,
    T_CONTROL,
    T_DUES,
    T_EXPIRIES,
    T_FILLS,
    T_MARKET,
    T_OPENS,
    T_ORDERS_CHANGED,
    T_ORDERS_INTENT,
    T_ORDERS_SANITIZED,
    Topic,
)
from backtester.core.valuation import Valuation
from backtester.engine.risk_setup import breaker_terms, order_limiter
from backtester.execution.exchange_rules import ExchangeRules
from backtester.execution.pool import NO_CAP
from backtester.execution.settlement import Settlement, SettlementDesk
from backtester.execution.simulated import SimulatedExchange
from backtester.risk.guard import Guard
from backtester.risk.order_validation import SymbolSpecs
from backtester.risk.risk import Risk
from backtester.risk.sizing import Sizing
from backtester.sim.brackets import BracketTable
from backtester.sim.default_brackets import default_brackets
from backtester.sim.sim_models import FeeModel, ImpactModel, SlippageModel
from tests.support.specs import instrument, inverse, rules

CASH = 10_000 * 10**8
MAX_WAIT = 3 * MINUTE


class Floor:
    """One instrument with prices in cents and lots of 0.001; the first candle has closed at 100.00.

    A contract of `cm` is 10000 USD, so that it costs 100 coins; the account is in what the instrument settles in.
    choices: of ExchangeRules; and risk, control: sections of a config. expiry: after how many minutes the contract
    expires, to be settled at settles_at (cents).
    """

    def __init__(
        self,
        *,
        market: str = "spot",
        path: int = 0,
        mid: bool = False,
        exchange: type[SimulatedExchange] = SimulatedExchange,
        **choices: Any,
    ) -> None:
        decimals = 8 if choices.get("fee_from_received") else 3
        expiry = MINUTE * (1 + choices["expiry"]) if choices.get("expiry") else 0
        if market == "cm":
            self.spec = inverse(contract=10_000, price_decimals=2, qty_decimals=3, expiry=expiry)
        else:
            self.spec = instrument(market=market, qty_decimals=decimals, expiry=expiry)
        valuation = Valuation(self.spec.settle)
        specs = {self.spec.id: self.spec}
        book = {self.spec.id: Timeline.constant(rules(lot=10 ** (decimals - 3)))}
        leverage = choices.get("leverage", 1) if self.spec.is_margined else 1
        cross = frozenset({self.spec.id} if choices.get("cross") else ())
        margin = MarginTerms({self.spec.id: leverage}, cross)
        self.brackets: BracketTable = choices.get(
            "brackets", default_brackets(100 * 10**8 if market == "cm" else 10**8)
        )
        brackets = {self.spec.id: Timeline.constant(self.brackets)} if leverage > 1 or expiry else {}
        self.fees = fees = FeeModel.flat(*(rate * BPS for rate in choices.get("fees", (2, 5))))
        self.slippage = SlippageModel(choices.get("slippage", 0) * BPS)
        self.bus, self.board = Bus(), Board()
        self.board.now, self.board.price_units = MINUTE, {self.spec.id: 100_00}
        self.board.price_time = {self.spec.id: MINUTE}
        self.share = choices.get("participation", 0)
        self.offered = {True: NO_CAP, False: NO_CAP}
        self.volume_before = -1.0
        self.filled_at_open: set[int] = set()
        self.events: list[tuple[str, Event]] = []
        self.folded = FoldedAccount()
        self.bus.tap_log(self._heard)
        self.exchange = exchange(
            ExchangeRules(
                rules=book,
                fees={self.spec.id: Timeline.constant(fees)},
                slippage=self.slippage,
                impact=ImpactModel(),
                fee_from_received=choices.get("fee_from_received", False),
                allow_short=True,
                touch_fills=choices.get("touch_fills", False),
                stop_through_fills=choices.get("stop_through_fills", False),
                max_wait_us={self.spec.id: MAX_WAIT},
                path=path,
                market_at_mid=mid,
                participation=choices.get("participation", 0),
                margin=margin,
                brackets=brackets,
                liquidation_fees={self.spec.id: choices.get("liquidation_fee", 0)},
                valuation=valuation,
            ),
            specs,
            self.board,
            self.bus,
        )
        self.settlement = None
        if expiry:
            assert self.exchange.liquidator is not None
            plan = {self.spec.id: Settlement(expiry, choices.get("settles_at", 0), "drawn")}
            own = (self.exchange.liquidator, self.exchange.ledger, self.board, self.bus)
            self.settlement = SettlementDesk(plan, self.exchange, *own)
        self.account = Account(specs, valuation, MINUTE, lambda _: None, self.board, self.bus, margin)
        limits, ledger = SymbolSpecs(specs, book), Ledger(specs, margin, valuation)
        fee_rates = {self.spec.id: Timeline.constant(fees.worst_rate())}
        sizing = Sizing(
            {self.spec.id: choices.get("sizing", SizingRules())},
            limits,
            ledger,
            self.board,
            self.bus,
            book=book,
            timeframe="1m",
            fee_rates=fee_rates,
            slippage=self.slippage,
        )
        config = BacktestConfig.model_validate({"risk": choices.get("risk", {}), "control": choices.get("control", ())})
        limiter = order_limiter(config, ledger, self.board)
        risk = Risk(
            limits,
            ledger,
            self.board,
            self.bus,
            worst_fee_rates=fee_rates,
            allow_short=True,
            sizing={"": sizing},
            candle_us={self.spec.id: MINUTE},
            limiter=limiter,
            brackets=brackets,
        )
        if limiter is not None:
            Guard(
                breaker_terms(config.risk),
                limiter.restrictions,
                risk.open_orders,
                book,
                ledger=ledger,
                board=self.board,
                bus=self.bus,
            )
        Slicer(book, self.board, self.bus)
        self._send(
            T_CASHFLOWS,
            Cashflow(ts=MINUTE, kind="deposit", wallet=market, asset=self.spec.settle, amount_units=CASH),
        )

    def _heard(self, topic: Topic[Any], event: Event) -> None:
        """Keep an event, and fold it as a reader of the log would."""
        self.events.append((topic.name, event))
        text = json.loads(event_writer(type(event))(event))
        self.folded.apply(LogLine(len(self.events), self.board.now, topic.name, text, ""))

    def _send(self, topic: Topic[Any], event: Any) -> None:
        self.bus.publish(topic, event)
        self.bus.drain()

    def want(self, *intents: AnyIntent) -> None:
        """Send intents, as a strategy would at the close of the last candle."""
        for intent in intents:
            self.bus.publish(T_ORDERS_INTENT, intent)
        self.bus.drain()

    def candle(self, open_: int, high: int, low: int, close: int, volume: float = 1.0) -> None:
        """Let the next minute pass: its open, and after it the candle, expiries and a snapshot."""
        board, begins, name = self.board, self.board.now, self.spec.id
        self._offer(volume)
        if name in board.opens_wanted and volume > 0:
            before = len(self.events)
            self._send(T_OPENS, MarketOpen(begins, name, open_, self.volume_before))
            self.filled_at_open |= {event.event_id for _, event in self.events[before:] if isinstance(event, Fill)}
        self.volume_before = volume if volume > 0 else self.volume_before
        self._expire(before=begins + MINUTE)
        board.now = begins + MINUTE
        board.price_units[name], board.price_time[name] = close, board.now
        if self.bus.handlers[T_MARKET]:
            self._send(T_MARKET, MarketCandle(board.now, name, "1m", begins, open_, high, low, close, volume))
        self._expire(before=board.now + 1)
        self._send(T_DUES, Dues(board.now))

    def _expire(self, *, before: int) -> None:
        """Let the times pass till which orders are good, each in a tick of its own."""
        board = self.board
        due = sorted(at for at in board.expiries if at < before)
        board.expiries[:] = [at for at in board.expiries if at >= before]
        for at in due:
            board.now = at
            self._send(T_EXPIRIES, Expiry(at))

    def _offer(self, volume: float) -> None:
        """Say what there is to take: at the open, and along the candle less what is taken there."""
        if self.share:
            per_unit = self.share * 10**self.spec.scale.qty // 10**8
            before = round(self.volume_before * per_unit) if self.volume_before >= 0 else NO_CAP
            self.offered = {True: before, False: round(volume * per_unit)}

    def command(self, action: ControlAction) -> None:
        """Give a command between two candles."""
        self._send(T_CONTROL, Control(ts=self.board.now, action=action, reason="", who="test"))

    # --- what was heard ------------------------------------------------------------------------------------------

    @property
    def fills(self) -> list[Fill]:
        return [event for topic, event in self.events if topic == T_FILLS.name and isinstance(event, Fill)]

    @property
    def orders(self) -> dict[int, SanitizedOrder]:
        """Every order as it first was."""
        found: dict[int, SanitizedOrder] = {}
        for topic, event in self.events:
            if topic in (T_ORDERS_SANITIZED.name, T_ORDERS_CHANGED.name) and isinstance(event, SanitizedOrder):
                found.setdefault(event.order_id, event)
        return found

    def filled(self) -> dict[int, int]:
        """How much of each order filled."""
        found: dict[int, int] = defaultdict(int)
        for fill in self.fills:
            found[fill.order_id] += fill.qty_units
        return found


def price(cents: int) -> Decimal:
    """Cents as a price."""
    return Decimal(cents) / 100
