"""COIN-M contracts and contracts that expire, whatever is ordered and whatever the market does.

What always holds of orders and money is judged as for all markets; besides, what the fills are worth is added up in
fractions, by nothing but the definition of an inverse contract.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from backtester.core.events import Cashflow, Event, Fill, OrderRejected, Side
from backtester.core.folds import Ledger
from backtester.core.instruments import Instrument
from backtester.core.time import MINUTE
from backtester.strategy.ordering import order_intent
from tests.properties.test_order_streams import OrderStreams
from tests.support.floor import CASH, Floor
from tests.support.order_rules import OrderRules, require
from tests.support.profiles import examples

FEE = 2_000_000  # of what is liquidated, 1e-8
_SIZE = 10_000 * 10**8  # a contract of the floor, in 1e-8 USD


class Wealth:
    """What the fills of one floor have made of its money, exact; and what each forced close cost."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._seen = 0
        self._ledger = Ledger({floor.spec.id: floor.spec}, floor.account.ledger.margin)
        self._insured = 0
        self.made = Fraction(0)  # what the fills would be worth at a price that is never reached, or without end
        self.fills = 0
        self.funded = CASH

    def check(self) -> None:
        """Take what was heard since the last time; judge cash and position against it."""
        for _, event in self._floor.events[self._seen :]:
            self._hear(event)
        self._seen = len(self._floor.events)
        spec, ledger, price = self._floor.spec, self._floor.account.ledger, self._floor.board.price_units
        open_value = _value(spec, ledger.position(spec.id).qty_units, price[spec.id])
        exact = self.funded + self.made + open_value
        shown = ledger.equity_units(price)
        require(abs(exact - shown) <= Fraction(self.fills + 1, 2), f"equity is {shown}, the fills make {float(exact)}")

    def _hear(self, event: Event) -> None:
        match event:
            case Cashflow(kind="insurance"):
                self._insured = event.amount_units
                self.funded += event.amount_units
                self._ledger.apply_cashflow(event)
            case Fill():
                if event.order_id < 0:
                    self._forced(event)
                self.fills += 1
                self.made -= _value(self._floor.spec, event.side.sign * event.qty_units, event.price_units)
                self.made -= event.fee_units
                self._ledger.apply_fill(event)

    def _forced(self, fill: Fill) -> None:
        """An isolated position never costs more than the margin of what is closed, and what the fund declared."""
        spec, ledger = self._floor.spec, self._ledger
        insured, self._insured = self._insured, 0
        if spec.id in ledger.margin.cross:
            return
        before, held = ledger.margin_of(spec.id), abs(ledger.position(spec.id).qty_units)
        after = Ledger(ledger.instruments, ledger.margin)
        after.positions = dict(ledger.positions)
        after.apply_fill(fill)
        cost = -after.asset(spec.cash).cash_units
        most = before * fill.qty_units // held + insured + 2  # two roundings
        require(cost <= most, f"a forced close cost {cost} of a margin of {before}, insured {insured}")


def _value(spec: Instrument, qty: int, price: int) -> Fraction:
    """What a signed quantity adds to wealth at a price: its worth, or less the coin that its dollars are worth."""
    if spec.is_inverse:
        return -Fraction(qty * _SIZE * 10**spec.scale.price, price * 10**spec.scale.qty)
    return Fraction(qty * price * 10**8, 10 ** (spec.scale.price + spec.scale.qty))


class CoinStreams(OrderStreams):
    """Inverse contracts secured by their whole worth."""

    terms: ClassVar[Mapping[str, Any]] = {"market": "cm", "mid": False}

    @rule(side=st.sampled_from(list(Side)), contracts=st.integers(5, 40), leap=st.integers(-2_500, 2_500))
    def a_position_and_a_leap(self, side: Side, contracts: int, leap: int) -> None:
        floor, before = self.floor, self.last
        floor.want(order_intent(floor.board.now, floor.spec.id, side, contracts))
        floor.candle(before, before, before, before, 1000.0)
        self.span, self.traded = (before, before), True
        self.what_was_heard_obeys_the_rules()  # what traded in this candle is none of the next one's
        self.last = max(20_00, before + leap)
        self.span, self.traded = (min(before, self.last), max(before, self.last)), True
        floor.candle(self.last, self.last, self.last, self.last, 1000.0)

    @invariant()
    def the_money_is_what_the_fills_make(self) -> None:
        if hasattr(self, "floor"):
            if not hasattr(self, "wealth"):
                self.wealth = Wealth(self.floor)
            self.wealth.check()


class IsolatedCoinStreams(CoinStreams):
    """The same with leverage, each position by its own margin."""

    terms: ClassVar[Mapping[str, Any]] = {"market": "cm", "mid": False, "leverage": 10, "liquidation_fee": FEE}


class CrossCoinStreams(CoinStreams):
    """The same with leverage, secured by all that the wallet has."""

    terms: ClassVar[Mapping[str, Any]] = {
        "market": "cm",
        "mid": False,
        "leverage": 4,
        "cross": True,
        "liquidation_fee": FEE,
    }


class ExpiringStreams(CoinStreams):
    """Contracts of both kinds that expire while orders work."""

    @initialize(
        market=st.sampled_from(["cm", "um"]),
        path=st.sampled_from([0, 1, 2]),
        leverage=st.sampled_from([1, 5]),
        cross=st.booleans(),
        slippage=st.sampled_from([0, 30]),
        participation=st.sampled_from([0, 10**7, 10**8]),
        expiry=st.integers(1, 8),
        settles_at=st.sampled_from([0, 20_00, 95_00, 100_00, 110_00, 300_00]),
    )
    def opens(self, **choices: Any) -> None:
        self.expires = MINUTE * (1 + choices["expiry"])
        self.floor = Floor(exchange=self.exchange, liquidation_fee=FEE, **choices)
        self.rules = OrderRules(self.floor)
        self.last = 100_00
        self.span, self.traded = (self.last, self.last), False

    @invariant()
    def nothing_trades_after_expiry(self) -> None:
        if not hasattr(self, "floor") or self.floor.board.now < self.expires:
            return
        floor = self.floor
        assert all(fill.ts <= self.expires for fill in floor.fills)
        assert floor.account.ledger.positions == {}
        assert floor.exchange.open_orders() == []
        assert floor.settlement is not None
        assert list(floor.settlement.settled) == [floor.spec.id]
        assert sum(fill.tag == "settlement" for fill in floor.fills) <= 1
        late = [e for _, e in floor.events if isinstance(e, OrderRejected) and e.ts >= self.expires]
        assert all(e.reason in ("contract_expired", "unknown_order") for e in late)


CoinStreams.TestCase.settings = settings(max_examples=examples(25), stateful_step_count=30, deadline=None)
IsolatedCoinStreams.TestCase.settings = settings(max_examples=examples(40), stateful_step_count=30, deadline=None)
CrossCoinStreams.TestCase.settings = settings(max_examples=examples(30), stateful_step_count=30, deadline=None)
ExpiringStreams.TestCase.settings = settings(max_examples=examples(60), stateful_step_count=30, deadline=None)
TestCoinStreams = CoinStreams.TestCase
TestIsolatedCoinStreams = IsolatedCoinStreams.TestCase
TestCrossCoinStreams = CrossCoinStreams.TestCase
TestExpiringStreams = ExpiringStreams.TestCase
