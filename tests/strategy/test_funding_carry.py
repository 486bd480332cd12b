"""funding_carry on markets drawn by hand: both legs or none, whatever becomes of one of them."""

from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import StrategyError
from backtester.engine.prepare import prepare
from backtester.engine.replay import verify
from tests.support.lakes import write_rows
from tests.support.market import Rows, flat, time_of, write_candles
from tests.support.runs import Ran, config_of, run_prepared

SPOT, PERP = "spot:BTCUSDT", "um:BTCUSDT"
BOTH = {"wallets": {"spot:USDT": 1000, "um:USDT": 1000}}


def carry(
    folder: Path, spot: Rows, perpetual: Rows, rates: list[float], *, params: dict[str, Any] | None = None, **over: Any
) -> Ran:
    """Minutes of both markets, with a rate at every tenth of them from the first on; window 1 unless said."""
    lake = folder / "lake"
    write_candles(lake, spot)
    write_candles(lake, perpetual, market="um")
    times = [time_of(10 * n) for n in range(len(rates))]
    write_rows(lake, "fundingRate", "BTCUSDT", {"time": times, "funding_rate": rates})
    strategy = {"name": "funding_carry", "params": {"window": 1, "usage_pct": 50} | (params or {})}
    sections = {"strategy": strategy, "account": BOTH, "futures": {"funding": "off"}} | over
    return run_prepared(folder, prepare(config_of(lake, [SPOT, PERP], **sections)))


def deals(ran: Ran) -> list[tuple[str, str, str, str]]:
    return [(e["tag"], e["instrument"].partition(":")[0], e["side"], e["qty"]) for e in ran.events("fills")]


def held(ran: Ran) -> dict[str, str]:
    return {i: p["qty"] for i, p in ran.details["final"]["positions"].items()}


