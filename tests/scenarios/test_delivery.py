"""Delivery contracts: how they end, on markets drawn by hand.

The venue settles at 08:00 UTC at the mean of the index over the last hour, and charges a taker's fee (facts of its
delivery rules: "Delivery Settlement Price", one sample a second from 07:00 to 08:00).
"""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import DataError, UsageError
from backtester.core.time import SECOND
from backtester.engine.replay import replay, verify
from tests.support.coin import buy, coin, coin_run, sell
from tests.support.lakes import write_rows
from tests.support.market import Row, flat, time_of, write_candles
from tests.support.runs import CENTS, Ran, config_of, prepared_run, run_prepared, scripted
from tests.support.tape import BUYS, SELLS, Print, write_tape

COIN, QUOTE = "BTCUSD_240105", "BTCUSDT_240105"
BEGINS = "2024-01-05T06:50:00Z"  # minute 70 ends at 08:00
LAST = 69  # the candle that ends there
FEES = {"fees": {"maker_bps": 2, "taker_bps": 5}}
SHORTS = {"risk": {"allow_short": True}}


def index(lake: Path, closes: Sequence[float], *, market: str, pair: str, start: str, timeframe: str = "1m") -> None:
    """Index candles of a pair, one after the other."""
    times = [time_of(number, timeframe, start) for number in range(len(closes))]
    prices = {name: list(closes) for name in ("open", "high", "low", "close")}
    write_rows(lake, "indexPriceKlines", pair, {"open_time": times, **prices}, market=market, timeframe=timeframe)


def rising(first: float, count: int = 60) -> list[float]:
    return [first + number for number in range(count)]


def coin_delivery(folder: Path, script: dict[int, Any], *, more: int = 0, **sections: Any) -> Ran:
    """COIN-M from 06:50, at 40 000, for 70 minutes to expiry and some more."""
    options: dict[str, Any] = {"symbol": COIN, "start": BEGINS}
    return coin_run(folder, flat(40_000, LAST + 1 + more), script, **options, **sections)


def quote_delivery(folder: Path, script: dict[int, Any], rows: list[Row | None] | None = None, **sections: Any) -> Ran:
    """The same of USD-M, with 100 000 USDT."""
    lake = folder / "lake"
    write_candles(lake, rows or flat(40_000, LAST + 1), symbol=QUOTE, market="um", start=BEGINS)
    base: dict[str, Any] = {"run": {"market": "um"}, "account": {"initial_cash": 100_000}}
    config = config_of(lake, [QUOTE], **(base | {"instruments": {f"um:{QUOTE}": CENTS}} | sections))
    return run_prepared(folder, prepared_run(scripted(script), config))


@pytest.mark.parametrize("order", [buy, sell])
def test_a_coin_position_is_settled_at_the_mean_of_the_index(tmp_path: Path, order: Any) -> None:
    # 39 824 .. 39 883: the mean is 39 853.5; minutes outside of the hour do not count
    index(tmp_path / "lake", [1.0] * 10 + rising(39_824) + [1.0], market="cm", pair="BTCUSD", start=BEGINS)
    ran = coin_delivery(tmp_path, {0: order(400)}, **FEES, **SHORTS, wallet="2")
    last = ran.events("fills")[-1]
    assert (last["price"], last["qty"], last["tag"], last["liquidity"]) == ("39853.5", "400", "settlement", "taker")
    # 40 000 / 39 853.5 = 1.00367596 coin, of which 5 bps are 0.00050184
    assert last["fee"] == "0.00050184"
    assert Decimal(last["fee"]) == (Decimal("1.00367596") * 5 / 10_000).quantize(Decimal("1e-8"), "ROUND_UP")
    profit = 1 - Decimal("1.00367596") if order is buy else Decimal("1.00367596") - 1
    assert coin(ran) == 2 + profit - Decimal("0.0005") - Decimal("0.00050184")
    assert ran.details["final"]["positions"] == {}
    settled = ran.events("settlements")
    assert len(settled) == 1
    assert settled[0]["numbers"] == {
        "price": "39853.5",
        "found": "the mean of 60 index candles of 1m",
        "qty": "400" if order is buy else "-400",
        "profit": f"{profit:.8f}",
        "fee": "0.00050184",
    }
    assert ran.details["settlement"] == {f"cm:{COIN}": settled[0]["numbers"]}
    assert "the mean of 60 index candles of 1m" in ran.details["assumptions"]["expiry"]
    assert ran.table("trades")[-1]["exit_tag"] == "settlement"
    assert ran.table("fills")[-1]["ts"] == time_of(LAST + 1, start=BEGINS)
    replay(ran.path)
    verify(ran.path)


