"""Breakers, by hand: when they trip, what they do, when they are armed again; and commands at times."""

from pathlib import Path
from typing import Any

import pytest

from backtester.core.time import parse_time
from tests.support.market import flat, time_of
from tests.support.runs import Ran, bought, run_on, scripted, sold

B, E = "BTCUSDT", "ETHUSDT"
UM: Any = {"run": {"market": "um"}}
FALLING = [*flat(100, 2), *flat(90, 2), *flat(80, 2), *flat(95, 6)]


def guarded(folder: Path, script: Any, market: Any = None, sections: Any = None, **risk: Any) -> Ran:
    return run_on(folder, market or FALLING, scripted(script), risk=risk, **(sections or {}))


def alerts(ran: Ran) -> list[tuple[int, str, str]]:
    """Candle after which it came, breaker, state."""
    first = parse_time("2024-01-01")
    return [((e["ts"] - first) // 60_000_000 - 1, e["breaker"], e["state"]) for e in ran.events("risk_alert")]


def reasons(ran: Ran) -> list[str]:
    return [reason for _, reason, _ in ran.refusals]


def buy(qty: int = 50) -> Any:
    return lambda s: [s.buy(B, qty)]


# --- what they measure -------------------------------------------------------------------------------------------


def test_a_drawdown_breaker_trips_at_the_close_at_which_its_limit_is_reached(tmp_path: Path) -> None:
    # 50 coins of 10000: equity is 9500 at 90, 9000 at 80
    orders = {0: buy(), 4: buy(1), 5: buy(1)}
    ran = guarded(tmp_path, orders, drawdown={"limit_pct": 10})
    assert alerts(ran) == [(4, "drawdown", "tripped")]
    [event] = ran.events("risk_alert")
    assert event["numbers"] == {"measure": "10", "limit": "10", "equity": "9000.00000000"}
    assert [refusal[1:] for refusal in ran.refusals] == [
        ("breaker", {"breaker": "drawdown", "action": "reject_entries", "since": "2024-01-01T00:05:00Z"})
    ] * 2  # also at the very tick
    assert guarded(tmp_path / "b", orders, drawdown={"limit_pct": "10.000001"}).events("risk_alert") == []


def test_the_drawdown_is_from_the_peak_and_not_from_the_start(tmp_path: Path) -> None:
    market = [*flat(100, 2), *flat(140, 2), *flat(115, 3)]  # 12000 at the peak, 10750: 10.4 %
    assert alerts(guarded(tmp_path, {0: buy()}, market, drawdown={"limit_pct": 10})) == [(4, "drawdown", "tripped")]


def test_a_daily_loss_is_of_the_day_and_the_next_one_begins_anew(tmp_path: Path) -> None:
    hours: Any = {"timeframe": "1h"}
    market = [*flat(100, 20), *flat(95, 4), *flat(90, 20), *flat(88, 3), *flat(70, 3)]
    ran = run_on(tmp_path, market, scripted({0: buy()}), **hours, risk={"daily_loss": {"limit_pct": 4}})
    # day 1: 10000 to 9750, 2.5 %; day 2: the fall to 9500 and 9400 is 3.6 % of 9750, at 70 it is 12.8 %
    assert [(e["ts"], e["state"]) for e in ran.events("risk_alert")] == [(time_of(48, "1h"), "tripped")]


def test_the_tick_at_midnight_belongs_to_the_day_that_ends(tmp_path: Path) -> None:
    market = [*flat(100, 3), *flat(90, 3)]
    ran = run_on(tmp_path, market, scripted({0: buy()}), timeframe="1d", risk={"daily_loss": {"limit_pct": 5}})
    assert [(e["ts"], e["state"]) for e in ran.events("risk_alert")] == [
        (time_of(4, "1d"), "tripped"),
        (time_of(5, "1d"), "armed"),
    ]


def test_losing_trades_in_a_row_are_counted_after_fees_and_a_winner_ends_the_row(tmp_path: Path) -> None:
    def trade(n: int) -> Any:
        return {2 * n: lambda s: [s.buy(B, 1)], 2 * n + 1: lambda s: [s.sell(B, 1)]}

    market = [*flat(100, 4), *flat(105, 1), *flat(100, 9)]  # the second trade wins, from the open of 3 to that of 4
    script = {k: v for n in range(6) for k, v in trade(n).items()}
    fees = {"fees": {"taker_bps": 10, "maker_bps": 10}}
    ran = guarded(tmp_path, script, market, fees, consecutive_losses={"limit": 3})
    assert alerts(ran) == [(10, "consecutive_losses", "tripped")]  # after the fifth, which ended at the open of 10
    assert ran.events("risk_alert")[0]["numbers"]["measure"] == "3"
    assert [fill.side for fill in ran.fills] == ["buy", "sell"] * 5  # the sixth purchase came at that very tick


# --- what they do ------------------------------------------------------------------------------------------------


def test_reject_entries_leaves_resting_entries_and_exits_alone(tmp_path: Path) -> None:
    market = [*flat(100, 2), *flat(80, 2), (80, 80, 74, 80), *flat(80, 3)]
    orders = {
        0: lambda s: [s.buy(B, 50), s.buy(B, 1, limit=75)],
        2: lambda s: [s.buy(B, 1)],
        5: lambda s: [s.sell(B, 5)],
    }
    ran = guarded(tmp_path, orders, market, drawdown={"limit_pct": 10})
    assert ran.fills == [bought(1, 100, 50), bought(4, 75), sold(6, 80, 5)]
    assert reasons(ran) == ["breaker"]


def test_reduce_only_takes_resting_entries_back_and_keeps_exits(tmp_path: Path) -> None:
    market = [*flat(100, 2), *flat(80, 2), (80, 80, 74, 80), (80, 90, 80, 85), *flat(85, 2)]
    orders = {0: lambda s: [s.buy(B, 50), s.buy(B, 1, limit=75)], 1: lambda s: [s.sell(B, 50, limit=89)]}
    ran = guarded(tmp_path, orders, market, drawdown={"limit_pct": 10, "action": "reduce_only"})
    assert ran.fills == [bought(1, 100, 50), sold(5, 89, 50)]
    assert (2, "cancelled", "breaker") in ran.updates


def test_exits_of_futures_become_reduce_only_so_that_they_open_nothing(tmp_path: Path) -> None:
    market = [*flat(100, 3), *flat(80, 2), (80, 125, 69, 80), *flat(80, 3)]
    orders = {
        0: lambda s: [s.buy(B, 50)],
        1: lambda s: [s.sell(B, 50, limit=120), s.sell(B, 50, stop=70), s.sell(B, 51, limit=121)],
    }
    ran = guarded(tmp_path, orders, market, UM, drawdown={"limit_pct": 10, "action": "reduce_only"})
    assert ran.fills == [bought(1, 100, 50), sold(5, 70, 50)]
    assert [u for u in ran.updates if u[1] == "cancelled"] == []
    changed = {e["order_id"]: e["terms"] for e in ran.events("orders_changed")}
    assert changed == {key: {"reduce_only": True} for key in (2, 3, 4)}  # also what would have gone through zero
    assert ran.details["final"]["positions"] == {}


@pytest.mark.parametrize("sections", [{}, UM])
def test_flatten_takes_everything_back_and_closes_at_the_next_open_that_trades(tmp_path: Path, sections: Any) -> None:
    quiet = (80, 80, 80, 80, 0)
    market = [*flat(100, 3), *flat(80, 1), quiet, quiet, (78, 78, 78, 78), *flat(78, 3)]
    orders = {
        0: lambda s: [s.buy(B, 50, stop_loss=70, take_profits=[(120, 1)]), s.buy(B, 1, limit=75)],
        7: lambda s: [s.buy(B, 1)],
    }
    ran = guarded(tmp_path, orders, market, sections, drawdown={"limit_pct": 10, "action": "flatten"})
    assert ran.fills == [bought(1, 100, 50), sold(6, 78, 50)]
    assert ran.fills[1].tag == "risk"
    assert ran.details["final"] == ran.details["final"] | {"positions": {}, "open_orders": []}
    [alert] = ran.events("risk_alert")
    closing = [event for event in ran.events("orders_intent") if event.get("tag") == "risk"]
    assert [event["cause_id"] for event in closing] == [alert["event_id"]]
    assert reasons(ran) == ["breaker"]


def test_what_expired_without_a_trade_is_sent_again_until_nothing_is_held(tmp_path: Path) -> None:
    quiet = (80, 80, 80, 80, 0)
    market = [*flat(100, 3), *flat(80, 1), *[quiet] * 9, *flat(79, 3)]
    ran = guarded(tmp_path, {0: buy()}, market, drawdown={"limit_pct": 10, "action": "flatten"})
    assert ran.fills == [bought(1, 100, 50), sold(13, 79, 50)]
    assert (2, "expired", "max_wait") in ran.updates


def test_a_large_position_is_closed_in_orders_that_the_venue_takes(tmp_path: Path) -> None:
    rules = {"instruments": {"spot:BTCUSDT": {"market_max_qty": 20, "min_notional": 100}}}
    orders = {0: lambda s: [s.buy(B, 20), s.buy(B, 20), s.buy(B, "11.5")]}
    ran = guarded(tmp_path, orders, sections=rules, drawdown={"limit_pct": 10, "action": "flatten"})
    assert [(f.side, f.qty) for f in ran.fills[3:]] == [("sell", 20), ("sell", 20), ("sell", ran.fills[2].qty)]


def test_dust_that_the_venue_does_not_take_stays_and_is_not_asked_for_again(tmp_path: Path) -> None:
    rules = {"instruments": {"spot:BTCUSDT": {"market_max_qty": 50, "min_notional": 50}}}
    orders = {0: lambda s: [s.buy(B, 50), s.buy(B, "0.5")]}
    ran = guarded(tmp_path, orders, sections=rules, drawdown={"limit_pct": 10, "action": "flatten"})
    assert [(f.side, float(f.qty)) for f in ran.fills] == [("buy", 50), ("buy", 0.5), ("sell", 50)]
    assert ran.refusals == []


# --- when they are armed again -----------------------------------------------------------------------------------


def test_after_the_cool_down_entries_go_on_and_the_peak_is_the_equity_of_then(tmp_path: Path) -> None:
    market = [*flat(100, 2), *flat(80, 6), *flat(75, 4)]
    orders = {0: buy(), 5: buy(1), 6: buy(1)}
    ran = guarded(tmp_path, orders, market, drawdown={"limit_pct": 10, "cool_down": "4m"})
    assert alerts(ran) == [(2, "drawdown", "tripped"), (6, "drawdown", "armed")]  # 75 is 2.8 % below 9000
    assert ran.fills == [bought(1, 100, 50), bought(7, 80)]


def test_it_stays_tripped_until_the_drawdown_came_back_as_well(tmp_path: Path) -> None:
    market = [*flat(100, 2), *flat(80, 3), *flat(76, 2), *flat(79, 2), *flat(80, 2), *flat(81, 2)]
    ran = guarded(tmp_path, {0: buy()}, market, drawdown={"limit_pct": 10, "cool_down": "1m", "recover_pct": 2})
    # the worst is 12 % at 76, and 10 % at 80: two less
    assert alerts(ran) == [(2, "drawdown", "tripped"), (9, "drawdown", "armed")]


def test_the_daily_loss_is_armed_again_at_midnight(tmp_path: Path) -> None:
    market = [*flat(100, 20), *flat(80, 20)]
    orders = {0: buy(), 21: buy(1), 23: buy(1)}
    ran = run_on(tmp_path, market, scripted(orders), timeframe="1h", risk={"daily_loss": {"limit_pct": 5}})
    assert [(e["ts"], e["state"]) for e in ran.events("risk_alert")] == [
        (time_of(21, "1h"), "tripped"),
        (time_of(24, "1h"), "armed"),
    ]
    assert ran.fills == [bought(1, 100, 50), bought(24, 80)]


def test_a_strategy_hears_of_it_and_may_answer(tmp_path: Path) -> None:
    def on_alert(s: Any, alert: Any) -> Any:
        s.note("heard", breaker=alert.breaker, state=alert.state)
        return s.close(B, tag="mine") if alert.state == "tripped" else None

    strategy = scripted({0: buy()})
    strategy.on_risk_alert = on_alert  # type: ignore[method-assign]
    ran = run_on(tmp_path, FALLING, strategy, risk={"drawdown": {"limit_pct": 10, "cool_down": "2m"}})
    assert [e["values"]["state"] for e in ran.events("notes")] == ["tripped", "armed"]
    assert ran.fills == [bought(1, 100, 50), sold(5, 80, 50)]
    assert ran.fills[1].tag == "mine"


def test_run_json_and_the_warnings_count_trips(tmp_path: Path) -> None:
    ran = guarded(tmp_path, {0: buy()}, drawdown={"limit_pct": 10}, daily_loss={"limit_pct": 90})
    assert ran.details["breaker_trips"] == {"daily_loss": 0, "drawdown": 1}
    assert "breaker drawdown tripped 1 time (reject_entries), and was in force at the end" in ran.result.warnings


def test_breakers_that_never_trip_change_nothing_in_the_log(tmp_path: Path) -> None:
    orders = {0: lambda s: [s.buy(B, 20, stop_loss=85)], 5: buy(3), 8: lambda s: [s.sell(B, 3)]}
    plain = guarded(tmp_path / "plain", orders)
    watched = guarded(tmp_path / "watched", orders, drawdown={"limit_pct": 50}, daily_loss={"limit_pct": 50})
    assert watched.raw_lines == plain.raw_lines


# --- commands ----------------------------------------------------------------------------------------------------


def commanded(folder: Path, script: Any, *commands: tuple[str, str], sections: Any = None) -> Ran:
    control = [{"at": f"2024-01-01T00:{at}Z", "action": action, "reason": "test"} for at, action in commands]
    return run_on(folder, flat(100, 12), scripted(script), control=control, **(sections or {}))


EVERY = {n: buy(1) for n in range(12)}


def test_a_pause_holds_entries_up_until_it_is_over(tmp_path: Path) -> None:
    ran = commanded(tmp_path, EVERY, ("03:00", "pause"), ("06:00", "resume"))
    assert [fill.candle for fill in ran.fills] == [1, 2, 6, 7, 8, 9, 10, 11]
    assert ran.refusals[0][1:] == (
        "control",
        {"action": "pause", "since": "2024-01-01T00:03:00Z", "why": "test"},
    )


def test_a_command_at_the_start_is_given_before_the_first_decision(tmp_path: Path) -> None:
    assert [fill.candle for fill in commanded(tmp_path, EVERY, ("00:00", "pause"), ("10:00", "resume")).fills] == [
        10,
        11,
    ]


def test_a_command_between_two_candles_has_a_tick_of_its_own(tmp_path: Path) -> None:
    ran = commanded(tmp_path, {0: buy(2), 1: lambda s: [s.buy(B, 1, limit=90)]}, ("03:30", "flatten"))
    [control] = [line for line in ran.lines if line["topic"] == "control"]
    assert control["tick"] == time_of(3) + 30_000_000
    assert (control["event"]["who"], control["event"]["reason"]) == ("script", "test")
    assert ran.fills == [bought(1, 100, 2), sold(4, 100, 2)]
    assert ran.updates[2] == (2, "cancelled", "control")


def test_reduce_only_lets_out_but_not_in(tmp_path: Path) -> None:
    orders = {0: buy(2), 1: lambda s: [s.buy(B, 1, limit=90)], 4: buy(1), 5: lambda s: [s.sell(B, 2)]}
    ran = commanded(tmp_path, orders, ("03:00", "reduce_only"))
    assert ran.fills == [bought(1, 100, 2), sold(6, 100, 2)]
    assert reasons(ran) == ["control"]


def test_after_a_kill_nothing_is_accepted_and_nothing_revives_it(tmp_path: Path) -> None:
    orders = EVERY | {7: lambda s: [s.sell(B, 1)]}
    ran = commanded(tmp_path, orders, ("03:00", "kill"), ("05:00", "resume"), sections=UM)
    assert ran.fills == [bought(1, 100), bought(2, 100), sold(3, 100, 2)]
    assert reasons(ran) == ["control"] * 10
    assert ran.details["final"]["positions"] == {}


def test_a_command_outside_of_the_run_is_warned_of(tmp_path: Path) -> None:
    ran = commanded(tmp_path, {}, ("59:00", "kill"))
    assert (
        "control kill at 2024-01-01T00:59:00Z is outside of the run (2024-01-01 to 2024-01-01T00:12:00Z): "
        "it is never given"
    ) in ran.result.warnings
    assert ran.events("control") == []


def test_commands_and_breakers_are_repeated_by_the_runs_own_config(tmp_path: Path) -> None:
    from backtester.config.loading import load_backtest_config
    from tests.support.runs import prepared_run, run_prepared

    risk = {"drawdown": {"limit_pct": 10, "action": "flatten"}, "max_gross_exposure": "2x"}
    control = [{"at": "2024-01-01T00:09:00Z", "action": "pause"}]
    strategy = scripted({0: buy(), 8: buy(1), 9: buy(1)})
    ran = run_on(tmp_path / "a", FALLING, strategy, risk=risk, control=control)
    again = prepared_run(strategy, load_backtest_config(ran.path / "config.toml"))
    assert run_prepared(tmp_path / "b", again).raw_lines == ran.raw_lines
    assert [line["topic"] for line in ran.lines].count("control") == 1
