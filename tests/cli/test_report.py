"""`bt report`, and the page and pictures that `bt run` writes."""

import json
import shutil
from pathlib import Path

import pytest

from backtester.engine.reporting import writing
from tests.support.cli import bt

PLOTS = ["drawdown.png", "equity.png", "price-spot-BTCUSDT.png"]


def run(lake: Path, *more: str, reports: bool = True) -> dict[str, object]:
    given = ("--strategy", "sma_cross", "--symbols", "BTCUSDT", "--data", lake, "-p", "fast=3", "-p", "slow=9")
    said = bt("run", *given, "--json", *more, reports=reports)
    assert said.code == 0, said.err
    assert said.err == ""
    return said.json


@pytest.fixture(scope="module")
def sealed(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without page and pictures."""
    runs = tmp_path_factory.mktemp("runs")
    return Path(str(run(lake, "--runs", str(runs), reports=False)["path"]))


@pytest.fixture
def copy(sealed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sealed, tmp_path / "runs" / sealed.name))


def pictures(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("plots/*.png") if path.name != "months.png")


def test_a_run_writes_its_page_and_pictures_and_says_where_the_page_is(lake: Path) -> None:
    said = run(lake)
    folder = Path(str(said["path"]))
    assert said["report"] == str(folder / "report.html")
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    assert pictures(folder) == PLOTS
    assert bt("replay", folder, "--verify").code == 0


@pytest.mark.parametrize(
    ("options", "page", "plots"),
    [
        (["--no-report"], False, False),
        (["--no-plots"], True, False),
        (["--set", "report.plots=false", "--set", "report.html=false"], False, False),
    ],
)
def test_either_can_be_left_out(lake: Path, options: list[str], page: bool, plots: bool) -> None:
    said = run(lake, *options)
    folder = Path(str(said["path"]))
    assert (folder / "report.html").is_file() is page
    assert bool(said["report"]) is page
    assert bool(pictures(folder)) is plots


def test_a_page_made_again_is_the_same_file_and_changes_nothing_of_the_run(copy: Path) -> None:
    before = {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()}
    first = bt("report", copy, "--json").json
    assert {Path(path).name for path in first["written"]} >= {"report.html", *PLOTS}
    made = {path: Path(path).read_bytes() for path in first["written"]}
    assert bt("report", copy).code == 0
    assert {path: Path(path).read_bytes() for path in made} == made
    assert {name: (copy / name).read_bytes() for name in before} == before
    assert bt("replay", copy).code == 0


def test_a_report_that_fails_leaves_the_run_and_says_what_to_do(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise RuntimeError("no ink")

    monkeypatch.setattr(writing, "page", broken)
    given = ("--strategy", "sma_cross", "--symbols", "BTCUSDT", "--data", lake, "-p", "fast=3", "-p", "slow=9")
    said = bt("run", *given, "--json", reports=True)
    assert said.code == 0
    assert said.json["status"] == "complete"
    assert said.json["report"] is None
    folder = said.json["path"]
    assert "note: report and plots could not be written: RuntimeError: no ink" in said.err
    assert f"bt report {folder} writes them" in " ".join(said.err.split())
    assert bt("replay", folder).code == 0


def test_a_folder_that_cannot_be_written_is_one_message(copy: Path) -> None:
    (copy / "plots").write_text("in the way")
    said = bt("report", copy)
    assert said.code == 2
    assert "plots" in said.message


def test_leaving_out_all_is_refused_unless_tables_are_asked_for(copy: Path) -> None:
    said = bt("report", copy, "--no-report")
    assert said.code == 2
    assert "leaves nothing to write" in said.message
    written = bt("report", copy, "--no-report", "--csv", "--json").json["written"]
    assert [Path(path).name for path in written] == ["trades.csv", "equity.csv"]


def test_a_lake_that_moved_is_named_or_its_absence_said(copy: Path, lake: Path, tmp_path: Path) -> None:
    config = (copy / "config.toml").read_text().replace(str(lake), str(tmp_path / "gone"))
    (copy / "config.toml").write_text(config)
    assert bt("report", copy, "--no-plots").code == 0
    assert facts(copy)["prices"][0]["why"] == "the lake that the run read is not there"
    assert bt("report", copy, "--no-plots", "--data", lake).code == 0
    assert facts(copy)["prices"][0]["table"] == "candles-0"


def facts(folder: Path) -> dict[str, list[dict[str, object]]]:
    text = (folder / "report.html").read_text()
    found: dict[str, list[dict[str, object]]] = json.loads(text.partition('id="facts">')[2].partition("</script>")[0])
    return found
