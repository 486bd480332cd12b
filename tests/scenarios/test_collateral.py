"""Other assets as collateral of futures with cross margin: a part of their worth secures, and the debt is in money."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import UsageError
from backtester.engine.replay import replay, verify
from backtester.sim.brackets import maintenance_margin
from backtester.sim.default_brackets import DEFAULT_BRACKETS
from tests.support.market import Rows, flat, write_candles
from tests.support.runs import Ran, config_of, prepared_run, run_prepared, scripted

SPOT, PERP = "spot:BTCUSDT", "um:BTCUSDT"
PLEDGED = {"futures": {"margin_mode": "cross", "collateral": {"BTC": "0.95"}}}
WALLETS = {"spot:USDT": 0, "um:USDT": 100, "um:BTC": 10}


def run(folder: Path, script: Mapping[int, Any], rows: Rows | None = None, **over: Any) -> Ran:
    """Spot and perpetual go the same way, from 100 on; acts after candles of spot."""
    lake = folder / "lake"
    for market in ("spot", "um"):
        write_candles(lake, rows or flat(100, 20), market=market)
    futures = PLEDGED["futures"] | over.pop("futures", {})
    sections = {"account": {"wallets": WALLETS}, "futures": futures} | over
    ran = run_prepared(folder, prepared_run(scripted(script, first=SPOT), config_of(lake, [SPOT, PERP], **sections)))
    replay(ran.path)
    return ran


def buy(qty: Any) -> Any:
    return lambda s: [s.buy(PERP, qty)]


def move(amount: Any, asset: str) -> Any:
    return lambda s: [s.transfer(asset, amount, "um", "spot")]


def free(ran: Ran) -> list[str]:
    return [said["free"] for _, _, said in ran.refusals]


def test_a_part_of_its_worth_secures_what_is_opened(tmp_path: Path) -> None:
    ran = run(tmp_path, {1: buy("10.51"), 3: buy("10.5")})
    assert free(ran) == ["1050"]  # 100 and 95 % of 1000
    assert [e["qty"] for e in ran.events("fills")] == ["10.500"]
    assert "95% of the worth of BTC in the um wallet secures as well" in ran.details["assumptions"]["leverage"]
    verify(ran.path)


def test_it_is_off_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert free(run(tmp_path, {1: buy(10)}, futures={"collateral": {}})) == ["100"]


def test_losses_are_in_money_which_may_be_owed(tmp_path: Path) -> None:
    rows = [*flat(100, 5), *flat(60, 15)]
    ran = run(tmp_path, {1: buy(10), 8: lambda s: [s.sell(PERP, 10, reduce_only=True)], 12: buy(5)}, rows)
    last = ran.details["final"]["cash"]
    assert last["um:USDT"] == "-300.00000000"  # 100 less 400
    assert last["um:BTC"] == "10.00000000"
    assert free(ran) == ["270"]  # 95 % of 600, less what is owed
    assert ran.table("equity")[-1]["equity"] == Decimal(300)


def keeps(qty: int, price: Fraction) -> Fraction:
    """Maintenance margin by the built-in table."""
    return Fraction(maintenance_margin(DEFAULT_BRACKETS, int(qty * price * 10**8)), 10**8)


@pytest.mark.parametrize("qty", [15, 30])
def test_it_is_liquidated_exactly_when_money_profit_and_collateral_no_longer_keep_it(tmp_path: Path, qty: int) -> None:
    def surplus(price: Fraction) -> Fraction:
        return 100 + Fraction("9.5") * price + qty * (price - 100) - keeps(qty, price)

    falls = next(p for p in (Fraction(n, 100) for n in range(10_000, 0, -1)) if surplus(p) <= 0)
    for name, price, times in (("safe", falls + Fraction(1, 100), 0), ("fallen", falls, 1)):
        ran = run(tmp_path / name, {1: buy(qty)}, [*flat(100, 5), *flat(float(price), 5)], futures={"leverage": 10})
        found = ran.details["liquidation"]
        assert sum(found["liquidations"].values()) == times
        assert found["margin_calls"] == ({} if times else {PERP: 1})
        assert ran.details["final"]["positions"].keys() == (set() if times else {PERP})


def test_the_worth_of_collateral_alone_can_liquidate(tmp_path: Path) -> None:
    """The perpetual stands still, the coin that secures it falls."""
    lake = tmp_path / "lake"
    write_candles(lake, [*flat(100, 5), *flat(20, 10)])
    write_candles(lake, flat(100, 15), market="um")
    account = {"wallets": {"um:USDT": 1, "um:BTC": 1}, "conversions": {"BTC": SPOT}}
    futures = PLEDGED["futures"] | {"leverage": 20}
    config = config_of(lake, [SPOT, PERP], account=account, futures=futures)
    ran = run_prepared(tmp_path, prepared_run(scripted({1: buy(19)}, first=SPOT), config))
    assert ran.details["liquidation"]["liquidations"] == {PERP: 1}
    replay(ran.path)


def test_the_fund_pays_only_what_the_whole_worth_of_the_collateral_cannot(tmp_path: Path) -> None:
    """Half of the coin's worth counts: that decides when the position falls, not what its owner has lost."""
    lake = tmp_path / "lake"
    write_candles(lake, flat(1000, 12))
    write_candles(lake, [*flat(100, 5), *flat(40, 7)], market="um")
    account = {"wallets": {"um:USDT": 10, "um:BTC": 1}, "conversions": {"BTC": SPOT}}
    futures = {"margin_mode": "cross", "leverage": 10, "collateral": {"BTC": "0.5"}}
    config = config_of(lake, [SPOT, PERP], account=account, futures=futures)
    ran = run_prepared(tmp_path, prepared_run(scripted({1: buy(16)}, first=SPOT), config))
    replay(ran.path)
    fee = sum(Decimal(e["fee"]) for e in ran.events("fills") if e["tag"] == "liquidation")
    assert [e for e in ran.events("cashflows") if e["kind"] == "insurance"] == []
    assert Decimal(ran.details["final"]["cash"]["um:USDT"]) == 10 - 16 * 60 - fee
    assert Decimal(ran.result.metrics["final_equity"]["value"]) == 1010 - 960 - fee


