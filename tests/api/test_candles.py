"""`bt.candles`: what a strategy would have seen, and nothing that it could not have known."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import backtester as bt
from backtester.core.errors import DataError, UsageError
from backtester.core.time import parse_time
from tests.api.conftest import CANDLES
from tests.support.lakes import wandering
from tests.support.market import START, write_candles

SYMBOL = "spot:BTCUSDT"
BEGIN = datetime.fromisoformat(START).replace(tzinfo=UTC)
MINUTES = st.integers(min_value=-5, max_value=CANDLES + 5)


def at(minutes: int) -> datetime:
    return BEGIN + timedelta(minutes=minutes)


@pytest.fixture(scope="session")
def gapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours of which the minutes 70 to 94 are missing."""
    folder = tmp_path_factory.mktemp("gapped")
    rows = wandering(120, 5)
    write_candles(folder, [*rows[:70], *([None] * 25), *rows[95:]])
    return folder


def test_a_range_holds_the_stored_candles(lake: Path) -> None:
    frame = bt.candles(SYMBOL, "1m", at(10), at(13), data=lake)
    assert frame["open_time"].to_list() == [at(10), at(11), at(12)]
    assert frame["close_time"].to_list() == [at(11), at(12), at(13)]
    assert frame["close"].to_list() == [row[3] for row in wandering(CANDLES, 100, quiet=0.03)[10:13] if row]


@given(first=MINUTES, end=MINUTES, last=st.integers(min_value=1, max_value=CANDLES + 10))
def test_every_range_is_a_part_of_the_whole(lake: Path, first: int, end: int, last: int) -> None:
    whole = bt.candles(SYMBOL, "5m", data=lake)
    wanted = whole.filter(pl.col("open_time").is_between(at(first), at(end), closed="left")).tail(last)
    if not len(wanted):
        with pytest.raises(DataError, match="has no 5m candle"):
            bt.candles(SYMBOL, "5m", at(first), at(end), last=last, data=lake)
        return
    assert_frame_equal(bt.candles(SYMBOL, "5m", at(first), at(end), last=last, data=lake), wanted)


@given(minutes=st.integers(min_value=15, max_value=CANDLES + 5), last=st.none() | st.integers(min_value=1, max_value=9))
def test_at_an_instant_only_closed_candles_are_known(lake: Path, minutes: int, last: int | None) -> None:
    whole = bt.candles(SYMBOL, "15m", data=lake).filter(pl.col("close_time") <= at(minutes))
    wanted = whole if last is None else whole.tail(last)
    assert_frame_equal(bt.candles(SYMBOL, "15m", known_at=at(minutes), last=last, data=lake), wanted)


class Watches(bt.Strategy):
    """Notes at each of the run's candles the last candle of the longer timeframes that it has seen."""

    feeds = ("5m", "1h")
    seen: list[tuple[int, object, object]] = []  # noqa: RUF012 - read by the test

    def on_start(self) -> None:
        self.last: dict[str, tuple[float, float]] = {}
        self.seen.clear()

    def on_candle(self, candle: bt.Candle) -> None:
        self.last[candle.timeframe] = (candle.close, candle.volume)
        if candle.timeframe == "1m":
            self.seen.append((candle.ts, self.last.get("5m"), self.last.get("1h")))


@pytest.mark.parametrize("which", ["lake", "gapped"])
def test_timeframes_stand_side_by_side_as_a_strategy_has_seen_them(which: str, request: pytest.FixtureRequest) -> None:
    data = request.getfixturevalue(which)
    bt.run(Watches, SYMBOL, data={"dir": str(data), "gap_policy": "continue"}, keep=False)
    frame = bt.candles(SYMBOL, ["1m", "5m", "1h"], data=data)
    columns = frame.select(pl.col("close_time").to_physical(), "close_5m", "volume_5m", "close_1h", "volume_1h")
    rows = [
        (ts, None if a is None else (a, b), None if c is None else (c, d)) for ts, a, b, c, d in columns.iter_rows()
    ]
    assert len(rows) > 90
    assert any(row[1] for row in rows)
    assert rows == Watches.seen


def test_candles_that_lack_parts_are_left_out_unless_asked_for(gapped: Path) -> None:
    assert bt.candles(SYMBOL, "1h", data=gapped)["open_time"].to_list() == [at(0)]
    kept = bt.candles(SYMBOL, "1h", data=gapped, incomplete=True)
    assert kept["complete"].to_list() == [True, False]
    assert bt.candles(SYMBOL, "5m", at(60), data=gapped)["open_time"].to_list()[:3] == [at(60), at(65), at(95)]


def test_the_latest_candles_are_found_behind_a_gap(gapped: Path) -> None:
    frame = bt.candles(SYMBOL, "5m", last=8, data=gapped)
    assert frame["open_time"].to_list() == [at(m) for m in (55, 60, 65, 95, 100, 105, 110, 115)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"timeframe": "7m"}, "timeframe '7m' is not known"),
        ({"timeframe": ["1h", "5m"]}, "5m is not a multiple of 1h"),
        ({"timeframe": []}, "no timeframe"),
        ({"last": 0}, "last is 0"),
        ({"start": "soon"}, "'soon' is not a time"),
    ],
)
def test_a_mistake_is_named(lake: Path, words: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        bt.candles(SYMBOL, data=lake, **words)  # type: ignore[arg-type]
    assert message in caught.value.message


def test_what_the_lake_does_not_have_is_said_with_what_it_has(lake: Path) -> None:
    with pytest.raises(DataError, match="spot:XRPUSDT is not in"):
        bt.candles("XRPUSDT", data=lake)
    with pytest.raises(DataError) as caught:
        bt.candles(SYMBOL, start="2025-01-01", data=lake)
    assert "has no 1m candle from 2025-01-01" in caught.value.message
    assert "2024-01-01 .. 2024-01-01T10:00:00Z" in caught.value.hint
    assert parse_time("2024-01-01T10:00:00Z") == parse_time(START) + CANDLES * 60_000_000
