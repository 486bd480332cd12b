"""What expires: at which price, in and out of the money, for which fee; and that nothing trades afterwards."""

from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import DataError
from backtester.engine.replay import replay, verify
from tests.support.chains import CHAIN, Quote, at_hours, fills_of, run_chain, write_chain
from tests.support.lakes import write_rows
from tests.support.market import flat, time_of, write_candles
from tests.support.runs import config_of, prepared_run

CALL, PUT, LATER = "BTC-240101-30000-C", "BTC-240101-30000-P", "BTC-240126-30000-C"  # at 08:00 of the first day
FEES = {"fees": {"maker_bps": 3, "taker_bps": 3}}
SHORT = {"options": {"allow_short": True}}


def chain(last_index: float, *contracts: str, hours: int = 10) -> list[Quote]:
    """A chain at 30 000 until its index jumps in the last row before the expiry."""
    return [
        Quote(hour, name, 400, 500, 5, 5, mark=450, index=last_index if hour >= 7 else 30_000)
        for hour in range(hours)
        for name in (*contracts, LATER)
    ]


def minutes(lake: Path, prices: list[float], *, kind: str = "klines", market: str = "spot") -> None:
    """Candles of a minute over the half hour before the expiry, which stand at these prices in turn."""
    first = 7 * 60 + 30
    if kind == "klines":
        before = flat(30_000, first)
        write_candles(lake, [*before, *((p, p, p, p) for p in prices), *flat(50_000, 60)], market=market)
    else:
        path: dict[str, list[Any]] = dict.fromkeys(("open", "high", "low", "close"), prices)
        times = [time_of(first + n) for n in range(len(prices))]
        write_rows(lake, kind, "BTCUSDT", {"open_time": times, **path}, market=market, timeframe="1m")


def buys(*names: str) -> Any:
    return {1: lambda s: [s.buy(name, 1, limit=500) for name in names]}


@pytest.mark.parametrize(
    ("index", "call", "put"),
    [
        # payoff and fee: 1.5 bps of the settlement price, at most a tenth of the payoff
        (31_000, ("1000", "4.65"), ("0", "0")),
        (30_010, ("10", "1"), ("0", "0")),
        (30_000, ("0", "0"), ("0", "0")),
        (29_000, ("0", "0"), ("1000", "4.35")),
    ],
)
def test_a_position_is_paid_out_in_and_out_of_the_money(
    tmp_path: Path, index: float, call: tuple[str, str], put: tuple[str, str]
) -> None:
    ran = run_chain(tmp_path, chain(index, CALL, PUT), buys(CALL, PUT))
    assert fills_of(ran)[2:] == [(8, CALL, "sell", "1", *call), (8, PUT, "sell", "1", *put)]
    tags = [event["tag"] for event in ran.events("fills")][2:]
    assert tags == ["expired" if payoff == "0" else "exercise" for payoff, _ in (call, put)]
    cash = 10_000 - 1_000 + float(call[0]) - float(call[1]) + float(put[0]) - float(put[1])
    assert ran.details["final"] == {
        "cash": {"option:USDT": f"{cash:.8f}"},
        "positions": {},
        "open_orders": [],
    }
    assert ran.details["options"]["settled"] == {tag: tags.count(tag) for tag in sorted(set(tags))}
    replay(ran.path)
    verify(ran.path)


def test_a_short_pays_the_payoff_and_keeps_the_premium_of_what_expires(tmp_path: Path) -> None:
    sells = {1: lambda s: [s.sell(CALL, 1, limit=400), s.sell(PUT, 1, limit=400)]}
    ran = run_chain(tmp_path, chain(31_000, CALL, PUT), sells, **SHORT, account={"initial_cash": 50_000})
    assert fills_of(ran)[2:] == [(8, CALL, "buy", "1", "1000", "4.65"), (8, PUT, "buy", "1", "0", "0")]
    assert ran.details["final"]["cash"] == {"option:USDT": "49795.35000000"}
    trades = [(t["instrument"], float(t["net_pnl"]), t["exit_tag"]) for t in ran.table("trades")]
    assert trades == [(f"option:{CALL}", -604.65, "exercise"), (f"option:{PUT}", 400.0, "expired")]
    replay(ran.path)


