"""What a gap means for a run: refused, run over, or a reason to open nothing for a while."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtester.core.errors import GapError
from backtester.core.instruments import InstrumentId
from backtester.core.time import MINUTE, format_time
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.partition import Outage
from backtester.engine.feed_plan import FeedName
from backtester.engine.gap_policy import RunGap, paused_spans
from backtester.risk.pauses import Pauses
from backtester.strategy.base import Strategy
from tests.support.lakes import write_rows
from tests.support.market import Row, flat, time_of, write_candles
from tests.support.runs import Ran, config_of, prepared_run, run_on, run_prepared, scripted

B = "BTCUSDT"
BTC = InstrumentId("spot:BTCUSDT")
HOLED: list[Row | None] = [*flat(100, 3), None, None, None, *flat(100, 10)]  # minutes 3, 4 and 5 are missing
PAUSE = {"gap_policy": "pause_entries", "pause_candles": 4}


class Eager(Strategy):
    """Wants to buy at every candle and after every minute, candle or not."""

    def on_start(self) -> None:
        for minute in range(20):
            self.call_at(max(time_of(minute), self.now + 1))

    def on_timer(self, now: int) -> Any:
        return [self.buy(B, 1)] if now > time_of(0) else None


def refused_minutes(ran: Ran) -> list[int]:
    return [
        (event["ts"] - time_of(0)) // MINUTE
        for event in ran.events("orders_rejected")
        if event["reason"] == "paused_after_gap"
    ]


def test_a_gap_of_unknown_cause_refuses_the_run_and_names_the_command_that_mends_it(tmp_path: Path) -> None:
    with pytest.raises(GapError, match="3 candles are missing") as caught:
        run_on(tmp_path, HOLED, Strategy)
    assert "bt data repair spot:BTCUSDT" in caught.value.hint


def test_a_run_goes_on_over_gaps_and_says_so(tmp_path: Path) -> None:
    ran = run_on(tmp_path, HOLED, Eager, data={"gap_policy": "continue"})
    assert refused_minutes(ran) == []
    assert any("3 candles are missing" in warning and "continue" in warning for warning in ran.details["warnings"])
    assert ran.details["gaps"] == {
        "policy": "continue",
        "pause_candles": 10,
        "found": [
            {
                "series": "spot:BTCUSDT/klines:1m",
                "start": format_time(time_of(3)),
                "end": format_time(time_of(6)),
                "missing": 3,
                "outage": False,
            }
        ],
    }


def test_no_position_is_opened_from_the_first_missing_candle_until_enough_good_ones_closed(tmp_path: Path) -> None:
    ran = run_on(tmp_path, HOLED, Eager, data=PAUSE)
    # candle 3 is missing at minute 4; candles 6, 7, 8 and 9 have closed at minute 10
    assert refused_minutes(ran) == [4, 5, 6, 7, 8, 9]
    numbers = [e["numbers"] for e in ran.events("orders_rejected") if e["reason"] == "paused_after_gap"]
    assert numbers[0] == {"since": format_time(time_of(4))}


@pytest.mark.parametrize("start", [0, 6, 7, 8])
def test_a_pause_does_not_depend_on_where_the_run_begins(tmp_path: Path, start: int) -> None:
    ran = run_on(tmp_path, HOLED, Eager, data=PAUSE, run={"start": format_time(time_of(start))})
    assert refused_minutes(ran) == [minute for minute in (4, 5, 6, 7, 8, 9) if minute > start]


def test_what_lies_before_the_first_candle_of_the_lake_is_no_gap(tmp_path: Path) -> None:
    ran = run_on(tmp_path, flat(100, 8), Eager, data=PAUSE)
    assert refused_minutes(ran) == []


def test_a_position_may_be_closed_while_entries_pause(tmp_path: Path) -> None:
    script = {0: lambda s: [s.buy(B, 1)], 3: lambda s: [s.buy(B, 1)], 4: lambda s: s.close(B)}
    ran = run_on(tmp_path, HOLED, scripted(script), data=PAUSE)
    assert [(fill.side, fill.qty) for fill in ran.fills] == [("buy", 1), ("sell", 1)]
    assert refused_minutes(ran) == [7]


def test_a_short_may_be_covered_but_not_turned_while_entries_pause(tmp_path: Path) -> None:
    script = {
        0: lambda s: [s.sell(B, 2)],
        3: lambda s: [s.buy(B, 3)],
        4: lambda s: [s.sell(B, 1)],
        5: lambda s: [s.buy(B, 2)],
    }
    ran = run_on(tmp_path, HOLED, scripted(script), data=PAUSE, run={"market": "um"})
    assert [(fill.side, fill.qty) for fill in ran.fills] == [("sell", 2), ("buy", 2)]
    assert refused_minutes(ran) == [7, 8]


def note_outage(lake: Path, first: int, last: int, timeframe: str = "1m") -> None:
    with ManifestWriter(lake) as writer:
        writer.note(Outage("spot", "klines", B, timeframe, time_of(first), time_of(last), "nobody has it", 1))


def test_a_recorded_outage_does_not_refuse_a_run_but_pauses_entries_and_is_told(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, HOLED)
    note_outage(lake, 3, 5)
    with pytest.raises(GapError, match="1 candle is missing"):
        prepared_run(Eager, config_of(lake, [B]))
    note_outage(lake, 5, 6)
    ran = run_prepared(tmp_path, prepared_run(Eager, config_of(lake, [B])))
    assert [gap["outage"] for gap in ran.details["gaps"]["found"]] == [True]
    assert any("3 candles are missing" in w and "outage" in w for w in ran.details["warnings"])
    paused = run_prepared(tmp_path / "paused", prepared_run(Eager, config_of(lake, [B], data=PAUSE)))
    assert refused_minutes(paused) == [4, 5, 6, 7, 8, 9]


def test_an_outage_of_two_candles_is_recorded_without_a_warning(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, [*flat(100, 3), None, None, *flat(100, 3)])
    note_outage(lake, 3, 5)
    ran = run_prepared(tmp_path, prepared_run(Eager, config_of(lake, [B])))
    assert not any("missing" in warning for warning in ran.details["warnings"])
    assert [gap["missing"] for gap in ran.details["gaps"]["found"]] == [2]


def test_gaps_longer_than_two_candles_are_counted_in_the_warning(tmp_path: Path) -> None:
    rows = [*flat(100, 3), None, *flat(100, 3), *[None] * 3, *flat(100, 3)]
    ran = run_on(tmp_path, rows, Strategy, data={"gap_policy": "continue"})
    assert any("1 of 2 gaps longer than 2 candles" in warning for warning in ran.details["warnings"])


def test_days_without_trades_are_a_gap_of_a_trade_feed(tmp_path: Path) -> None:
    class Tape(Strategy):
        def on_trade(self, trade: Any) -> None:
            return None

    lake = tmp_path / "lake"
    write_candles(lake, flat(100, 72), timeframe="1h")
    one = {"price": [1.0] * 2, "quantity": [1.0] * 2, "quote_quantity": [1.0] * 2, "is_buyer_maker": [True] * 2}
    times = [time_of(5), time_of(50 * 60)]
    write_rows(lake, "trades", B, {"time": times, "trade_id": [1, 2], **one}, market="spot")
    sections = {"data": {"feeds": ["trades"]}, "execution": {"data": "candles"}}
    config = config_of(lake, [B], run={"timeframe": "1h"}, **sections)
    with pytest.raises(GapError, match=r"trades: 1 day is missing: 2024-01-02 \.\. 2024-01-03"):
        prepared_run(Tape, config)


minutes = st.integers(0, 60)


@given(
    cuts=st.lists(minutes, min_size=2, max_size=10, unique=True).map(sorted),
    candles=st.integers(1, 20),
    now=st.integers(0, 90),
)
def test_entries_pause_while_candles_lack_and_until_enough_have_closed(cuts: list[int], candles: int, now: int) -> None:
    ranges = list(zip(cuts[::2], cuts[1::2], strict=False))
    series = FeedName(BTC, "klines", "1m")
    gaps = [RunGap(series, a * MINUTE, b * MINUTE, False, True) for a, b in ranges]
    paused = Pauses(paused_spans(gaps, candles)).since(BTC, now * MINUTE) is not None
    missing = {minute for a, b in ranges for minute in range(a, b)}
    closed = [
        minute for minute in range(now) if minute >= min(missing)
    ]  # what should be known now, since trouble began
    good = next((n for n, minute in enumerate(reversed(closed)) if minute in missing), None)
    assert paused == (good is not None and good < candles)
