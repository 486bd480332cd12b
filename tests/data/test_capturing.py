"""Captures of streams: what becomes trades and quotes, what is left out, and what is refused."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from backtester.data.lake import Lake
from tests.support.cli import bt

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real" / "ws"
NOW = 1_723_161_256_000


def trade(number: int, price: str = "100.5", **over: Any) -> str:
    data = {"e": "trade", "E": NOW, "T": NOW + number, "s": "BTCUSDT", "t": number, "p": price, "q": "0.25", "m": True}
    return f"{NOW * 10**6} " + json.dumps({"stream": "btcusdt@trade", "data": data | over})


def quote(number: int) -> str:
    data = {"e": "bookTicker", "u": number, "s": "BTCUSDT", "b": "100.4", "B": "2", "a": "100.5", "A": "3"}
    return json.dumps({"stream": "btcusdt@bookTicker", "data": data | {"T": NOW + number, "E": NOW + number}})


DEPTH = json.dumps({"stream": "btcusdt@depth@0ms", "data": {"s": "BTCUSDT", "b": [["1", "2"]], "a": [], "u": 5}})


def capture(folder: Path, *lines: str) -> Path:
    path = folder / "capture.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def rows(lake: Path, market: str, kind: str) -> list[tuple[Any, ...]]:
    batches = list(Lake(lake).read(market, kind, "BTCUSDT", "", 0, 2**62))
    return [row for batch in batches for row in zip(*(batch[name].tolist() for name in batch), strict=True)]


def test_trades_and_quotes_become_rows_and_other_streams_are_left_out(tmp_path: Path) -> None:
    path = capture(tmp_path, trade(1), DEPTH, quote(2), trade(3, "100.25", m=False), "")
    done = bt("data", "capture", path, "--market", "um", "--data", tmp_path / "lake", "--json")
    assert {one["series"]["kind"]: one["rows_added"] for one in done.json["series"]} == {"bookTicker": 1, "trades": 2}
    assert rows(tmp_path / "lake", "um", "trades") == [
        ((NOW + 1) * 1000, 1, 100.5, 0.25, 25.125, True),
        ((NOW + 3) * 1000, 3, 100.25, 0.25, 25.0625, False),
    ]
    assert [row[:6] for row in rows(tmp_path / "lake", "um", "bookTicker")] == [
        ((NOW + 2) * 1000, 2, 100.4, 2.0, 100.5, 3.0)
    ]


def test_doing_it_again_changes_nothing(tmp_path: Path) -> None:
    path = capture(tmp_path, trade(1), quote(2))
    added = [
        sum(
            one["rows_added"]
            for one in bt("data", "capture", path, "--market", "um", "--data", tmp_path / "lake", "--json").json[
                "series"
            ]
        )
        for _ in range(2)
    ]
    assert added == [2, 0]


def test_trades_at_no_price_and_quotes_without_a_time_are_left_out(tmp_path: Path) -> None:
    path = capture(tmp_path, trade(1), trade(2, "0", X="INSURANCE_FUND"), quote(3))
    assert bt("data", "capture", path, "--market", "spot", "--data", tmp_path / "lake").code == 0
    assert [row[1] for row in rows(tmp_path / "lake", "spot", "trades")] == [1]
    assert Lake(tmp_path / "lake").symbols("spot", "bookTicker") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [  # with ids: gzip writes the time of day
        (gzip.compress(b"123 {broken"), "line 1 is no message of a stream"),
        (gzip.compress(DEPTH.encode()), "holds no trades and no quotes"),
        (gzip.compress(trade(1).encode() * 50)[:-20], "damaged or cut short"),
        (b"no gzip at all", "damaged or cut short"),
    ],
    ids=["no JSON", "nothing of use", "cut short", "no gzip"],
)
def test_what_is_no_capture_is_refused_and_the_lake_stays_empty(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "capture.gz"
    path.write_bytes(content)
    said = bt("data", "capture", path, "--market", "um", "--data", tmp_path / "lake")
    assert (said.code, message in said.message) == (3, True)
    assert not (tmp_path / "lake").exists()


def test_a_market_whose_streams_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    said = bt("data", "capture", capture(tmp_path, trade(1)), "--market", "cm", "--data", tmp_path / "lake")
    assert (said.code, "captures of cm cannot be imported" in said.message) == (2, True)


@pytest.mark.skipif(not REAL.is_dir(), reason="real captures are not here")
@pytest.mark.parametrize(
    ("file", "market", "counts"),
    [
        ("spot/btcusdt_20240808.gz", "spot", {"trades": 9_757}),
        ("usdm/btcusdt_20240808.gz", "um", {"bookTicker": 66_089, "trades": 21_313}),
    ],
)
def test_real_captures_are_imported_whole(tmp_path: Path, file: str, market: str, counts: dict[str, int]) -> None:
    said = bt("data", "capture", REAL / file, "--market", market, "--data", tmp_path / "lake", "--json")
    assert {one["series"]["kind"]: one["rows_added"] for one in said.json["series"]} == counts
    assert bt("data", "verify", "--data", tmp_path / "lake").code == 0
