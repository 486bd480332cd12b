"""What a user can get wrong: one clear message, the right exit code, and nothing left behind."""

import shutil
from pathlib import Path

import pytest

from tests.support.cli import bt

RUN = ["run", "--strategy", "sma_cross", "--symbols", "BTCUSDT"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "--symbols", "BTCUSDT"], 2, ["no strategy was named", "sma_cross"]),
        (["run", "--strategy", "sma_cross"], 2, ["no symbols were named", "--symbols"]),
        (
            ["run", "--strategy", "sma_cros", "--symbols", "BTCUSDT"],
            2,
            ["'sma_cros' is not known", "did you mean 'sma_cross'", "sma_extended"],
        ),
        (["run", "--strategy", "gone.py:X", "--symbols", "BTCUSDT"], 2, ["gone.py does not exist"]),
        (["run", "--strategy", "gone.py", "--symbols", "BTCUSDT"], 2, ["gone.py does not exist"]),
        (["run", "--strategy", "sma_cross", "--symbols", "BTCUSD"], 3, ["spot:BTCUSD", "did you mean BTCUSDT?"]),
        (["run", "--strategy", "sma_cross", "--symbols", "btcusdt"], 3, ["did you mean BTCUSDT?"]),
        (["run", "--strategy", "sma_cross", "--symbols", "um:ETHUSDT"], 3, ["um:ETHUSDT", "spot:ETHUSDT"]),
        (["run", "--strategy", "sma_cross", "--symbols", "a/b"], 2, ["'a/b' is not an instrument"]),
        (["run", "--strategy", "sma_cross", "--symbols", "kraken:BTCUSDT"], 2, ["'kraken'", "spot um cm option"]),
        ([*RUN[:-1], "BNBBTC"], 2, ["nothing", "what BNB is worth in USDT", "account.conversions.BNB=PRICE"]),
        ([*RUN, "--market", "sopt"], 2, ["run.market", "'sopt'", "'spot'"]),
        ([*RUN, "--timeframe", "7m"], 2, ["run.timeframe", "'7m'", "15m"]),
        ([*RUN, "--start", "yesterday"], 2, ["run.start", "yesterday", "2024-01-31"]),
        ([*RUN, "--start", "2024-01-01T01:00:00Z", "--end", "2024-01-01T01:00:00Z"], 2, ["the range is empty"]),
        ([*RUN, "--start", "2024-01-02", "--end", "2024-01-01"], 2, ["the range is empty"]),
        ([*RUN, "--start", "2025-01-01", "--end", "2025-02-01"], 3, ["it has", "2024-01-01"]),
        ([*RUN, "--start", "2025-01-01"], 3, ["it has", "2024-01-01"]),
        ([*RUN, "--end", "2023-01-01"], 3, ["it has", "2024-01-01"]),
        (
            [*RUN, "--end", "2024-01-01T05:00:00Z"],
            3,
            ["60 candles are missing", "2024-01-01T04:00:00Z", "--gap-policy", "continue"],
        ),
        (["run", "--strategy", "sma_cross", "--symbols", "SOLUSDT"], 3, ["3 candles", "2024-01-01T01:40:00Z"]),
        ([*RUN, "-p", "fast"], 2, ["-p 'fast' is not key=value", "fast=20"]),
        ([*RUN, "-p", "fast=soon"], 2, ["fast", "'soon'"]),
        ([*RUN, "-p", "fst=5"], 2, ["unknown key 'fst'", "did you mean 'fast'", "slow"]),
        ([*RUN, "-p", "fast=60", "-p", "slow=50"], 2, ["fast (60) must be less than slow (50)"]),
        ([*RUN, "-p", "quantity=0"], 2, ["quantity", "greater than 0"]),
        ([*RUN, "--set", "fees.taker_bps"], 2, ["--set", "is not key=value"]),
        ([*RUN, "--set", "fees.taker_bps=cheap"], 2, ["fees.taker_bps", "'cheap'"]),
        ([*RUN, "--set", "fees.taker_bp=3"], 2, ["unknown key 'fees.taker_bp'", "did you mean 'taker_bps'"]),
        ([*RUN, "--set", "fee.taker_bps=3"], 2, ["unknown key 'fee'", "did you mean 'fees'"]),
        ([*RUN, "--set", "a b=3"], 2, ["is not a dotted key"]),
        ([*RUN, "--set", "account.initial_cash=0"], 2, ["account.initial_cash", "greater than 0"]),
        ([*RUN, "--set", "account.initial_cash=nan"], 2, ["account.initial_cash"]),
        ([*RUN, "--set", "slippage.bps=-1"], 2, ["slippage.bps"]),
        ([*RUN, "--set", "execution.max_wait=0"], 2, ["execution.max_wait"]),
        ([*RUN, "--set", "execution.stop_through=maybe"], 2, ["execution.stop_through", "'reject'", "'market'"]),
        ([*RUN, "--set", 'instruments."spot:BTCUSDT".tick=1'], 2, ["tick", "did you mean 'tick_size'"]),
        ([*RUN, "--seed", "lucky"], 2, ["--seed", "integer"]),
        ([*RUN, "--seed", "-1"], 2, ["run.seed", "-1"]),
        ([*RUN, "--config", "gone.toml"], 2, ["gone.toml does not exist"]),
        ([*RUN, "--params", "gone.toml"], 2, ["gone.toml does not exist"]),
        ([*RUN, "--risk", "gone.toml"], 2, ["gone.toml does not exist"]),
        ([*RUN, "--set", "risk.max_leverage=-1"], 2, ["risk.max_leverage", "greater than or equal to 0"]),
        ([*RUN, "--speed", "9"], 2, ["--speed"]),
        (["rnu"], 2, ["rnu"]),
        (["replay"], 2, ["Missing argument", "bt replay --help"]),
        (["replay", "runs/none"], 2, ["there is no run runs/none"]),
        (["replay", "runs/none", "--verify", "--events"], 2, ["give one"]),
    ],
    ids=lambda value: " ".join(value[-3:]) if isinstance(value, list) and value and len(value) > 1 else None,
)
def test_a_mistake_is_answered_in_one_message(
    tmp_path: Path, lake: Path, arguments: list[str], code: int, says: list[str]
) -> None:
    said = bt(*arguments, *(["--data", lake, "--runs", "runs"] if arguments[0] == "run" else []))
    assert said.code == code, said.err
    for text in says:
        assert text in said.message
    assert said.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[fees]\ntaker_bp = 5\n", ["wrong.toml", "unknown key 'fees.taker_bp'", "did you mean 'taker_bps'"]),
        ("[fees]\ntaker_bps = true\n", ["fees.taker_bps"]),
        ('[account]\ninitial_cash = "lots"\n', ["account.initial_cash", "'lots'"]),
        ("[risk]\nallow_short = 3\n", ["risk.allow_short", "3"]),
        ("[run]\nseed = 1.5\n", ["run.seed", "1.5"]),
        ("fees = 7\n", ["fees", "7"]),
        ("[run\n", ["wrong.toml is not valid TOML", "line 1"]),
        ("\x00", ["wrong.toml"]),
        (
            "[fees]\nmaker_bps = 1\ntaker_bps = 1\ntiers = [{volume = 5, maker_bps = 1, taker_bps = 1}, "
            "{volume = 4, maker_bps = 1, taker_bps = 1}]\n",
            ["tiers must have ascending volumes"],
        ),
    ],
)
def test_a_wrong_config_names_the_key_and_what_is_allowed(
    tmp_path: Path, lake: Path, toml: str, says: list[str]
) -> None:
    (tmp_path / "wrong.toml").write_text(toml)
    said = bt(*RUN, "--config", "wrong.toml", "--data", lake)
    assert said.code == 2
    for text in says:
        assert text in said.message
    assert not (tmp_path / "runs").exists()


