"""A venue's rules applied to orders: every rounding has a direction, every refusal its numbers."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import decimals, sampled_from

from backtester.core.events import LimitOrderIntent, MarketOrderIntent, OrderIntent, Reason, Side, StopOrderIntent
from backtester.core.rules import InstrumentRules
from backtester.core.timeline import Timeline
from backtester.risk.order_validation import Refusal, RoundedOrder, SymbolSpecs
from tests.support.specs import instrument, rules

BTC = instrument()
TICK_5_CENTS = rules(tick=5, lot=10, min_qty=20, max_qty=5_000, min_notional=5 * 10**8, max_notional=10**11)


def judged(
    intent: OrderIntent, held: InstrumentRules = TICK_5_CENTS, last: int | None = 100_00
) -> RoundedOrder | Refusal:
    return SymbolSpecs({BTC.id: BTC}, {BTC.id: Timeline.constant(held)}).rounded(intent, last, 0)


def order(kind: str, side: Side, qty: str, price: str = "") -> OrderIntent:
    common: dict[str, Any] = {"ts": 1, "instrument": BTC.id, "side": side, "qty": Decimal(qty)}
    if kind == "limit":
        return LimitOrderIntent(limit_price=Decimal(price), **common)
    if kind == "stop":
        return StopOrderIntent(stop_price=Decimal(price), **common)
    return MarketOrderIntent(**common)


@pytest.mark.parametrize(
    ("kind", "side", "asked", "given_"),
    [
        ("limit", Side.BUY, "100.07", 100_05),  # never pays more than asked
        ("limit", Side.SELL, "100.07", 100_10),  # never takes less than asked
        ("stop", Side.SELL, "100.07", 100_10),  # fires no later than asked
        ("stop", Side.BUY, "100.07", 100_05),
        ("limit", Side.BUY, "100.05", 100_05),
        ("limit", Side.SELL, "100.05", 100_05),
        ("limit", Side.BUY, "100.0999999", 100_05),
        ("limit", Side.SELL, "100.0500001", 100_10),
    ],
)
def test_prices_go_to_the_tick_in_the_traders_favour(kind: str, side: Side, asked: str, given_: int) -> None:
    rounded = judged(order(kind, side, "1", asked))
    assert isinstance(rounded, RoundedOrder)
    assert (rounded.limit_units or rounded.stop_units) == given_


@given(
    kind=sampled_from(["limit", "stop"]),
    side=sampled_from(list(Side)),
    price=decimals("0.5", "900", places=5),
    qty=decimals("0.1", "1", places=6),
)
def test_rounding_moves_less_than_a_tick_and_less_than_a_lot(
    kind: str, side: Side, price: Decimal, qty: Decimal
) -> None:
    rounded = judged(order(kind, side, str(qty), str(price)), rules(tick=5, lot=10))
    assert isinstance(rounded, RoundedOrder)
    units = rounded.limit_units or rounded.stop_units
    assert units % 5 == 0
    moved = units - Fraction(price) * 100
    assert (0 <= moved < 5) if side is Side.SELL else (-5 < moved <= 0)
    assert rounded.qty_units % 10 == 0
    assert 0 <= Fraction(qty) * 1000 - rounded.qty_units < 10


@pytest.mark.parametrize(
    ("kind", "qty", "price", "reason", "numbers"),
    [
        ("market", "0.019", "", Reason.BELOW_MIN_QTY, {"qty": "0.010", "asked": "0.019", "min_qty": "0.020"}),
        ("market", "0.0001", "", Reason.BELOW_MIN_QTY, {"qty": "0.000", "asked": "0.0001", "min_qty": "0.020"}),
        ("market", "5.01", "", Reason.ABOVE_MAX_QTY, {"qty": "5.010", "asked": "5.01", "max_qty": "5.000"}),
        ("limit", "0.04", "100", Reason.BELOW_MIN_NOTIONAL, {"notional": "4", "min_notional": "5"}),
        ("market", "0.04", "", Reason.BELOW_MIN_NOTIONAL, {"notional": "4", "min_notional": "5"}),
        ("stop", "5", "200.05", Reason.ABOVE_MAX_NOTIONAL, {"notional": "1000.25", "max_notional": "1000"}),
        ("market", "0", "", Reason.BAD_SIZE, {"qty": "0"}),
        ("market", "-1", "", Reason.BAD_SIZE, {"qty": "-1"}),
        ("limit", "1", "0", Reason.BAD_PRICE, {"price": "0.00"}),
        ("limit", "1", "-3", Reason.BAD_PRICE, {"price": "-3.00"}),
        ("limit", "1", "0.04", Reason.BAD_PRICE, {"price": "0.00"}),
    ],
)
def test_a_refusal_names_its_numbers(kind: str, qty: str, price: str, reason: Reason, numbers: dict[str, str]) -> None:
    assert judged(order(kind, Side.BUY, qty, price)) == Refusal(reason, numbers)


@pytest.mark.parametrize(
    ("kind", "qty", "price"), [("market", "0.05", ""), ("limit", "5", "200"), ("market", "0.0599", "")]
)
def test_orders_on_the_edge_of_the_rules_pass(kind: str, qty: str, price: str) -> None:
    assert isinstance(judged(order(kind, Side.BUY, qty, price)), RoundedOrder)


def test_a_market_order_needs_a_price_to_be_judged_by() -> None:
    assert judged(order("market", Side.BUY, "1"), last=None) == Refusal(Reason.NO_PRICE, {})
