"""A cap on the share of the volume: orders fill in parts, over several candles, and nothing is taken twice."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from backtester.audit.fold import fold
from backtester.audit.reader import read_log
from tests.support.runs import Ran, bought, run_on, scripted, sold

B = "BTCUSDT"
TENTH: dict[str, Any] = {"execution": {"participation": "0.1"}, "account": {"initial_cash": 100_000}}


def steady(count: int, volume: float = 100, price: float = 100) -> list[Any]:
    """Candles that stay within a dollar of a price."""
    return [(price, price + 1, price - 1, price, volume) for _ in range(count)]


def leaves(ran: Ran) -> list[str]:
    return [e["leaves"] for e in ran.events("fills")]


def replays(ran: Ran) -> bool:
    """Whether a reader of the log makes the same account of it, reservations included."""
    account, count, digest = fold(read_log(ran.path / "audit.jsonl"))
    return (count, digest) == (ran.details["log"]["lines"], ran.details["log"]["digest"]) and account.snapshots > 0


def test_a_market_order_takes_its_share_at_each_open(tmp_path: Path) -> None:
    market = [*steady(1, 100), *steady(1, 40), *steady(3, 100)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 25)]}), **TENTH)
    # at each open a tenth of the candle before it: 10, 4, 10, and what is left
    assert ran.fills == [bought(1, 100, 10), bought(2, 100, 4), bought(3, 100, 10), bought(4, 100, 1)]
    assert leaves(ran) == ["15.000", "11.000", "1.000", "0.000"]
    [row] = ran.table("orders")
    assert (row["qty"], row["filled"], row["status"]) == (Decimal(25), Decimal(25), "filled")
    assert replays(ran)


def test_each_part_renews_the_wait(tmp_path: Path) -> None:
    execution = {"participation": "0.1", "max_wait": 1}
    market = steady(5)
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 25)]}), execution=execution)
    assert [fill.qty for fill in ran.fills] == [10, 10, 5]


def test_money_is_spent_in_parts_and_no_more_than_was_meant(tmp_path: Path) -> None:
    market = [*steady(2), *steady(3, price=110)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, quote=2000)]}), **TENTH)
    # 10 for 1000; then 1000 buy 9.090 at 110
    assert ran.fills == [bought(1, 100, 10), bought(2, 110, "9.09")]
    assert leaves(ran) == ["10.000", "0.000"]
    assert replays(ran)


def test_a_limit_fills_along_its_candles_and_the_older_order_first(tmp_path: Path) -> None:
    market = [*steady(1), (100, 101, 94, 100, 100), (100, 101, 94, 100, 50), *steady(1)]
    orders = {0: lambda s: [s.buy(B, 8, limit=95, tag="old"), s.buy(B, 9, limit=95, tag="young")]}
    ran = run_on(tmp_path, market, scripted(orders), **TENTH)
    assert ran.fills == [bought(1, 95, 8), bought(1, 95, 2), bought(2, 95, 5)]
    assert [fill.tag for fill in ran.fills] == ["old", "young", "young"]
    assert ran.details["final"]["open_orders"] == [2]
    assert replays(ran)


def test_what_the_open_took_is_missing_along_the_candle(tmp_path: Path) -> None:
    market = [*steady(1, 60), (100, 101, 94, 100, 100), *steady(1)]
    orders = {0: lambda s: [s.buy(B, 6), s.buy(B, 10, limit=95)]}
    ran = run_on(tmp_path, market, scripted(orders), **TENTH)
    assert ran.fills == [bought(1, 100, 6), bought(1, 95, 4)]


def test_the_open_does_not_know_the_volume_of_the_candle_that_begins(tmp_path: Path) -> None:
    for name, volume in (("small", 10), ("large", 10_000)):
        ran = run_on(
            tmp_path / name, [*steady(1), *steady(1, volume)], scripted({0: lambda s: [s.buy(B, 25)]}), **TENTH
        )
        assert ran.fills == [bought(1, 100, 10)]


def test_immediate_or_cancel_takes_what_is_there_and_fill_or_kill_all_or_nothing(tmp_path: Path) -> None:
    def order(how: str) -> Any:
        return scripted({0: lambda s: [s.buy(B, 25, limit=102, time_in_force=how)]})

    ran = run_on(tmp_path / "ioc", steady(4), order("ioc"), **TENTH)
    assert ran.fills == [bought(1, 100, 10)]
    assert ran.updates[-1] == (1, "expired", "not_filled_at_once")
    ran = run_on(tmp_path / "fok", steady(4), order("fok"), **TENTH)
    assert ran.fills == []
    assert ran.updates[-1] == (1, "expired", "not_filled_at_once")
    assert replays(ran)


def test_a_stop_that_cannot_sell_all_goes_on_at_the_opens(tmp_path: Path) -> None:
    market = [*steady(3), (100, 101, 89, 90, 100), *steady(2, price=90)]
    orders = {0: lambda s: [s.buy(B, 15)], 2: lambda s: [s.sell(B, 15, stop=95)]}
    ran = run_on(tmp_path, market, scripted(orders), **TENTH)
    assert ran.fills[2:] == [sold(3, 95, 10), sold(4, 90, 5)]
    assert ran.updates[-1] == (2, "triggered", "")


def test_exits_grow_with_their_entry(tmp_path: Path) -> None:
    market = [*steady(3), (100, 101, 89, 90, 1000), *steady(1, price=90)]
    entry = {0: lambda s: [s.buy(B, 15, stop_loss=95, take_profits=[(120, "0.4"), (130, "0.6")])]}
    ran = run_on(tmp_path, market, scripted(entry), **TENTH)
    exits = [(e["order_id"], e["kind"], e["qty"]) for e in ran.events("orders_changed") if e["order_id"] > 1]
    assert exits == [
        (2, "stop", "10.000"),
        (3, "limit", "4.000"),
        (4, "limit", "6.000"),
        (2, "stop", "15.000"),
        (3, "limit", "6.000"),
        (4, "limit", "9.000"),
    ]
    assert ran.fills[2:] == [sold(3, 95, 15)]
    assert [(row["order_id"], row["qty"], row["filled"]) for row in ran.table("orders")] == [
        (1, Decimal(15), Decimal(15)),
        (2, Decimal(15), Decimal(15)),
        (3, Decimal(6), Decimal(0)),
        (4, Decimal(9), Decimal(0)),
    ]
    assert replays(ran)


def test_an_exit_that_fills_ends_what_is_left_of_the_entry(tmp_path: Path) -> None:
    market = [*steady(1), (100, 101, 94, 95, 100), *steady(2, price=95)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 15, stop_loss=95)]}), **TENTH)
    # the open of candle 1 gives its tenth to the entry, so that the stop, reached along it, sells at the next open
    assert ran.fills == [bought(1, 100, 10), sold(2, 95, 10)]
    assert ran.updates[2:] == [(2, "triggered", ""), (1, "cancelled", "oco")]
    assert ran.details["final"]["positions"] == {}
    assert replays(ran)


def test_exits_too_small_for_the_venue_wait_for_more_of_the_entry(tmp_path: Path) -> None:
    rules = {"instruments": {"spot:BTCUSDT": {"min_notional": 500}}}
    market = [*steady(1, 40), *steady(3)]
    entry = {0: lambda s: [s.buy(B, 10, stop_loss=90)]}
    ran = run_on(tmp_path / "grows", market, scripted(entry), **TENTH, **rules)
    assert [(e["kind"], e["qty"]) for e in ran.events("orders_changed") if e["order_id"] > 1] == [("stop", "10.000")]
    cancelled = entry | {1: lambda s: s.cancel_all(B)}
    ran = run_on(tmp_path / "ends", market, scripted(cancelled), **TENTH, **rules)
    assert ran.fills == [bought(1, 100, 4)]
    assert ran.updates[-1] == (2, "expired", "below_min_notional")
    assert replays(ran)


def test_an_entry_whose_exits_live_is_not_replaced(tmp_path: Path) -> None:
    script = {
        0: lambda s: [s.buy(B, 15, limit=102, stop_loss=90)],
        1: lambda s: [s.replace(s.open_orders(B)[0], limit=103)],
    }
    ran = run_on(tmp_path, [*steady(1), (103, 103, 101, 103, 100), *steady(1, 10, 103)], scripted(script), **TENTH)
    assert ran.fills[0] == bought(1, 102, 10)
    assert [(who, reason) for who, reason, _ in ran.refusals] == [("execution", "bad_replace")]


def test_a_replaced_order_is_what_was_left_of_it(tmp_path: Path) -> None:
    script = {
        0: lambda s: [s.buy(B, 15, limit=99)],
        1: lambda s: [s.replace(s.open_orders(B)[0], limit=98)],
    }
    market = [*steady(1), (100, 101, 98, 100, 100), (100, 101, 97, 100, 100), *steady(1)]
    ran = run_on(tmp_path, market, scripted(script), **TENTH)
    assert ran.fills == [bought(1, 99, 10), bought(2, 98, 5)]


def test_without_a_cap_an_order_fills_whole(tmp_path: Path) -> None:
    ran = run_on(tmp_path, steady(3), scripted({0: lambda s: [s.buy(B, 25)]}), execution={"participation": 0})
    assert ran.fills == [bought(1, 100, 25)]
