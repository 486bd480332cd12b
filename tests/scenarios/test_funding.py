"""Funding on markets drawn by hand: who pays what, when, and how often."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import DataError
from backtester.core.time import HOUR
from backtester.engine.replay import replay
from tests.support.lakes import write_rows
from tests.support.market import flat, time_of, write_candles
from tests.support.runs import Ran, config_of, prepared_run, run_prepared, scripted

UM = {"run": {"market": "um"}}
LATE = 7_000  # µs: records carry a few milliseconds


def rates(lake: Path, by_hour: Mapping[int, float], *, symbol: str = "BTCUSDT", hours: int = 1) -> None:
    """Published rates, each a little late."""
    columns = {
        "time": [time_of(60 * hour) + LATE for hour in by_hour],
        "interval_hours": [hours] * len(by_hour),
        "funding_rate": list(by_hour.values()),
    }
    write_rows(lake, "fundingRate", symbol, columns)


def marks(lake: Path, closes: list[float], symbol: str = "BTCUSDT") -> None:
    """Hourly mark candles from the start on."""
    columns = dict.fromkeys(("open", "high", "low", "close"), closes)
    columns["open_time"] = [time_of(60 * n) for n in range(len(closes))]
    write_rows(lake, "markPriceKlines", symbol, columns, timeframe="1h")


def flows(ran: Ran) -> list[tuple[int, str]]:
    """Hour and amount of each funding."""
    return [((e["ts"] - time_of(0)) // HOUR, e["amount"]) for e in ran.events("cashflows") if e["kind"] == "funding"]


def buy(qty: int) -> Any:
    return lambda s: [s.buy("BTCUSDT", qty)]


def sell(qty: int) -> Any:
    return lambda s: [s.sell("BTCUSDT", qty)]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Four hours of futures at 100, minute by minute."""
    write_candles(tmp_path / "lake", flat(100, 240), market="um")
    return tmp_path / "lake"


def run(lake: Path, script: Mapping[int, Any], **sections: Any) -> Ran:
    config = config_of(lake, ["BTCUSDT"], **(UM | sections))
    return run_prepared(lake.parent, prepared_run(scripted(script), config))


def test_a_long_pays_a_positive_rate_on_its_value_at_the_mark_and_a_short_receives_it(lake: Path) -> None:
    rates(lake, {1: 0.0001, 2: 0.0002, 3: -0.0001})
    marks(lake, [110.0, 120.0, 130.0])
    script = {5: buy(2), 70: sell(5)}
    ran = run(lake, script)
    # 2 × 110 × 0.01 % paid; -3 × 120 × 0.02 % received; -3 × 130 × -0.01 % paid
    assert flows(ran) == [(1, "-0.02200000"), (2, "0.07200000"), (3, "-0.03900000")]
    assert ran.details["funding"] == {"payments": 3, "amounts": {"USDT": "0.01100000"}}
    assert ran.result.metrics["funding"]["value"] == "0.01100000"
    assert ran.details["final"]["cash"]["um:USDT"] == "10000.01100000"
    assert not [w for w in ran.result.warnings if "funding rates" in w or "mark" in w]


def test_what_moved_says_what_it_is_made_of_and_names_its_record(lake: Path) -> None:
    rates(lake, {1: 0.0001})
    marks(lake, [110.0, 110.0, 110.0, 110.0])
    ran = run(lake, {5: buy(2)})
    (flow,) = [e for e in ran.events("cashflows") if e["kind"] == "funding"]
    assert flow["numbers"] == {"rate": "0.00010000", "mark": "110.00000000", "qty": "2.000"}
    assert flow["cause_id"] == f"um:BTCUSDT/fundingrate/{time_of(60) + LATE}"
    assert flow["ts"] == time_of(60)


@pytest.mark.parametrize(
    ("opens", "closes", "paid"),
    [
        (5, 30, 0),  # closed long before
        (5, 58, 0),  # closed at the open one minute before
        (5, 59, 1),  # decided at the funding time: executes at the open that follows it
        (58, 90, 1),  # opened one minute before
        (59, 90, 0),  # opened at the open that follows it
    ],
)
def test_only_what_is_held_at_the_funding_time_pays(lake: Path, opens: int, closes: int, paid: int) -> None:
    rates(lake, {1: 0.0001})
    ran = run(lake, {opens: buy(1), closes: sell(1)})
    assert len(flows(ran)) == paid


def test_a_strategy_that_decides_at_a_funding_time_has_paid_already(lake: Path) -> None:
    seen: list[Decimal] = []

    def look(strategy: Any) -> None:
        seen.append(strategy.cash)

    rates(lake, {1: 0.0001})
    run(lake, {5: buy(1), 58: look, 59: look})
    assert seen == [Decimal("10000"), Decimal("9999.99")]


