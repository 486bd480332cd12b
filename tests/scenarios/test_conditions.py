"""How long an order works and under which conditions; replacing it; names of its own."""

from pathlib import Path
from typing import Any

import pytest

from backtester.core.time import MINUTE, SECOND
from tests.support.market import flat, time_of
from tests.support.runs import Ran, bought, run_on, scripted, sold

B = "BTCUSDT"
UM: dict[str, Any] = {"run": {"market": "um"}}


def ended(ran: Ran) -> list[tuple[int, str, str]]:
    """Orders that ended without a fill, and why."""
    return [update for update in ran.updates if update[1] in ("cancelled", "expired")]


# --- immediate or cancel, fill or kill ---------------------------------------------------------------------------


@pytest.mark.parametrize("force", ["ioc", "fok"])
def test_an_immediate_order_fills_at_the_next_open_within_its_limit(tmp_path: Path, force: str) -> None:
    market = [*flat(100, 1), (101, 105, 95, 100), *flat(100)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1, limit=102, time_in_force=force)]}))
    assert ran.fills == [bought(1, 101)]
    assert ran.fills[0].liquidity == "taker"


@pytest.mark.parametrize("force", ["ioc", "fok"])
def test_or_it_expires_at_that_open_whatever_comes_later(tmp_path: Path, force: str) -> None:
    market = [*flat(100, 1), (103, 105, 95, 100), *flat(100)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1, limit=102, time_in_force=force)]}))
    assert ran.fills == []
    assert ended(ran) == [(1, "expired", "not_filled_at_once")]


def test_slippage_does_not_take_an_immediate_order_beyond_its_limit(tmp_path: Path) -> None:
    market = [*flat(100, 1), (101, 105, 95, 100), *flat(100)]
    order = scripted({0: lambda s: [s.buy(B, 1, limit=102, time_in_force="ioc")]})
    assert run_on(tmp_path, market, order, slippage={"bps": 500}).fills == [bought(1, 102)]


def test_an_immediate_stop_limit_expires_when_it_triggers_without_room(tmp_path: Path) -> None:
    stop = lambda s: [s.sell(B, 1, stop=96, limit=95, time_in_force="ioc")]  # noqa: E731
    market = [*flat(100, 2), (90, 99, 89, 98), *flat(98)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1)], 1: stop}))
    assert ran.updates[-2:] == [(2, "triggered", ""), (2, "expired", "not_filled_at_once")]
    assert len(ran.fills) == 1


# --- good till a time --------------------------------------------------------------------------------------------


def test_an_order_meets_the_candle_that_ends_when_its_time_is_over_and_none_after(tmp_path: Path) -> None:
    def bid(s: Any) -> Any:
        return [s.buy(B, 1, limit=95, good_till=time_of(2))]

    early = [*flat(100, 1), (100, 100, 94, 100), *flat(100)]
    assert run_on(tmp_path / "a", early, scripted({0: bid})).fills == [bought(1, 95)]
    late = [*flat(100, 2), (100, 100, 94, 100), *flat(100)]
    ran = run_on(tmp_path / "b", late, scripted({0: bid}))
    assert ran.fills == []
    assert ended(ran) == [(1, "expired", "good_till")]
    assert [line["tick"] for line in ran.lines if line["event"].get("reason") == "good_till"] == [time_of(2)]


def test_a_time_within_a_candle_makes_a_tick_of_its_own(tmp_path: Path) -> None:
    market = [*flat(100, 1), (100, 100, 90, 100), *flat(100)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1, limit=95, good_till=time_of(1) + 30 * SECOND)]}))
    assert ran.fills == []  # whether 95 was traded in the first half of the candle nobody can say
    [tick] = [line["tick"] for line in ran.lines if line["event"].get("reason") == "good_till"]
    assert tick == time_of(1) + 30 * SECOND


def test_a_strategy_that_decides_when_the_time_is_over_does_not_see_the_order_any_more(tmp_path: Path) -> None:
    seen = []

    def look(s: Any) -> None:
        seen.append(len(s.open_orders(B)))

    orders = {0: lambda s: [s.buy(B, 1, stop=150, good_till=time_of(2))], 1: look}
    run_on(tmp_path, flat(100, 4), scripted(orders))
    assert seen == [0]  # candle 1 closes at the very time


