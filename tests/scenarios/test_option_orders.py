"""Orders in options on chains drawn by hand: what fills, at which quote, how much of it, and for which fee."""

from pathlib import Path
from typing import Any

import pytest

from backtester.engine.replay import replay, verify
from tests.support.chains import NAN, AtHours, Quote, fills_of, run_chain

C, P = "BTC-240126-30000-C", "BTC-240126-30000-P"
FEES = {"fees": {"maker_bps": 3, "taker_bps": 3}}


def buy(limit: float, qty: Any = 1, name: str = C, **options: Any) -> Any:
    return lambda s: [s.buy(name, qty, limit=limit, **options)]


def sell(limit: float, qty: Any = 1, name: str = C, **options: Any) -> Any:
    return lambda s: [s.sell(name, qty, limit=limit, **options)]


def rows(*sides: tuple[float, float, float], contract: str = C) -> list[Quote]:
    """One row an hour: bid, ask, and the quantity of both."""
    return [Quote(n, contract, bid, ask, size, size, mark=(bid + ask) / 2) for n, (bid, ask, size) in enumerate(sides)]


def test_an_order_fills_at_the_ask_of_the_next_row_and_not_at_the_one_it_was_decided_by(tmp_path: Path) -> None:
    ran = run_chain(tmp_path, rows((90, 100, 5), (110, 120, 5), (70, 80, 5)), {1: buy(130)})
    assert fills_of(ran) == [(2, C, "buy", "1", "120", "0")]
    assert ran.details["final"]["cash"] == {"option:USDT": "9880.00000000"}
    replay(ran.path)
    verify(ran.path)


def test_a_limit_waits_for_a_row_that_allows_it_and_a_sale_takes_the_bid(tmp_path: Path) -> None:
    market = rows((90, 100, 5), (110, 120, 5), (90, 105, 5), (99, 130, 5), (101, 130, 5))
    ran = run_chain(tmp_path, market, {1: buy(105), 3: sell(100)})
    assert fills_of(ran) == [(3, C, "buy", "1", "105", "0"), (5, C, "sell", "1", "101", "0")]


def test_at_most_what_a_row_shows_is_filled_and_each_quantity_once(tmp_path: Path) -> None:
    market = rows((90, 100, 5), (90, 100, 2), (90, 100, 0.7), (90, 100, 5))
    ran = run_chain(
        tmp_path, market, {1: lambda s: [s.buy(C, "1.5", limit=100, tag="a"), s.buy(C, 2, limit=100, tag="b")]}
    )
    filled = [(f[0], f[3], e["tag"]) for f, e in zip(fills_of(ran), ran.events("fills"), strict=True)]
    assert filled == [(2, "1.5", "a"), (2, "0.5", "b"), (3, "0.7", "b"), (4, "0.8", "b")]


def test_a_side_that_is_missing_or_zero_fills_nothing(tmp_path: Path) -> None:
    market = [
        Quote(0, C, 90, 100),
        Quote(1, C, 90, 0, 5, 5, mark=95),  # no ask
        Quote(2, C, 90, 100, 5, 0, mark=95),  # of no quantity
        Quote(3, C, 90, NAN, 5, NAN, mark=95),
        Quote(4, P, 90, 100),  # the contract is not there
        Quote(5, C, 90, 100, mark=95),
    ]
    assert fills_of(run_chain(tmp_path, market, {1: buy(200)})) == [(6, C, "buy", "1", "100", "0")]


@pytest.mark.parametrize(
    ("when", "filled", "ended"),
    [("ioc", ["0.4"], "not_filled_at_once"), ("fok", [], "not_filled_at_once"), ("gtc", ["0.4", "0.6"], "")],
)
def test_how_long_an_order_works(tmp_path: Path, when: str, filled: list[str], ended: str) -> None:
    market = rows((90, 100, 5), (90, 100, 0.4), (90, 100, 5))
    ran = run_chain(tmp_path, market, {1: buy(100, time_in_force=when)})
    assert [qty for _, _, _, qty, _, _ in fills_of(ran)] == filled
    assert [reason for _, status, reason in ran.updates if status == "expired"] == ([ended] if ended else [])


