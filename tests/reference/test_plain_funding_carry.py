"""The engine's funding_carry against a plain loop over a real year of spot, perpetual, funding and marks."""

import csv
import gzip
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.importing import import_paths
from backtester.engine.prepare import prepare
from backtester.engine.replay import replay, verify
from tests.reference.plain_funding_carry import Carry, Leg, Markets, funding_carry
from tests.reference.plain_sma_cross import Terms
from tests.support.runs import config_of, run_prepared

HOUR = 3_600_000_000
START, END = 1_672_531_200_000_000, 1_703_980_800_000_000  # 2023-01-01, 2023-12-31
DECIMALS = 2


def rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt") as file:
        return list(csv.DictReader(file))


def markets(real: Path, symbol: str) -> Markets:
    """Four-hour candles of a year, those of spot made of hours: one that lacks an hour is not shown."""
    hours = {int(r["open_time"]) * 1000: r for r in rows(real / "spot" / f"{symbol}_1h.csv.gz")}
    fours = {int(r["open_time"]) * 1000: r for r in rows(real / "um" / f"{symbol}_4h.csv.gz")}
    grid = range(START + 4 * HOUR, END + 1, 4 * HOUR)
    whole = [t for t in grid if all(t - n * HOUR in hours for n in (1, 2, 3, 4))]
    rates = []
    for r in rows(real / "um" / f"{symbol}_funding.csv.gz"):
        seen = int(r["open_time"]) * 1000
        if seen >= START:
            rates.append((seen, round(seen / HOUR) * HOUR, Fraction(r["funding_rate"])))
    marks = {
        int(r["open_time"]) * 1000 + 8 * HOUR: Fraction(r["close"])
        for r in rows(real / "um" / f"{symbol}_mark_8h.csv.gz")
    }
    return Markets(
        grid,
        (
            {t: Fraction(hours[t - HOUR]["close"]) for t in whole},
            {t: Fraction(fours[t - 4 * HOUR]["close"]) for t in grid},
        ),
        (
            {t: Fraction(hours[t]["open"]) for t in grid if t in hours},
            {t: Fraction(fours[t]["open"]) for t in grid if t in fours},
        ),
        {t: Fraction(hours[t - HOUR]["close"]) for t in grid if t - HOUR in hours},
        rates,
        marks,
    )


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
@pytest.mark.parametrize(("enter", "leave", "drift"), [("0.0001", "0.00003", "5"), ("0.00006", "0.00002", "0")])
def test_a_real_year_of_carry(tmp_path: Path, real_data: Path, symbol: str, enter: str, leave: str, drift: str) -> None:
    lake = tmp_path / "lake"
    for market, name, kind, timeframe in (
        ("spot", f"{symbol}_1h", "klines", "1h"),
        ("um", f"{symbol}_4h", "klines", "4h"),
        ("um", f"{symbol}_funding", "fundingRate", None),
        ("um", f"{symbol}_mark_8h", "markPriceKlines", "8h"),
    ):
        import_paths([real_data / market / f"{name}.csv.gz"], lake, ImportOptions(market, kind, symbol, timeframe))
    rules = {"min_qty": "0.001", "min_notional": 5, "max_qty": 0}
    names = [f"spot:{symbol}", f"um:{symbol}"]
    config = config_of(
        lake,
        names,
        run={"timeframe": "4h", "start": "2023-01-01", "end": "2023-12-31"},
        strategy={"name": "funding_carry", "params": {"enter": enter, "leave": leave, "drift_pct": drift}},
        account={"wallets": {"spot:USDT": 6000, "um:USDT": 5000}},
        fees={"maker_bps": None, "taker_bps": None, "markets": {"um": {"maker_bps": 2, "taker_bps": "4.5"}}},
        slippage={"bps": "1.3"},
        data={"gap_policy": "continue"},
        futures={"margin_mode": "cross"},
        instruments={
            names[0]: rules | {"tick_size": "0.01", "lot_size": "0.0001"},
            names[1]: rules | {"tick_size": "0.01", "lot_size": "0.001"},
        },
    )
    ran = run_prepared(tmp_path, prepare(config))
    carry = Carry(9, Fraction(enter), Fraction(leave), Fraction(9, 10), Fraction(drift) / 100)
    slippage = Fraction("1.3") / 10_000
    fills, funding, spot_worth, perp_worth = funding_carry(
        markets(real_data, symbol),
        carry,
        Terms(Fraction(6000), Fraction(10, 10_000), slippage, DECIMALS, Fraction("0.0001")),
        Terms(Fraction(5000), Fraction("4.5") / 10_000, slippage, DECIMALS, Fraction("0.001")),
    )
    seen = [
        Leg(
            row["ts"],
            row["instrument"].startswith("um:"),
            row["side"] == "buy",
            Fraction(row["price"]),
            Fraction(row["qty"]),
            Fraction(row["fee"]),
        )
        for row in ran.table("fills")
    ]
    assert seen == fills
    assert len(fills) > 40
    assert not ran.events("orders_rejected")
    metrics = ran.result.metrics
    assert Fraction(Decimal(metrics["funding"]["value"])) == funding > 0
    assert Fraction(Decimal(metrics["final_equity"]["value"])) == spot_worth + perp_worth
    assert Decimal(metrics["initial_equity"]["value"]) == 11_000
    assert replay(ran.path).account.fills == len(fills)
    verify(ran.path)
