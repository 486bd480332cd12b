"""The probes that must not know of one another, made from a process in which the strategy has seen nothing yet.

What a strategy keeps while it runs over all data (in a module, its class, the namespace of a library, another strategy)
would betray a future that was taken away. So this process prepares the run and never runs it: each probe is made in a
fork of it, or in a further process where there are no forks. `python -m backtester.engine.check.clean REQUEST`.
"""

import multiprocessing
import pickle
import sys
from collections.abc import Collection
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import msgspec

from backtester.config.configs import BacktestConfig
from backtester.core.errors import BacktesterError, StrategyError
from backtester.engine.check.forks import Forks
from backtester.engine.check.respawns import Reached, Respawns
from backtester.engine.check.spawning import REPORT, ChildFailed, ask_apart, patience_s
from backtester.engine.check.steps import NOT_REPEATABLE, Step, cuts, frames, warmup
from backtester.engine.check.subject import CheckOptions, Finding, StepResult, Subject, scratch
from backtester.engine.garbage import rarely_collected
from backtester.engine.prepare import prepare
from backtester.strategy.signals.strategy import SignalStrategy

CLEAN: Final[dict[str, Step]] = {"frames": frames, "cuts": cuts, "warmup": warmup}
_MODULE: Final = "backtester.engine.check.clean"
_PROBES_A_CUT: Final = 5  # of a signal


class StepsRequest(msgspec.Struct, frozen=True):
    """Which steps to take. config: resolved, as JSON. log: of the whole run. folder: for what passes between processes.

    only: the numbers of the one task to do, where there are no forks.
    """

    config: str
    relative_to: str | None
    log: str
    folder: str
    steps: list[str]
    options: CheckOptions
    seconds: float
    only: tuple[int, int] | None = None


class StepsReport(msgspec.Struct, frozen=True):
    """What came of it. error, hint: why the steps could not be taken."""

    results: list[StepResult]
    error: str = ""
    hint: str = ""


def take_apart(subject: Subject, left_out: Collection[str]) -> list[StepResult]:
    """Take the steps that make probes, but those left out, in processes that have not seen what the run saw.

    Raises:
        Interrupted: the user stopped it.
    """
    names = [name for name in CLEAN if name not in left_out]
    if not any(issubclass(sleeve.found.cls, SignalStrategy) for sleeve in subject.run.sleeves):
        names.remove("frames")
    if not names:
        return []
    relative = None if subject.relative_to is None else str(subject.relative_to.absolute())
    options = subject.options
    with scratch() as folder:
        request = StepsRequest(
            *(subject.run.config.model_dump_json(), relative, str(subject.log.absolute()), str(folder), names),
            *(options, subject.seconds),
        )
        probes = _PROBES_A_CUT * options.cuts + 2
        try:
            answer = ask_apart(
                *(_MODULE, request, folder),
                hash_seed=options.seed,  # as the watched run, which was the same: no set has another order
                timeout_s=patience_s(subject.seconds) * probes,
            )
            report = msgspec.json.decode(answer, type=StepsReport)
        except ChildFailed as error:
            report = StepsReport([], error.message, error.hint)
    if not report.error:
        return report.results
    broken = Finding(NOT_REPEATABLE, f"{subject.name}: {report.error}", report.hint)
    return [*report.results, StepResult("probes", findings=[broken])]


def _steps_taken(request: StepsRequest, apart: Any) -> StepsReport:
    results: list[StepResult] = []
    relative_to = None if request.relative_to is None else Path(request.relative_to)
    try:
        run = prepare(BacktestConfig.model_validate_json(request.config), relative_to=relative_to)
        subject = Subject(
            *(run, Path(request.log), request.options, request.seconds, relative_to),
            *(lambda *_: nullcontext(), apart),
        )
        with rarely_collected():
            for name in request.steps:
                results.append(CLEAN[name](subject))
    except BacktesterError as error:
        return StepsReport(results, error.message, error.hint)
    return StepsReport(results)


def respawning(request: StepsRequest) -> Respawns:
    """Return what does tasks where processes cannot be forked."""
    patience = patience_s(request.seconds)

    def spawn(task: tuple[int, int]) -> Any:
        with scratch() as folder:
            asked = msgspec.structs.replace(request, only=task)
            answer = ask_apart(_MODULE, asked, folder, hash_seed=request.options.seed, timeout_s=patience)
        well, found = pickle.loads(answer)
        if not well:
            raise StrategyError(found)
        return found

    return Respawns(Path(request.folder), spawn, request.only)


def main() -> None:
    """Do what the request in the file that is named says, and write the report beside it."""
    path = Path(sys.argv[1])
    request = msgspec.json.decode(path.read_bytes(), type=StepsRequest)
    report = path.with_name(REPORT)
    if request.only is None and "fork" in multiprocessing.get_all_start_methods():
        forks = Forks(request.options.processes, patience_s(request.seconds))
        report.write_bytes(msgspec.json.encode(_steps_taken(request, forks)))
        return
    try:
        steps = _steps_taken(request, respawning(request))
    except Reached as reached:
        report.write_bytes(pickle.dumps((True, reached.result)))
        return
    answer = msgspec.json.encode(steps) if request.only is None else pickle.dumps((False, steps.error))
    report.write_bytes(answer)


if __name__ == "__main__":
    main()
