"""COIN-M contracts on markets drawn by hand: what is ordered, paid, won, secured and liquidated, all in coin.

Worked by hand from the venue's definitions: a contract is worth its size over the price, in coin; fees, margin, profit
and funding are of that ("COIN-M futures contract specifications" and "How to calculate PnL").
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import DataError, UsageError
from backtester.core.time import SECOND
from backtester.engine.replay import replay, verify
from tests.support.coin import PERP, WHOLE, buy, coin, coin_brackets, coin_run, sell
from tests.support.lakes import write_rows
from tests.support.market import Row, flat, time_of, write_candles
from tests.support.runs import config_of, prepared_run, run_prepared, scripted
from tests.support.venue import put_rules

TEN = {"futures": {"leverage": 10}}
FEES = {"fees": {"maker_bps": 2, "taker_bps": 5}}


def falls(start: float, low: float) -> list[Row | None]:
    return [(start, start, low, low), *flat(low, 2)]


def rises(start: float, high: float) -> list[Row | None]:
    return [(start, high, start, high), *flat(high, 2)]


def test_a_long_from_40000_to_50000_wins_a_fifth_of_a_coin_less_fees(tmp_path: Path) -> None:
    rows = [*flat(40_000, 2), *flat(50_000, 3)]
    ran = coin_run(tmp_path, rows, {0: buy(400), 2: sell(400)}, **TEN, **FEES)
    # 400 × 100 / 40 000 = 1 coin, 5 bps of it; 400 × 100 / 50 000 = 0.8
    assert [fill.fee for fill in ran.fills] == [Decimal("0.0005"), Decimal("0.0004")]
    assert coin(ran) == 1 + Decimal("0.2") - Decimal("0.0009")
    trade = ran.table("trades")[0]
    assert (trade["gross_pnl"], trade["entry_notional"], trade["exit_notional"]) == (
        Decimal("0.2"), Decimal(1), Decimal("0.8"),
    )  # fmt: skip
    assert ran.table("equity")[-1]["equity"] == coin(ran)
    replay(ran.path)
    verify(ran.path)


def test_a_short_wins_when_the_price_falls_more_coin_than_it_loses_when_it_rises(tmp_path: Path) -> None:
    short = {0: sell(400), 2: buy(400)}
    allowed = {"risk": {"allow_short": True}}
    fell = coin_run(tmp_path / "a", [*flat(40_000, 2), *flat(32_000, 3)], short, **TEN, **allowed)
    rose = coin_run(tmp_path / "b", [*flat(40_000, 2), *flat(44_000, 3)], short, **TEN, **allowed)
    assert coin(fell) - 1 == Decimal("0.25")  # 1.25 - 1
    assert coin(rose) - 1 == Decimal("0.90909091") - 1  # 40 000 / 44 000, half-even


def test_the_account_can_be_summed_up_in_dollars_at_the_contracts_own_price(tmp_path: Path) -> None:
    rows = [*flat(40_000, 2), *flat(50_000, 3)]
    ran = coin_run(tmp_path, rows, {0: buy(400), 2: sell(400)}, account={"currency": "USDT"}, **TEN)
    equity = ran.table("equity")
    assert equity[0]["equity"] == 40_000  # one coin, at the price at which the run begins
    assert equity[-1]["equity"] == 60_000  # 1.2 coins at 50 000
    assert any("one USDT is taken to be one USD" in w for w in ran.result.warnings)
    replay(ran.path)
    verify(ran.path)


def test_a_wallet_that_cannot_hold_the_default_currency_is_asked_for(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(40_000, 3), symbol=PERP, market="cm")
    with pytest.raises(UsageError, match="cm settles in BTC"):
        prepared_run(scripted({}), config_of(tmp_path / "lake", [PERP], run={"market": "cm"}))


# --- how much ----------------------------------------------------------------------------------------------------


def test_orders_are_whole_contracts(tmp_path: Path) -> None:
    ran = coin_run(tmp_path, flat(40_000, 4), {0: buy(Decimal("2.9")), 1: buy(Decimal("0.9"))})
    assert [fill.qty for fill in ran.fills] == [2]
    assert [(who, reason) for who, reason, _ in ran.refusals] == [("risk", "below_min_qty")]


def test_without_rules_too(tmp_path: Path) -> None:
    sections: dict[str, Any] = {"instruments": {f"cm:{PERP}": {"lot_size": None, "min_qty": None}}}
    ran = coin_run(tmp_path, flat(40_000, 4), {0: buy(Decimal("2.9"))}, **sections)
    assert [fill.qty for fill in ran.fills] == [2]


def test_a_quote_amount_is_dollars_and_dollars_are_contracts_at_any_price(tmp_path: Path) -> None:
    rows = [*flat(40_000, 2), *flat(20_000, 3)]
    ran = coin_run(tmp_path, rows, {0: buy(quote=1_050), 1: buy(quote=1_050), 2: buy(quote=99)}, **TEN)
    assert [fill.qty for fill in ran.fills] == [10, 10]
    assert [reason for _, reason, _ in ran.refusals] == ["below_min_qty"]


@pytest.mark.parametrize("currency", ["BTC", "USDT"])
def test_a_fraction_of_equity_is_coin_and_its_fee_fits(tmp_path: Path, currency: str) -> None:
    ran = coin_run(tmp_path, flat(40_000, 4), {0: buy(fraction=Decimal("0.5"))}, account={"currency": currency}, **FEES)
    # 0.5 coin at 40 000 is 200 contracts, 199.9 with 5 bps on top
    assert [fill.qty for fill in ran.fills] == [199]


def test_all_equity_buys_as_much_as_there_is(tmp_path: Path) -> None:
    ran = coin_run(tmp_path, flat(40_000, 4), {0: buy(fraction=1)}, **FEES)
    assert [fill.qty for fill in ran.fills] == [399]
    assert ran.refusals == []


@pytest.mark.parametrize(
    ("sizing", "qty"),
    [
        ({"model": "fixed_quote", "quote": 10_000}, 100),
        ({"model": "percent_equity", "percent": 50}, 200),
        # 1 % of a coin over 0.0025 × (40 000 / 36 000 - 1) a contract: 36
        ({"model": "risk_per_trade", "percent": 1, "include_costs": False}, 36),
    ],
)
def test_sizes_that_the_run_finds(tmp_path: Path, sizing: dict[str, Any], qty: int) -> None:
    wish = {0: lambda s: [s.buy(PERP, stop_loss=36_000)]}
    ran = coin_run(tmp_path, flat(40_000, 4), wish, sizing=sizing)
    assert [fill.qty for fill in ran.fills] == [qty]


def test_a_purchase_with_a_limit_above_the_market_binds_what_it_takes_at_the_market(tmp_path: Path) -> None:
    """At 50 000 they would be worth 0.8 coin; they fill at 40 000, and are worth 1."""
    script = {0: buy(400, limit=50_000), 1: buy(360, limit=50_000)}
    ran = coin_run(tmp_path, flat(40_000, 4), script, wallet="0.95")
    assert ran.refusals == [
        ("risk", "insufficient_balance", {"required": "1", "free": "0.95", "asset": "BTC"}),
    ]
    assert [fill.qty for fill in ran.fills] == [360]


def test_a_position_is_no_larger_in_coin_than_its_leverage_allows(tmp_path: Path) -> None:
    steps = ((5, 125, 0.004, 0.0), (10, 100, 0.005, 0.005))
    leverage = {"futures": {"leverage": 125}}
    ran = coin_run(tmp_path, flat(40_000, 4), {0: buy(2_001), 1: buy(2_000)}, brackets=steps, **leverage)
    assert ran.refusals == [
        (
            "risk",
            "leverage_bracket",
            {"notional": "5.00250000", "leverage": "125", "max_leverage": "100", "max_notional": "5.00000000"},
        )
    ]
    assert [fill.qty for fill in ran.fills] == [2_000]


def test_exits_are_split_and_sliced_orders_cut_into_whole_contracts(tmp_path: Path) -> None:
    rows: list[Row | None] = [*flat(40_000, 8), (40_000, 42_100, 40_000, 42_000), (42_000, 43_100, 42_000, 43_000)]
    script = {
        0: buy(7, stop_loss=39_000, take_profits=[(42_000, Decimal("0.5")), (43_000, Decimal("0.5"))]),
        1: buy(7, twap=180 * SECOND, slices=3),
        5: buy(5, limit=39_500, display=2),
    }
    ran = coin_run(tmp_path, rows, script)
    assert [(fill.qty, fill.price) for fill in ran.fills if fill.side == "sell"] == [(3, 42_000), (4, 43_000)]
    parts = [fill.qty for fill in ran.fills if fill.side == "buy"][1:]
    assert (sum(parts), len(parts)) == (7, 3)
    assert all(part == int(part) for part in parts)
    assert [e["qty"] for e in ran.events("orders_sanitized") if e["limit_price"] == "39500.0"] == ["2"]


# --- what is secured ---------------------------------------------------------------------------------------------


def test_an_isolated_long_falls_at_the_derived_price_and_costs_its_margin(tmp_path: Path) -> None:
    """LP = (q × mmr + q) / (WB / CS + q / EP) = 401.6 / (0.001 + 0.01) = 36 509.09, down to the tick: 36 509.0."""
    ran = coin_run(tmp_path, [*flat(40_000, 2), *falls(40_000, 36_000)], {0: buy(400)}, **TEN)
    fill = ran.fills[-1]
    assert (fill.side, fill.qty, fill.price, fill.tag) == ("sell", 400, Decimal("36509.0"), "liquidation")
    # 40 000 / 36 509 = 1.09562026 coin: 0.00437974 of the margin of 0.1 are left, less than 2 % of what is closed
    assert fill.fee == Decimal("0.00437974")
    assert coin(ran) == Decimal("0.9")
    assert ran.details["liquidation"] == {
        "liquidations": {f"cm:{PERP}": 1}, "margin_calls": {}, "shortfall": {},
    }  # fmt: skip
    assert [a["state"] for a in ran.events("margin")] == ["liquidated"]
    replay(ran.path)
    verify(ran.path)


def test_a_price_one_tick_above_liquidates_nothing_and_warns(tmp_path: Path) -> None:
    ran = coin_run(tmp_path, [*flat(40_000, 2), *falls(40_000, 36_509.1)], {0: buy(400)}, **TEN)
    assert len(ran.fills) == 1
    assert [a["state"] for a in ran.events("margin")] == ["call"]


def test_an_isolated_short_falls_above(tmp_path: Path) -> None:
    """LP = (q × mmr - q) / (WB / CS - q / EP) = -398.4 / -0.009 = 44 266.67, up to the tick."""
    allowed = {"risk": {"allow_short": True}}
    quiet = coin_run(tmp_path / "a", [*flat(40_000, 2), *rises(40_000, 44_266.6)], {0: sell(400)}, **TEN, **allowed)
    ran = coin_run(tmp_path / "b", [*flat(40_000, 2), *rises(40_000, 45_000)], {0: sell(400)}, **TEN, **allowed)
    assert len(quiet.fills) == 1
    assert (ran.fills[-1].price, ran.fills[-1].side) == (Decimal("44266.7"), "buy")
    assert coin(ran) == Decimal("0.9")


def test_a_short_with_all_its_worth_in_coin_is_a_dollar_that_nothing_liquidates(tmp_path: Path) -> None:
    allowed = {"risk": {"allow_short": True}}
    rows = [*flat(40_000, 2), *rises(40_000, 4_000_000)]
    ran = coin_run(tmp_path, rows, {0: sell(400)}, account={"currency": "USDT"}, **allowed)
    assert len(ran.fills) == 1
    assert {row["equity"] for row in ran.table("equity")} == {40_000}


def test_a_gap_beyond_bankruptcy_is_paid_by_the_insurance_fund_in_coin(tmp_path: Path) -> None:
    ran = coin_run(tmp_path, [*flat(40_000, 2), *flat(32_000, 2)], {0: buy(400)}, **TEN)
    assert ran.fills[-1].price == 32_000
    # 1.25 coin: a loss of 0.25, of which the margin covers 0.1
    insured = [e for e in ran.events("cashflows") if e["kind"] == "insurance"]
    assert [(e["wallet"], e["asset"], e["amount"]) for e in insured] == [("cm", "BTC", "0.15000000")]
    assert coin(ran) == Decimal("0.9")
    assert ran.details["liquidation"]["shortfall"] == {"BTC": "0.15000000"}
    replay(ran.path)


def test_a_large_position_is_reduced_to_the_lower_bracket_and_kept(tmp_path: Path) -> None:
    """800 contracts at 40 000 are 2 coins at 2x: margin 1. The second bracket asks 30 % less 0.15 of them.

    1 + (2 - w) - (0.3 w - 0.15) = 0 at w = 3.15 / 1.3 = 2.4230769: at 33 015.87, down to 33 015.8. There they are worth
    2.42308228, of which 1 coin may stay: floor(330.158) = 330 contracts. 470 go.
    """
    steps = ((1, 10, 0.15, 0.0), (5, 2, 0.3, 0.15))
    rows = [*flat(40_000, 2), *falls(40_000, 33_000)]
    ran = coin_run(tmp_path, rows, {0: buy(800)}, brackets=steps, futures={"leverage": 2})
    assert [(f.qty, f.price) for f in ran.fills[1:]] == [(470, Decimal("33015.8"))]
    assert ran.details["final"]["positions"][f"cm:{PERP}"]["qty"] == "330"
    # 2 % of 47 000 / 33 015.8 = 1.42356084 coin
    assert ran.fills[-1].fee == Decimal("0.02847122")
    # wallet 1 at 2x is all margin: its share 0.5875 + basis 1.175 - worth, less the fee, is what is left of that part
    left = 1 + Decimal("1.175") - Decimal("1.42356084") - Decimal("0.02847122")
    assert coin(ran) == left
    replay(ran.path)


def test_cross_margin_of_one_coin_does_not_stand_for_another(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    ether = "ETHUSD_PERP"
    write_candles(lake, [*flat(40_000, 2), *flat(44_000, 3)], symbol=PERP, market="cm")
    write_candles(lake, [*flat(2_000, 2), *flat(1_000, 3)], symbol=ether, market="cm")
    put_rules(lake, coin_brackets((5, 125, 0.004, 0.0)), date="2020-01-01")
    put_rules(lake, coin_brackets((500, 75, 0.005, 0.0), symbol=ether), date="2020-01-01")
    script = {0: lambda s: [s.buy(PERP, 400), s.buy(ether, 1_000)]}  # of 10 USD each: 5 coins
    config = config_of(
        lake,
        [PERP, ether],
        run={"market": "cm"},
        account={"currency": "USDT", "wallets": {"cm:BTC": 1, "cm:ETH": 1}},
        instruments={f"cm:{PERP}": WHOLE, f"cm:{ether}": {**WHOLE, "contract_size": "10"}},
        futures={"leverage": 10, "margin_mode": "cross"},
    )
    ran = run_prepared(tmp_path, prepared_run(scripted(script, first=f"cm:{PERP}"), config))
    # at half its price the ether is worth 10 coins: a loss of 5, with 1 in the wallet
    assert {e["instrument"] for e in ran.events("fills") if e["tag"] == "liquidation"} == {f"cm:{ether}"}
    assert ran.details["final"]["cash"] == {"cm:BTC": "1.00000000", "cm:ETH": "0.00000000"}
    assert ran.details["liquidation"]["shortfall"] == {"ETH": "4.00000000"}
    replay(ran.path)
    verify(ran.path)


# --- funding and what is not known -------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "paid"), [(buy, "-0.00010000"), (sell, "0.00010000")])
def test_funding_is_contracts_over_the_mark_times_the_rate(tmp_path: Path, side: Any, paid: str) -> None:
    """400 × 100 / 40 000 × 0.01 % = 0.0001 coin: longs pay it, shorts get it."""
    lake, hour = tmp_path / "lake", 3_600_000_000
    begins = time_of(0)
    write_rows(
        lake, "fundingRate", PERP, {"time": [begins + 8 * hour], "interval_hours": [8], "funding_rate": [0.0001]},
        market="cm",
    )  # fmt: skip
    marks = {"open_time": [begins + 7 * hour]} | {name: [40_000.0] for name in ("open", "high", "low", "close")}
    write_rows(lake, "markPriceKlines", PERP, marks, market="cm", timeframe="1h")
    rows = [*flat(40_000, 2), *flat(41_000, 8)]
    ran = coin_run(tmp_path, rows, {0: side(400)}, timeframe="1h", risk={"allow_short": True})
    funding = [e for e in ran.events("cashflows") if e["kind"] == "funding"]
    assert [(e["asset"], e["amount"], e["numbers"]["mark"]) for e in funding] == [("BTC", paid, "40000.00000000")]
    assert ran.details["funding"]["amounts"] == {"BTC": paid}


def test_without_a_table_a_strict_one_in_coin_is_assumed_or_the_run_refused(tmp_path: Path) -> None:
    ran = coin_run(tmp_path / "a", flat(40_000, 4), {0: buy(2_501), 1: buy(2_500)}, brackets=(), **TEN)
    # 250 000 USD at 40 000 are 6.25 coins: 10x up to there
    assert [(reason, n["max_notional"]) for _, reason, n in ran.refusals] == [("leverage_bracket", "6.25000000")]
    assert [fill.qty for fill in ran.fills] == [2_500]
    assert any("a strict built-in one is assumed" in w for w in ran.result.warnings)
    with pytest.raises(DataError, match="no leverage table"):
        coin_run(tmp_path / "b", flat(40_000, 4), {}, brackets=(), execution={"strict": True}, **TEN)
