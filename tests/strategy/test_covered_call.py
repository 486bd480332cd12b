"""covered_call on made-up weeks, and on two real days."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from backtester.core.instruments import option_name
from backtester.core.time import DAY, HOUR, format_time, parse_time
from backtester.engine.replay import replay, verify
from backtester.strategy.covered_call import CoveredCall, CoveredCallParams
from tests.support.chains import CHAIN, Quote, black_quotes, candles_of, wandering_index, write_chain
from tests.support.market import time_of, write_candles
from tests.support.real import import_real
from tests.support.runs import Ran, config_of, prepared_run, run_prepared

SPOT = "spot:BTCUSDT"
HOURS = 24 * 7 * 4
INDEX = wandering_index(HOURS, 3)
QUOTES = black_quotes(INDEX, 3)


def run(lake: Path, *, start: str = "", end: str = "", **params: Any) -> Ran:
    config = config_of(
        lake,
        [SPOT, CHAIN],
        run={"timeframe": "1h", "start": start, "end": end},
        account={"wallets": {"spot:USDT": "40000", "option:USDT": "20000"}},
        options={"allow_short": True},
        fees={"markets": {"spot": {"maker_bps": 10, "taker_bps": 10}, "option": {"maker_bps": 3, "taker_bps": 3}}},
    )
    return run_prepared(lake.parent, prepared_run(CoveredCall, config, **params))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four weeks from a Monday of a chain with the next two Fridays, and hourly candles of spot."""
    folder = tmp_path_factory.mktemp("weeks") / "lake"
    write_chain(folder, QUOTES)
    write_candles(folder, candles_of(INDEX), timeframe="1h")
    return folder


@pytest.fixture(scope="module")
def weeks(lake: Path) -> Ran:
    return run(lake, quantity="1")


def test_a_call_of_each_week_is_sold_when_the_last_one_is_over(weeks: Ran) -> None:
    calls = [event for event in weeks.events("fills") if event["instrument"] != SPOT]
    sold, settled = ([e for e in calls if (e["tag"] == "covered_call") is own] for own in (True, False))
    assert {e["side"] for e in sold} == {"sell"}
    expiries = [name.expiry for e in sold if (name := option_name(e["instrument"].partition(":")[2])) is not None]
    fridays = [parse_time(f"2024-01-{day:02}T08:00") for day in (5, 12, 19, 26)]
    assert sorted(set(expiries))[:4] == fridays[:4]
    assert [e["ts"] for e in settled] == fridays[:4]  # four weeks from a Monday end after the fourth Friday
    for event, expiry in zip(sold, expiries, strict=True):
        assert expiry - event["ts"] < 8 * DAY
        assert not [f for f in fridays if f < expiry and f > event["ts"] + DAY]
    total: dict[str, Decimal] = {}
    for event in sold:
        total[event["instrument"]] = total.get(event["instrument"], Decimal(0)) + Decimal(event["qty"])
    assert set(total.values()) == {Decimal(1)}  # as much as is held, in as many rows as it took
    replay(weeks.path)
    verify(weeks.path)


def test_it_is_the_call_closest_to_the_delta_at_the_row_of_the_decision(weeks: Ran) -> None:
    seen: set[str] = set()
    for intent in weeks.events("orders_intent"):
        if intent["instrument"] == SPOT or intent["instrument"] in seen:
            continue
        contract = intent["instrument"].partition(":")[2]
        hour = (intent["ts"] - time_of(0)) // HOUR - 1
        row = {q.contract: q for q in QUOTES if q.hour == hour and q.contract[:11] == contract[:11]}
        calls = [q for q in row.values() if q.contract.endswith("C")]
        if contract in {e["instrument"].partition(":")[2] for e in weeks.events("fills")}:
            best = min(abs(q.delta - 0.2) for q in calls)
            assert abs(row[contract].delta - 0.2) == best
            seen.add(intent["instrument"])
    assert len(seen) == 5


def test_the_log_of_the_first_weeks_is_a_prefix(weeks: Ran, lake: Path) -> None:
    part = run(lake, end="2024-01-14T05:00", quantity="1")
    assert part.raw_lines == weeks.raw_lines[: len(part.raw_lines)]


