"""`bt run`, `bt check` and `bt replay` with several strategies in one config, as a user has them."""

import json
from pathlib import Path

import pytest

from tests.support.cli import ROOT, bt

OWN = """
from pathlib import Path

from backtester.strategy import Strategy


class Honest(Strategy):
    def on_candle(self, candle):
        flat = self.position(candle.instrument).is_flat
        if (candle.close > candle.open) is not flat or self.open_orders(candle.instrument):
            return None
        return [self.buy(candle.instrument, fraction=0.5)] if flat else self.close(candle.instrument)


class Reads(Honest):
    def on_candle(self, candle):
        Path(__file__).read_text()
        return super().on_candle(candle)


class Fails(Honest):
    def on_candle(self, candle):
        if candle.symbol == "ETHUSDT":
            raise RuntimeError("not this one")
        return super().on_candle(candle)
"""
CONFIG = """
[run]
symbols = ["BTCUSDT"]
start = "2024-01-01T01:00:00Z"

[[strategies]]
id = "steady"
name = "own.py:Honest"
share = 0.5

[[strategies]]
id = "other"
name = "own.py:{other}"
symbols = ["BTCUSDT", "ETHUSDT"]
timeframe = "5m"
share = 0.25
"""


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A config of two strategies in one file beside it."""
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    return write(tmp_path, "Honest")


def write(folder: Path, other: str) -> Path:
    path = folder / "book.toml"
    path.write_text(CONFIG.replace("{other}", other), encoding="utf-8")
    return path


def test_a_run_shows_what_each_made_and_is_checked_and_replayed(tmp_path: Path, lake: Path, book: Path) -> None:
    said = bt("run", "--config", book, "--data", lake, "--runs", tmp_path / "runs")
    assert said.code == 0, said.err
    assert "steady+other on BTCUSDT ETHUSDT (spot, 1m)" in said.out
    assert "reserve" in said.out
    [run] = (tmp_path / "runs").glob("2*")
    parts = json.loads((run / "run.json").read_text())["strategies"]["parts"]
    assert parts["steady"]["fills"] > 0 < parts["other"]["fills"]
    checked = bt("check", run, "--cuts", 2, "--processes", 2)
    assert checked.code == 0, checked.out
    assert "steady+other, 2024-01-01T01:00:00Z to 2024-01-01T04:00:00Z: proven" in checked.out
    replayed = bt("replay", run, "--verify")
    assert replayed.code == 0, replayed.err
    assert "ran again: the same log, byte for byte" in replayed.out


def test_a_check_finds_the_one_that_reads_a_file(lake: Path, book: Path) -> None:
    said = bt("check", "--config", write(book.parent, "Reads"), "--data", lake, "--cuts", 1, "--processes", 1, "--json")
    assert said.code == 4
    assert "other (Reads) touches what it may not (own.py, line 17)" in said.message
    assert said.json["verdict"] == "found"


def test_one_that_fails_is_named_with_its_line(lake: Path, book: Path) -> None:
    said = bt("run", "--config", write(book.parent, "Fails"), "--data", lake)
    assert said.code == 1
    assert "strategy other (Fails) failed in on_candle at the 5m candle spot:ETHUSDT" in said.message
    assert "(own.py, line 24): RuntimeError: not this one" in said.message


def test_a_band_is_made_of_three_such_runs(lake: Path, book: Path) -> None:
    said = bt("run", "--config", book, "--data", lake, "--band", "--json")
    assert said.code == 0, said.err
    assert said.json["status"] == "complete"


def test_one_strategy_on_the_command_line_is_refused(lake: Path, book: Path) -> None:
    for option in (("--strategy", "sma_cross"), ("-p", "fast=3"), ("--params", ROOT / "configs" / "sma_cross.toml")):
        said = bt("run", "--config", book, "--data", lake, *option)
        assert said.code == 2, said.out
        assert "steady, other" in said.message


def test_the_config_that_ships_runs(tmp_path: Path, lake: Path) -> None:
    said = bt("run", "--config", ROOT / "configs" / "portfolio.toml", "--data", lake, "--runs", tmp_path, "--json")
    assert said.code == 0, said.err
    assert said.json["status"] == "complete"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('id = "other"', 'id = "reserve"', "none of long, short, reserve, together"),
        ('id = "other"', 'id = "together"', "none of long, short, reserve, together"),
        ('timeframe = "5m"', 'timeframe = "7m"', "strategies.1.timeframe = '7m': not a timeframe"),
        ('"own.py:Honest"\nsymbols', '"sma_crss"\nsymbols', "[[strategies]] other: strategy 'sma_crss' is not known"),
        (
            "share = 0.25",
            "share = 0.25\nparams = { fat = 3 }",
            "[[strategies]] other: parameters of Honest: unknown key",
        ),
        ("share = 0.25", "share = 0.25\nparams = { fat = 3 }", "it takes none"),
    ],
)
def test_a_mistake_in_one_entry_says_in_which(book: Path, lake: Path, old: str, new: str, says: str) -> None:
    text = book.read_text()
    assert old in text
    book.write_text(text.replace(old, new, 1))
    said = bt("run", "--config", book, "--data", lake)
    assert said.code == 2
    assert says in said.message
    assert "function-after" not in said.message


def test_who_starts_with_nothing_and_a_range_that_moved_are_warned_of(book: Path, lake: Path) -> None:
    text = book.read_text().replace("01:00:00Z", "01:02:00Z")
    book.write_text(text + '\n[account]\nwallets = { "spot@steady:USDT" = 500 }\n')
    said = bt("run", "--config", book, "--data", lake, "--json")
    warnings = json.loads((Path(said.json["path"]) / "run.json").read_text())["warnings"]
    assert [w for w in warnings if "strategy other starts with no money" in w]
    assert [w for w in warnings if "run.start is 2024-01-01T01:02:00Z, and the run's start 2024-01-01T01:05:00Z" in w]
