"""Orders on a tape drawn by hand: what trades and quotes fill, in which order, and what they leave."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.lakes import write_rows
from tests.support.runs import scripted
from tests.support.tape import BUYS, SELLS, Print, Shown, at, executed, executions, run_on_tape

B = "BTCUSDT"
OPENING: list[Print] = [(0, 100, 1, BUYS), (59, 100, 1, BUYS)]  # the first candle closes at second 60


def after_first_candle(**order: Any) -> Any:
    side = order.pop("side", "buy")
    return scripted({0: lambda s: [getattr(s, side)(B, **order)]})


# --- what takes ---------------------------------------------------------------------------------------------------


def test_a_market_order_fills_on_the_next_trade_at_its_price(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 101, 5, BUYS), (62, 102, 5, BUYS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=2))
    assert executions(ran) == [executed(61, "buy", 101, 2, "taker")]


def test_a_trade_at_the_very_moment_of_the_order_is_not_met(tmp_path: Path) -> None:
    tape = [*OPENING, (60, 99, 5, BUYS), (60.000001, 101, 5, BUYS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=2))
    assert executions(ran) == [executed(60.000001, "buy", 101, 2, "taker")]


def test_a_market_order_takes_no_more_than_was_traded_and_goes_on(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 101, 3, BUYS), (61, 102, 1, BUYS), (70, 103, 9, BUYS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=6))
    assert executions(ran) == [
        executed(61, "buy", 101, 3, "taker"),
        executed(61, "buy", 102, 1, "taker"),
        executed(70, "buy", 103, 2, "taker"),
    ]


@pytest.mark.parametrize(
    ("order", "price"),
    [
        ({"side": "buy"}, 101),
        ({"side": "sell"}, 99),
        ({"side": "buy", "limit": 102}, 101),
        ({"side": "sell", "limit": 98, "time_in_force": "fok"}, 99),
        ({"side": "buy", "limit": 102, "time_in_force": "ioc"}, 101),
    ],
)
def test_what_takes_waits_for_a_trade_that_its_own_side_took(tmp_path: Path, order: Any, price: int) -> None:
    buys = order["side"] == "buy"
    other: Print = (61, 99, 5, SELLS) if buys else (61, 101, 5, BUYS)
    own: Print = (62, 101, 5, BUYS) if buys else (62, 99, 5, SELLS)
    ran = run_on_tape(tmp_path, [*OPENING, other, own], after_first_candle(qty=1, **order))
    assert executions(ran) == [executed(62, order["side"], price, 1, "taker")]


def test_trades_of_the_other_side_do_not_keep_a_market_order_waiting_for_ever(tmp_path: Path) -> None:
    tape = [*OPENING, *[(60.0 * n + 1, 100.0, 1.0, SELLS) for n in range(1, 7)]]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=1), minutes=7)
    assert executions(ran) == []
    assert ran.updates[-1][1:] == ("expired", "max_wait")


def test_participation_leaves_the_market_its_share_of_each_trade(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 101, 10, BUYS), (62, 102, 10, BUYS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=4), execution={"participation": "0.25"})
    assert executions(ran) == [executed(61, "buy", 101, "2.5", "taker"), executed(62, "buy", 102, "1.5", "taker")]


def test_two_orders_share_one_trade_the_older_first(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 101, 3, BUYS), (62, 102, 9, BUYS)]
    ran = run_on_tape(tmp_path, tape, scripted({0: lambda s: [s.buy(B, 2, tag="old"), s.buy(B, 2, tag="young")]}))
    assert [(e["tag"], e["qty"], e["price"]) for e in ran.events("fills")] == [
        ("old", "2.000", "101.00"),
        ("young", "1.000", "101.00"),
        ("young", "1.000", "102.00"),
    ]


def test_a_market_order_that_no_trade_comes_for_expires(tmp_path: Path) -> None:
    tape = [*OPENING, (60 + 5 * 60, 101, 5, BUYS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=2), minutes=7)
    assert executions(ran) == []
    assert ran.updates[-1][1:] == ("expired", "max_wait")


def test_ioc_takes_what_the_next_trade_offers_and_fok_all_or_nothing(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 101, 3, BUYS), (62, 101, 9, BUYS)]
    for terms, fills in (("ioc", [executed(61, "buy", 101, 3, "taker")]), ("fok", [])):
        ran = run_on_tape(tmp_path / terms, tape, after_first_candle(qty=4, limit=102, time_in_force=terms), minutes=2)
        assert executions(ran) == fills
        assert ran.updates[-1][1:] == ("expired", "not_filled_at_once")


# --- limits and their queue ---------------------------------------------------------------------------------------


def test_a_bid_fills_only_when_the_market_trades_through_it(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 99, 5, SELLS), (62, 98.99, 3, SELLS), (63, 99, 1, SELLS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=6, limit=99))
    assert executions(ran) == [
        executed(62, "buy", 99, 3, "maker"),
        executed(63, "buy", 99, 1, "maker"),  # once traded through, nobody is ahead any more
    ]


def test_a_trade_through_the_limit_counts_whoever_took(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 101.5, 2, SELLS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(side="sell", qty=1, limit=101))
    assert executions(ran) == [executed(61, "sell", 101, 1, "maker")]


def test_at_the_front_of_the_queue_only_takers_of_the_other_side_fill(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 99, 5, BUYS), (62, 99, 2, SELLS), (63, 99, 7, SELLS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=3, limit=99), execution={"touch_fills": True})
    assert executions(ran) == [executed(62, "buy", 99, 2, "maker"), executed(63, "buy", 99, 1, "maker")]


QUOTED: list[Shown] = [(1, 99, 4, 101, 4)]


def test_who_joins_the_best_price_waits_for_what_was_shown_there(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 99, 3, SELLS), (62, 99, 2, SELLS), (63, 99, 9, SELLS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=5, limit=99), quotes=QUOTED)
    assert executions(ran) == [executed(62, "buy", 99, 1, "maker"), executed(63, "buy", 99, 4, "maker")]


def test_who_improves_the_market_is_alone_at_the_price(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 100, 2, SELLS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=5, limit=100), quotes=QUOTED)
    assert executions(ran) == [executed(61, "buy", 100, 2, "maker")]


def test_a_smaller_size_shown_later_shortens_the_queue(tmp_path: Path) -> None:
    tape = [*OPENING, (70, 99, 3, SELLS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=5, limit=99), quotes=[*QUOTED, (65, 99, 1, 101, 4)])
    assert executions(ran) == [executed(70, "buy", 99, 2, "maker")]


def test_deeper_in_the_book_nobody_knows_the_queue_until_the_price_is_the_best(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 98, 9, SELLS), (70, 98, 3, SELLS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=5, limit=98), quotes=[*QUOTED, (65, 98, 1, 101, 4)])
    assert executions(ran) == [executed(70, "buy", 98, 2, "maker")]


def test_two_bids_at_one_price_share_a_trade_by_age_and_others_ahead_come_first(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 99, 7, SELLS)]
    both = scripted({0: lambda s: [s.buy(B, 2, limit=99, tag="old"), s.buy(B, 2, limit=99, tag="young")]})
    ran = run_on_tape(tmp_path, tape, both, quotes=QUOTED)
    assert [(e["tag"], e["qty"]) for e in ran.events("fills")] == [("old", "2.000"), ("young", "1.000")]


def test_the_better_price_is_served_before_the_older_order(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 97, 3, SELLS)]
    both = scripted({0: lambda s: [s.buy(B, 2, limit=98, tag="old"), s.buy(B, 2, limit=99, tag="better")]})
    ran = run_on_tape(tmp_path, tape, both)
    assert [(e["tag"], e["qty"], e["price"]) for e in ran.events("fills")] == [
        ("better", "2.000", "99.00"),
        ("old", "1.000", "98.00"),
    ]


def test_a_limit_beyond_the_market_takes_first_and_then_rests(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 100.5, 1, BUYS), (62, 102, 5, BUYS), (63, 100, 1, SELLS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=3, limit=101))
    assert executions(ran) == [executed(61, "buy", "100.5", 1, "taker"), executed(63, "buy", 101, 1, "maker")]


def test_post_only_is_judged_by_the_quote(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 100, 1, SELLS)]
    for limit, reasons in ((101, ["would_take"]), ("100.99", [])):
        ran = run_on_tape(
            tmp_path / str(limit), tape, after_first_candle(qty=1, limit=limit, post_only=True), quotes=QUOTED
        )
        assert [reason for _, reason, _ in ran.refusals] == reasons


# --- quotes are what takers take ----------------------------------------------------------------------------------


def test_with_quotes_a_market_order_takes_the_ask_up_to_its_size_once(tmp_path: Path) -> None:
    quotes = [*QUOTED, (62.5, 99, 9, 101, 6), (64, 99, 9, 102, 9)]
    tape = [*OPENING, (61, 100, 1, SELLS), (62, 100, 1, SELLS), (63, 100, 1, SELLS), (65, 100, 1, SELLS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=8), quotes=quotes)
    assert executions(ran) == [
        executed(61, "buy", 101, 4, "taker"),  # at 62 it has all of that already
        executed(63, "buy", 101, 2, "taker"),  # two more are shown at the price
        executed(65, "buy", 102, 2, "taker"),
    ]


def test_a_quote_of_the_moment_of_the_trade_is_not_known_to_it(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 100, 1, SELLS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=1), quotes=[*QUOTED, (61, 90, 9, 91, 9)])
    assert executions(ran) == [executed(61, "buy", 101, 1, "taker")]


# --- triggers -----------------------------------------------------------------------------------------------------


def test_a_stop_triggers_on_a_trade_and_takes_from_the_next_later_one(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 102, 1, BUYS), (61, 103, 1, BUYS), (62, 101, 9, BUYS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=2, stop=102))
    assert executions(ran) == [executed(62, "buy", 101, 2, "taker")]
    assert [status for _, status, _ in ran.updates] == ["accepted", "triggered"]


def test_a_stop_limit_that_triggers_rests_when_the_market_is_beyond_its_limit(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 103, 1, BUYS), (62, 103, 1, BUYS), (63, 101, 1, SELLS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=2, stop=102, limit="102.5"))
    assert executions(ran) == [executed(63, "buy", "102.5", 1, "maker")]


def test_the_trade_that_triggers_a_limit_does_not_fill_it(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 95, 1, SELLS), (62, 95, 1, SELLS)]
    order = {"qty": 2, "take_profit": 95, "limit": 95}
    ran = run_on_tape(tmp_path, tape, after_first_candle(**order), execution={"touch_fills": True})
    assert executions(ran) == [executed(62, "buy", 95, 1, "maker")]


def test_a_trailing_stop_follows_every_trade(tmp_path: Path) -> None:
    tape = [
        *OPENING,
        (61, 100, 9, BUYS),
        (125, 100, 1, BUYS),  # no matter to the stop: from here on the exchange sleeps
        (130, 110, 1, BUYS),
        (130, 100, 1, SELLS),  # 5 % below 110 is 104.5: the fall within one instant counts
        (131, 106, 9, SELLS),
    ]
    act = scripted({0: lambda s: [s.buy(B, 2)], 1: lambda s: [s.sell(B, 2, trail="0.05", reduce_only=True)]})
    ran = run_on_tape(tmp_path, tape, act)
    assert executions(ran) == [executed(61, "buy", 100, 2, "taker"), executed(131, "sell", 106, 2, "taker")]


def test_a_stop_limit_that_the_mark_price_triggers_meets_the_trades_from_then_on(tmp_path: Path) -> None:
    tape: list[Print] = [
        *OPENING,
        (61, 103, 9, BUYS),
        (130, 100.5, 1, SELLS),
        (131, 100.5, 1, SELLS),
        (140, 101, 1, BUYS),
    ]
    marks = {name: [100.0] * 3 for name in ("open", "low", "close")}
    marks |= {"open_time": [at(0), at(60), at(120)], "high": [100.0, 102.0, 100.0]}
    write_rows(tmp_path / "lake", "markPriceKlines", B, marks, timeframe="1m")
    order = {"qty": 3, "stop": 102, "limit": "100.6"}
    ran = run_on_tape(tmp_path, tape, after_first_candle(**order), minutes=3, execution={"trigger_price": "mark"})
    assert executions(ran) == [
        executed(130, "buy", "100.6", 1, "maker"),  # at 61 the trades were through the stop, and the mark was not
        executed(131, "buy", "100.6", 1, "maker"),
    ]


# --- exits --------------------------------------------------------------------------------------------------------


def test_exits_of_an_entry_meet_what_comes_after_its_fill(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 100, 2, BUYS), (61, 110, 9, BUYS), (62, 106, 1, BUYS), (63, 106, 9, BUYS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=2, stop_loss=95, take_profits=105))
    assert executions(ran) == [
        executed(61, "buy", 100, 2, "taker"),
        executed(62, "sell", 105, 1, "maker"),
        executed(63, "sell", 105, 1, "maker"),
    ]
    assert ran.updates[-1][1:] == ("cancelled", "oco")


def test_a_stop_that_triggered_is_beaten_by_no_target(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 100, 2, BUYS), (62, 94, 1, SELLS), (63, 106, 9, SELLS)]
    ran = run_on_tape(tmp_path, tape, after_first_candle(qty=2, stop_loss=95, take_profits=105))
    assert executions(ran) == [executed(61, "buy", 100, 2, "taker"), executed(63, "sell", 106, 2, "taker")]


def test_an_order_good_till_a_time_meets_the_trade_of_that_time_and_no_later_one(tmp_path: Path) -> None:
    for second, fills in ((90, [executed(90, "buy", 99, 1, "maker")]), (90.000001, [])):
        tape: list[Print] = [*OPENING, (second, 98, 1, SELLS)]
        act = scripted({0: lambda s: [s.buy(B, 1, limit=99, good_till=s.now + 30_000_000)]})
        assert executions(run_on_tape(tmp_path / str(second), tape, act)) == fills


def test_spot_pays_and_holds_what_trades_filled(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 100, 3, BUYS), (62, 100, 2, BUYS), (130, 102, 5, SELLS)]
    act = scripted({0: lambda s: [s.buy(B, quote=500)], 1: lambda s: s.close(B)})
    ran = run_on_tape(tmp_path, tape, act, run={"market": "spot"}, fees={"taker_bps": 10})
    assert [e["qty"] for e in ran.events("fills")] == ["3.000", "1.995", "4.995"]
    assert ran.details["final"]["positions"] == {}
    assert float(ran.details["final"]["cash"]["spot:USDT"]) == pytest.approx(10_000 + 2 * 4.995 - 0.001 * 4.995 * 202)


# --- quotes that are out of date ----------------------------------------------------------------------------------


def test_a_quote_that_a_later_trade_is_outside_of_counts_as_none(tmp_path: Path) -> None:
    for price, ask in ((130, 130), ("101.01", "101.01"), (101, 101), (100, 101)):
        tape = [*OPENING, (61, float(price), 5, BUYS)]
        ran = run_on_tape(tmp_path / str(price), tape, after_first_candle(qty=1), quotes=QUOTED)
        assert executions(ran) == [executed(61, "buy", ask, 1, "taker")]


def test_a_quote_that_is_older_than_max_wait_counts_as_none(tmp_path: Path) -> None:
    for second, price in ((1 + 300, 101), (1 + 300.000002, "100.5")):
        tape = [*OPENING, (second, 100.5, 5, BUYS)]
        order = scripted({4: lambda s: [s.buy(B, 1)]})  # at second 300
        ran = run_on_tape(tmp_path / str(second), tape, order, quotes=QUOTED, minutes=7)
        assert executions(ran) == [executed(second, "buy", price, 1, "taker")]


def test_post_only_is_judged_by_the_last_trade_when_that_is_outside_of_the_quote(tmp_path: Path) -> None:
    tape = [*OPENING[:1], (59, 105, 1, BUYS), (61, 105, 1, BUYS)]
    for limit, reasons in (("104.99", []), ("105.01", ["would_take"])):
        order = after_first_candle(qty=1, limit=limit, post_only=True)
        ran = run_on_tape(tmp_path / limit, tape, order, quotes=QUOTED)
        assert [reason for _, reason, _ in ran.refusals] == reasons


def test_on_a_tape_slices_of_one_candle_pay_for_each_other_and_those_of_the_next_do_not(tmp_path: Path) -> None:
    tape = [*OPENING, (61, 100, 10, BUYS), *[(121.0 + n, 100.0, 1.0, BUYS) for n in range(3)], (181, 100, 1, BUYS)]
    slippage = {"model": "volume_share", "bps": 0, "volume_impact": "0.1"}
    ran = run_on_tape(tmp_path, tape, scripted({1: lambda s: [s.buy(B, 4)]}), slippage=slippage)
    prices = [fill.price for fill in executions(ran)]
    assert prices[0] < prices[1] < prices[2]
    assert prices[3] < prices[2]
