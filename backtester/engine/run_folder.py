"""A run's folder: written as `.<run_id>.partial`, renamed when sealed, so that no killed run is taken for complete."""

import os
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from filelock import FileLock, Timeout

from backtester.core.errors import StorageError, UsageError

LEDGER = "trials.jsonl"  # beside the runs: what was tried, by all of them
RUNS: Final = "runs"
LATEST: Final = "latest"
_LOCK = "run.lock"
_SHOWN_SYMBOLS = 3
_SHOWN_RUNS = 5
_NAMES = "a run is named by its folder, the beginning of its name, the six digits at its end, or latest"


def new_run_id(strategy: str, symbols: Sequence[str]) -> str:
    """Return <UTC time>-<strategy>-<symbols>-<6 hex>. Nothing in the log depends on it."""
    shown = "-".join(symbols[:_SHOWN_SYMBOLS]) + (
        f"+{len(symbols) - _SHOWN_SYMBOLS}" if len(symbols) > _SHOWN_SYMBOLS else ""
    )
    name = re.sub(r"[^\w.+-]+", "_", f"{strategy}-{shown}")
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}-{secrets.token_hex(3)}"


class RunFolder:
    """The folder of a run in the making."""

    def __init__(self, runs: Path, run_id: str) -> None:
        runs = runs.absolute()  # a strategy may change the working directory
        self.final = runs / run_id
        self.partial = runs / f".{run_id}.partial"
        self.ledger = runs / LEDGER
        try:
            self.partial.mkdir(parents=True)
            self._lock = FileLock(self.partial / _LOCK)
            self._lock.acquire(timeout=0)
        except OSError as error:
            raise StorageError(
                f"the runs folder {runs} cannot be written: {error.strerror}",
                hint="choose another with --runs DIR, or change its permissions",
            ) from None

    def write(self, name: str, content: bytes) -> None:
        """Write a file, durably.

        Raises:
            StorageError: the disk is full or gone.
        """
        path = self.partial / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror}") from None

    def write_json(self, name: str, content: Any) -> bytes:
        """Write an object as indented JSON; return the bytes."""
        text = msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
        self.write(name, text)
        return text

    def seal(self) -> Path:
        """Rename the folder to its final name; from now on it counts."""
        try:
            self._lock.release()
            (self.partial / _LOCK).unlink(missing_ok=True)
            self.partial.rename(self.final)
            descriptor = os.open(self.final.parent, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StorageError(f"{self.final} cannot be sealed: {error.strerror}") from None
        return self.final

    def abandon(self) -> None:
        """Leave the partial folder as it is: it could not be sealed."""
        self._lock.release()


def dead_partials(runs: Path) -> list[Path]:
    """Return the partial folders that no living process writes: runs that were killed."""
    dead = []
    for folder in sorted(runs.glob(".*.partial")) if runs.is_dir() else []:
        try:
            with FileLock(folder / _LOCK, timeout=0):
                dead.append(folder)
        except (Timeout, OSError):
            continue
    return dead


def sealed_runs(runs: Path) -> list[Path]:
    """Return the folders of sealed runs, oldest first; of one second, as they were sealed."""
    found: list[tuple[str, int, Path]] = []
    for folder in runs.iterdir() if runs.is_dir() else ():
        if _is_sealed(folder):
            with suppress(OSError):  # somebody removes it at this moment
                sealed_at = (folder / "run.json").stat().st_mtime_ns
                found.append((folder.name.partition("-")[0], sealed_at, folder))
    return [folder for _, _, folder in sorted(found)]


def _is_sealed(folder: Path) -> bool:
    return not folder.name.startswith(".") and (folder / "audit.jsonl").is_file() and (folder / "run.json").is_file()


def runs_named(name: str, runs: Path = Path(RUNS)) -> list[Path]:
    """Return the sealed runs of a folder that a name means: the newest, or those with its beginning or six digits."""
    there = sealed_runs(runs)
    if name == LATEST:
        return there[-1:]
    return [run for run in there if name and (run.name.startswith(name) or run.name.endswith(f"-{name}"))]


def find_run(text: str | Path) -> Path:
    """Return the folder of a run.

    Args:
        text: its path; or `latest`, the beginning of its name or the six digits at its end, when only one run has them.
            Runs are looked for in the folder that the path names, else in `runs`.

    Raises:
        UsageError: there is no such run, or several; says what a partial one is.
    """
    folder = Path(text)
    if (folder / "audit.jsonl").is_file():
        return folder
    runs = folder.parent if len(folder.parts) > 1 else Path(RUNS)
    partial = folder.parent / f".{folder.name}.partial"
    if partial.is_dir():
        raise UsageError(f"the run {folder} was never sealed", hint=f"what it left can be read: bt replay {partial}")
    if folder.is_dir():
        raise UsageError(f"{folder} is not a run's folder: it has no audit.jsonl")
    meant = runs_named(folder.name, runs)
    if len(meant) == 1:
        return meant[0]
    if meant:
        shown = ", ".join(run.name for run in meant[-_SHOWN_RUNS:])
        more = f" and {len(meant) - _SHOWN_RUNS} more" if len(meant) > _SHOWN_RUNS else ""
        raise UsageError(f"{len(meant)} runs in {runs} are meant by {folder.name}: {shown}{more}", hint=_NAMES)
    if not sealed_runs(runs):
        raise UsageError(f"there is no run {folder}: {runs} holds none", hint="bt run prints the folder of each run")
    raise UsageError(f"there is no run {folder}", hint=f"bt runs ls --runs {runs} lists them; {_NAMES}")