def test_a_quote_position_wins_the_mean_less_its_entry(tmp_path: Path) -> None:
    index(tmp_path / "lake", rising(40_971), market="um", pair="BTCUSDT", start="2024-01-05T07:00:00Z")
    ran = quote_delivery(tmp_path, {0: buy(2, QUOTE)}, **FEES)
    # the mean of 40 971 .. 41 030 is 41 000.5: 2 × 1 000.5, less 5 bps of 80 000 and of 82 001
    assert ran.events("fills")[-1]["price"] == "41000.50"
    assert Decimal(ran.details["final"]["cash"]["um:USDT"]) == 100_000 + 2_001 - 40 - Decimal("41.0005")
    assert not [e for e in ran.events("cashflows") if e["kind"] != "deposit"]  # no funding, nothing else
    replay(ran.path)
    verify(ran.path)


def test_the_finest_index_that_covers_the_hour_decides(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    # of the minutes one is missing
    index(lake, rising(41_000, 59), market="cm", pair="BTCUSD", start="2024-01-05T07:01:00Z")
    quarters = [39_000.0, 39_100.0, 39_200.0, 39_500.0]
    index(lake, quarters, market="cm", pair="BTCUSD", start="2024-01-05T07:00:00Z", timeframe="15m")
    ran = coin_delivery(tmp_path, {0: buy(40)})
    assert ran.events("settlements")[0]["numbers"]["price"] == "39200.0"
    assert any("coarser than the venue's index" in w for w in ran.result.warnings)


def test_without_an_index_its_own_last_hour_is_assumed_or_the_run_refused(tmp_path: Path) -> None:
    rows = [*flat(50_000, 10), *flat(40_000, 30), *flat(42_000, 30)]
    ran = coin_run(tmp_path / "a", rows, {20: buy(40)}, symbol=COIN, start=BEGINS)
    assert ran.events("settlements")[0]["numbers"]["price"] == "41000.0"
    assert ran.events("settlements")[0]["numbers"]["found"] == (
        "the mean of 60 candles of its own of 1m: no index is known"
    )
    warnings = [w for w in ran.result.warnings if "no index of BTCUSD" in w]
    assert len(warnings) == 1
    assert "bt download --market cm --kind indexPriceKlines --symbols BTCUSD --timeframe 1m" in warnings[0]
    with pytest.raises(DataError, match="no index of BTCUSD"):
        coin_run(tmp_path / "b", rows, {}, symbol=COIN, start=BEGINS, execution={"strict": True})


@pytest.mark.parametrize("mode", ["one_way", "hedge"])
def test_with_candles_of_a_day_its_last_price_is_assumed(tmp_path: Path, mode: str) -> None:
    rows = [*flat(40_000, 2), *flat(41_000, 2)]
    sections: dict[str, Any] = {"run": {"end": "2024-01-06"}, "timeframe": "1d", "start": "2024-01-01"}
    order = buy(40, position_side="long") if mode == "hedge" else buy(40)
    sections |= {"futures": {"position_mode": mode}}
    ran = coin_run(tmp_path, rows, {0: order}, symbol=COIN, modes=(mode,), **sections)
    assert ran.events("settlements")[0]["numbers"]["price"] == "41000.0"
    assert "its own last price" in ran.events("settlements")[0]["numbers"]["found"]
    assert ran.events("fills")[-1]["ts"] == time_of(8, "1h", "2024-01-05")


def test_both_sides_of_a_hedge_are_settled_alike(tmp_path: Path) -> None:
    script = {
        0: lambda s: [s.buy(COIN, 400, position_side="long"), s.sell(COIN, 100, position_side="short")],
        LAST: lambda s: [s.buy(COIN, 1, position_side="long"), s.sell(COIN, 1, position_side="short")],
    }
    futures = {"position_mode": "hedge", "leverage": 5}
    ran = coin_delivery(tmp_path, script, more=3, futures=futures, modes=("hedge",), **SHORTS)
    assert [(e["instrument"], e["numbers"]["qty"], e["numbers"]["price"]) for e in ran.events("settlements")] == [
        (f"cm:{COIN}@long", "400", "40000.0"),
        (f"cm:{COIN}@short", "-100", "40000.0"),
    ]
    assert [reason for _, reason, _ in ran.refusals] == ["contract_expired"] * 2
    assert len([w for w in ran.result.warnings if "no index of BTCUSD" in w]) == 1
    assert coin(ran) == 1
    verify(ran.path)


# --- nothing trades after expiry -------------------------------------------------------------------------------------


def test_what_works_is_taken_back_and_what_comes_later_is_refused_while_candles_go_on(tmp_path: Path) -> None:
    script = {
        0: lambda s: [s.buy(COIN, 40), s.buy(COIN, 1, limit=30_000), s.sell(COIN, 40, stop=30_000)],
        LAST: buy(40, COIN),
        LAST + 2: lambda s: [
            s.sell(COIN, 40),
            s.buy(COIN, fraction=Decimal("0.1")),
            s.buy(COIN, 2, limit=39_000, display=1),
            s.buy(COIN, 4, twap=120 * SECOND, slices=2),
        ],
    }
    ran = coin_delivery(tmp_path, script, more=10, risk={"allow_short": True})
    ended = [(s, reason) for _, s, reason in ran.updates if s == "cancelled"]
    assert ended == [("cancelled", "contract_expired")] * 2
    assert [(who, reason) for who, reason, _ in ran.refusals] == [("risk", "contract_expired")] * 5
    expiry = time_of(LAST + 1, start=BEGINS)
    assert max(e["ts"] for e in ran.events("fills")) == expiry
    assert len(ran.fills) == 2
    verify(ran.path)


def test_sized_entries_are_refused_for_the_same_reason(tmp_path: Path) -> None:
    sizing = {"model": "risk_per_trade", "percent": 1}
    ran = coin_delivery(tmp_path, {LAST + 1: lambda s: [s.buy(COIN)]}, more=4, sizing=sizing)
    assert [reason for _, reason, _ in ran.refusals] == ["contract_expired"]


def test_sliced_orders_end_with_their_contract(tmp_path: Path) -> None:
    script = {
        LAST - 2: lambda s: [
            s.buy(COIN, 20, twap=600 * SECOND, slices=10),
            s.buy(COIN, 2, limit=39_000, display=1),
        ]
    }
    ran = coin_delivery(tmp_path, script, more=12)
    orders = {row["kind"]: row for row in ran.table("orders") if row["kind"] in ("twap", "iceberg")}
    assert {kind: row["reason"] for kind, row in orders.items()} == dict.fromkeys(orders, "contract_expired")
    assert len(orders) == 2
    assert ran.details["final"]["open_orders"] == []


def test_an_order_that_arrives_after_expiry_is_refused_by_the_exchange(tmp_path: Path) -> None:
    script = {LAST - 1: buy(40, COIN, limit=39_000)}  # decided a minute before
    ran = coin_delivery(tmp_path, script, more=6, execution={"latency_ms": 90_000})
    assert [(who, reason) for who, reason, _ in ran.refusals] == [("execution", "contract_expired")]


def test_a_market_order_that_waits_for_the_open_at_expiry_never_fills(tmp_path: Path) -> None:
    rows: list[Row | None] = [*flat(40_000, LAST), (40_000, 40_000, 40_000, 40_000, 0.0), *flat(40_000, 5)]
    ran = coin_run(tmp_path, rows, {LAST - 1: buy(40, COIN)}, symbol=COIN, start=BEGINS)
    assert ran.fills == []
    assert ran.updates[-1][1:] == ("cancelled", "contract_expired")


def test_on_trades_too_nothing_trades_after_expiry(tmp_path: Path) -> None:
    symbol, lake = "BTCUSDT_240101", tmp_path / "lake"
    trades: list[Print] = [(30 * n, 100.0 + n % 7, 5.0, BUYS if n % 2 else SELLS) for n in range(980)]
    write_tape(lake, trades, minutes=490, symbol=symbol)
    index(lake, rising(100), market="um", pair="BTCUSDT", start="2024-01-01T07:00:00Z")
    config = config_of(
        lake,
        [symbol],
        run={"market": "um"},
        data={"feeds": ["trades"]},
        execution={"participation": 0},
        futures={"leverage": 5},
    )
    script = {
        0: lambda s: [s.buy(symbol, 2), s.sell(symbol, 2, limit=200), s.buy(symbol, 2, limit=50)],
        480: lambda s: [s.sell(symbol, 2)],
    }
    ran = run_prepared(tmp_path, prepared_run(scripted(script), config))
    fills = ran.events("fills")
    assert [(e["side"], e["tag"]) for e in fills] == [("buy", ""), ("sell", "settlement")]
    assert fills[1]["price"] == "129.50"
    assert fills[1]["ts"] == time_of(480)
    assert [reason for _, status, reason in ran.updates if status == "cancelled"] == ["contract_expired"] * 2
    assert [reason for _, reason, _ in ran.refusals] == ["contract_expired"]
    verify(ran.path)


def test_a_contract_that_ends_before_the_run_begins_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expired at 2024-01-05T08:00:00Z"):
        coin_run(tmp_path, flat(40_000, 5), {}, symbol=COIN, start="2024-01-05T09:00:00Z")


def test_a_run_that_ends_before_expiry_settles_nothing(tmp_path: Path) -> None:
    ran = coin_run(tmp_path, flat(40_000, 30), {0: buy(40)}, symbol=COIN, start=BEGINS)
    assert ran.events("settlements") == []
    assert "settlement" not in ran.details
    assert f"cm:{COIN}" in ran.details["final"]["positions"]


def test_that_candles_end_at_expiry_is_no_gap_in_a_longer_run(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(40_000, LAST + 31), symbol="BTCUSD_PERP", market="cm", start=BEGINS)
    index(tmp_path / "lake", rising(40_000), market="cm", pair="BTCUSD", start="2024-01-05T07:00:00Z")
    write_candles(tmp_path / "lake", flat(40_000, LAST + 1), symbol=COIN, market="cm", start=BEGINS)
    config = config_of(
        tmp_path / "lake",
        [COIN, "BTCUSD_PERP"],
        run={"market": "cm", "timeframe": "1m", "end": "2024-01-05T08:30:00Z"},
        account={"currency": "BTC", "wallets": {"cm:BTC": 1}},
        instruments={f"cm:{COIN}": {"lot_size": "1"}, "cm:BTCUSD_PERP": {"lot_size": "1"}},
    )
    perp = "cm:BTCUSD_PERP"
    script = {0: lambda s: [s.buy(COIN, 40)], LAST + 10: lambda s: [s.buy(perp, 40)]}
    ran = run_prepared(tmp_path, prepared_run(scripted(script, first=perp), config))
    assert [e["instrument"] for e in ran.events("fills")] == [f"cm:{COIN}", f"cm:{COIN}", perp]
    verify(ran.path)


# --- what a settlement may cost --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["isolated", "cross"])
def test_a_settlement_beyond_bankruptcy_costs_the_margin_and_the_fund_pays_the_rest(tmp_path: Path, mode: str) -> None:
    """The index falls to half while what is traded does not move: 2 coins of worth against a basis of 1."""
    index(tmp_path / "lake", [20_000.0] * 60, market="cm", pair="BTCUSD", start="2024-01-05T07:00:00Z")
    futures = {"leverage": 10, "margin_mode": mode}
    ran = coin_delivery(tmp_path, {0: buy(400, COIN)}, futures=futures, wallet="0.5", **FEES)
    lost = Decimal("0.1") if mode == "isolated" else Decimal("0.4995")
    paid = 1 - lost if mode == "cross" else Decimal("0.9")
    insured = [e["amount"] for e in ran.events("cashflows") if e["kind"] == "insurance"]
    assert insured == [f"{paid:.8f}"]
    assert ran.events("settlements")[0]["numbers"]["shortfall"] == f"{paid:.8f}"
    assert ran.events("fills")[-1]["fee"] == "0.00000000"
    assert coin(ran) == Decimal("0.5") - Decimal("0.0005") - lost
    assert ran.details["liquidation"]["shortfall"] == {"BTC": f"{paid:.8f}"}
    replay(ran.path)


# --- an expiry inside a candle ---------------------------------------------------------------------------------------

INSIDE = f"cm:{COIN} expires at 2024-01-05T08:00:00Z, inside a candle of 1d"


def daily(folder: Path, timeframe: str, **sections: Any) -> Ran:
    """Ten times leverage, and a market that falls to half on the day of expiry, before anybody may know."""
    rows: list[Row | None] = [*flat(40_000, 8), *[(40_000.0, 40_000.0, 20_000.0, 20_000.0)] * 2]
    start = "2024-01-01" if timeframe == "1d" else "2024-01-02T08:00:00Z"
    base: dict[str, Any] = {"run": {"end": "2024-01-06"}, "futures": {"leverage": 10}}
    script = {0: lambda s: [s.buy(COIN, 40), s.sell(COIN, 40, limit=60_000)]}
    rows = rows[4:] if timeframe == "1d" else rows
    return coin_run(folder, rows, script, symbol=COIN, timeframe=timeframe, start=start, **(base | sections))


def test_a_contract_that_expires_inside_a_candle_is_not_watched_before_and_the_run_says_so(tmp_path: Path) -> None:
    ran = daily(tmp_path, "1d")
    assert [e["tag"] for e in ran.events("fills")] == ["", "settlement"]  # not liquidated, though the day was halved
    [said] = [w for w in ran.result.warnings if w.startswith(INSIDE)]
    assert "from 2024-01-05 until then nothing is watched" in said
    assert "--set execution.timeframe=1h" in said
    assert ran.details["assumptions"]["before_expiry"].startswith(INSIDE)
    verify(ran.path)


def test_a_strict_run_refuses_a_contract_that_expires_inside_a_candle(tmp_path: Path) -> None:
    index(tmp_path / "lake", rising(39_900), market="cm", pair="BTCUSD", start="2024-01-05T07:00:00Z")
    with pytest.raises(DataError, match=r"inside a candle of 1d.*execution\.strict refuses that"):
        daily(tmp_path, "1d", futures={}, execution={"strict": True})


def test_candles_that_end_at_expiry_hide_nothing(tmp_path: Path) -> None:
    ran = daily(tmp_path, "8h")
    assert not [w for w in ran.result.warnings if "inside a candle" in w]
    assert "before_expiry" not in ran.details["assumptions"]
    assert "liquidation" in [e["tag"] for e in ran.events("fills")]
