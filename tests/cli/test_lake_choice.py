"""Which candles a run reads when the lake holds several timeframes, and what of the lake may decide a run."""

from pathlib import Path

from tests.support.cli import bt
from tests.support.lakes import wandering
from tests.support.market import write_candles


def test_a_stray_file_of_another_timeframe_does_not_hide_what_is_there(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, wandering(600, 3))
    write_candles(lake, wandering(20, 4), timeframe="5m", start="2023-12-01")
    write_candles(lake, wandering(2, 5), timeframe="1h", start="2023-11-01")
    said = bt("run", "--strategy", "sma_cross", "--symbols", "BTCUSDT", "--timeframe", "1h", "--data", lake,
              "--start", "2024-01-01", "--end", "2024-01-01T10:00:00Z", "--runs", tmp_path / "runs")  # fmt: skip
    assert said.code == 0, said.err
    assert "candles of 1m" in said.out


def test_without_a_range_the_series_that_reaches_furthest_is_read(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    hours = wandering(72, 3)
    write_candles(lake, [*hours[:30], None, *hours[31:]], timeframe="1h")
    write_candles(lake, wandering(120, 4), start="2024-01-05")  # without a gap, but two hours only
    said = bt("run", "--strategy", "sma_cross", "--symbols", "BTCUSDT", "--timeframe", "1h", "--data", lake,
              "--runs", tmp_path / "runs", "--gap-policy", "continue")  # fmt: skip
    assert said.code == 0, said.err
    assert "candles of 1h" in said.out
    assert "2024-01-01 to 2024-01-04" in said.out


def test_candles_of_a_later_month_do_not_change_a_run(tmp_path: Path) -> None:
    lake, runs = tmp_path / "lake", tmp_path / "runs"
    write_candles(lake, wandering(600, 3), symbol="ABCUSDT")
    command = ("run", "--strategy", "sma_cross", "--symbols", "ABCUSDT", "--data", lake, "--runs", runs, "--json",
               "--start", "2024-01-01", "--end", "2024-01-01T10:00:00Z", "-p", "fast=3", "-p", "slow=5")  # fmt: skip
    before = bt(*command).json["digest"]
    odd = (100.12345, 101.54321, 99.1, 100.98765, 5.12345)
    write_candles(lake, [odd, odd], symbol="ABCUSDT", start="2024-03-01")
    assert bt(*command).json["digest"] == before


def test_what_a_strategy_prints_does_not_disturb_the_one_object(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, wandering(30, 3))
    strategy = tmp_path / "loud.py"
    strategy.write_text(
        "from backtester.strategy import Strategy\n"
        "print('import')\n"
        "class Loud(Strategy):\n"
        "    def on_candle(self, candle):\n"
        "        print('candle')\n"
    )
    said = bt("run", "--strategy", f"{strategy}:Loud", "--symbols", "BTCUSDT", "--data", lake, "--runs",
              tmp_path / "runs", "--json")  # fmt: skip
    assert said.json["status"] == "complete"
    assert "candle" in said.err


def test_a_strategy_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, wandering(30, 3))
    for body, message in (
        (
            "    def __init__(self, params):\n        raise ValueError('init')\n",
            "cannot be made (odd.py, line 3): ValueError: init",
        ),
        ("    def __init__(self, params):\n        self.n = 0\n", "does not initialise its base class"),
        ("    warmup_candles = '10'\n", "warmup_candles is '10'"),
    ):
        strategy = tmp_path / "odd.py"
        strategy.write_text(f"from backtester.strategy import Strategy\nclass Odd(Strategy):\n{body}")
        said = bt("run", "--strategy", f"{strategy}:Odd", "--symbols", "BTCUSDT", "--data", lake, "--runs", tmp_path)
        assert said.code == 1
        assert message in said.message
