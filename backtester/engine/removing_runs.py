"""Removing runs: only what is a run's folder, and nothing that somebody writes."""

import shutil
import time
from pathlib import Path
from typing import Final

from backtester.core.errors import StorageError, UsageError
from backtester.core.time import SECOND, span_us
from backtester.engine.run_folder import dead_partials, find_run
from backtester.engine.run_summaries import summaries

KILLED: Final = "killed"
STATUSES: Final = ("complete", "interrupted", "failed", KILLED)


def named_runs(names: list[str], runs: Path) -> list[Path]:
    """Return the folders of runs by name, each once; a name without a folder before it is looked for in `runs`.

    Raises:
        UsageError: there is no such run, it is no run's folder, or somebody writes it.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        folder = _run_folder(path if len(path.parts) > 1 or path.is_absolute() else runs / name)
        if folder not in found:
            found.append(folder)
    return found


def _run_folder(path: Path) -> Path:
    if path in dead_partials(path.parent):
        return path
    folder = find_run(path)
    if folder.is_symlink() or not (folder / "run.json").is_file():
        raise UsageError(
            f"{folder} is not the folder of a sealed run", hint="bt runs rm removes sealed runs, and killed ones"
        )
    return folder


def matching_runs(runs: Path, older_than: str, status: str) -> list[Path]:
    """Return the folders in `runs` of what is older than a span (30d, 12h) and has a status; empty means any.

    killed: what was never sealed and nobody writes any more.

    Raises:
        UsageError: the span or the status is none.
    """
    before = ""
    if older_than:
        try:
            before = _stamp(time.time_ns() // 1000 - span_us(older_than))
        except ValueError as error:
            raise UsageError(f"--older-than: {error}") from None
    if status and status not in STATUSES:
        raise UsageError(f"there is no status {status!r}", hint=f"allowed: {', '.join(STATUSES)}")
    found = [
        runs / row["run_id"]
        for row in summaries(runs).rows
        if status in ("", row["status"]) and (not before or row["run_id"] < before)
    ]
    if status == KILLED:
        found = [folder for folder in dead_partials(runs) if not before or folder.name[1:] < before]
    return found


def _stamp(now: int) -> str:
    """Return an instant as run ids begin."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now // SECOND))


def size_of(folder: Path) -> int:
    """Return how many bytes the files of a folder have."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())


def remove_runs(folders: list[Path]) -> None:
    """Remove folders of runs, and their rows of the summary. One that is half removed is no run any more.

    Raises:
        StorageError: a folder cannot be removed.
    """
    for folder in folders:
        gone = folder.with_name(f".{folder.name.lstrip('.')}.removed")
        try:
            folder.rename(gone)
            shutil.rmtree(gone)
        except OSError as error:
            raise StorageError(f"{folder} cannot be removed: {error.strerror}") from None
    for runs in {folder.parent for folder in folders}:
        summaries(runs)