@pytest.mark.parametrize("timeframe", ["1m", "15m", "1h", "2h"])
def test_each_time_is_applied_once_whatever_the_strategy_sees(lake: Path, timeframe: str) -> None:
    rates(lake, {1: 0.0001, 2: 0.0001, 3: 0.0001, 4: 0.0001})
    ran = run(lake, {0: buy(1)}, run={"market": "um", "timeframe": timeframe})
    first = {"1m": 1, "15m": 1, "1h": 2, "2h": 3}[timeframe]
    assert [hour for hour, _ in flows(ran)] == list(range(first, 5))


def test_a_funding_time_without_a_candle_is_a_tick_of_its_own(tmp_path: Path) -> None:
    rows = flat(100, 241)
    rows[55:65] = [None] * 10
    write_candles(tmp_path / "lake", rows, market="um")
    rates(tmp_path / "lake", {1: 0.0001})
    script = {5: buy(1), 54: sell(1)}  # waits until 01:05
    ran = run(tmp_path / "lake", script, data={"gap_policy": "continue"}, execution={"max_wait": 60})
    assert flows(ran) == [(1, "-0.01000000")]
    fill, flow = ran.events("fills")[-1], ran.events("cashflows")[-1]
    assert flow["ts"] == time_of(60) < fill["ts"] == time_of(65)


def test_without_a_mark_price_the_last_price_values_and_is_warned_of(lake: Path) -> None:
    rates(lake, {1: 0.0001, 2: 0.0001, 3: 0.0001})
    marks(lake, [200.0])
    ran = run(lake, {5: buy(1)})
    assert flows(ran) == [(1, "-0.02000000"), (2, "-0.01000000"), (3, "-0.01000000")]
    assert any("2 of 3 funding times have no stored mark price" in w for w in ran.result.warnings)


def test_a_lake_without_rates_is_said_with_what_brings_them_and_refused_when_strict(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, flat(100, 500), market="um")
    ran = run(lake, {5: buy(1)})
    assert flows(ran) == []
    assert ran.details["assumptions"]["funding"] == "none: the lake has no rates"
    assert any("bt download --market um --kind fundingRate --symbols BTCUSDT" in w for w in ran.result.warnings)
    with pytest.raises(DataError, match="no funding rates") as caught:
        run(lake, {}, execution={"strict": True})
    assert "futures.funding=off" in str(caught.value.hint)
    assert run(lake, {}, execution={"strict": True}, futures={"funding": "off"}).result.status == "complete"


def test_a_hole_in_the_rates_is_named(lake: Path) -> None:
    rates(lake, {1: 0.0001, 3: 0.0001})
    ran = run(lake, {5: buy(1)})
    assert [hour for hour, _ in flows(ran)] == [1, 3]
    assert any("between 2024-01-01T01:00:00Z and 2024-01-01T03:00:00Z" in w for w in ran.result.warnings)


def test_switched_off_it_moves_nothing(lake: Path) -> None:
    rates(lake, {1: 0.0001})
    ran = run(lake, {5: buy(1)}, futures={"funding": "off"})
    assert flows(ran) == []
    assert ran.details["assumptions"]["funding"] == "off: positions pay and get none"


def test_two_rates_of_one_time_that_differ_are_refused(lake: Path) -> None:
    columns = {"time": [time_of(60), time_of(60) + LATE], "interval_hours": [1, 1], "funding_rate": [0.0001, 0.0002]}
    write_rows(lake, "fundingRate", "BTCUSDT", columns)
    with pytest.raises(DataError, match="two funding rates"):
        run(lake, {})


def test_what_comes_after_the_end_decides_nothing_before_it(lake: Path) -> None:
    rates(lake, {1: 0.0001, 2: 0.0002, 3: 0.0003})
    script = {5: buy(1), 100: sell(3)}
    whole = run(lake, script).raw_lines
    for end in ("2024-01-01T01:00:00Z", "2024-01-01T01:01:00Z", "2024-01-01T02:00:00Z", "2024-01-01T03:00:00Z"):
        part = run(lake, script, run={"market": "um", "end": end}).raw_lines
        assert part == whole[: len(part)]
        assert len(part) > 2


def test_the_log_folds_to_the_same_account_and_the_run_repeats(lake: Path) -> None:
    rates(lake, {1: 0.0001, 2: -0.0003})
    ran = run(lake, {5: buy(3)})
    assert replay(ran.path).account.funding == {"um:USDT": Decimal("0.06")}
    snapshot = ran.events("account_snapshot")[-1]
    assert snapshot["assets"][0]["funding"] == "0.06000000"