def test_what_a_short_cannot_pay_at_expiry_the_insurance_fund_does_and_longs_are_paid_first(tmp_path: Path) -> None:
    low = "BTC-240101-28000-C"
    market = [
        *chain(40_000, CALL),
        *(Quote(n, low, 2_000, 2_500, 5, 5, mark=2_200, index=30_000 if n < 7 else 40_000) for n in range(10)),
    ]
    sells = {1: lambda s: [s.sell(CALL, 2, limit=400), s.buy(low, 1, limit=2_500)]}
    ran = run_chain(tmp_path, market, sells, **SHORT, account={"initial_cash": 12_000})
    # 12 000 + 800 - 2 500, then 12 000 of the long less its fee of 6; the short owes 20 000 and 12
    assert fills_of(ran)[2:] == [(8, low, "sell", "1", "12000", "6"), (8, CALL, "buy", "2", "10000", "12")]
    assert ran.details["final"]["cash"] == {"option:USDT": "2282.00000000"}
    poor = run_chain(
        tmp_path / "poor",
        market,
        {1: lambda s: [s.sell(CALL, 2, limit=400)]},
        **SHORT,
        account={"initial_cash": 12_000},
    )
    assert fills_of(poor)[1] == (8, CALL, "buy", "2", "10000", "0")
    assert poor.details["final"]["cash"] == {"option:USDT": "0.00000000"}
    assert poor.details["options"]["shortfall"] == "7200.00000000"
    assert "liquidation" not in {event["tag"] for event in poor.events("fills")}  # nothing trades at expiry
    replay(poor.path)


def test_the_settlement_price_is_the_mean_over_the_last_half_hour(tmp_path: Path) -> None:
    minutes(tmp_path / "lake", [30_500 if n < 15 else 31_500 for n in range(30)])
    ran = run_chain(tmp_path, chain(40_000, CALL), buys(CALL))
    assert fills_of(ran)[1][4] == "1000"
    (settled,) = ran.details["options"]["settlements"]
    assert settled == {
        "chain": CHAIN,
        "expiry": "2024-01-01T08:00:00Z",
        "price": "31000.00000000",
        "source": "spot:BTCUSDT/klines:1m",
        "samples": 60,
        "expected": 60,
        "known": "2024-01-01T08:00:00Z",
    }
    assert not any("settlement price" in warning for warning in ran.result.warnings)


def test_candles_of_the_index_go_before_those_of_spot(tmp_path: Path) -> None:
    minutes(tmp_path / "lake", [35_000] * 30)
    minutes(tmp_path / "lake", [31_000] * 30, kind="indexPriceKlines", market="um")
    ran = run_chain(tmp_path, chain(40_000, CALL), buys(CALL))
    assert fills_of(ran)[1][4] == "1000"


def test_candles_that_are_too_long_say_nothing_of_the_half_hour(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(35_000, 24), timeframe="1h")
    ran = run_chain(tmp_path, chain(31_000, CALL), buys(CALL))
    assert fills_of(ran)[1][4] == "1000"
    assert any("the chain's own last index is taken" in warning for warning in ran.result.warnings)


def test_a_complete_longer_candle_goes_before_shorter_ones_with_holes(tmp_path: Path) -> None:
    minutes(tmp_path / "lake", [35_000] * 10, kind="indexPriceKlines", market="um")
    write_candles(tmp_path / "lake", [*flat(30_000, 15), (31_000, 31_000, 31_000, 31_000)], timeframe="30m")
    ran = run_chain(tmp_path, chain(40_000, CALL), buys(CALL))
    assert fills_of(ran)[1][4] == "1000"
    assert not any("half hour before" in warning for warning in ran.result.warnings)


def test_candles_with_holes_settle_with_a_warning_that_counts_them_and_not_in_a_strict_run(tmp_path: Path) -> None:
    minutes(tmp_path / "lake", [31_000] * 3, kind="indexPriceKlines", market="um")
    ran = run_chain(tmp_path, chain(40_000, CALL), buys(CALL))
    assert fills_of(ran)[1][4] == "1000"
    said = [w for w in ran.result.warnings if "candles are missing within the half hour" in w]
    assert "2024-01-01T08:00:00Z (6 of 60 samples of um:BTCUSDT/indexPriceKlines:1m)" in said[0]
    assert ran.details["options"]["settlements"][0] | {"price": ""} == {
        "chain": CHAIN,
        "expiry": "2024-01-01T08:00:00Z",
        "price": "",
        "source": "um:BTCUSDT/indexPriceKlines:1m",
        "samples": 6,
        "expected": 60,
        "known": "2024-01-01T07:33:00Z",
    }
    config = config_of(tmp_path / "lake", [CHAIN], execution={"strict": True})
    with pytest.raises(DataError, match="6 of 60 samples"):
        prepared_run(at_hours({}), config)


