"""A strategy class that was written in a notebook: its run can be made again, or says why not."""

import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import backtester as bt
from backtester.api.written_strategy import WRITTEN, found_class
from backtester.core.errors import UsageError
from backtester.strategy.registry import find_strategy
from tests.support.cli import bt as command

BEGIN = """
import math
from decimal import Decimal
from pydantic import Field
import backtester as bt
"""
PLAIN = '''
class Mine(bt.Strategy):
    """Buys every tenth candle."""

    def __init__(self, params):
        super().__init__(params)
        self.seen = 0

    def on_candle(self, candle):
        self.seen += 1
        return [self.buy(candle.symbol, Decimal("1"))] if self.seen % 10 == 0 else None
'''
RICH = '''
EVERY = 10
SIZES = {"small": "1"}

def is_due(seen):
    return math.fmod(seen, EVERY) == 0

class MineParams(bt.StrategyParams):
    size: str = Field(default="small", description="how much")

class Counts(bt.Strategy):
    def count(self):
        self.seen = getattr(self, "seen", 0) + 1
        return self.seen

class Mine(Counts):
    """Buys every tenth candle."""

    Params = MineParams

    def on_candle(self, candle):
        seen = self.count()
        return [self.buy(candle.symbol, Decimal(SIZES[self.params.size]))] if is_due(seen) else None
'''


class Notebook:
    """Cells that share names, in a module without a file, with their source where Python's tools find it."""

    def __init__(self) -> None:
        self.module = ModuleType("a_notebook")
        sys.modules["a_notebook"] = self.module
        self.cells: list[str] = []

    def cell(self, source: str) -> None:
        name = f"<cell {len(self.cells)}>"
        self.cells.append(name)
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        exec(compile(source, name, "exec"), vars(self.module))

    def __getitem__(self, name: str) -> Any:
        return vars(self.module)[name]


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    opened = Notebook()
    opened.cell(BEGIN)
    yield opened
    del sys.modules["a_notebook"]
    for name in opened.cells:
        linecache.cache.pop(name, None)


@pytest.mark.parametrize("source", [PLAIN, RICH])
def test_a_run_of_a_class_from_a_notebook_is_verified_from_its_folder_alone(
    notebook: Notebook, lake: Path, source: str
) -> None:
    notebook.cell(source)
    run = bt.run(notebook["Mine"], "BTCUSDT", data=lake)
    assert len(run.fills) > 10
    assert not [warning for warning in run.warnings if "not recorded" in warning]
    assert command("replay", run.path, "--verify").code == 0
    again = find_strategy(f"{run.path / 'source' / WRITTEN}:Mine")
    assert again.cls is not notebook["Mine"]


def test_what_a_class_does_is_what_counts_not_what_was_in_the_cell_before(notebook: Notebook, lake: Path) -> None:
    """A cell that was run again with another text: the newest definition is the one that runs and is recorded."""
    notebook.cell(PLAIN)
    notebook.cell(PLAIN.replace("% 10", "% 7"))
    run = bt.run(notebook["Mine"], "BTCUSDT", data=lake)
    assert "% 7" in (run.path / "source" / WRITTEN).read_text()
    run.verify()


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (PLAIN.replace("% 10", "% STEPS[0]") + "\nSTEPS = iter([10])", "it uses STEPS, a list_iterator"),
        (
            "def made(every):\n"
            + "".join(f"    {line}\n" for line in PLAIN.replace("% 10", "% every").splitlines())
            + "    return Mine\nMine = made(10)\n",
            "Mine uses variables of the function in which it is defined",
        ),
        (PLAIN + "\nMine.on_candle = lambda self, candle: None\n", "Mine was changed after it was defined"),
        (
            PLAIN.replace("    def __init__", "    every = 10\n\n    def __init__") + "\nMine.every = 5\n",
            "Mine was changed",
        ),
    ],
)
def test_a_class_that_cannot_be_written_down_runs_all_the_same_and_says_why(
    notebook: Notebook, lake: Path, source: str, why: str
) -> None:
    notebook.cell(source)
    found = found_class(notebook["Mine"])
    assert why in found.unrecorded
    assert not found.written


def test_verifying_a_run_whose_source_is_not_there_says_so(notebook: Notebook, lake: Path) -> None:
    notebook.cell(PLAIN)
    linecache.cache.pop(notebook.cells[-1])
    run = bt.run(notebook["Mine"], "BTCUSDT", data=lake)
    assert "the source of Mine was not recorded, the source of Mine is not there" in run.warnings[-1]
    with pytest.raises(UsageError, match="cannot be run again: the source of Mine was not recorded"):
        run.verify()
    assert command("replay", run.path).code == 0
    assert command("replay", run.path, "--verify").code == 2


def test_modules_beside_a_notebook_are_kept_with_the_run(
    notebook: Notebook, lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helpers = tmp_path / "beside"
    helpers.mkdir()
    (helpers / "due_times.py").write_text("def is_due(seen):\n    return seen % 10 == 0\n")
    monkeypatch.syspath_prepend(str(helpers))
    notebook.cell("from due_times import is_due\n" + PLAIN.replace("self.seen % 10 == 0", "is_due(self.seen)"))
    run = bt.run(notebook["Mine"], "BTCUSDT", data=lake)
    (helpers / "due_times.py").unlink()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("due_times")
    assert (run.path / "source" / "due_times.py").is_file()
    assert command("replay", run.path, "--verify").code == 0
    sys.modules.pop("due_times", None)


def test_a_class_of_a_module_with_a_file_is_kept_by_that_file(
    tmp_path: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_strategies.py").write_text(BEGIN + PLAIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    from own_strategies import Mine  # type: ignore[import-not-found]

    found = found_class(Mine)
    assert (found.file, found.written) == (tmp_path / "own_strategies.py", {})
    run = bt.run(Mine, "BTCUSDT", data=lake)
    (tmp_path / "own_strategies.py").write_text("")
    assert command("replay", run.path, "--verify").code == 0
    sys.modules.pop("own_strategies", None)


def test_a_class_that_ships_goes_by_its_name() -> None:
    assert found_class(find_strategy("trend_following").cls).name == "trend_following"
    with pytest.raises(UsageError, match="neither a name nor a Strategy class"):
        found_class(dict)  # type: ignore[arg-type]
