"""Rules that change in mid run: every order is judged, sized and charged by the version of its time."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.config.configs import BacktestConfig
from backtester.engine.replay import verify
from backtester.strategy.base import Strategy
from tests.support.market import Rows, flat, write_candles
from tests.support.runs import Ran, bought, merged, prepared_run, run_prepared, scripted, sold
from tests.support.venue import exchange_info, put_rules, spot_symbol

B = "BTCUSDT"
CHANGE = "2024-01-01T00:03:00Z"  # where candle 3 opens and candle 2 is decided on
FINE = spot_symbol(tick="0.01", lot="0.001", min_notional="5")
COARSE = spot_symbol(tick="0.1", lot="0.1", min_notional="50")
QUIET = (100.0, 100.0, 100.0, 100.0, 0.0)


def run(folder: Path, rows: Rows, strategy: type[Strategy], **sections: Any) -> Ran:
    """Run on candles from 2024-01-01 over a lake that knows its own rules: fine before CHANGE, coarse from it on."""
    lake = folder / "lake"
    if not lake.exists():
        write_candles(lake, rows)
        put_rules(lake, exchange_info("2023-06-01", FINE), exchange_info(CHANGE, COARSE))
    base = {
        "run": {"symbols": [B]},
        "strategy": {"name": "inline"},
        "fees": {"maker_bps": 0, "taker_bps": 0},
        "slippage": {"bps": 0},
        "data": {"dir": str(lake)},
    }
    config = BacktestConfig.model_validate(merged(base, sections))
    return run_prepared(folder, prepared_run(strategy, config))


def test_an_order_is_rounded_and_judged_by_the_rules_of_its_own_time(tmp_path: Path) -> None:
    def ask(s):  # type: ignore[no-untyped-def]
        return [s.buy(B, "0.123", limit="90.07"), s.buy(B, "0.623", limit="90.07")]

    ran = run(tmp_path, flat(100, 6), scripted({1: ask, 2: ask, 3: ask}))
    orders = [(e["ts"], e["limit_price"], e["qty"]) for e in ran.events("orders_sanitized")]
    start, minute = ran.prepared.start, 60_000_000
    assert orders == [
        (start + 2 * minute, "90.07", "0.123"),
        (start + 2 * minute, "90.07", "0.623"),
        (start + 3 * minute, "90.00", "0.600"),  # at the change itself the new rules hold
        (start + 4 * minute, "90.00", "0.600"),
    ]
    small = ("risk", "below_min_notional", {"notional": "9", "min_notional": "50"})
    assert ran.refusals == [small, small]


def test_money_is_sized_by_the_rules_of_the_fill_not_of_the_decision(tmp_path: Path) -> None:
    market = [*flat(100, 2), QUIET, *flat(100, 4)]

    def spend(s):  # type: ignore[no-untyped-def]
        return [s.buy(B, quote="12.34"), s.buy(B, quote="98.76")]

    ran = run(tmp_path, market, scripted({1: spend}))
    assert ran.refusals == []
    assert ran.updates[-1] == (1, "expired", "below_min_notional")  # 0.1 for 10: the new lot, the new minimum
    assert ran.fills == [bought(3, 100, "0.9")]


@pytest.mark.parametrize(
    ("candle", "fills"),
    [
        ((90, 100, 90, 100), [bought(3, 95, "0.129")]),  # at the open, 00:03:00: before the change
        ((100, 100, 90, 100), []),  # somewhere in the candle, so at its close: after it
    ],
)
def test_a_change_inside_a_candle_comes_after_its_open_and_before_its_close(
    tmp_path: Path, candle: tuple[float, ...], fills: list[Any]
) -> None:
    write_candles(tmp_path / "lake", [*flat(100, 3), candle, *flat(100, 2)])
    put_rules(tmp_path / "lake", exchange_info("2023-06-01", FINE), exchange_info("2024-01-01T00:03:30Z", COARSE))
    ran = run(tmp_path, [], scripted({1: lambda s: [s.buy(B, quote="12.34", limit=95)]}))
    assert ran.fills == fills
    assert [reason for _, status, reason in ran.updates if status == "expired"] == (
        [] if fills else ["below_min_notional"]
    )


def test_a_quantity_that_was_accepted_stays_as_it_is(tmp_path: Path) -> None:
    ran = run(tmp_path, [*flat(100, 2), QUIET, *flat(100, 4)], scripted({1: lambda s: [s.buy(B, "0.123")]}))
    assert ran.fills == [bought(3, 100, "0.123")]


def test_what_became_less_than_a_lot_counts_as_flat(tmp_path: Path) -> None:
    seen = []

    def look(s):  # type: ignore[no-untyped-def]
        seen.append((s.position(B).is_flat, s.position(B).qty, s.trading_rules(B).resting.lot_units))

    run(tmp_path, flat(100, 6), scripted({0: lambda s: [s.buy(B, "0.06")], 1: look, 2: look}))
    assert seen == [(False, Decimal("0.06"), 1), (True, Decimal("0.06"), 100)]


def test_a_value_of_the_config_wins_in_every_version(tmp_path: Path) -> None:
    def ask(s):  # type: ignore[no-untyped-def]
        return [s.buy(B, "0.123", limit="90.07")]

    own = {"spot:BTCUSDT": {"min_notional": 8, "lot_size": "0.01", "min_qty": 0}}
    ran = run(tmp_path, flat(100, 6), scripted({1: ask, 3: ask}), instruments=own)
    assert [(e["limit_price"], e["qty"]) for e in ran.events("orders_sanitized")] == [
        ("90.07", "0.12"),
        ("90.00", "0.12"),
    ]


def everything(s):  # type: ignore[no-untyped-def]
    return [s.buy(B, "0.623", limit="99.97"), s.buy(B, quote="77.7"), s.sell(B, s.position(B).qty)]


def test_the_log_before_a_change_does_not_depend_on_it(tmp_path: Path) -> None:
    rows = [(100, 101, 99, 100)] * 8
    script = scripted(dict.fromkeys(range(7), everything))
    whole = run(tmp_path, rows, script)
    for minutes in range(1, 8):
        part = run(tmp_path, rows, script, run={"end": f"2024-01-01T00:0{minutes}:00Z"})
        assert whole.raw_lines[: len(part.raw_lines)] == part.raw_lines


def test_its_config_repeats_the_run_when_the_lake_has_no_rules_any_more(tmp_path: Path) -> None:
    ran = run(tmp_path, [(100, 101, 99, 100)] * 8, scripted(dict.fromkeys(range(7), everything)))
    versions = ran.prepared.config.instruments["spot:BTCUSDT"].versions
    assert [(v.date, v.tick_size, v.min_notional) for v in versions] == [
        ("2023-06-01", Decimal("0.01"), 5),
        (CHANGE, Decimal("0.1"), 50),
    ]
    (tmp_path / "lake" / "rules" / "spot.jsonl").unlink()
    verify(ran.path)
    put_rules(tmp_path / "lake", exchange_info("2023-06-01", COARSE))
    verify(ran.path)


def test_a_run_says_which_rules_it_applied(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 6), scripted({}))
    assert ran.details["assumptions"]["rules"] == "spot:BTCUSDT: rules of 2023-06-01 and 2024-01-01 applied"
    assert [v["date"] for v in ran.details["rules"]["spot:BTCUSDT"]["rules"]] == ["2023-06-01", CHANGE]
    assert ran.result.warnings == []


def test_before_the_first_known_rules_the_first_apply_and_the_run_says_so(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(100, 6))
    put_rules(tmp_path / "lake", exchange_info(CHANGE, FINE), exchange_info("2024-09-08", COARSE))
    ran = run(tmp_path, [], scripted({0: lambda s: [s.buy(B, "0.123", limit="90.07")]}))
    assert [e["limit_price"] for e in ran.events("orders_sanitized")] == ["90.07"]
    assert ran.result.warnings == [
        "spot:BTCUSDT: rules of 2024-01-01 applied before that date: earlier rules are not known"
    ]


def test_versions_outside_the_run_decide_nothing_but_the_scale(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(100, 6))
    put_rules(tmp_path / "lake", *(exchange_info(day, COARSE) for day in ("2022-01-01", "2023-01-01")))
    put_rules(tmp_path / "lake", exchange_info("2025-01-01", FINE), exchange_info("2021-01-01", FINE))
    ran = run(tmp_path, [], scripted({0: lambda s: [s.buy(B, "0.623", limit="90.07")]}))
    assert [(e["limit_price"], e["qty"]) for e in ran.events("orders_sanitized")] == [("90.00", "0.600")]
    assert [v.date for v in ran.prepared.config.instruments["spot:BTCUSDT"].versions] == ["2022-01-01"]


# --- how an order executes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "refused"),
    [
        (lambda s: [s.buy(B, 3)], True),
        (lambda s: [s.buy(B, 3, stop=120)], True),
        (lambda s: [s.buy(B, 3, limit=90)], False),
        (lambda s: [s.buy(B, 2)], False),
    ],
)
def test_market_orders_and_stops_obey_the_market_limits_too(tmp_path: Path, order: Any, refused: bool) -> None:
    write_candles(tmp_path / "lake", flat(100, 6))
    put_rules(tmp_path / "lake", exchange_info("2023-06-01", spot_symbol(market_max_qty="2.00049857")))
    ran = run(tmp_path, [], scripted({0: order}))
    expected = [("risk", "above_max_qty", {"qty": "3.000", "asked": "3", "max_qty": "2.000"})] if refused else []
    assert ran.refusals == expected


def test_money_spent_at_the_market_buys_no_more_than_the_market_limit(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(100, 6))
    put_rules(tmp_path / "lake", exchange_info("2023-06-01", spot_symbol(market_max_qty="2.00049857")))
    ran = run(tmp_path, [], scripted({0: lambda s: [s.buy(B, quote=1000)]}))
    assert ran.fills == [bought(1, 100, 2)]


def test_a_maximum_of_the_notional_may_leave_market_orders_alone(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(100, 6))
    symbol = spot_symbol()
    symbol["filters"][3] |= {"maxNotional": "1000", "applyMinToMarket": False, "minNotional": "50"}
    put_rules(tmp_path / "lake", exchange_info("2023-06-01", symbol))
    ran = run(
        tmp_path,
        [],
        scripted({0: lambda s: [s.buy(B, 11, limit=99), s.buy(B, 11), s.buy(B, "0.1", limit=99), s.buy(B, "0.1")]}),
    )
    assert [reason for _, reason, _ in ran.refusals] == ["above_max_notional", "below_min_notional"]
    assert ran.fills == [bought(1, 100, 11), bought(1, 100, "0.1")]


def test_a_step_of_zero_is_none(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(100, 6))
    put_rules(tmp_path / "lake", exchange_info("2023-06-01", spot_symbol(tick="0", lot="0")))
    ran = run(tmp_path, [], scripted({0: lambda s: [s.buy(B, "0.12345678", limit="90.12345678")]}))
    assert [(e["limit_price"], e["qty"]) for e in ran.events("orders_sanitized")] == [("90.12345678", "0.12345678")]


# --- fees --------------------------------------------------------------------------------------------------------


def fees_of(lake: Path, **sections: Any) -> list[str]:
    """The fees of a purchase and a sale of 1 at 100, before and after the rates change."""
    folder = lake.parent
    ran = run(
        folder,
        [],
        scripted({0: lambda s: [s.buy(B, 1)], 3: lambda s: [s.sell(B, 1)]}),
        **({"fees": {"maker_bps": None, "taker_bps": None}} | sections),
    )
    assert ran.fills == [bought(1, 100, 1), sold(4, 100, 1)]
    verify(ran.path)
    return [str(fill.fee.normalize()) for fill in ran.fills]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    write_candles(folder, flat(100, 6))
    put_rules(folder, exchange_info("2023-06-01", FINE))
    for date, rate in (("2023-06-01", "0.00075"), (CHANGE, "0.0006")):
        put_rules(folder, [{"symbol": "BTCUSDT", "makerCommission": "0.0001", "takerCommission": rate}], date=date)
    return folder


def test_a_fill_is_charged_by_the_fee_rates_of_its_time(lake: Path) -> None:
    assert fees_of(lake) == ["0.075", "0.06"]


def test_rates_of_the_config_win_over_those_of_the_lake(lake: Path) -> None:
    assert fees_of(lake, fees={"maker_bps": 1, "taker_bps": 20}) == ["0.2", "0.2"]
    assert fees_of(lake, fees={"maker_bps": 1, "taker_bps": None}) == ["0.075", "0.06"]
    assert fees_of(lake, fees={"maker_bps": None, "taker_bps": 20}) == ["0.2", "0.2"]


def test_volume_tiers_lie_over_the_rates_of_the_lake(lake: Path) -> None:
    tiers = [{"volume": 100, "maker_bps": 0, "taker_bps": 1}]
    assert fees_of(lake, fees={"maker_bps": None, "taker_bps": None, "tiers": tiers}) == ["0.075", "0.01"]
    assert run_says(lake).startswith("maker 10 bps, taker 10 bps; spot:BTCUSDT: rates of 2023-06-01 and 2024-01-01")


def run_says(lake: Path) -> str:
    ran = run(lake.parent, [], scripted({}), fees={"maker_bps": None, "taker_bps": None})
    return str(ran.details["assumptions"]["fees"])