def test_a_time_that_is_over_is_refused(tmp_path: Path) -> None:
    ran = run_on(tmp_path, flat(100, 3), scripted({1: lambda s: [s.buy(B, 1, limit=95, good_till=time_of(2))]}))
    assert [(who, reason) for who, reason, _ in ran.refusals] == [("risk", "good_till")]


def test_the_timers_of_a_strategy_are_its_own(tmp_path: Path) -> None:
    called: list[int] = []

    class Timed(scripted({0: lambda s: [s.buy(B, 1, limit=95, good_till=time_of(1) + 30 * SECOND)]})):  # type: ignore[misc]
        def on_timer(self, now: int) -> None:
            called.append(now)

    run_on(tmp_path, flat(100, 3), Timed)
    assert called == []


# --- post only ---------------------------------------------------------------------------------------------------


def test_a_post_only_order_that_would_take_is_rejected(tmp_path: Path) -> None:
    ran = run_on(tmp_path, flat(100, 3), scripted({0: lambda s: [s.buy(B, 1, limit=101, post_only=True)]}))
    assert ran.refusals == [("execution", "would_take", {"limit": "101.00"})]
    assert ran.fills == []


def test_a_post_only_order_that_rests_fills_as_a_maker(tmp_path: Path) -> None:
    market = [*flat(100, 1), (100, 100, 98, 99), *flat(99)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1, limit=99, post_only=True)]}))
    assert ran.fills == [bought(1, 99)]
    assert ran.fills[0].liquidity == "maker"


# --- reduce only, close position ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sections", [{}, UM])
def test_a_reduce_only_order_is_cut_to_the_position_and_the_rest_expires(tmp_path: Path, sections: Any) -> None:
    orders = {0: lambda s: [s.buy(B, 2)], 1: lambda s: [s.sell(B, 5, limit=105, reduce_only=True)]}
    ran = run_on(tmp_path, [*flat(100, 2), (100, 110, 100, 108), *flat(108)], scripted(orders), **sections)
    assert ran.fills == [bought(1, 100, 2), sold(2, 105, 2)]
    assert ran.events("fills")[1]["leaves"] == "3.000"
    assert ended(ran) == [(2, "expired", "nothing_to_reduce")]
    assert [(row["status"], row["filled"]) for row in ran.table("orders")] == [("filled", 2), ("expired", 2)]
    assert ran.details["final"]["positions"] == {}


def test_it_expires_when_there_is_nothing_to_reduce(tmp_path: Path) -> None:
    ran = run_on(tmp_path, flat(100, 4), scripted({0: lambda s: [s.sell(B, 1, reduce_only=True)]}), **UM)
    assert ran.fills == []
    assert ended(ran) == [(1, "expired", "nothing_to_reduce")]


def test_a_reduce_only_order_adds_nothing_to_a_position_of_its_own_side(tmp_path: Path) -> None:
    orders = {0: lambda s: [s.buy(B, 1)], 1: lambda s: [s.buy(B, 1, reduce_only=True)]}
    ran = run_on(tmp_path, flat(100, 4), scripted(orders), **UM)
    assert ran.fills == [bought(1, 100)]


def test_fill_or_kill_is_not_cut(tmp_path: Path) -> None:
    orders = {
        0: lambda s: [s.buy(B, 1)],
        1: lambda s: [s.sell(B, 2, limit=99, reduce_only=True, time_in_force="fok")],
    }
    ran = run_on(tmp_path, flat(100, 4), scripted(orders), **UM)
    assert ran.fills == [bought(1, 100)]
    assert ended(ran) == [(2, "expired", "not_filled_at_once")]


