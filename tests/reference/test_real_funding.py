"""Real funding rates and mark prices of 2023: a constant position pays what a plain sum over the venue's rows says."""

import csv
import gzip
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.importing import import_paths
from backtester.engine.replay import replay, verify
from tests.support.runs import config_of, prepared_run, run_prepared, scripted

HOUR_MS = 3_600_000
START_MS = 1_672_531_200_000  # 2023-01-01


def rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt") as file:
        return list(csv.DictReader(file))


def plain_sum(folder: Path, symbol: str, qty: Decimal) -> Decimal:
    """Minus quantity × mark × rate at every funding time of the year after the first, each rounded down."""
    mark_until = {
        int(r["open_time"]) + 8 * HOUR_MS: Decimal(r["close"]) for r in rows(folder / f"{symbol}_mark_8h.csv.gz")
    }
    total = Decimal(0)
    for row in rows(folder / f"{symbol}_funding.csv.gz"):
        at = round(int(row["open_time"]) / HOUR_MS) * HOUR_MS
        if at > START_MS:
            paid = -qty * mark_until[at] * Decimal(row["funding_rate"])
            total += paid.quantize(Decimal("1e-8"), ROUND_FLOOR)
    return total


@pytest.mark.parametrize(("symbol", "qty"), [("BTCUSDT", "0.1"), ("ETHUSDT", "-1.5")])
def test_a_year_of_real_funding_on_a_constant_position_is_the_plain_sum(
    tmp_path: Path, real_data: Path, symbol: str, qty: str
) -> None:
    folder, lake = real_data / "um", tmp_path / "lake"
    for name, kind, timeframe in (
        (f"{symbol}_4h", "klines", "4h"),
        (f"{symbol}_funding", "fundingRate", None),
        (f"{symbol}_mark_8h", "markPriceKlines", "8h"),
    ):
        import_paths([folder / f"{name}.csv.gz"], lake, ImportOptions("um", kind, symbol, timeframe))
    size = Decimal(qty)

    def enter(strategy: Any) -> Any:
        return [(strategy.buy if size > 0 else strategy.sell)(symbol, abs(size))]

    run = {"market": "um", "timeframe": "4h", "start": "2023-01-01", "end": "2024-01-01"}
    futures = {"margin_mode": "cross"}  # ETHUSDT doubles: an isolated short would be liquidated before the year is over
    config = config_of(lake, [symbol], run=run, data={"gap_policy": "continue"}, futures=futures)
    ran = run_prepared(tmp_path, prepared_run(scripted({0: enter}), config))
    flows = [e for e in ran.events("cashflows") if e["kind"] == "funding"]
    assert len(flows) == 1094  # three a day, without the first, which came before the entry
    assert len({e["ts"] for e in flows}) == 1094
    assert all(e["ts"] % (8 * HOUR_MS * 1000) == 0 for e in flows)
    expected = plain_sum(folder, symbol, size)
    assert Decimal(ran.result.metrics["funding"]["value"]) == expected != 0
    assert replay(ran.path).account.funding["um:USDT"] == expected
    assert not [w for w in ran.result.warnings if "funding rates" in w or "mark price" in w]
    verify(ran.path)
