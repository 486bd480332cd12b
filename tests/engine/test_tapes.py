"""Which data execute: candles or trades, by the config and by what is stored; and what the run says of it."""

from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import DataError
from backtester.core.time import MINUTE
from backtester.engine.replay import replay, verify
from backtester.strategy.base import Strategy
from tests.support.lakes import write_rows
from tests.support.market import flat, time_of, write_candles
from tests.support.runs import Ran, config_of, prepared_run, run_prepared, scripted
from tests.support.tape import BUYS, SELLS, Print, candles_of, executions, run_on_tape, write_tape

B, U = "BTCUSDT", "um:BTCUSDT"
TAPE: list[Print] = [(n * 10.0, 100 + n % 3, 2, BUYS if n % 2 else SELLS) for n in range(60)]
BUY = scripted({0: lambda s: [s.buy(B, 1)]})
DAY_MINUTES = 24 * 60


def run(folder: Path, lake: Path, strategy: type[Strategy] = BUY, feeds: tuple[str, ...] = (), **sections: Any) -> Ran:
    section = {"market": "um", **sections.pop("run", {})}
    config = config_of(lake, [B], run=section, data={"feeds": feeds}, **sections)
    return run_prepared(folder, prepared_run(strategy, config))


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    write_tape(tmp_path / "lake", TAPE, minutes=10)
    return tmp_path / "lake"


def fill_seconds(ran: Ran) -> list[float]:
    return [fill.second for fill in executions(ran)]


def test_trades_execute_when_the_run_reads_them_and_candles_else(tmp_path: Path, lake: Path) -> None:
    assert fill_seconds(run(tmp_path, lake, execution={"participation": 0})) == [60]  # the open of the second candle
    assert fill_seconds(run(tmp_path, lake, feeds=("trades",), execution={"participation": 0})) == [70]


def test_the_config_decides_where_it_says_so(tmp_path: Path, lake: Path) -> None:
    for data, feeds, seconds in (("trades", (), [70]), ("candles", ("trades",), [60])):
        ran = run(tmp_path, lake, feeds=feeds, execution={"data": data, "participation": 0})
        assert fill_seconds(ran) == seconds
        assert ("candles of 1m" in ran.details["assumptions"]["fills"]) == (data == "candles")
        assert ("trades of um:BTCUSDT" in ran.details["assumptions"]["fills"]) == (data == "trades")


def test_trades_that_execute_need_nobody_who_hears_them(tmp_path: Path, lake: Path) -> None:
    ran = run(tmp_path, lake, feeds=("trades",))
    assert not [warning for warning in ran.details["warnings"] if "was not read" in warning]
    assert [one["path"] for one in ran.details["data"] if "/trades/" in one["path"]]


def test_without_any_trades_the_command_that_brings_them_is_named(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(100, 10), market="um")
    with pytest.raises(DataError, match="trades should execute") as caught:
        run(tmp_path, tmp_path / "lake", execution={"data": "trades"})
    assert "bt download --market um --kind aggTrades --symbols BTCUSDT" in caught.value.hint


def test_a_feed_of_trades_that_the_lake_does_not_have_is_named_with_what_brings_it(tmp_path: Path, lake: Path) -> None:
    with pytest.raises(DataError, match="the feed um:BTCUSDT/aggTrades: ") as caught:
        run(tmp_path, lake, feeds=("aggTrades",))
    assert "bt download --market um --kind aggTrades --symbols BTCUSDT" in caught.value.hint


