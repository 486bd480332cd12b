"""Limits of one's own, order by order: what is refused, with which numbers, and what is never held up."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.market import flat
from tests.support.runs import Ran, bought, run_on, scripted, sold

B, E = "BTCUSDT", "ETHUSDT"
UM: Any = {"run": {"market": "um"}}


def limited(folder: Path, script: Any, *, market: Any = None, sections: Any = None, **risk: Any) -> Ran:
    return run_on(folder, market or flat(100, 8), scripted(script), risk=risk, **(sections or {}))


def reasons(ran: Ran) -> list[str]:
    return [reason for _, reason, _ in ran.refusals]


# --- one order ---------------------------------------------------------------------------------------------------


def test_an_order_may_not_be_worth_more_than_its_limit(tmp_path: Path) -> None:
    orders = {0: lambda s: [s.buy(B, 5), s.buy(B, "5.001"), s.buy(B, quote="500.01"), s.buy(B, quote=500)]}
    ran = limited(tmp_path, orders, max_order_notional=500)
    assert ran.refusals == [
        ("risk", "max_order_notional", {"notional": "500.1", "max_order_notional": "500"}),
        ("risk", "max_order_notional", {"notional": "500.01", "max_order_notional": "500"}),
    ]
    assert ran.fills == [bought(1, 100, 5), bought(1, 100, 5)]


def test_a_multiple_of_equity_follows_equity(tmp_path: Path) -> None:
    market = [*flat(100, 3), *flat(50, 5)]
    orders = {0: lambda s: [s.buy(B, "25.001"), s.buy(B, 25)], 5: lambda s: [s.buy(B, 38), s.buy(B, 37)]}
    ran = limited(
        tmp_path, orders, market=market, max_order_notional="0.5x", sections={"account": {"initial_cash": 5000}}
    )
    # 25 × 50 + 2500 cash = 3750, half of it 1875 = 37.5 coins
    assert ran.refusals == [
        ("risk", "max_order_notional", {"notional": "2500.1", "max_order_notional": "2500"}),
        ("risk", "max_order_notional", {"notional": "1900", "max_order_notional": "1875"}),
    ]
    assert ran.fills == [bought(1, 100, 25), bought(6, 50, 37)]


def test_prices_must_be_near_the_last_one(tmp_path: Path) -> None:
    orders = {
        0: lambda s: [
            s.buy(B, 1, limit=90),
            s.buy(B, 1, limit="89.99"),
            s.buy(B, 1, stop=110),
            s.buy(B, 1, stop="110.01"),
            s.buy(B, 1),
        ]
    }
    ran = limited(tmp_path, orders, price_collar_pct=10)
    assert ran.refusals == [
        ("risk", "price_collar", {"price": "89.99", "last": "100.00", "price_collar_pct": "10"}),
        ("risk", "price_collar", {"price": "110.01", "last": "100.00", "price_collar_pct": "10"}),
    ]
    assert ran.details["final"]["open_orders"] == [1, 2]


# --- how many ----------------------------------------------------------------------------------------------------


def test_only_so_many_orders_may_be_open(tmp_path: Path) -> None:
    def bid(at: int) -> Any:
        return lambda s: [s.buy(B, 1, limit=at)]

    def one_for_another(s: Any) -> Any:
        return [s.cancel(s.open_orders(B)[0]), s.buy(B, 1, limit=93)]

    def replaced(s: Any) -> Any:
        return [s.replace(s.open_orders(B)[0], limit=94)]

    ran = limited(tmp_path, {0: bid(90), 1: bid(91), 2: bid(92), 3: one_for_another, 4: replaced}, max_open_orders=2)
    assert ran.refusals == [("risk", "max_open_orders", {"open": "2", "max_open_orders": "2"})]
    assert ran.details["final"]["open_orders"] == [3, 4]


def test_only_so_many_orders_may_be_sent_in_any_minute(tmp_path: Path) -> None:
    two = lambda s: [s.buy(B, 1), s.buy(B, 1)]  # noqa: E731
    ran = limited(tmp_path, {0: lambda s: [*two(s), *two(s)], 1: two}, max_orders_per_minute=3)
    assert ran.refusals == [("risk", "max_orders_per_minute", {"sent": "3", "max_orders_per_minute": "3"})]
    assert [fill.candle for fill in ran.fills] == [1, 1, 1, 2, 2]  # a minute later they count no more


def test_a_refused_order_does_not_count_as_sent(tmp_path: Path) -> None:
    orders = {0: lambda s: [s.buy(B, 1000), s.buy(B, 1), s.buy(B, 1)]}
    assert reasons(limited(tmp_path, orders, max_orders_per_minute=1)) == [
        "insufficient_balance",
        "max_orders_per_minute",
    ]


# --- what they may add up to -------------------------------------------------------------------------------------


def test_open_orders_count_toward_the_exposure_of_a_symbol(tmp_path: Path) -> None:
    orders = {
        0: lambda s: [s.buy(B, 3)],
        2: lambda s: [s.buy(B, 4, limit=90), s.buy(B, 4, limit=90), s.buy(B, 3, limit=90)],
        3: lambda s: [*s.cancel_all(B), s.buy(B, 7)],
    }
    ran = limited(tmp_path, orders, max_symbol_notional=1000)
    assert ran.refusals == [
        (
            "risk",
            "max_symbol_notional",
            {"exposure": "1100", "equity": "10000", "max_symbol_notional": "1000"},
        )
    ]
    assert ran.fills == [bought(1, 100, 3), bought(4, 100, 7)]


def test_orders_of_one_group_count_once(tmp_path: Path) -> None:
    pair = lambda s: [s.buy(B, 8, limit=90, oco="a"), s.buy(B, 9, stop=110, oco="a")]  # noqa: E731
    ran = limited(tmp_path, {0: pair, 1: lambda s: [s.buy(B, 2), s.buy(B, 1)]}, max_symbol_notional=1000)
    assert reasons(ran) == ["max_symbol_notional"]
    assert ran.fills == [bought(2, 100, 1)]


def test_gross_adds_both_sides_and_net_sets_them_off(tmp_path: Path) -> None:
    orders = {
        0: lambda s: [s.buy(B, 5)],
        2: lambda s: [s.sell(E, 6), s.sell(E, 5)],
        4: lambda s: [s.sell(E, 6)],
    }
    market = {B: flat(100, 8), E: flat(100, 8)}
    gross = limited(tmp_path / "gross", orders, market=market, sections=UM, max_gross_exposure=1000)
    assert reasons(gross) == ["max_gross_exposure", "max_gross_exposure"]
    net = limited(tmp_path / "net", orders, market=market, sections=UM, max_net_exposure=600)
    # 5 - 6 - 5 is 6 short, 6 more are 12
    assert net.refusals == [
        ("risk", "max_net_exposure", {"exposure": "1200", "equity": "10000", "max_net_exposure": "600"})
    ]


def test_leverage_is_gross_exposure_over_equity(tmp_path: Path) -> None:
    orders = {0: lambda s: [s.buy(B, 30), s.sell(E, 21), s.sell(E, 20)]}
    ran = limited(tmp_path, orders, market={B: flat(100, 4), E: flat(100, 4)}, sections=UM, max_leverage="0.5")
    assert ran.refusals == [("risk", "max_leverage", {"exposure": "5100", "equity": "10000", "max_leverage": "0.5x"})]


def test_what_reduces_is_never_refused_even_when_the_market_went_beyond_the_limit(tmp_path: Path) -> None:
    market = [*flat(100, 3), *flat(200, 6)]
    orders = {
        0: lambda s: [s.buy(B, 10)],
        4: lambda s: [s.buy(B, 1), s.sell(B, 4)],
        6: lambda s: [s.sell(B, 6)],
    }
    limits = {"max_symbol_notional": 1000, "max_order_notional": 1000, "max_leverage": "0.1", "max_open_orders": 1}
    for sections in ({}, UM):
        ran = limited(tmp_path / str(len(sections)), orders, market=market, sections=sections, **limits)
        assert reasons(ran) == ["max_symbol_notional"]
        assert ran.fills == [bought(1, 100, 10), sold(5, 200, 4), sold(7, 200, 6)]


def test_exits_that_together_would_go_through_zero_beyond_the_limit_go_on_as_reduce_only(tmp_path: Path) -> None:
    orders = {
        0: lambda s: [s.buy(B, 10)],
        2: lambda s: [s.sell(B, 10, limit=110), s.sell(B, 10, stop=90), s.sell(B, 10, limit=115)],
    }
    market = [*flat(100, 4), (100, 120, 80, 100), *flat(100, 3)]
    ran = limited(tmp_path, orders, market=market, sections=UM, max_symbol_notional=1000)
    assert [event["terms"] for event in ran.events("orders_sanitized")] == [{}, {}, {}, {"reduce_only": True}]
    assert [(fill.side, fill.qty) for fill in ran.fills] == [("buy", 10), ("sell", 10), ("sell", 10)]
    assert ran.details["final"]["positions"]["um:BTCUSDT"]["qty"] == "-10.000"


def test_a_replacement_takes_the_place_of_the_old_order_in_every_count(tmp_path: Path) -> None:
    orders = {
        0: lambda s: [s.buy(B, 10, limit=90)],
        1: lambda s: [s.replace(s.open_orders(B)[0], qty=11)],
        2: lambda s: [s.replace(s.open_orders(B)[0], limit=91)],
    }
    ran = limited(tmp_path, orders, max_symbol_notional=1000, max_open_orders=1, max_orders_per_minute=9)
    assert reasons(ran) == ["max_symbol_notional"]
    assert ran.updates == [(1, "accepted", ""), (1, "cancelled", "replaced"), (2, "accepted", "")]


# --- times without entries ---------------------------------------------------------------------------------------

BUY_AND_SELL = {n: (lambda s: [s.buy(B, 1)]) if n % 2 == 0 else (lambda s: [s.sell(B, 1)]) for n in range(10)}


@pytest.mark.parametrize(
    ("window", "refused"),
    [
        ({"start": "2024-01-01T00:03:00Z", "end": "2024-01-01T00:05:00Z"}, [3]),  # of the even minutes 1 3 5 7 9
        ({"daily": "00:03-00:06"}, [3, 5]),
        ({"daily": "23:00-00:04"}, [1, 3]),
        ({"daily": "00:03-00:06", "weekdays": ["tue"]}, []),
        ({"weekdays": ["mon"]}, [1, 3, 5, 7, 9]),
        ({"daily": "23:00-00:04", "weekdays": ["sun"]}, [1, 3]),
    ],
)
def test_nothing_is_opened_in_a_blackout(tmp_path: Path, window: Any, refused: list[int]) -> None:
    ran = limited(tmp_path, BUY_AND_SELL, market=flat(100, 11), blackouts=[window])  # 2024-01-01 is a Monday
    minutes = [
        line["tick"] // 60_000_000 % 60
        for line in ran.lines
        if line["topic"] == "orders_rejected" and line["event"]["reason"] == "blackout"
    ]
    assert minutes == refused


def test_in_a_blackout_positions_may_be_closed(tmp_path: Path) -> None:
    orders = {0: lambda s: [s.buy(B, 2)], 3: lambda s: [s.sell(B, 2), s.sell(B, 1)]}
    ran = limited(tmp_path, orders, sections=UM, blackouts=[{"daily": "00:03-00:30"}])
    assert ran.fills == [bought(1, 100, 2), sold(4, 100, 2)]
    assert ran.updates[-1] == (3, "expired", "nothing_to_reduce")


def test_without_limits_the_run_says_so_and_with_them_which(tmp_path: Path) -> None:
    assert limited(tmp_path / "a", {}).details["assumptions"]["limits"] == "no limits of your own"
    ran = limited(tmp_path / "b", {}, max_leverage=2, max_order_notional="0.5x", drawdown={"limit_pct": 10})
    assert ran.details["assumptions"]["limits"] == (
        "max_order_notional 0.5x; max_leverage 2; drawdown 10 %: reject_entries, cool-down 24h"
    )


def test_money_below_the_least_order_of_the_venue_is_warned_of(tmp_path: Path) -> None:
    rules = {"instruments": {"spot:BTCUSDT": {"min_notional": 5}}}

    def warned(folder: str, limit: Any) -> list[str]:
        ran = limited(tmp_path / folder, {}, max_order_notional=limit, sections=rules)
        return [text for text in ran.details["warnings"] if "max_order_notional" in text]

    [said] = warned("money", "1.5")
    assert "is 1.5, less than the least order of spot:BTCUSDT 5" in said
    assert 'written "1.5x"' in said
    assert warned("equity", "1.5x") == warned("enough", 5) == []