def test_all_of_the_money_is_spent_on_the_coin_unless_a_quantity_is_given(lake: Path) -> None:
    ran = run(lake, end="2024-01-03", fraction="0.5")
    held = Decimal(ran.details["final"]["positions"][SPOT]["qty"])
    assert Decimal("1.2") < held < Decimal("1.4")
    sold = sum(Decimal(e["qty"]) for e in ran.events("fills") if e["instrument"] != SPOT)
    assert held / 2 - Decimal("0.001") <= sold <= held / 2


def test_without_leave_to_write_options_every_sale_is_refused_and_said_why(lake: Path) -> None:
    config = config_of(
        lake,
        [SPOT, CHAIN],
        run={"timeframe": "1h", "end": "2024-01-02"},
        account={"wallets": {"spot:USDT": "40000", "option:USDT": "20000"}},
    )
    ran = run_prepared(lake.parent, prepared_run(CoveredCall, config))
    assert {(reason, tuple(numbers)) for _, reason, numbers in ran.refusals} == {
        ("short_not_allowed", ("options.allow_short",))
    }
    assert any("options.allow_short" in warning for warning in ran.result.warnings)


@pytest.mark.parametrize("wrong", [{"delta": 0}, {"delta": 1}, {"fraction": 0}, {"give_pct": 100}, {"what": 1}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CoveredCallParams.model_validate(wrong)


def test_on_two_real_days_it_sells_the_call_of_the_following_friday(real_data: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    import_real(sorted((real_data / "archive/data/option/daily/EOHSummary/BTCUSDT").glob("*.zip")), lake)
    import_real([real_data / "spot/BTCUSDT_1h.csv.gz"], lake, market="spot", symbol="BTCUSDT")
    ran = run(lake, start="2023-10-20", end="2023-10-22", quantity="1")
    calls = [e for e in ran.events("fills") if e["instrument"] != SPOT]
    # decided at 02:00 by a bid of 165, the row known at 03:00 has one of 240
    assert [(format_time(e["ts"]), e["instrument"], e["price"], e["qty"]) for e in calls] == [
        ("2023-10-20T03:00:00Z", "option:BTC-231027-30000-C", "240.00000000", "1.000")
    ]
    # 3 bps of the index that the row implies, at most 24
    assert calls[0]["fee"] == "8.69959795"
    mark = next(p for p in ran.events("account_snapshot")[-1]["positions"] if p["instrument"] != SPOT)
    assert (mark["mark"], mark["unrealised"]) == ("562.00000000", "-322.00000000")
    replay(ran.path)
    verify(ran.path)


def test_a_row_whose_call_has_no_bid_sells_nothing(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    name = "BTC-240112-31000-C"
    write_chain(lake, [Quote(n, name, 0 if n < 5 else 100, 110, 1, 1, 105, 0.5, 0.2) for n in range(8)])
    write_candles(lake, candles_of([30_000.0] * 8), timeframe="1h")
    ran = run(lake, quantity="1")
    assert [(e["ts"] - time_of(0)) // HOUR for e in ran.events("fills") if e["instrument"] != SPOT] == [7]


def test_without_money_in_the_option_wallet_the_run_says_so(lake: Path, tmp_path: Path) -> None:
    config = config_of(
        lake,
        [SPOT, CHAIN],
        run={"timeframe": "1h", "end": "2024-01-04"},
        account={"wallets": {"spot:USDT": "40000"}},
        options={"allow_short": True},
    )
    ran = run_prepared(tmp_path, prepared_run(CoveredCall, config, quantity="1"))
    (said,) = [w for w in ran.result.warnings if "insufficient_balance" in w]
    assert said.startswith(f"{len(ran.refusals)} orders in options were refused")
    assert "--wallet option:USDT=" in said


def test_without_a_chain_the_run_names_the_symbol_that_brings_one(lake: Path, tmp_path: Path) -> None:
    ran = run_prepared(tmp_path, prepared_run(CoveredCall, config_of(lake, [SPOT], run={"timeframe": "1h"})))
    (said,) = [w for w in ran.result.warnings if "on_chain" in w]
    assert "--symbols option:BTCUSDT" in said
    assert "--feeds" not in said
