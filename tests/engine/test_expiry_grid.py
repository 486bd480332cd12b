"""Options that expire inside a candle of what they are on."""

from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import DataError
from backtester.engine.prepare import PreparedRun
from tests.support.chains import CHAIN, Quote, write_chain
from tests.support.market import flat, write_candles
from tests.support.runs import config_of, prepared_run, scripted

INSIDE = "spot:BTCUSDT: the expiry of options on BTC at 2024-01-02T08:00:00Z falls inside a candle of "


def covered(folder: Path, timeframe: str, candles: int, **sections: Any) -> PreparedRun:
    """A coin and the options on it, of which one expires in the morning of the second day."""
    write_candles(folder / "lake", flat(30_000, candles), timeframe=timeframe)
    write_candles(folder / "lake", flat(2_000, candles), timeframe=timeframe, symbol="ETHUSDT")
    quotes = [Quote(hour, f"BTC-2401{day}-30000-C", 90, 100, mark=95) for hour in range(72) for day in ("02", "26")]
    write_chain(folder / "lake", [q for q in quotes if q.hour < 32 or "240126" in q.contract])
    run = {"timeframe": timeframe, "end": "2024-01-04"}
    config = config_of(folder / "lake", ["spot:BTCUSDT", "spot:ETHUSDT", CHAIN], run=run, **sections)
    return prepared_run(scripted({}), config)


def test_what_an_underlying_is_worth_when_options_on_it_expire_may_be_old_and_is_said(tmp_path: Path) -> None:
    run = covered(tmp_path, "1d", 3)
    [said] = [w for w in run.warnings if "inside a candle" in w]
    assert said.startswith(f"{INSIDE}1d: ")
    assert [w for w in run.blind if w.startswith(INSIDE)] == run.blind


def test_candles_that_end_when_options_expire_are_not_old(tmp_path: Path) -> None:
    assert covered(tmp_path, "8h", 9).blind == []


def test_a_strict_run_refuses_old_prices_at_expiry(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(30_000, 2 * 24 * 60), timeframe="1m")
    with pytest.raises(DataError, match=r"inside a candle of 1d.*execution\.strict refuses that") as caught:
        covered(tmp_path, "1d", 3, execution={"strict": True, "timeframe": "1d"})
    assert "--set execution.timeframe=1h" in str(caught.value.hint)