def test_what_is_pledged_can_leave_as_far_as_the_rest_secures(tmp_path: Path) -> None:
    ran = run(tmp_path, {1: buy(5), 3: move("5.8", "BTC"), 4: move("5.7", "BTC"), 6: move("4.3", "BTC")})
    # 500 are bound, 100 are money: 400 of 950 must stay, 4.21052632 coins
    assert [Decimal(text) for text in free(ran)] == [Decimal("5.78947368"), Decimal("0.08947368")]
    assert ran.details["final"]["cash"]["um:BTC"] == "4.30000000"


def test_without_positions_all_of_it_can_leave_and_with_a_debt_what_covers_it_stays(tmp_path: Path) -> None:
    assert free(run(tmp_path / "all", {3: move(10, "BTC")})) == []
    rows = [*flat(100, 5), *flat(60, 15)]
    close = {8: lambda s: [s.sell(PERP, 10, reduce_only=True)]}
    ran = run(tmp_path / "debt", {1: buy(10), **close, 12: move(5, "BTC"), 14: move(1, "USDT")}, rows)
    assert [Decimal(text) for text in free(ran)] == [Decimal("4.73684210"), Decimal(0)]  # 300 at 95 % of 60 stay


@pytest.mark.parametrize(
    ("futures", "symbols", "said"),
    [
        ({"margin_mode": "isolated"}, [SPOT, PERP], "um:BTCUSDT is isolated"),
        ({"collateral": {"USDT": 1}}, [SPOT, PERP], "names USDT, in which the futures settle"),
        ({}, [SPOT], "this run has none"),
        ({"collateral": {"BNB": 1}}, [SPOT, PERP], "nothing in this run says what BNB is worth"),
    ],
)
def test_collateral_that_secures_nothing_is_refused(
    tmp_path: Path, futures: dict[str, Any], symbols: list[str], said: str
) -> None:
    lake = tmp_path / "lake"
    for market in ("spot", "um"):
        write_candles(lake, flat(100, 5), market=market)
    config = config_of(lake, symbols, futures=PLEDGED["futures"] | futures)
    with pytest.raises(UsageError, match=said):
        prepared_run(scripted({}), config)


def test_a_future_that_it_secures_cannot_become_isolated_during_a_run(tmp_path: Path) -> None:
    ran = run(tmp_path, {1: lambda s: [s.set_margin_mode(PERP, "isolated"), s.set_leverage(PERP, 2)], 3: buy(20)})
    assert [why for _, why, _ in ran.refusals] == ["collateral_needs_cross"]
    assert [e["qty"] for e in ran.events("fills")] == ["20.000"]  # collateral counts on after the leverage changed
