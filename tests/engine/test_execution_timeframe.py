"""Which stored candles execute, when hours and minutes are stored: declared, or the longest, and pointed out."""

from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import DataError, UsageError
from tests.support.market import write_candles
from tests.support.runs import Ran, config_of, prepared_run, run_prepared, scripted

B = "BTCUSDT"


def both(folder: Path, **execution: Any) -> Ran:
    """Two hours, stored as hours and as minutes; the second falls to 94 in its minute 10 and comes back."""
    minutes: list[Any] = [(100, 101, 99, 100)] * 180
    minutes[70] = (100, 101, 94, 100)
    hours: list[Any] = [(100, 101, 99, 100), (100, 101, 94, 100), (100, 101, 99, 100)]
    write_candles(folder / "lake", minutes, symbol=B, timeframe="1m")
    write_candles(folder / "lake", hours, symbol=B, timeframe="1h")
    buys = scripted({0: lambda s: [s.buy(B, 1), s.buy(B, 1, limit=95)]})
    config = config_of(folder / "lake", [B], run={"timeframe": "1h"}, execution=execution)
    return run_prepared(folder, prepared_run(buys, config))


def filled_at(ran: Ran) -> list[int]:
    """When fills happened, in minutes since the start."""
    return [(e["ts"] - ran.prepared.start) // 60_000_000 for e in ran.events("fills")]


def test_hours_execute_when_they_are_stored_and_minutes_are_pointed_out(tmp_path: Path) -> None:
    ran = both(tmp_path)
    assert filled_at(ran) == [60, 120]
    assert [w for w in ran.details["warnings"] if "--set execution.timeframe=1m" in w]


def test_declared_minutes_execute_under_decisions_on_hours(tmp_path: Path) -> None:
    ran = both(tmp_path, timeframe="1m")
    assert filled_at(ran) == [60, 71]
    assert "candles of 1m" in ran.details["assumptions"]["fills"]
    assert not [w for w in ran.details["warnings"] if "execution.timeframe" in w]


def test_what_cannot_execute_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="decided on 1h"):
        both(tmp_path / "longer", timeframe="4h")
    with pytest.raises(DataError, match="is stored in 1m, 1h"):
        both(tmp_path / "missing", timeframe="5m")