def test_an_order_that_fills_at_once_or_never_does_not_wait_for_a_contract_that_a_row_leaves_out(
    tmp_path: Path,
) -> None:
    market = [Quote(0, C, 90, 100), Quote(1, P, 90, 100), Quote(2, C, 90, 100)]
    ran = run_chain(tmp_path, market, {1: buy(100, time_in_force="ioc")})
    assert fills_of(ran) == []
    assert ran.updates[-1] == (1, "expired", "not_filled_at_once")


def test_post_only_is_rejected_where_it_would_take_and_else_pays_its_own_limit(tmp_path: Path) -> None:
    market = rows((90, 100, 5), (90, 100, 5), (70, 80, 5))
    ran = run_chain(
        tmp_path, market, {1: lambda s: [s.buy(C, 1, limit=100, post_only=True), s.buy(C, 1, limit=95, post_only=True)]}
    )
    assert [reason for _, reason, _ in ran.refusals] == ["would_take"]
    assert fills_of(ran) == [(3, C, "buy", "1", "95", "0")]
    assert ran.events("fills")[0]["liquidity"] == "maker"


@pytest.mark.parametrize(
    ("premium", "fee"),
    [(500, "9"), (90, "9"), (50, "5"), (0.1, "0.01")],  # 3 bps of 30 000 are 9, and a tenth of the premium is the most
)
def test_the_fee_is_of_the_index_and_at_most_a_tenth_of_the_premium(tmp_path: Path, premium: float, fee: str) -> None:
    ran = run_chain(tmp_path, rows((0, premium, 5), (0, premium, 5)), {1: buy(600)}, **FEES)
    assert fills_of(ran) == [(2, C, "buy", "1", str(premium), fee)]


def test_rebates_are_not_paid(tmp_path: Path) -> None:
    ran = run_chain(tmp_path, rows((0, 500, 5), (0, 500, 5)), {1: buy(600)}, fees={"maker_bps": -1, "taker_bps": -1})
    assert fills_of(ran)[0][5] == "0"


def test_a_contract_of_many_units_costs_premium_and_fee_of_each(tmp_path: Path) -> None:
    ran = run_chain(
        tmp_path,
        rows((0, 50, 5), (0, 50, 5)),
        {1: buy(50, 2)},
        **FEES,
        instruments={"option:BTCUSDT": {"contract_size": 10}},
    )
    assert fills_of(ran) == [(2, C, "buy", "2", "50", "100")]  # min(2 × 10 × 9, a tenth of 2 × 10 × 50)
    assert ran.details["final"]["cash"] == {"option:USDT": "8900.00000000"}


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda s: [s.buy(C, 1)], "limit_only"),
        (lambda s: [s.buy(C, 1, stop=200)], "limit_only"),
        (lambda s: [s.buy(C, 1, stop=200, limit=210)], "limit_only"),
        (lambda s: [s.buy(C, 1, trail="0.1")], "limit_only"),
        (lambda s: [s.buy(C, 1, twap="2h", slices=2)], "limit_only"),
        (lambda s: [s.buy(C, 2, limit=100, display=1)], "limit_only"),
        (lambda s: [s.buy(C, quote=100, limit=100)], "bad_size"),
        (lambda s: [s.buy(C, 1, limit=100, stop_loss=50)], "bad_bracket"),
        (lambda s: [s.buy(C, "0.0001", limit=100)], "below_min_qty"),
        (lambda s: [s.buy(C, 1000, limit=100)], "insufficient_balance"),
        (lambda s: [s.sell(C, 1, limit=100)], "short_not_allowed"),
    ],
)
def test_what_the_venue_does_not_take_is_rejected_with_its_reason(tmp_path: Path, act: Any, reason: str) -> None:
    ran = run_chain(tmp_path, rows((90, 100, 5), (90, 100, 5)), {1: act})
    assert [why for _, why, _ in ran.refusals] == [reason]
    assert fills_of(ran) == []


