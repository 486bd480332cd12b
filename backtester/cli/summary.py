"""The screen at the end of a run, and of `bt runs show`: what came out, what it hangs on, where it is."""

import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from backtester.cli.check import print_check
from backtester.cli.console import console
from backtester.core.errors import CheckFailed, UsageError
from backtester.engine.check.certificate import UNPROVEN, read_certificate
from backtester.engine.check.checking import Checked
from backtester.engine.config_snapshot import CONFIG
from backtester.engine.replay import read_run_json
from backtester.engine.run import RunResult
from backtester.report.screen import ASSUMPTION, FIGURE, PLACE, TITLE, WARNING, WIDTH, Line, laid_out, screen

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
    details, metrics, config = read_run(folder)
    return {
        "run_id": folder.name,
        "path": str(folder),
        "status": details["status"],
        "digest": details["log"]["digest"],
        "metrics": metrics,
        "warnings": details["warnings"],
        "check": _verdict(folder, details),
        "strategy": details["strategy"]["name"],
        "params": config["strategy"].get("params", {}),
        "range": details["range"],
        "assumptions": details["assumptions"],
        **({"error": details["error"]} if details.get("error") else {}),
    }


def read_run(folder: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return run.json, metrics.json and config.toml of a sealed run.

    Raises:
        UsageError: it was never sealed, or a file cannot be read.
    """
    details = read_run_json(folder)
    if details is None:
        raise UsageError(f"{folder} was never sealed: it is not a result", hint=f"bt replay {folder} reads its log")
    try:
        metrics = msgspec.json.decode((folder / "metrics.json").read_bytes())
        config = tomllib.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise UsageError(f"{folder} cannot be read: {error}", hint=f"bt replay {folder} says what is wrong") from None
    return details, metrics, config


def run_screen(folder: Path) -> list[Line]:
    """Return the screen of a sealed run."""
    details, metrics, config = read_run(folder)
    return screen(details, metrics, config, _verdict(folder, details))


def print_run(folder: Path) -> None:
    """Print what a sealed run came to."""
    print_screen(run_screen(folder))
    _print_where(folder, read_run(folder)[0])


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
        out.print(f"report {report}", markup=False)
    out.print(f"run {folder}", markup=False)
    out.print(f"try bt replay {folder} --verify", style="dim", markup=False)


def _verdict(folder: Path, details: dict[str, Any]) -> str:
    try:
        certificate = read_certificate(folder, details)
    except CheckFailed as error:
        return f"the certificate does not count: {error.message}"
    return UNPROVEN if certificate is None else str(certificate["verdict"])
