"""The one rewrite of the command line."""

import pytest

from backtester.cli.argv import rewritten, split_list
from tests.support.cli import bt


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("run --symbols A B --timeframe 15m", "run --symbols A,B --timeframe 15m"),
        ("run --timeframe 15m --symbols A B", "run --timeframe 15m --symbols A,B"),
        ("run --json --symbols A B C --seed 3 --symbols D", "run --json --symbols A,B,C --seed 3 --symbols D"),
        ("run --symbols A", "run --symbols A"),
        ("run --symbols A,B C", "run --symbols A,B,C"),
        ("run --symbols --json", "run --symbols --json"),
        ("run -p fast=5 --symbols A B -p slow=7", "run -p fast=5 --symbols A,B -p slow=7"),
        ("--strategy x --symbols A B", "run --strategy x --symbols A,B"),
        ("-p fast=3 --strategy x", "run -p fast=3 --strategy x"),
        ("--help", "--help"),
        ("-h", "-h"),
        ("--version", "--version"),
        ("", ""),
        ("data ls --data x", "data ls --data x"),
        ("replay runs/x --verify", "replay runs/x --verify"),
        ("run --symbols A -- B", "run --symbols A -- B"),
    ],
)
def test_lists_are_joined_and_run_is_put_in_where_it_is_meant(typed: str, meant: str) -> None:
    assert rewritten(typed.split()) == meant.split()


@pytest.mark.parametrize(
    ("values", "single"),
    [(["A,B"], ["A", "B"]), (["A", "B,C"], ["A", "B", "C"]), (["A, B ,"], ["A", "B"]), ([], []), ([","], [])],
)
def test_lists_are_split_at_commas(values: list[str], single: list[str]) -> None:
    assert split_list(values) == single


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--strategy", "sma_cross", "--symbols", "BTCUSDT", "ETHUSDT", "--timeframe", "15m"],
        ["run", "--timeframe", "15m", "--symbols", "ETHUSDT", "BTCUSDT", "--strategy", "sma_cross"],
        ["run", "--symbols", "BTCUSDT", "--timeframe", "15m", "--symbols", "ETHUSDT", "--strategy", "sma_cross"],
        ["run", "--symbols=BTCUSDT,ETHUSDT", "--timeframe=15m", "--strategy=sma_cross"],
        ["--symbols", "BTCUSDT,ETHUSDT", "--strategy", "sma_cross", "--timeframe", "15m"],
        ["--strategy", "sma_cross", "--timeframe", "15m", "--symbols", "spot:ETHUSDT", "BTCUSDT"],
    ],
)
def test_every_way_to_name_two_symbols_is_the_same_run(lake, arguments: list[str]) -> None:  # type: ignore[no-untyped-def]
    said = bt(*arguments, "-p", "fast=2", "-p", "slow=4", "--data", lake, "--json")
    assert said.code == 0, said.err
    reference = bt(
        *("run", "--strategy", "sma_cross", "--set", 'run.symbols=["BTCUSDT","ETHUSDT"]', "--timeframe", "15m"),
        *("-p", "fast=2", "-p", "slow=4", "--data", lake, "--json"),
    )
    assert said.json["digest"] == reference.json["digest"]
