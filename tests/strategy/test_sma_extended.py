"""sma_extended on markets drawn by hand: entry, stop, target, cross, cooldown, and the day's limit."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.engine.prepare import prepare
from tests.support.market import Rows, flat, write_candles
from tests.support.runs import Ran, config_of, run_prepared

PARAMS: dict[str, Any] = {
    "fast": 1,
    "slow": 3,
    "equity_pct": 50,
    "stop_loss_pct": 5,
    "take_profit_pct": 10,
    "cooldown_candles": 0,
    "daily_loss_limit_pct": 50,
}
UP = [*flat(100, 4), *flat(90, 3), *flat(100, 1)]  # below the mean, then above: a cross at the last close


def ran_on(folder: Path, rows: Rows, **params: Any) -> Ran:
    write_candles(folder / "lake", rows)
    strategy = {"name": "sma_extended", "params": PARAMS | params}
    return run_prepared(folder, prepare(config_of(folder / "lake", ["BTCUSDT"], strategy=strategy)))


def deals(ran: Ran) -> list[tuple[str, int, str]]:
    return [(fill.tag, fill.candle, f"{fill.price:f}") for fill in ran.fills]


def test_it_buys_at_the_open_after_the_cross_and_protects_what_it_bought(tmp_path: Path) -> None:
    ran = ran_on(tmp_path, [*UP, *flat(100, 1)])
    assert deals(ran) == [("entry", 8, "100.00")]
    assert ran.fills[0].qty == 50  # half of 10000
    placed = [(e["tag"], e["stop_price"], e["limit_price"], e["qty"]) for e in ran.events("orders_sanitized")[1:]]
    assert placed == [("stop", "95.00", "0.00", "50.000"), ("target", "0.00", "110.00", "50.000")]
    assert len({e["oco"] for e in ran.events("orders_sanitized")[1:]}) == 1


def test_it_leaves_at_the_stop(tmp_path: Path) -> None:
    assert deals(ran_on(tmp_path, [*UP, (100, 100, 94, 99), *flat(99, 2)]))[:2] == [
        ("entry", 8, "100.00"),
        ("stop", 8, "95.00"),
    ]


def test_it_leaves_at_the_target(tmp_path: Path) -> None:
    assert deals(ran_on(tmp_path, [*UP, *flat(100, 1), (105, 111, 105, 108), *flat(108, 2)]))[:2] == [
        ("entry", 8, "100.00"),
        ("target", 9, "110.00"),
    ]


def test_it_leaves_at_the_open_after_the_cross_below(tmp_path: Path) -> None:
    ran = ran_on(tmp_path, [*UP, *flat(100, 2), (99, 99, 98, 98), *flat(97, 3)])
    assert deals(ran) == [("entry", 8, "100.00"), ("exit", 11, "97.00")]
    assert ran.details["final"]["open_orders"] == []
    assert ran.details["final"]["positions"] == {}


def test_it_does_not_enter_without_having_seen_the_cross(tmp_path: Path) -> None:
    rising = [(p, p, p, p) for p in range(100, 112)]
    assert deals(ran_on(tmp_path, rising)) == []


@pytest.mark.parametrize(("cooldown", "entries"), [(0, 2), (30, 1)])
def test_it_rests_after_an_exit(tmp_path: Path, cooldown: int, entries: int) -> None:
    stopped = [*UP, (100, 100, 94, 94), *flat(90, 3), *flat(100, 3)]
    ran = ran_on(tmp_path, stopped, cooldown_candles=cooldown)
    assert [tag for tag, _, _ in deals(ran)].count("entry") == entries


def test_after_the_days_loss_it_waits_for_the_next_utc_day(tmp_path: Path) -> None:
    lose = [*UP, (100, 100, 94, 94)]
    again = [*flat(90, 3), *flat(100, 2)]
    tomorrow = [*flat(90, 3), *flat(100, 2)]
    day = 24 * 60
    rows = [*lose, *again]
    rows += [*flat(100, day - len(rows)), *tomorrow]
    ran = ran_on(tmp_path, rows, daily_loss_limit_pct=2)  # the stop loses 5 % of a half
    assert [(tag, candle) for tag, candle, _ in deals(ran) if tag == "entry"] == [("entry", 8), ("entry", day + 4)]
    assert [note["text"].split(":")[0] for note in ran.events("notes")] == ["daily loss limit reached"]
    assert Decimal(ran.events("notes")[0]["values"]["equity"]) < 9_800
