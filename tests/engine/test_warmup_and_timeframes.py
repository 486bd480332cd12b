"""What a strategy is shown before the start, and candles longer than those that the lake has."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import DataError, GapError
from backtester.core.time import MINUTE, format_time
from backtester.engine.replay import replay
from backtester.strategy.base import Strategy, StrategyParams
from tests.support.market import flat, time_of
from tests.support.runs import bought, run_on, scripted

B = "BTCUSDT"
RISING = [(100 + n, 101 + n, 99 + n, 100 + n) for n in range(40)]


class WatcherParams(StrategyParams):
    """warmup: candles before the start."""

    warmup: int = 0


class Watcher(Strategy):
    """Remembers what it was shown, and wants to buy after every candle."""

    Params = WatcherParams
    shown: list[tuple[int, float]]

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        type(self).shown = []

    @property
    def warmup_candles(self) -> int:
        return int(self.params.warmup)

    def on_candle(self, candle: Any) -> Any:
        self.shown.append(((candle.open_time - time_of(0)) // MINUTE, candle.close))
        return [self.buy(candle.symbol, 1)]


def at(minute: int) -> str:
    return format_time(time_of(minute))


def test_warmup_is_loaded_from_before_the_start(tmp_path: Path) -> None:
    ran = run_on(tmp_path, RISING, Watcher, params={"warmup": 5}, run={"start": at(10), "end": at(14)})
    assert [minute for minute, _ in Watcher.shown] == list(range(5, 14))
    assert ran.details["counts"]["intents_dropped_in_warmup"] == 5
    assert ran.fills == [bought(1, 111), bought(2, 112), bought(3, 113)]


def test_a_run_without_warmup_begins_at_its_start(tmp_path: Path) -> None:
    run_on(tmp_path, RISING, Watcher, run={"start": at(10), "end": at(12)})
    assert [minute for minute, _ in Watcher.shown] == [10, 11]


def test_warmup_reaches_as_far_as_the_lake(tmp_path: Path) -> None:
    run_on(tmp_path, RISING, Watcher, params={"warmup": 100}, run={"start": at(3), "end": at(5)})
    assert [minute for minute, _ in Watcher.shown] == [0, 1, 2, 3, 4]


def test_warmup_does_not_reach_over_a_gap(tmp_path: Path) -> None:
    rows = [*RISING[:6], None, *RISING[7:]]
    run_on(tmp_path, rows, Watcher, params={"warmup": 8}, run={"start": at(10), "end": at(12)})
    assert [minute for minute, _ in Watcher.shown] == [7, 8, 9, 10, 11]


def test_the_exchange_and_the_account_stand_still_during_warmup(tmp_path: Path) -> None:
    ran = run_on(tmp_path, RISING, Watcher, params={"warmup": 5}, run={"start": at(10), "end": at(14)})
    assert min(line["tick"] for line in ran.lines) == time_of(10)
    assert min(row["ts"] for row in ran.table("equity")) == time_of(10)


def test_a_note_during_warmup_leaves_a_log_that_replays(tmp_path: Path) -> None:
    class Notes(Watcher):
        def on_candle(self, candle: Any) -> Any:
            self.note("seen", close=candle.close)
            return None

    ran = run_on(tmp_path, RISING, Notes, params={"warmup": 5}, run={"start": at(10), "end": at(14)})
    assert replay(ran.path).digest == ran.result.digest


def test_how_much_warmup_there_is_changes_no_event_of_a_strategy_that_ignores_it(tmp_path: Path) -> None:
    run = {"start": at(10), "end": at(14)}
    logs = [
        run_on(tmp_path / str(warmup), RISING, Watcher, params={"warmup": warmup}, run=run).raw_lines
        for warmup in (0, 1, 7)
    ]
    assert logs[0] == logs[1] == logs[2]


def test_decisions_at_closes_of_15m_and_execution_on_1m(tmp_path: Path) -> None:
    """The stop is reached in minute 17; the 15m candle of which that is a part closes at 30."""
    market = [*flat(100, 16), (101, 102, 100, 101), (101, 101, 94, 96), *flat(96, 27)]

    class Bracket(scripted({0: lambda s: [s.buy(B, 1)]})):  # type: ignore[misc]
        def on_fill(self, fill: Any) -> Any:
            return [self.sell(B, 1, stop=95)] if fill.side == "buy" else None

    ran = run_on(tmp_path, market, Bracket, timeframe="15m", stored="1m")
    assert [(f.side, f.price) for f in ran.fills] == [("buy", 100), ("sell", 95)]
    assert [line["tick"] for line in ran.lines if line["topic"] == "fills"] == [time_of(15), time_of(18)]
    assert [line["tick"] for line in ran.lines if line["topic"] == "orders_intent"] == [time_of(15)] * 2


def test_a_derived_candle_is_made_of_its_minutes(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Sees(Strategy):
        def on_candle(self, candle: Any) -> Any:
            seen.append(candle)

    rows = [(100 + n, 150 + n, 50 - n, 100.5 + n, n + 1) for n in range(30)]
    run_on(tmp_path, rows, Sees, timeframe="15m", stored="1m")
    assert [(c.open, c.high, c.low, c.close, c.volume) for c in seen] == [
        (100, 164, 36, 114.5, 120),
        (115, 179, 21, 129.5, 345),
    ]
    assert [(c.open_time, c.ts, c.timeframe) for c in seen] == [
        (time_of(0), time_of(15), "15m"),
        (time_of(15), time_of(30), "15m"),
    ]


@pytest.mark.parametrize(("mode", "shown"), [("drop", [True, True]), ("publish", [True, False, True])])
def test_a_derived_candle_that_lacks_minutes_is_dropped_unless_asked_for(
    tmp_path: Path, mode: str, shown: list[bool]
) -> None:
    seen: list[bool] = []

    class Sees(Strategy):
        def on_candle(self, candle: Any) -> Any:
            seen.append(candle.complete)

    rows = [*flat(100, 20), None, *flat(100, 24)]
    data = {"gap_policy": "continue", "incomplete": mode}
    ran = run_on(tmp_path, rows, Sees, timeframe="15m", stored="1m", data=data)
    assert seen == shown
    assert ran.details["counts"]["incomplete_candles_dropped"] == (1 if mode == "drop" else 0)


def test_warmup_of_a_longer_timeframe_counts_its_own_candles(tmp_path: Path) -> None:
    run_on(
        tmp_path,
        flat(100, 90),
        Watcher,
        params={"warmup": 2},
        run={"start": at(60), "end": at(90)},
        timeframe="15m",
        stored="1m",
    )
    assert [minute for minute, _ in Watcher.shown] == [30, 45, 60, 75]


def test_a_gap_inside_the_range_refuses_the_run_and_lists_it(tmp_path: Path) -> None:
    rows = [*flat(100, 5), None, None, *flat(100, 5)]
    with pytest.raises(
        GapError, match=r"2 candles are missing.*2024-01-01T00:05:00Z .. 2024-01-01T00:07:00Z"
    ) as caught:
        run_on(tmp_path, rows, Strategy)
    assert "--gap-policy continue" in caught.value.hint
    assert "bt data repair spot:BTCUSDT" in caught.value.hint
    allowed = run_on(tmp_path / "allowed", rows, Strategy, data={"gap_policy": "continue"})
    assert any("2 candles are missing" in warning for warning in allowed.result.warnings)


def test_a_timeframe_that_the_lake_cannot_make_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no 1m klines"):
        run_on(tmp_path, flat(100, 5), Strategy, timeframe="1m", stored="5m")


def test_prices_are_kept_to_the_last_of_their_decimals(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        {"PEPEUSDT": [(0.00000731, 0.00000732, 0.0000073, 0.00000731)] * 3},
        scripted({0: lambda s: [s.buy("PEPEUSDT", 1_000_000)]}),
        instruments={"spot:PEPEUSDT": {"tick_size": "0.00000001", "lot_size": 1, "min_qty": 1}},
    )
    assert [(f.price, f.qty) for f in ran.fills] == [(Decimal("0.00000731"), 1_000_000)]
    assert ran.details["final"]["cash"]["spot:USDT"] == "9992.69000000"
