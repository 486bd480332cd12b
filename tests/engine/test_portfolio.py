"""What a run over several markets leaves behind of its wallets, conversions and exposure."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.config.loading import dotted_layer, load_backtest_config
from backtester.core.errors import UsageError
from backtester.engine.prepare import prepare
from backtester.engine.replay import verify
from tests.support.market import flat, time_of, write_candles
from tests.support.runs import Ran, config_of, prepared_run, run_prepared, scripted

SPOT, PERP, ETH = "spot:BTCUSDT", "um:BTCUSDT", "spot:ETHBTC"
CARRY = {
    1: lambda s: [s.buy(SPOT, 2), s.sell(PERP, 3)],
    4: lambda s: [s.transfer("USDT", 100, "spot", "um")],
    6: lambda s: [s.sell(SPOT, 2), s.buy(PERP, 3)],
}


def carried(folder: Path, **over: Any) -> Ran:
    lake = folder / "lake"
    for market in ("spot", "um"):
        write_candles(lake, [*flat(100, 4), *flat(110, 6)], market=market)
    account = {"wallets": {"spot:USDT": 1000, "um:USDT": 500}}
    config = config_of(lake, [SPOT, PERP], **({"account": account} | over))
    return run_prepared(folder, prepared_run(scripted(CARRY, first=SPOT), config))


def test_exposure_has_a_row_per_boundary_while_something_is_held(tmp_path: Path) -> None:
    ran = carried(tmp_path)
    rows = [
        ((r["ts"] - time_of(0)) // 60_000_000, r["underlying"], r["net"], r["gross"], r["delta"])
        for r in ran.table("exposure")
    ]
    assert rows == [
        (3, "BTC", -100, 500, -1.0),
        (4, "BTC", -100, 500, -1.0),
        (5, "BTC", -110, 550, -1.0),
        (6, "BTC", -110, 550, -1.0),
        (7, "BTC", -110, 550, -1.0),
    ]
    verify(ran.path)


def test_wallets_have_a_row_per_balance_that_changed(tmp_path: Path) -> None:
    rows = [
        ((r["ts"] - time_of(0)) // 60_000_000, f"{r['wallet']}:{r['asset']}", r["balance"])
        for r in carried(tmp_path).table("wallets")
    ]
    assert rows == [
        (0, "spot:USDT", 1000),
        (0, "um:USDT", 500),
        (3, "spot:BTC", 2),
        (3, "spot:USDT", 800),
        (6, "spot:USDT", 700),
        (6, "um:USDT", 600),
        (8, "spot:BTC", 0),
        (8, "spot:USDT", 920),
        (8, "um:USDT", 570),
    ]


def test_the_record_names_wallets_conversions_and_the_last_exposure(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, flat(100, 6))
    write_candles(lake, flat(100, 6), market="um")
    write_candles(lake, flat(0.5, 6), symbol="ETHBTC")
    account = {"wallets": {"spot:USDT": 1000, "spot:BTC": 3, "um:USDT": 500}}
    script = {1: lambda s: [s.buy(ETH, 4), s.sell(PERP, 1)]}
    config = config_of(lake, [SPOT, PERP, ETH], account=account)
    ran = run_prepared(tmp_path, prepared_run(scripted(script, first=SPOT), config))
    found = ran.details["portfolio"]
    assert found["wallets"]["spot:BTC"] == {"start": "3.00000000", "end": "1.00000000", "worth": "100.00000000"}
    assert found["wallets"]["spot:ETH"]["worth"] == "200.00000000"
    assert found["conversions"] == {"BTC": SPOT, "ETH": f"{ETH} x {SPOT}"}
    assert found["exposure"] == {
        "BTC": {"net": "0.00000000", "gross": "200.00000000", "delta": "0.00000000"},  # one coin against one short
        "ETH": {"net": "200.00000000", "gross": "200.00000000", "delta": "4.00000000"},
    }
    assert ran.details["assumptions"]["currency"] == f"all is summed up in USDT; BTC at {SPOT}"


@pytest.mark.parametrize(
    ("conversions", "said"),
    [
        ({"BTC": "0"}, "it must be above 0"),
        ({"BTC": "nan"}, "it must be above 0"),
        ({"BTC": "much"}, "neither a number nor an instrument of this run"),
        ({"BTC": PERP}, "neither a number nor an instrument of this run"),
        ({"ETH": SPOT}, "that has BTC and USDT, no ETH"),
        ({"BTC": ETH}, "it says what BTC is worth in ETH, not in USDT"),
    ],
)
def test_conversions_that_say_nothing_are_refused(tmp_path: Path, conversions: dict[str, str], said: str) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, flat(0.5, 6), symbol="ETHBTC")
    write_candles(lake, flat(100, 6))
    account = {"wallets": {"spot:BTC": 3}, "conversions": conversions}
    with pytest.raises(UsageError, match=said):
        prepared_run(scripted({}), config_of(lake, [SPOT, ETH], account=account))


def test_what_nothing_converts_is_refused(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, flat(0.5, 6), symbol="ETHBTC")
    with pytest.raises(UsageError, match="nothing in this run says what BTC is worth in USDT") as caught:
        prepared_run(scripted({}), config_of(lake, [ETH], account={"wallets": {"spot:BTC": 3}}))
    assert caught.value.hint.startswith("add the symbol whose price says it, usually spot:BTCUSDT; or, for")
    assert "--set account.conversions.BTC=PRICE (USDT for one BTC)" in caught.value.hint
    assert "=1" not in caught.value.hint  # one unit of money for a coin would ruin every figure


@pytest.mark.parametrize("written", ["42000.5", '"42000.5"', "42_000.50"])
def test_a_conversion_is_a_number_in_a_file_and_as_an_option(tmp_path: Path, written: str) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, flat(0.5, 6), symbol="ETHBTC")
    path = tmp_path / "run.toml"
    head = (
        f'run.symbols = ["ETHBTC"]\nstrategy.name = "sma_cross"\ndata.dir = "{lake}"\naccount.wallets."spot:BTC" = 3\n'
    )
    path.write_text(f"{head}account.conversions.BTC = {written}\n")
    in_file = load_backtest_config(path)
    path.write_text(head)
    as_option = load_backtest_config(path, dotted_layer([f"account.conversions.BTC={written}"]))
    for config in (in_file, as_option):
        assert prepare(config).valuation.conversions["BTC"].rate_units == 42_000_50000000


@pytest.mark.parametrize("written", ["true", "nan", "[1]"])
def test_a_conversion_that_is_no_number_is_refused(tmp_path: Path, written: str) -> None:
    with pytest.raises(UsageError, match=r"account\.conversions\.BTC"):
        load_backtest_config(None, dotted_layer([f"account.conversions.BTC={written}"]))


def test_wallets_are_given_in_a_file_too(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, flat(100, 6))
    write_candles(lake, flat(100, 6), market="um")
    path = tmp_path / "run.toml"
    path.write_text(
        f'run.symbols = ["{SPOT}", "{PERP}"]\nstrategy.name = "sma_cross"\ndata.dir = "{lake}"\n'
        '[account.wallets]\n"spot:USDT" = 5000\n"um:USDT" = "2500.5"\n'
    )
    prepared = prepare(load_backtest_config(path))
    assert prepared.config.account.wallets == {"spot:USDT": Decimal(5000), "um:USDT": Decimal("2500.5")}