def test_it_opens_both_legs_above_one_threshold_and_closes_them_below_the_other(tmp_path: Path) -> None:
    rates = [0.0, 0.0001, 0.00011, 0.00005, 0.00003, 0.000029]  # equal to a threshold is neither above nor below
    ran = carry(tmp_path, flat(100, 60), flat(100, 60), rates)
    at = [(e["tag"], (e["ts"] - time_of(0)) // 60_000_000) for e in ran.events("fills")]
    assert at == [("enter", 20), ("enter", 20), ("leave", 50), ("leave", 50)]
    assert deals(ran) == [
        ("enter", "spot", "buy", "5.000"),
        ("enter", "um", "sell", "5.000"),
        ("leave", "spot", "sell", "5.000"),
        ("leave", "um", "buy", "5.000"),
    ]
    verify(ran.path)


def test_the_mean_is_that_of_all_rates_of_the_window(tmp_path: Path) -> None:
    rates = [0.0, 0.0, 0.0003, 0.0001, 0.0001]
    ran = carry(tmp_path, flat(100, 60), flat(100, 60), rates, params={"window": 3})
    assert [(e["ts"] - time_of(0)) // 60_000_000 for e in ran.events("fills")] == [30, 30]  # 4 / 3 over 10000


def test_a_short_that_is_refused_takes_the_purchase_back_before_it_fills(tmp_path: Path) -> None:
    ran = carry(tmp_path, flat(100, 20), flat(100, 20), [0.001], risk={"allow_short": False})
    assert ran.refusals[0][:2] == ("risk", "short_not_allowed")
    assert ran.updates == [(1, "accepted", ""), (1, "cancelled", "requested")]
    assert deals(ran) == []
    assert len(ran.events("orders_intent")) == 3  # both legs and the cancel: not again before the next day


def test_a_purchase_that_is_refused_takes_the_short_back_before_it_fills(tmp_path: Path) -> None:
    rules = {SPOT: {"max_qty": 1}}
    ran = carry(tmp_path, flat(100, 20), flat(100, 20), [0.001], instruments=rules)
    assert ran.refusals[0][:2] == ("risk", "above_max_qty")
    assert ran.updates == [(1, "accepted", ""), (1, "cancelled", "requested")]
    assert deals(ran) == []


def test_what_a_leg_did_not_get_is_sold_of_the_other(tmp_path: Path) -> None:
    """The perpetual trades one candle of 20 and then no more: of ten that were wanted two are short."""
    dead = [*flat(100, 9), (100, 100, 100, 100, 20), (100, 100, 100, 100, 1), *[(100, 100, 100, 100, 0)] * 20]
    execution = {"participation": "0.1", "max_wait": 3}
    ran = carry(tmp_path, flat(100, 31), dead, [0.0, 0.001], execution=execution, params={"usage_pct": 100})
    assert deals(ran) == [
        ("enter", "spot", "buy", "10.000"),
        ("enter", "um", "sell", "2.000"),
        ("hedge", "spot", "sell", "8.000"),
    ]
    assert ("expired", "max_wait") in [(status, why) for _, status, why in ran.updates]
    assert held(ran) == {SPOT: "2.000", PERP: "-2.000"}
    verify(ran.path)


def test_a_liquidated_short_has_the_spot_sold(tmp_path: Path) -> None:
    jump = [*flat(100, 12), (100, 230, 100, 230), *flat(230, 8)]
    ran = carry(tmp_path, jump, jump, [0.0, 0.001])
    assert [d[0] for d in deals(ran)] == ["enter", "enter", "liquidation", "hedge"]
    assert held(ran) == {}


def test_it_follows_the_right_quantity_at_midnight_only_and_only_when_it_drifted_enough(tmp_path: Path) -> None:
    day = 24 * 60
    rows = [*flat(100, 30), *flat(103, day - 30), *flat(120, day), *flat(120, 10)]
    ran = carry(tmp_path, rows, rows, [0.0, 0.001], futures={"funding": "off", "margin_mode": "cross"})
    found = [(e["tag"], (e["ts"] - time_of(0)) // 60_000_000, e["qty"]) for e in ran.events("fills")]
    # 3 % are too little at the first midnight. At the second: half of min(500 + 5 x 120, 1000 - 5 x 20), at 120
    assert found[2:] == [("rebalance", 2 * day, "1.250"), ("rebalance", 2 * day, "1.250")]
    assert held(ran) == {SPOT: "3.750", PERP: "-3.750"}


def test_what_it_wanted_while_the_run_warmed_up_holds_nothing_up(tmp_path: Path) -> None:
    """A model that looks back shows candles from before the start, and funding that already pays."""
    model = {"model": "spread_volatility", "window": 5, "bps": 0, "volatility": 0}
    start = {"start": "2024-01-01T00:30:00Z"}
    ran = carry(tmp_path, flat(100, 60), flat(100, 60), [0.001] * 6, slippage=model, run=start)
    assert ran.details["counts"]["intents_dropped_in_warmup"] > 0
    assert [d[0] for d in deals(ran)] == ["enter", "enter"]


def test_lots_of_both_markets_are_kept(tmp_path: Path) -> None:
    rules = {SPOT: {"lot_size": "0.006"}, PERP: {"lot_size": "0.004"}}
    ran = carry(tmp_path, flat(99, 20), flat(99, 20), [0.0, 0.001], instruments=rules)
    assert [d[3] for d in deals(ran)] == ["5.040", "5.040"]  # of 5.0505, a whole multiple of 0.012


def test_a_leg_without_its_other_is_said(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, flat(100, 5))
    write_candles(lake, flat(100, 5), market="um")
    write_rows(lake, "fundingRate", "BTCUSDT", {"time": [time_of(0)], "funding_rate": [0.0]})
    config = config_of(lake, [PERP], strategy={"name": "funding_carry"})
    with pytest.raises(StrategyError, match="needs spot:BTCUSDT beside um:BTCUSDT"):
        run_prepared(tmp_path, prepare(config))


def test_thresholds_must_stand_in_order(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"leave \(0.2\) must not be above enter \(0.1\)"):
        carry(tmp_path, flat(100, 5), flat(100, 5), [0.0], params={"enter": 0.1, "leave": 0.2})
