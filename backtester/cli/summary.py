"""The screen at the end of a run, and of `bt runs show`: what came out, what it hangs on, where it is."""

from pathlib import Path
from typing import Any, Final

from backtester.cli.check import print_check
from backtester.cli.console import console
from backtester.engine.check.certificate import CERTIFICATE, UNPROVEN
from backtester.engine.check.checking import Checked
from backtester.engine.run import RunResult
from backtester.engine.run_summaries import params_of
from backtester.engine.run_texts import read_run_files, run_screen
from backtester.report.screen import ASSUMPTION, FIGURE, PLACE, TITLE, WARNING, WIDTH, Line, laid_out

_STYLES: Final = {TITLE: "bold", FIGURE: "", ASSUMPTION: "dim", WARNING: "yellow", PLACE: ""}


def result_object(result: RunResult, checked: Checked | None = None) -> dict[str, Any]:
    """Return what `--json` prints of a run; checked: what a check of it came to."""
    return {
        "run_id": result.run_id,
        "path": str(result.path),
        "status": result.status,
        "digest": result.digest,
        "metrics": result.metrics,
        "warnings": result.warnings,
        "check": UNPROVEN if checked is None else checked.verdict,
        **({"certificate": checked.certificate} if checked else {}),
        **({"error": str(result.error)} if result.error else {}),
    }


def run_object(folder: Path) -> dict[str, Any]:
    """Return what `bt runs show --json` prints: of a sealed run what `bt run --json` printed of it, and its config.

    Raises:
        UsageError: it was never sealed.
    """
    details, metrics, config, verdict = read_run_files(folder)
    return {
        "run_id": folder.name,
        "path": str(folder),
        "status": details["status"],
        "digest": details["log"]["digest"],
        "metrics": metrics,
        "warnings": details["warnings"],
        "check": verdict,
        "strategy": details["strategy"]["name"],
        "params": params_of(config),
        "range": details["range"],
        "assumptions": details["assumptions"],
        **({"error": details["error"]} if details.get("error") else {}),
    }


def print_run(folder: Path) -> None:
    """Print what a sealed run came to."""
    print_screen(run_screen(folder))
    _print_where(folder, read_run_files(folder).details)


def print_summary(result: RunResult, seconds: float, checked: Checked | None = None) -> None:
    """Print the summary of a run that has just ended; checked: what a check of it came to."""
    print_screen([line for line in run_screen(result.path) if checked is None or line.kind != PLACE])
    if checked is not None:
        print_check(checked)
    _print_where(result.path, result.details, seconds)


def print_screen(lines: list[Line]) -> None:
    """Print a screen in the width of the terminal, at most 100 columns; elsewhere in 100, without colours."""
    out = console()
    width = min(out.width, WIDTH) if out.is_terminal else WIDTH
    before: Line | None = None
    for line, text in laid_out(lines, width):
        label = line.label if line is not before and line.label else ""
        before = line
        if out.is_terminal and label:
            out.print(label, style="bold cyan", end="", markup=False)
        out.print(text[len(label) if out.is_terminal else 0 :], style=_STYLES[line.kind], markup=False)


def _print_where(folder: Path, details: dict[str, Any], seconds: float | None = None) -> None:
    out = console()
    took = "" if seconds is None else f", {seconds:.1f} s"
    out.print(f"log {details['log']['digest']}, {details['log']['lines']} lines{took}", style="dim")
    report = folder / "report.html"
    if report.is_file():
        out.print(f"report {report}", markup=False, soft_wrap=True)  # a path is copied: the terminal may break it
    out.print(f"run {folder}", markup=False, soft_wrap=True)
    out.print(f"try bt replay {folder} --verify", style="dim", markup=False, soft_wrap=True)
    if not (folder / CERTIFICATE).is_file():
        out.print(f"try bt check {folder}", style="dim", markup=False, soft_wrap=True)
