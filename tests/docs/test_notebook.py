"""The example notebook in a real kernel, and what only a kernel shows of the API."""

from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
NOTEBOOK = ROOT / "docs" / "first_notebook.ipynb"

pytestmark = pytest.mark.filterwarnings("ignore")  # of the kernel's own libraries


def executed(notebook: Any, folder: Path) -> Any:
    client = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3")
    return client.execute(cwd=str(folder))


def outputs(cell: Any) -> str:
    return "\n".join(str(output) for output in cell.outputs)


def cells(*sources: str) -> Any:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])


def test_the_example_notebook_runs_from_top_to_bottom(desk: Path) -> None:
    done = executed(nbformat.read(NOTEBOOK, as_version=4), desk)
    code = [cell for cell in done.cells if cell.cell_type == "code"]
    shown = {cell.source.splitlines()[-1]: cell for cell in code}
    for last in ("run", "mine"):  # a run shows itself as a table
        [output] = shown[last].outputs
        assert "how sure" in output.data["text/html"]
    for plot in ("run.plot.equity()", 'run.plot.price("BTCUSDT")'):
        [output] = shown[plot].outputs
        assert len(output.data["image/png"]) > 10_000
    assert "breakout" in outputs(shown['mine.explain("trade:1")'])
    assert not outputs(shown["mine.verify()"])
    assert len(list((desk / "runs").glob("2*"))) == 6


def test_the_example_notebook_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]


def test_in_a_kernel_the_stop_button_seals_a_run_and_a_mistake_shows_its_hint(desk: Path) -> None:
    done = executed(
        cells(
            "import asyncio, os, signal, threading\nimport backtester as bt\nassert asyncio.get_running_loop()",
            "class Stops(bt.Strategy):\n"
            "    def on_candle(self, candle):\n"
            "        self.n = getattr(self, 'n', 0) + 1\n"
            "        if self.n == 100:\n"
            "            os.kill(os.getpid(), signal.SIGINT)\n",
            "try:\n    bt.run(Stops, 'BTCUSDT')\n"
            "except bt.BacktesterError as error:\n    print(error, *error.__notes__)",
            "print(bt.load_run('latest').status)",
            "try:\n    bt.run('sma_cros', 'BTCUSDT')\nexcept bt.BacktesterError as error:\n    print(error.__notes__)",
        ),
        desk,
    )
    said = [outputs(cell) for cell in done.cells]
    assert "the run was interrupted" in said[2]
    assert "bt.load_run(" in said[2]
    assert "interrupted" in said[3]
    assert "did you mean" in said[4]
