"""The zoo: strategies that cheat, of which all are caught, and honest ones, of which none is accused."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from backtester.engine.check import spawning
from tests.support.cli import Said, bt
from tests.support.lakes import two_coins
from tests.support.nursery import Nursery

ZOO = Path(__file__).resolve().parents[2] / "zoo"
CANDLES = 200
START = "2024-01-01T00:40:00Z"

# What must see each of them; where it looks ahead, the cuts, too.
CHEATS: dict[str, dict[str, str]] = {
    "peeking": {
        "engine look_ahead": "NextClose WholeSeriesScaling MinMaxScaling CentredWindow UnclosedHigherCandle "
        "BackwardFill AsOfOpenTime SortedByFutureVolume FittedOnAllData UnconfirmedPivot MaximumToCome",
    },
    "reaching": {
        "engine look_ahead": "Referrers Frames",
        "engine": "NextCandleFromGarbage Stack ReadsTheView ReadsBelowAPosition PrintsMoney "
        "ReplacesTheBus PaysNoFees WritesIntoACandle",
        "watch": "TakesOffTheWatch",
    },
    "files": {
        "file": "ParquetInTheConstructor PolarsAtTheStart PolarsShift Dataset OpensWhenItTrades NumpyFromFile Mapped "
        "Remembers IsItThere Database",
        "engine": "TheEnginesLake",
        "process": "AnotherProgram Native",
        "network": "Network",
        "environment": "Environment GetEnvironment",
    },
    "at_import": {"file": "AtImport"},
    "keeping": {"not_repeatable": "Global ClassAttribute DefaultArgument AnotherModule"},
    "chance": {
        "clock": "WallClock FromTime Today Stopwatch Sleeper MachineZone",
        "random": "GlobalRandom GlobalChoice SeededGlobalRandom Uuid Secrets NumpyGlobalRandom SeededNumpyGlobalRandom "
        "Entropy FreshGenerator",
        "not_repeatable": "UnseededRandom SetOrder SetOfTags HashOfAName",
        "identity": "Address ProcessNumber",
        "thread": "Thread Pool",
    },
}
CAUGHT = [(file, name, seen) for file, rows in CHEATS.items() for seen, names in rows.items() for name in names.split()]
WARNED = {"UnderWarmed", "BuyAndHold"}  # honest, and told that they hang on where the run begins
WARM = {"Green", "Mean", "Exponential", "Channel", "ConfirmedPivot", "Vectors", "Frames", "Statistics"}


BASES = {"Strategy", "Mover", "Peeker", "Known"}


def classes(file: Path) -> list[str]:
    """The strategies of a file."""
    tree = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    bases = {node.name: {base.id for base in node.bases if isinstance(base, ast.Name)} for node in tree}
    return [name for name, own in bases.items() if own & BASES and name not in BASES]


def files(folder: str) -> list[Path]:
    """The files of strategies in a folder of the zoo."""
    return sorted(file for file in (ZOO / folder).glob("*.py") if file.stem != "moves")


HONEST = [(file.stem, name) for file in files("honest") for name in classes(file)]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo") / "lake"
    two_coins(folder, CANDLES, quiet=0.0)
    return folder


@pytest.fixture(scope="module", autouse=True)
def nursery() -> Iterator[None]:
    """Fork the processes of checks, which are many here."""
    forks = Nursery()
    with mock.patch.object(spawning, "subprocess", forks):
        yield
    forks.close()


def checked(lake: Path, folder: str, file: str, name: str, *options: str) -> Said:
    """Check an animal as a user would."""
    if not Path("lake").exists():
        Path("lake").symlink_to(lake)
    named = f"{ZOO / folder / file}.py:{name}"
    return bt("check", named, "--symbols", "BTCUSDT", "ETHUSDT", "--start", START, "--data", "lake", "--json", *options)


def kinds(said: Said) -> set[str]:
    return {finding["kind"] for finding in said.json["findings"]}


@pytest.mark.parametrize(("file", "name", "seen"), CAUGHT)
def test_a_strategy_that_cheats_is_caught(lake: Path, file: str, name: str, seen: str) -> None:
    more = ["-p", "lake=lake"] if file == "files" else []
    more += ["--processes", "4" if name.startswith("Set") else "1"]
    more += [] if "look_ahead" in seen else ["--cuts", "1"]
    said = checked(lake, "cheats", file, name, *more)
    assert said.code == 4, said.err
    assert kinds(said) >= set(seen.split())
    assert said.json["verdict"] == "found"
    assert name in said.message
    assert "hint:" in said.message


@pytest.mark.parametrize(("file", "name"), HONEST)
def test_an_honest_strategy_is_not_accused(lake: Path, file: str, name: str) -> None:
    said = checked(lake, "honest", file, name, "--cuts", "3", "--processes", "1")
    assert said.json["findings"] == []
    assert said.code == 0
    assert said.json["verdict"] == "proven"
    assert said.json["steps"]["cuts"]["decisions"] > 0
    if name in WARNED | WARM:
        assert bool(said.json["warnings"]) is (name in WARNED)


def test_the_zoo_is_large_enough_and_whole() -> None:
    there: Any = {(file.stem, name) for file in files("cheats") for name in classes(file)}
    assert there == {(file, name) for file, name, _ in CAUGHT}
    assert len(CAUGHT) >= 30
    assert len(HONEST) >= 30