def test_the_range_is_what_candles_and_trades_have_in_common(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", [*flat(100, 3), *candles_of(TAPE, 10)[3:]], market="um")
    later = [one for one in TAPE if 185 <= one[0] < 500]
    write_rows(
        tmp_path / "lake",
        "trades",
        B,
        {
            "time": [time_of(0) + round(second * 1e6) for second, *_ in later],
            "trade_id": list(range(len(later))),
            "price": [price for _, price, *_ in later],
            "quantity": [2.0] * len(later),
            "quote_quantity": [1.0] * len(later),
            "is_buyer_maker": [True] * len(later),
        },
    )
    ran = run(tmp_path, tmp_path / "lake", feeds=("trades",))
    assert (ran.prepared.start, ran.prepared.end) == (time_of(3), time_of(9))


@pytest.mark.parametrize(("start", "end"), [(0, 9), (3, 10)])
def test_candles_with_volume_and_no_trades_refuse_the_run_at_either_end(tmp_path: Path, start: int, end: int) -> None:
    lake, inside = tmp_path / "lake", [one for one in TAPE if 180 <= one[0] < 530]
    write_tape(lake, inside, minutes=10)
    write_candles(lake, candles_of(TAPE, 10), market="um", replace=True)
    section = {"market": "um", "start": f"2024-01-01T00:{start:02}:00Z", "end": f"2024-01-01T00:{end:02}:00Z"}
    with pytest.raises(DataError, match=r"no trades are stored from .* where the candles have volume") as caught:
        run(tmp_path, lake, feeds=("trades",), run=section)
    assert "bt download --market um --kind trades --symbols BTCUSDT --start 2024-01-01" in caught.value.hint
    assert fill_seconds(run(tmp_path, lake, feeds=("trades",), run=section, execution={"data": "candles"}))


def test_a_missing_day_in_the_middle_refuses_the_run_and_a_quiet_one_does_not(tmp_path: Path) -> None:
    days: list[Print] = [(10, 100, 1, BUYS), (86_400 + 10, 100, 1, BUYS), (2 * 86_400 + 10, 100, 1, BUYS)]
    for name, there, refused in (("all", days, False), ("two", [days[0], days[2]], True)):
        lake = tmp_path / name
        write_tape(lake, there, minutes=2 * DAY_MINUTES + 1)
        write_candles(lake, candles_of(days, 2 * DAY_MINUTES + 1), market="um", replace=True)
        if refused:
            with pytest.raises(DataError, match=r"stored from 2024-01-02 to 2024-01-02T00:01:00Z"):
                run(tmp_path, lake, feeds=("trades",))
        else:
            assert run(tmp_path, lake, feeds=("trades",)).result.status == "complete"


def test_an_order_before_the_first_trade_has_no_price(tmp_path: Path) -> None:
    early = scripted({0: lambda s: [s.buy(B, 1)], 2: lambda s: [s.buy(B, 1)]})
    ran = run_on_tape(tmp_path, [(130.0, 100, 9, BUYS), (200.0, 101, 9, BUYS)], early, run={"start": "2024-01-01"})
    assert [reason for _, reason, _ in ran.refusals] == ["no_price"]
    assert fill_seconds(ran) == [200]


def test_a_run_on_a_tape_is_repeated_from_its_own_config_and_folds_to_its_account(tmp_path: Path, lake: Path) -> None:
    class Quoter(Strategy):
        def on_trade(self, trade: Any) -> Any:
            return [*self.cancel_all(trade.symbol), self.buy(trade.symbol, 1, limit=trade.price - 1)]

    ran = run(tmp_path, lake, Quoter, ("trades",))
    assert len(ran.events("fills")) > 5
    assert replay(ran.path).lines == len(ran.lines)
    verify(ran.path)  # raises when the log differs


def test_one_instrument_may_execute_on_trades_and_another_on_candles(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_tape(lake, TAPE, minutes=10)
    write_candles(lake, candles_of(TAPE, 10), market="um", symbol="ETHUSDT")
    both = scripted({0: lambda s: [s.buy(B, 1), s.buy("ETHUSDT", 1)]})
    section = {"market": "um", "symbols": [B, "ETHUSDT"]}
    config = config_of(
        lake, [B, "ETHUSDT"], run=section, data={"feeds": [f"{U}/trades"]}, execution={"participation": 0}
    )
    ran = run_prepared(tmp_path, prepared_run(both, config))
    assert [(e["instrument"], (e["ts"] - time_of(0)) // 1_000_000) for e in ran.events("fills")] == [
        ("um:ETHUSDT", 60),
        (U, 70),
    ]


def test_equity_has_a_row_per_candle_and_fill_however_many_trades_there_are(tmp_path: Path, lake: Path) -> None:
    rows = run(tmp_path, lake, feeds=("trades",), execution={"participation": 0}).table("equity")
    assert [row["ts"] for row in rows] == sorted(
        [*(time_of(0) + n * MINUTE for n in range(11)), time_of(0) + 70_000_000]
    )


def test_latency_is_seen_on_trades_to_the_microsecond(tmp_path: Path, lake: Path) -> None:
    for latency, seconds in (("9999.999", [70]), ("10000", [90])):
        ran = run(
            tmp_path, lake, feeds=("trades",), execution={"participation": 0, "latency_ms": latency, "strict": True}
        )
        assert fill_seconds(ran) == seconds


def test_quotes_that_do_not_reach_over_the_run_are_warned_of_and_refused_when_strict(tmp_path: Path) -> None:
    tape: list[Print] = [(0, 100, 1, BUYS), (1799, 100, 1, BUYS)]
    late = run_on_tape(tmp_path / "late", tape, scripted({}), quotes=[(660, 99, 1, 101, 1)], minutes=30)
    gaps = [warning for warning in late.result.warnings if "no quotes are stored" in warning]
    assert len(gaps) == 1
    assert "from 2024-01-01 to 2024-01-01T00:11:00Z, nor in 1 other spans" in gaps[0]
    whole = [(0, 99, 1, 101, 1), (1600, 99, 1, 101, 1)]  # what is missing at the end is no longer than a quote is good
    ran = run_on_tape(tmp_path / "whole", tape, scripted({}), quotes=whole, minutes=30)
    assert not any("no quotes are stored" in warning for warning in ran.result.warnings)
    with pytest.raises(DataError, match="no quotes are stored") as refused:
        run_on_tape(tmp_path / "strict", tape, scripted({}), quotes=whole[:1], minutes=30, execution={"strict": True})
    assert "bookTicker" in (refused.value.hint or "")