def test_a_lake_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    said = bt(*RUN, "--data", "nowhere")
    assert said.code == 3
    assert "nowhere" in said.message
    assert "bt data sample --data nowhere" in said.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "code", "says"),
    [
        ("class Other: ...\n", 2, ["mine.py:Mine"]),
        ("from backtester.strategy.base import Strategy\nclass Mien(Strategy): ...\n", 2, ["'Mine'", "Mien"]),
        ("Mine = 7\n", 2, ["mine.py:Mine is not a Strategy"]),
        ("def broken(:\n", 1, ["mine.py, line 1", "SyntaxError"]),
        ("x = 1\ny = x / 0\n", 1, ["mine.py, line 2", "ZeroDivisionError"]),
        ("import no_such_module_anywhere\n", 1, ["mine.py, line 1", "no_such_module_anywhere"]),
    ],
)
def test_a_strategy_file_that_cannot_be_used(
    tmp_path: Path, lake: Path, source: str, code: int, says: list[str]
) -> None:
    (tmp_path / "mine.py").write_text(source)
    said = bt("run", "--strategy", "mine.py:Mine", "--symbols", "BTCUSDT", "--data", lake)
    if source.startswith("class Other"):
        says = ["mine.py has no class 'Mine'"]
    assert said.code == code, said.err
    for text in says:
        assert text in said.message
    assert not (tmp_path / "runs").exists()