@pytest.mark.parametrize("sections", [{}, UM])
def test_a_stop_that_closes_the_position_takes_what_is_held_when_it_triggers(tmp_path: Path, sections: Any) -> None:
    orders = {
        0: lambda s: [s.buy(B, 1)],
        1: lambda s: [s.sell(B, stop=90, close_position=True)],
        2: lambda s: [s.buy(B, 2)],
    }
    market = [*flat(100, 4), (100, 100, 89, 95), *flat(95)]
    ran = run_on(tmp_path, market, scripted(orders), **sections)
    assert ran.fills == [bought(1, 100), bought(3, 100, 2), sold(4, 90, 3)]
    assert ran.details["final"]["positions"] == {}


def test_a_stop_that_closes_nothing_expires(tmp_path: Path) -> None:
    market = [*flat(100, 2), (100, 100, 89, 95), *flat(95)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.sell(B, stop=90, close_position=True)]}), **UM)
    assert ran.updates == [(1, "accepted", ""), (1, "triggered", ""), (1, "expired", "nothing_to_reduce")]


# --- replacing ---------------------------------------------------------------------------------------------------


def replaced(**changes: Any) -> Any:
    return lambda s: [s.replace(s.open_orders(B)[0], **changes)]


def test_a_replacement_cancels_the_old_order_and_works_in_its_place(tmp_path: Path) -> None:
    orders = {
        0: lambda s: [s.buy(B, 1, limit=90, tag="bid", oco="pair", client_id="mine")],
        1: replaced(limit=95, qty=2),
    }
    ran = run_on(tmp_path, [*flat(100, 2), (100, 100, 94, 96), *flat(96)], scripted(orders))
    assert ran.updates == [(1, "accepted", ""), (1, "cancelled", "replaced"), (2, "accepted", "")]
    assert ran.fills == [bought(2, 95, 2)]
    new = ran.events("orders_sanitized")[1]
    assert (new["replaces"], new["tag"], new["oco"], new["client_id"]) == (1, "bid", "pair", "mine")
    assert ran.events("fills")[0]["client_id"] == "mine"


def test_a_replacement_may_spend_what_the_old_order_bound(tmp_path: Path) -> None:
    orders = {0: lambda s: [s.buy(B, 100, limit=100)], 1: replaced(limit=99, qty=101)}
    ran = run_on(tmp_path, [(100, 100, 100, 100), *flat(101, 1), *flat(101, 2)], scripted(orders))
    assert ran.updates[-1] == (2, "accepted", "")


def test_a_replacement_that_is_refused_leaves_the_old_order_and_its_funds(tmp_path: Path) -> None:
    orders = {
        0: lambda s: [s.buy(B, 50, limit=95)],
        1: replaced(qty=500),
        2: lambda s: [s.buy(B, 60, limit=95)],
    }
    ran = run_on(tmp_path, [*flat(100, 3), (100, 100, 94, 95), *flat(95)], scripted(orders))
    assert [reason for _, reason, _ in ran.refusals] == ["insufficient_balance", "insufficient_balance"]
    assert ran.fills == [bought(3, 95, 50)]


def test_so_does_one_that_the_exchange_refuses(tmp_path: Path) -> None:
    orders = {
        0: lambda s: [s.buy(B, 1)],
        1: lambda s: [s.sell(B, 1, stop=90)],
        2: replaced(stop=100),
        3: lambda s: [s.sell(B, 1)],  # the stop holds what it would sell
    }
    ran = run_on(tmp_path, [*flat(100, 4), (100, 100, 89, 90), *flat(90)], scripted(orders))
    assert [(who, reason) for who, reason, _ in ran.refusals] == [
        ("execution", "would_trigger"),
        ("risk", "insufficient_balance"),
    ]
    assert ran.fills == [bought(1, 100), sold(4, 90)]


def test_a_replacement_loses_its_place_among_its_likes(tmp_path: Path) -> None:
    orders = {0: lambda s: [s.buy(B, 1, limit=95, tag="a"), s.buy(B, 1, limit=95, tag="b")], 1: replaced(qty=2)}
    ran = run_on(tmp_path, [*flat(100, 2), (100, 100, 94, 95), *flat(95)], scripted(orders))
    assert [fill.tag for fill in ran.fills] == ["b", "a"]