def test_a_sale_of_more_than_is_held_is_rejected_and_of_two_sales_of_it_only_one_fills(tmp_path: Path) -> None:
    market = rows((90, 100, 5), (90, 100, 5), (90, 100, 5))
    ran = run_chain(
        tmp_path, market, {1: buy(100), 2: lambda s: [s.sell(C, 2, limit=90), *(s.sell(C, 1, limit=90),) * 2]}
    )
    assert [reason for _, reason, _ in ran.refusals] == ["short_not_allowed"]
    assert [f[2] for f in fills_of(ran)] == ["buy", "sell"]
    assert ran.updates[-1][2] == "short_not_allowed"


def test_prices_are_rounded_to_the_tick_and_quantities_to_the_lot_as_of_every_order(tmp_path: Path) -> None:
    own = {"option:BTCUSDT": {"tick_size": "5", "lot_size": "0.01", "min_qty": "0.01"}}
    ran = run_chain(tmp_path, rows((90, 100, 5), (90, 100, 5)), {1: buy(104.9, "0.129")}, instruments=own)
    order = ran.events("orders_sanitized")[0]
    assert (order["limit_price"], order["qty"]) == ("100.00000000", "0.12")


def at_the_money(hour: float) -> float:
    """What a month at half a year's volatility is worth, its last day having `hour` hours."""
    return 30_000 * 0.5 * ((25 + hour / 24) / 365) ** 0.5 * 0.39894


def test_marks_come_from_the_row_else_from_volatility_else_from_between_the_quotes_else_from_the_last_volatility(
    tmp_path: Path,
) -> None:
    market = [
        Quote(0, C, 90, 100),
        Quote(1, C, 90, 100, mark=97),
        Quote(2, C, 90, 100, mark_iv=0.5),
        Quote(3, C, 90, 100),
        Quote(4, C, 0, 0),
    ]
    ran = run_chain(tmp_path, market, {1: buy(100)})
    values = [row["equity"] - row["cash"] for row in ran.table("equity")][-4:]
    assert [float(v) for v in values[::2]] == [97, 95]
    assert [float(v) for v in values[1::2]] == pytest.approx([at_the_money(5), at_the_money(3)], rel=0.002)
    assert ran.details["options"]["marks"] == {"black76": 1, "last volatility": 1, "mid": 1, "row": 1}
    assert any("3 of 4 marks" in warning for warning in ran.result.warnings)
    replay(ran.path)


def test_an_option_alone_may_be_named_and_others_of_its_chain_are_not_in_the_run(tmp_path: Path) -> None:
    market = [*rows((90, 100, 5), (90, 100, 5)), *rows((1, 2, 5), (1, 2, 5), contract=P)]
    ran = run_chain(tmp_path, market, {1: buy(100)}, symbols=[f"option:{C}"])
    assert [f[1] for f in fills_of(ran)] == [C]
    assert list(ran.prepared.instruments) == [f"option:{C}"]


def test_orders_are_taken_back_and_replaced_as_others_are(tmp_path: Path) -> None:
    market = rows((90, 100, 5), (90, 100, 5), (90, 100, 5), (90, 100, 5))

    def change(s: AtHours) -> Any:
        first, second = s.open_orders(C)
        return [s.cancel(first), s.replace(second, limit=100, qty="0.5")]

    ran = run_chain(tmp_path, market, {1: lambda s: [s.buy(C, 1, limit=50), s.buy(C, 1, limit=60)], 2: change})
    assert fills_of(ran) == [(3, C, "buy", "0.5", "100", "0")]
    assert [(status, reason) for _, status, reason in ran.updates if status == "cancelled"] == [
        ("cancelled", "requested"),
        ("cancelled", "replaced"),
    ]