def test_a_strategy_that_raises_is_named_with_candle_and_line(tmp_path: Path, lake: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from backtester.strategy.base import Strategy\n\n\n"
        "class Mine(Strategy):\n"
        "    def on_candle(self, candle):\n"
        "        if candle.open_time % 3_600_000_000 == 600_000_000:\n"
        "            return [self.buy(candle.symbol, 1)][7]\n"
    )
    said = bt("run", "--strategy", "mine.py:Mine", "--symbols", "BTCUSDT", "--data", lake, "--json")
    assert said.code == 1
    for text in ("Mine", "on_candle", "1m candle spot:BTCUSDT 2024-01-01T00:10:00Z", "mine.py, line 7", "IndexError"):
        assert text in said.message
    assert said.json["status"] == "failed"
    assert "IndexError" in said.json["error"]
    assert bt("replay", said.json["path"]).code == 0
    assert bt("replay", said.json["path"], "--verify").code == 0
    assert "failed" in bt("replay", said.json["path"]).out


def test_a_partition_that_is_not_the_recorded_one(tmp_path: Path, lake: Path) -> None:
    broken = shutil.copytree(lake, tmp_path / "broken")
    [file] = (broken / "spot/klines/BTCUSDT/1m").rglob("*.parquet")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    said = bt(*RUN, "--data", broken)
    assert said.code == 3
    assert "spot:BTCUSDT" in said.message
    assert file.name in said.message
    assert "bt data verify" in said.message
    assert not list(tmp_path.glob("runs/.*"))


def test_a_gap_is_run_over_when_that_is_asked_for(tmp_path: Path, lake: Path) -> None:
    said = bt(
        "run", "--strategy", "sma_cross", "--symbols", "SOLUSDT", "--data", lake, "--gap-policy", "continue", "--json"
    )
    assert said.code == 0, said.err
    assert any("3 candles are missing" in warning for warning in said.json["warnings"])


def test_a_runs_folder_below_a_file_cannot_be_made(tmp_path: Path, lake: Path) -> None:
    (tmp_path / "file").write_text("mine")
    said = bt(*RUN, "--data", lake, "--runs", "file/runs")
    assert said.code == 2
    assert "file/runs cannot be written" in said.message
    assert "--runs DIR" in said.message
    assert (tmp_path / "file").read_text() == "mine"


def test_money_beyond_what_the_tables_hold_is_a_mistake_of_the_config(tmp_path: Path, lake: Path) -> None:
    said = bt(*RUN, "--data", lake, "--set", "account.initial_cash=1000000000000")
    if said.code:  # allowed, or refused as a mistake that the user can mend; never a bug, never half a folder
        assert said.code == 2
        assert "initial_cash" in said.message
    assert not list(tmp_path.glob("runs/.*"))