def test_the_chains_own_index_says_of_when_it_is(tmp_path: Path) -> None:
    market = [quote for quote in chain(31_000, CALL) if quote.hour not in (5, 6, 7)]
    ran = run_chain(tmp_path, market, buys(CALL))
    assert fills_of(ran)[1][4] == "0"
    assert any("08:00:00Z (the index of 2024-01-01T05:00:00Z)" in warning for warning in ran.result.warnings)
    (settled,) = ran.details["options"]["settlements"]
    assert (settled["known"], settled["samples"]) == ("2024-01-01T05:00:00Z", 1)


def test_without_any_index_nothing_settles(tmp_path: Path) -> None:
    write_chain(tmp_path / "lake", [Quote(n, CALL, 1, 2, index=0) for n in range(10)])
    with pytest.raises(DataError, match="no index is known for what expires at 2024-01-01T08:00:00Z"):
        prepared_run(at_hours({}), config_of(tmp_path / "lake", [CHAIN]))


def test_a_strict_run_does_not_settle_at_one_sample(tmp_path: Path) -> None:
    write_chain(tmp_path / "lake", chain(31_000, CALL))
    config = config_of(tmp_path / "lake", [CHAIN], execution={"strict": True})
    with pytest.raises(DataError, match="no index or spot candles within the half hour before 2024-01-01T08:00:00Z"):
        prepared_run(at_hours({}), config)


def test_nothing_trades_at_expiry_or_after_it(tmp_path: Path) -> None:
    script = {
        7: lambda s: [s.buy(CALL, 1, limit=500), s.buy(LATER, 1, limit=500)],
        8: lambda s: [s.buy(CALL, 1, limit=500)],
        9: lambda s: [s.buy(CALL, 1, limit=500, time_in_force="ioc")],
    }
    ran = run_chain(tmp_path, chain(31_000, CALL, hours=12), script)
    assert [(hour, name) for hour, name, *_ in fills_of(ran)] == [(8, LATER)]
    assert [(reason, numbers) for _, reason, numbers in ran.refusals] == [
        ("contract_expired", {"expiry": "2024-01-01T08:00:00Z"})
    ] * 2
    assert (1, "expired", "contract_expired") in ran.updates


def test_positions_settle_at_a_time_at_which_the_chain_has_no_row(tmp_path: Path) -> None:
    market = [quote for quote in chain(31_000, CALL, hours=12) if quote.hour not in (6, 7, 8)]
    minutes(tmp_path / "lake", [31_000] * 30)
    ran = run_chain(tmp_path, market, buys(CALL))
    assert fills_of(ran)[1][:5] == (8, CALL, "sell", "1", "1000")
    assert any("3 of 12 hours have no rows" in warning for warning in ran.result.warnings)


def test_what_expires_after_the_run_stays_open_at_its_mark(tmp_path: Path) -> None:
    ran = run_chain(tmp_path, chain(31_000, CALL), {1: lambda s: [s.buy(LATER, 1, limit=500)]})
    assert list(ran.details["final"]["positions"]) == [f"option:{LATER}"]
    assert float(ran.table("equity")[-1]["equity"]) == 10_000 - 500 + 450


def test_exercise_in_cents_of_a_cap_that_is_configured(tmp_path: Path) -> None:
    own = {"options": {"exercise_bps": "2", "fee_cap_pct": "0.5"}}
    ran = run_chain(tmp_path, chain(31_000, CALL), buys(CALL), **FEES, **own)
    # 2 bps of 31 000 are 6.2, half a percent of 1 000 is 5; of the premium of 500 it is 2.5, 3 bps of 30 000 are 9
    assert [fee for *_, fee in fills_of(ran)] == ["2.5", "5"]
