"""What is checked, and what a step of the check hands back."""

import contextlib
import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from backtester.core.apart import Apart, in_turn
from backtester.core.errors import Interrupted
from backtester.engine.prepare import PreparedRun
from backtester.engine.run import INTERRUPTED, Progress, RunResult, run_backtest

Shown = Callable[[str, PreparedRun], AbstractContextManager[Progress | None]]


class CheckOptions(NamedTuple):
    """How thorough a check is: how many cuts and processes; seed: of where the cuts are, and of the other futures."""

    cuts: int = 5
    seed: int = 1
    processes: int = 2


class Finding(NamedTuple):
    """Something that a strategy must not do, and did.

    kind: look_ahead, not_repeatable, or one of `watch.HINTS`. message: one sentence. hint: what to do. cut: UTC µs, of
    a look ahead. line: the first of the log that differs, 0 where none does.
    """

    kind: str
    message: str
    hint: str
    cut: int | None = None
    line: int = 0


@dataclass
class StepResult:
    """What one step did and found. facts: what the certificate says of it. runs: how many runs it made."""

    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    runs: int = 0


@dataclass(frozen=True)
class Subject:
    """A complete run, its log, and how to run it again.

    seconds: how long it took. relative_to: a folder in which a relative strategy file is looked for. shown: makes the
    progress of a probe, by its name. apart: makes probes that must not know of one another, and not of the whole run.
    """

    run: PreparedRun
    log: Path
    options: CheckOptions
    seconds: float
    relative_to: Path | None
    shown: Shown
    apart: Apart = in_turn

    @property
    def name(self) -> str:
        """What the run is called."""
        return self.run.name

    @contextmanager
    def probed(self, run: PreparedRun, name: str) -> Iterator[RunResult]:
        """Run again in this process, in a folder that is removed afterwards; what the strategy prints is dropped.

        Raises:
            Interrupted: the user stopped it.
        """
        gc.collect()  # of the run before, so that nothing of it can be found
        with scratch() as folder:
            with (
                self.shown(name, run) as progress,
                Path(os.devnull).open("w", encoding="utf-8") as nowhere,
                contextlib.redirect_stdout(nowhere),
            ):
                result = run_backtest(run, folder, progress=progress)
            if result.status == INTERRUPTED:
                raise Interrupted("the check was interrupted: it proves nothing")
            yield result


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder for a probe and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="bt-check-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
