"""Exits that an entry brings along: from its fill on, together, in whole lots."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.market import flat
from tests.support.runs import Ran, bought, run_on, scripted, sold

B = "BTCUSDT"
UM: dict[str, Any] = {"run": {"market": "um"}}
BOTH = pytest.mark.parametrize("sections", [{}, UM], ids=["spot", "um"])
LADDER = {"stop_loss": 90, "take_profits": [(110, "0.4"), (120, "0.6")]}


def entry(qty: Any = 1, **options: Any) -> Any:
    return scripted({0: lambda s: [s.buy(B, qty, **options)]})


def exits(ran: Ran) -> list[tuple[str, str, str]]:
    """Kind, tag and quantity of the exits that came to life, and of what was cut later."""
    return [(e["kind"], e["tag"], e["qty"]) for e in ran.events("orders_changed")]


@BOTH
def test_exits_exist_from_the_fill_of_the_entry_on(tmp_path: Path, sections: Any) -> None:
    ran = run_on(tmp_path, flat(100, 4), entry(10, tag="in", **LADDER), **sections)
    assert exits(ran) == [
        ("stop", "in.stop", "10.000"),
        ("limit", "in.target", "4.000"),
        ("limit", "in.target", "6.000"),
    ]
    assert ran.updates == [(n, "accepted", "") for n in (1, 2, 3, 4)]
    assert {e["parent_id"] for e in ran.events("orders_changed")} == {1}
    assert ran.details["final"]["open_orders"] == [2, 3, 4]


@BOTH
def test_a_stop_takes_all_and_cancels_the_targets(tmp_path: Path, sections: Any) -> None:
    ran = run_on(tmp_path, [*flat(100, 2), (100, 101, 89, 90), *flat(90)], entry(10, **LADDER), **sections)
    assert ran.fills == [bought(1, 100, 10), sold(2, 90, 10)]
    assert ran.updates[-2:] == [(3, "cancelled", "oco"), (4, "cancelled", "oco")]
    assert ran.details["final"]["open_orders"] == []


@BOTH
def test_a_target_cuts_the_stop_and_the_last_one_ends_it(tmp_path: Path, sections: Any) -> None:
    first = [*flat(100, 2), (100, 111, 100, 110)]
    ran = run_on(tmp_path / "a", [*first, (110, 110, 89, 90), *flat(90)], entry(10, **LADDER), **sections)
    assert ran.fills == [bought(1, 100, 10), sold(2, 110, 4), sold(3, 90, 6)]
    assert exits(ran)[3:] == [("stop", "stop", "6.000")]
    ran = run_on(tmp_path / "b", [*first, (110, 121, 110, 120), *flat(120)], entry(10, **LADDER), **sections)
    assert ran.fills == [bought(1, 100, 10), sold(2, 110, 4), sold(3, 120, 6)]
    assert ran.updates[-1] == (2, "cancelled", "oco")
    assert ran.details["final"]["positions"] == {}


def test_the_stop_reserves_what_is_left_to_protect(tmp_path: Path) -> None:
    market = [*flat(100, 2), (100, 111, 100, 110), *flat(110, 3)]
    ran = run_on(tmp_path, market, entry(10, **LADDER))
    rows = [row for s in ran.events("account_snapshot") for row in s["assets"] if row["asset"] == "BTC"]
    assert [(row["cash"], row["reserved"]) for row in rows] == [
        ("10.00000000", "10.00000000"),
        ("6.00000000", "6.00000000"),
    ]


def test_shares_are_whole_lots_and_the_last_takes_the_rest(tmp_path: Path) -> None:
    third = Decimal(1) / 3
    ladder = [(110, third), (120, third), (130, 1 - 2 * third)]
    ran = run_on(tmp_path, flat(100, 3), entry("0.010", take_profits=ladder, stop_loss=90))
    assert [qty for _, _, qty in exits(ran)] == ["0.010", "0.003", "0.003", "0.004"]


def test_a_share_of_no_lot_makes_no_order(tmp_path: Path) -> None:
    ran = run_on(tmp_path, flat(100, 3), entry("0.001", take_profits=[(110, "0.5"), (120, "0.5")]))
    assert [(tag, qty) for _, tag, qty in exits(ran)] == [("target", "0.001")]


def test_an_exit_that_the_venue_would_not_take_ends_at_once_and_the_stop_protects_all(tmp_path: Path) -> None:
    rules = {"instruments": {f"spot:{B}": {"min_notional": "50"}}}
    market = [*flat(100, 2), (100, 111, 100, 110), (110, 110, 89, 90), *flat(90)]
    ran = run_on(tmp_path, market, entry(1, stop_loss=90, take_profits=[(110, "0.4"), (120, "0.6")]), **rules)
    assert (3, "expired", "below_min_notional") in ran.updates
    assert ran.fills == [bought(1, 100), sold(3, 90)]


def test_targets_may_leave_a_rest_to_the_stop(tmp_path: Path) -> None:
    market = [*flat(100, 2), (100, 111, 100, 110), (110, 110, 89, 90), *flat(90)]
    ran = run_on(tmp_path, market, entry(10, stop_loss=90, take_profits=[(110, "0.3")]))
    assert ran.fills == [bought(1, 100, 10), sold(2, 110, 3), sold(3, 90, 7)]


def test_exits_are_sized_to_what_the_fee_left(tmp_path: Path) -> None:
    fees = {"maker_bps": 0, "taker_bps": 100, "spot_asset": "received"}
    ran = run_on(tmp_path, flat(100, 3), entry(1, stop_loss=90, take_profits=110), fees=fees)
    assert [qty for _, _, qty in exits(ran)] == ["0.99000000"] * 2


def test_a_short_entry_is_the_mirror_image(tmp_path: Path) -> None:
    order = scripted({0: lambda s: [s.sell(B, 2, stop_loss=110, take_profits=90)]})
    ran = run_on(tmp_path, [*flat(100, 2), (100, 101, 89, 95), *flat(95)], order, **UM)
    assert ran.fills == [sold(1, 100, 2), bought(2, 90, 2)]


def test_an_entry_sized_by_money_brings_exits_of_what_it_bought(tmp_path: Path) -> None:
    order = scripted({0: lambda s: [s.buy(B, quote=500, stop_loss=90)]})
    assert exits(run_on(tmp_path, flat(100, 3), order)) == [("stop", "stop", "5.000")]


@pytest.mark.parametrize("how", ["cancelled", "expired"])
def test_without_a_fill_no_exit_ever_exists(tmp_path: Path, how: str) -> None:
    quiet = (100, 100, 100, 100, 0)
    script = {
        "cancelled": {0: lambda s: [s.buy(B, 1, limit=95, **LADDER)], 2: lambda s: s.cancel_all(B)},
        "expired": {0: lambda s: [s.buy(B, 1, **LADDER)]},
    }[how]
    market = [*flat(100, 1), *(flat(100, 3) if how == "cancelled" else [quiet] * 6), *flat(100, 2)]
    ran = run_on(tmp_path, market, scripted(script))
    assert exits(ran) == []
    assert ran.updates == [(1, "accepted", ""), (1, how, "requested" if how == "cancelled" else "max_wait")]
    assert [row["order_id"] for row in ran.table("orders")] == [1]


def test_a_trailing_stop_can_stand_in_for_the_stop(tmp_path: Path) -> None:
    market = [*flat(100, 2), (100, 110, 100, 110), (109, 109, 98, 99), *flat(99)]
    ran = run_on(tmp_path, market, entry(1, stop_trail="0.1", take_profits=130))
    assert ran.fills == [bought(1, 100), sold(3, 99)]
    assert ran.updates[-1] == (3, "cancelled", "oco")


def test_exits_work_along_the_candle_whose_open_filled_the_entry(tmp_path: Path) -> None:
    ran = run_on(tmp_path, [*flat(100, 1), (100, 101, 89, 95), *flat(95)], entry(1, **LADDER))
    assert ran.fills == [bought(1, 100), sold(1, 90)]


# An entry that fills within a candle: what comes after it in there depends on the path.


def test_a_stop_below_a_filled_bid_is_reached_on_the_same_way_down(tmp_path: Path) -> None:
    market = [*flat(100, 1), (100, 101, 85, 99), *flat(99)]
    for path in ("pessimistic", "open_near_extreme_first", "optimistic"):
        ran = run_on(tmp_path / path, market, entry(1, limit=95, stop_loss=90), execution={"path": path})
        assert ran.fills == [bought(1, 95), sold(1, 90)]
        assert ran.details["counts"]["ambiguous_candles"] == 0


def test_a_target_above_a_filled_bid_needs_a_close_beyond_it(tmp_path: Path) -> None:
    bid = entry(1, limit=95, stop_loss=80, take_profits=105)
    sure = run_on(tmp_path / "sure", [*flat(100, 1), (100, 107, 94, 106), *flat(106)], bid)
    assert sure.fills == [bought(1, 95), sold(1, 105)]
    assert sure.details["counts"]["ambiguous_candles"] == 0
    open_ = run_on(tmp_path / "open", [*flat(100, 1), (100, 107, 94, 104), *flat(104)], bid)
    assert open_.fills == [bought(1, 95)]
    assert open_.details["counts"]["ambiguous_candles"] == 1
    down_first = {"execution": {"path": "optimistic"}}
    hopeful = run_on(tmp_path / "hope", [*flat(100, 1), (100, 107, 94, 104), *flat(104)], bid, **down_first)
    assert hopeful.fills == [bought(1, 95), sold(1, 105)]


def test_beside_a_stop_entry_the_worse_exit_comes_first(tmp_path: Path) -> None:
    market = [*flat(100, 1), (100, 120, 90, 115), *flat(115)]  # whether 90 came before the entry nobody can say
    order = entry(1, stop=105, stop_loss=95, take_profits=110)
    worst = run_on(tmp_path / "worst", market, order)
    assert worst.fills == [bought(1, 105), sold(1, 95)]
    assert worst.details["counts"]["ambiguous_candles"] == 1
    walked = run_on(tmp_path / "walked", market, order, execution={"path": "open_near_extreme_first"})
    assert walked.fills == [bought(1, 105), sold(1, 110)]  # down to 90, which is nearer, then up


def test_a_gap_through_entry_and_stop_buys_at_the_limit_and_sells_at_the_open(tmp_path: Path) -> None:
    ran = run_on(tmp_path, [*flat(100, 1), (85, 90, 84, 88), *flat(88)], entry(1, limit=95, stop_loss=90))
    assert ran.fills == [bought(1, 95), sold(1, 85)]
    assert [(fill.at_open, fill.liquidity) for fill in ran.fills] == [(True, "maker"), (True, "taker")]


def test_a_market_that_gaps_beyond_the_target_sells_there_as_a_taker(tmp_path: Path) -> None:
    ran = run_on(tmp_path, [*flat(100, 1), *flat(112, 2)], entry(1, stop_loss=90, take_profits=110))
    assert ran.fills == [bought(1, 112), sold(1, 112)]
    assert ran.fills[1].liquidity == "taker"


def test_exits_never_open_a_position_when_the_trader_closed_it_himself(tmp_path: Path) -> None:
    orders = {0: lambda s: [s.buy(B, 1, stop_loss=90)], 1: lambda s: [s.sell(B, 1)]}
    ran = run_on(tmp_path, [*flat(100, 3), (100, 100, 85, 88), *flat(88)], scripted(orders), **UM)
    assert ran.fills == [bought(1, 100), sold(2, 100)]
    assert ran.updates[-1] == (2, "expired", "nothing_to_reduce")


def test_an_exit_can_be_moved_and_stays_in_its_bracket(tmp_path: Path) -> None:
    def tighten(s: Any) -> Any:
        [stop] = [order for order in s.open_orders(B) if order.kind == "stop"]
        return [s.replace(stop, stop=95)]

    market = [*flat(100, 3), (100, 111, 100, 110), (110, 110, 94, 95), *flat(95)]
    orders = {0: lambda s: [s.buy(B, 10, **LADDER)], 1: tighten}
    ran = run_on(tmp_path, market, scripted(orders))
    assert ran.fills == [bought(1, 100, 10), sold(3, 110, 4), sold(4, 95, 6)]
    assert ran.updates[-1] == (4, "cancelled", "oco")


def test_a_replaced_entry_keeps_its_exits(tmp_path: Path) -> None:
    orders = {
        0: lambda s: [s.buy(B, 1, limit=90, stop_loss=80)],
        1: lambda s: [s.replace(s.open_orders(B)[0], limit=95)],
    }
    ran = run_on(tmp_path, [*flat(100, 2), (100, 100, 94, 100), (100, 100, 79, 80), *flat(80)], scripted(orders))
    assert ran.fills == [bought(2, 95), sold(3, 80)]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"stop_loss": 101}, "stop_loss"),
        ({"take_profits": 99}, "take_profit"),
        ({"limit": 95, "stop_loss": 96}, "stop_loss"),
        ({"stop": 105, "take_profits": 104}, "take_profit"),
    ],
)
def test_exits_on_the_wrong_side_of_the_entry_are_refused(tmp_path: Path, options: Any, what: str) -> None:
    ran = run_on(tmp_path, flat(100, 3), entry(1, **options))
    [(who, reason, numbers)] = ran.refusals
    assert (who, reason) == ("risk", "bad_bracket")
    assert what in numbers


def test_a_spot_sale_has_no_exits(tmp_path: Path) -> None:
    orders = {0: lambda s: [s.buy(B, 1)], 1: lambda s: [s.sell(B, 1, stop_loss=110)]}
    assert [reason for _, reason, _ in run_on(tmp_path, flat(100, 4), scripted(orders)).refusals] == ["bad_bracket"]


@pytest.mark.parametrize("path", ["pessimistic", "open_near_extreme_first", "optimistic"])
@pytest.mark.parametrize(
    ("candle", "pessimistic", "other", "ambiguous"),
    [
        ((100, 105, 95, 101), [bought(1, 100), sold(1, 96)], [bought(1, 100)], 1),  # some path falls to the stop
        ((100, 106, 94, 95), [bought(1, 100), sold(1, 96)], [bought(1, 100), sold(1, 96)], 1),  # every path does
        ((100, 106, 97, 103), [bought(1, "101.50")], [bought(1, "101.50")], 1),  # the target, reached or not
        ((100, 106, 98, 106), [bought(1, 102), sold(1, 104)], [bought(1, 102), sold(1, 104)], 0),
        ((100, 103, 97, 100), [bought(1, 100)], [bought(1, 100)], 0),
    ],
)
def test_exits_of_an_entry_in_the_middle_of_a_candle_meet_the_rest_of_it(
    tmp_path: Path, path: str, candle: Any, pessimistic: Any, other: Any, ambiguous: int
) -> None:
    order = entry(1, stop_loss=96, take_profits=104)
    execution = {"path": path, "market_fill": "mid"}
    calm = flat((candle[1] + candle[2]) / 2 if not pessimistic[1:] else 100, 2)
    ran = run_on(tmp_path, [*flat(100, 1), candle, *calm], order, execution=execution)
    assert ran.fills == (pessimistic if path == "pessimistic" else other)
    assert ran.details["counts"]["ambiguous_candles"] == ambiguous
