"""Several currencies in one account: limits, sizes, tiers and figures are in its own, money is spent where it lies."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.engine.replay import replay, verify
from tests.support.market import Rows, flat, write_candles
from tests.support.runs import Ran, config_of, prepared_run, run_prepared, scripted

BTC, ETH, PERP = "spot:BTCUSDT", "spot:ETHBTC", "um:BTCUSDT"
WALLETS = {"spot:USDT": 8000, "spot:BTC": 20, "um:USDT": 0}  # worth 10000 while a coin is worth 100


def run(
    folder: Path, script: Mapping[int, Any], *, eth: Rows | None = None, btc: Rows | None = None, **over: Any
) -> Ran:
    """A coin at 100 of the currency, another at half of it; acts after candles of the first."""
    lake = folder / "lake"
    write_candles(lake, btc or flat(100, 20))
    write_candles(lake, btc or flat(100, 20), market="um")
    write_candles(lake, eth or flat(0.5, 20), symbol="ETHBTC")
    sections = {"account": {"wallets": WALLETS}} | over
    config = config_of(lake, [BTC, ETH, PERP], **sections)
    ran = run_prepared(folder, prepared_run(scripted(script, first=BTC), config))
    replay(ran.path)
    return ran


def buy(name: str, qty: Any = None, **options: Any) -> Any:
    return lambda s: [s.buy(name, qty, **options)]


def bought(ran: Ran) -> list[str]:
    return [e["qty"] for e in ran.events("fills")]


def test_a_share_of_equity_is_spent_in_what_the_instrument_settles_in(tmp_path: Path) -> None:
    ran = run(tmp_path, {2: buy(ETH, fraction=0.1)})
    assert bought(ran) == ["20.000"]  # 1000 of 10000 are ten coins, at half a coin each
    assert ran.table("equity")[0]["equity"] == 10_000
    verify(ran.path)


def test_a_share_of_equity_is_at_most_what_its_wallet_has(tmp_path: Path) -> None:
    assert bought(run(tmp_path, {2: buy(ETH, fraction=0.5)})) == ["40.000"]  # twenty coins, though equity says fifty


def test_an_order_of_one_market_cannot_use_the_money_of_another(tmp_path: Path) -> None:
    ran = run(tmp_path, {2: buy(PERP, 1)})
    assert ran.refusals == [("risk", "insufficient_balance", {"required": "100", "free": "0", "asset": "USDT"})]


@pytest.mark.parametrize(
    ("limit", "value", "numbers"),
    [
        ("max_order_notional", 1000, {"notional": "1050", "max_order_notional": "1000"}),
        ("max_symbol_notional", 1000, {"exposure": "1050", "equity": "10000", "max_symbol_notional": "1000"}),
        ("max_gross_exposure", "0.1x", {"exposure": "1050", "max_gross_exposure": "0.1x"}),
        ("max_net_exposure", 1000, {"exposure": "1050"}),
        ("max_leverage", "0.1", {"exposure": "1050", "max_leverage": "0.1x"}),
    ],
)
def test_limits_are_in_the_currency_of_the_account(
    tmp_path: Path, limit: str, value: Any, numbers: dict[str, str]
) -> None:
    ran = run(tmp_path, {2: buy(ETH, 21), 4: buy(ETH, 20)}, risk={limit: value})
    [(_, reason, said)] = ran.refusals
    assert reason == limit
    assert numbers.items() <= said.items()
    assert bought(ran) == ["20.000"]


def test_exposure_of_several_currencies_adds_up(tmp_path: Path) -> None:
    script = {2: buy(BTC, 10), 4: buy(ETH, 10), 6: buy(ETH, "0.1")}
    ran = run(tmp_path, script, risk={"max_gross_exposure": 1500})
    assert [said["exposure"] for _, _, said in ran.refusals] == ["1505"]
    assert max(row["exposure"] for row in ran.table("equity")) == 1500


def test_tiers_count_the_volume_in_the_currency_of_the_account(tmp_path: Path) -> None:
    fees = {"maker_bps": 10, "taker_bps": 10, "tiers": [{"volume": 900, "maker_bps": 1, "taker_bps": 1}]}
    ran = run(tmp_path, {2: buy(ETH, 18), 4: buy(BTC, 1)}, fees=fees)
    assert [e["fee"] for e in ran.events("fills")] == ["0.00900000", "0.01000000"]  # nine coins are 900


@pytest.mark.parametrize(
    ("sizing", "options", "qty"),
    [
        ({"model": "percent_equity", "percent": 5}, {}, "10.000"),
        ({"model": "fixed_quote", "quote": 3}, {}, "6.000"),
        # 1 % of equity is one coin; a stop a tenth of a coin lower loses it with ten
        ({"model": "risk_per_trade", "percent": 1}, {"stop_loss": "0.4"}, "10.000"),
        ({"model": "risk_per_trade", "percent": 1, "max_percent": 2}, {"stop_loss": "0.4"}, "4.000"),
    ],
)
def test_sizes_that_the_run_finds_are_of_equity_in_what_the_instrument_settles_in(
    tmp_path: Path, sizing: dict[str, Any], options: dict[str, Any], qty: str
) -> None:
    assert bought(run(tmp_path, {2: buy(ETH, **options)}, sizing=sizing))[:1] == [qty]


def test_figures_are_sums_of_all_assets_at_the_end_and_say_of_what(tmp_path: Path) -> None:
    eth = [*flat(0.5, 5), *flat(0.6, 15)]
    btc = [*flat(100, 10), *flat(200, 10)]
    script = {2: buy(ETH, 10), 7: lambda s: [s.sell(ETH, 10)], 8: buy(BTC, 1), 12: lambda s: [s.sell(BTC, 1)]}
    ran = run(tmp_path, script, eth=eth, btc=btc, fees={"maker_bps": 100, "taker_bps": 100})
    metrics = ran.result.metrics
    assert metrics["realised_pnl"]["by_asset"] == {"BTC": "1.00000000", "USDT": "100.00000000"}
    assert Decimal(metrics["realised_pnl"]["value"]) == 300  # a coin is worth 200 at the end
    assert metrics["fees"]["by_asset"] == {"BTC": "0.11000000", "USDT": "3.00000000"}
    assert Decimal(metrics["fees"]["value"]) == 25
    assert Decimal(metrics["initial_equity"]["value"]) == 10_000
    assert Decimal(metrics["final_equity"]["value"]) == 8000 + 100 - 3 + (20 + 1 - Decimal("0.11")) * 200


def test_without_a_price_a_share_of_equity_is_refused(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, flat(0.5, 20), symbol="ETHBTC")
    write_candles(lake, [*flat(100), *[None] * 5, *flat(100, 14)], market="um")
    account = {"wallets": {"spot:BTC": 5, "um:USDT": 1}, "conversions": {"BTC": PERP}}
    run_ = {"start": "2024-01-01T00:01:00Z"}
    config = config_of(lake, [ETH, PERP], account=account, run=run_, data={"gap_policy": "continue"})
    ran = run_prepared(tmp_path, prepared_run(scripted({1: buy(ETH, fraction=0.5)}, first=ETH), config))
    assert ran.refusals == [("risk", "no_price", {"asset": "BTC", "currency": "USDT"})]
    assert any("BTC is worth nothing before um:BTCUSDT has a price" in w for w in ran.result.warnings)