@pytest.mark.parametrize("changes", [{"limit": 95}, {"stop": 99}])
def test_a_price_that_the_order_does_not_have_cannot_be_replaced(tmp_path: Path, changes: Any) -> None:
    first = {"limit": lambda s: [s.buy(B, 1, stop=110)], "stop": lambda s: [s.buy(B, 1, limit=90)]}[next(iter(changes))]
    ran = run_on(tmp_path, flat(100, 4), scripted({0: first, 1: replaced(**changes)}))
    assert [(who, reason) for who, reason, _ in ran.refusals] == [("risk", "bad_replace")]
    assert ran.details["final"]["open_orders"] == [1]


def test_what_ended_cannot_be_replaced(tmp_path: Path) -> None:
    def late(s: Any) -> Any:
        [order] = s.open_orders(B)
        return [s.cancel(order), s.replace(order, limit=91)]

    ran = run_on(tmp_path, flat(100, 4), scripted({0: lambda s: [s.buy(B, 1, limit=90)], 1: late}))
    assert [(who, reason) for who, reason, _ in ran.refusals] == [("execution", "bad_replace")]
    assert ran.details["final"]["open_orders"] == []


# --- names of one's own ------------------------------------------------------------------------------------------


def test_a_client_id_is_on_every_event_of_its_order(tmp_path: Path) -> None:
    market = [*flat(100, 2), (100, 106, 100, 105), *flat(105)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1, stop=105, client_id="me-1")]}))
    events = [line["event"] for line in ran.lines if line["topic"].startswith("orders_") or line["topic"] == "fills"]
    assert len(events) == 5  # intent, sanitized, accepted, triggered, fill
    assert {event["client_id"] for event in events} == {"me-1"}
    assert [row["client_id"] for row in ran.table("orders")] == ["me-1"]


def test_a_client_id_of_an_open_order_is_refused_and_free_again_when_it_ended(tmp_path: Path) -> None:
    bid = lambda s: [s.buy(B, 1, limit=90, client_id="x")]  # noqa: E731
    ran = run_on(tmp_path, flat(100, 5), scripted({0: bid, 1: bid, 2: lambda s: s.cancel_all(B), 3: bid}))
    assert ran.refusals == [("risk", "duplicate_client_id", {"order_id": "1"})]
    assert [e["client_id"] for e in ran.events("orders_rejected")] == ["x"]
    assert ran.updates[-1] == (2, "accepted", "")


# --- the middle of the candle ------------------------------------------------------------------------------------


def test_market_orders_can_fill_in_the_middle_of_the_next_candle_when_it_closed(tmp_path: Path) -> None:
    market = [*flat(100, 1), (100, "110.01", 95, 100), *flat(100, 2)]
    orders = {0: lambda s: [s.buy(B, 1)], 1: lambda s: [s.sell(B, 1)]}
    ran = run_on(
        tmp_path, [tuple(map(float, row)) for row in market], scripted(orders), execution={"market_fill": "mid"}
    )
    assert ran.fills == [bought(1, "102.51"), sold(2, 100)]  # 102.505, rounded against the buyer
    lines = [line for line in ran.lines if line["topic"] == "fills"]
    assert [(line["tick"], line["event"]["ts"]) for line in lines] == [(time_of(n), time_of(n)) for n in (2, 3)]


def test_there_too_a_market_order_waits_for_a_trade_and_no_longer_than_allowed(tmp_path: Path) -> None:
    quiet = (100, 100, 100, 100, 0)
    market = [*flat(100, 1), quiet, quiet, (100, 104, 100, 102), *flat(102)]
    order = scripted({0: lambda s: [s.buy(B, 1)]})
    style = {"market_fill": "mid"}
    assert run_on(tmp_path / "a", market, order, execution=style | {"max_wait": 3}).fills == [bought(3, 102)]
    ran = run_on(tmp_path / "b", market, order, execution=style | {"max_wait": 2})
    assert ran.updates == [(1, "accepted", ""), (1, "expired", "max_wait")]
    assert [line["tick"] for line in ran.lines if line["event"].get("reason") == "max_wait"] == [
        time_of(1) + 2 * MINUTE
    ]
