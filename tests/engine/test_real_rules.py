"""Real rules over real candles: what the venue would have refused is refused, at the time at which it did."""

from pathlib import Path

import pytest

from backtester.config.configs import BacktestConfig
from backtester.core.time import parse_time
from backtester.data.rules.importing import file_sources, import_rules
from tests.support.real import import_real
from tests.support.runs import prepared_run, run_prepared, scripted

B = "BTCUSDT"


@pytest.fixture(scope="module")
def lake(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    import_real([real_data / "spot" / "BTCUSDT_1h.csv.gz"], folder, market="spot")
    import_real([real_data / "um" / "BTCUSDT_4h.csv.gz"], folder, market="um", symbol="BTCUSDT")
    files = sorted((real_data / "exchangeInfo").iterdir())
    import_rules(file_sources(files), folder)
    return folder


def config(lake: Path, **run: object) -> BacktestConfig:
    return BacktestConfig.model_validate(
        {"run": {"symbols": [B], **run}, "strategy": {"name": "inline"}, "data": {"dir": str(lake)}}
    )


def test_the_minimum_of_spot_falls_from_10_to_5_when_the_venue_says_so(lake: Path, tmp_path: Path) -> None:
    def buy_for_7(s):  # type: ignore[no-untyped-def]
        return [s.buy(B, quote=7)]

    asked = config(lake, timeframe="1h", start="2024-09-08T14:00:00Z", end="2024-09-08T22:00:00Z")
    ran = run_prepared(tmp_path, prepared_run(scripted(dict.fromkeys(range(8), buy_for_7)), asked))
    refused = [line["tick"] for line in ran.lines if line["topic"] == "orders_rejected"]
    assert refused == [parse_time(f"2024-09-08T{hour}:00:00Z") for hour in (15, 16, 17)]  # the new one is of 17:36
    assert {reason for _, reason, _ in ran.refusals} == {"below_min_notional"}
    assert len(ran.fills) == 4  # and the last one waits for an open after the end
    assert ran.details["assumptions"]["rules"] == "spot:BTCUSDT: rules of 2022-12-11 and 2024-09-08 applied"


def test_a_future_takes_the_rules_of_its_own_market(lake: Path, tmp_path: Path) -> None:
    asked = config(lake, market="um", timeframe="4h", start="2023-03-01", end="2023-03-03")
    strategy = scripted({0: lambda s: [s.buy(B, "0.0015"), s.buy(B, "0.0205", limit="20000.07")]})
    ran = run_prepared(tmp_path, prepared_run(strategy, asked))
    assert [(e["limit_price"], e["qty"]) for e in ran.events("orders_sanitized")] == [("20000.00", "0.020")]
    assert [reason for _, reason, _ in ran.refusals] == ["below_min_notional"]  # 0.001 for about 23 of at least 100
    assert ran.result.warnings[0] == (
        "um:BTCUSDT: rules of 2025-03-06 applied before that date: earlier rules are not known"
    )


def test_the_band_and_the_number_of_triggers_of_the_real_venue_hold(lake: Path, tmp_path: Path) -> None:
    asked = config(lake, timeframe="1h", start="2024-09-09", end="2024-09-10")
    strategy = scripted(
        {
            0: lambda s: [s.buy(B, "0.01", limit=10_000), s.buy(B, "0.01", limit=12_000)],  # a fifth of about 55 000
            1: lambda s: [s.buy(B, "0.001", stop=60_000 + n) for n in range(6)],
            2: lambda s: [s.buy(B, "0.00001", limit=2_000_000)],
        }
    )
    ran = run_prepared(tmp_path, prepared_run(strategy, asked))
    assert [reason for _, reason, _ in ran.refusals][:2] == ["percent_price", "max_num_algo_orders"]
    assert ran.refusals[0][2]["multiplier_down"] == "0.2"
    assert ran.refusals[1][2] == {"open": "5", "max_algo_orders": "5"}
    assert ran.refusals[2][1] == "above_max_price"
