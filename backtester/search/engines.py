"""Which engine runs a combination: the compiled loop where it does all that is asked, else the event engine."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Literal

from backtester.core.errors import BacktesterError
from backtester.engine.run import Stopping
from backtester.search.grid import Combination
from backtester.search.kernel.inputs import uncovered
from backtester.search.kernel.running import KernelRuns
from backtester.search.outcome import Outcome
from backtester.search.pool import ended
from backtester.search.subject import Subject
from backtester.search.workers import Job, run_jobs

Engine = Literal["auto", "event"]


def outcomes_of(
    subject: Subject, todo: Sequence[Combination], workers: int, stop: Stopping, *, engine: Engine = "auto"
) -> Iterator[Outcome]:
    """Yield what combinations come to, in the order in which they end; when told to stop, those that ended.

    Args:
        subject: what is run.
        todo: combinations that the parameters accept.
        workers: threads of the compiled loop, then processes of the event engine.
        stop: says when to end early.
        engine: auto, or the event engine for all.
    """
    if not todo:
        return
    why = "--engine event" if engine == "event" else _why_not(subject, todo[0])
    if why:
        left = [Job(one, why) for one in todo]
    else:
        left = []
        runs = KernelRuns(subject, combinations=len(todo))
        with ThreadPoolExecutor(min(workers, len(todo))) as pool:
            for combination, found in _in_pool(pool, runs, runs.ordered(todo), workers, stop):
                if isinstance(found, Outcome):
                    yield found
                else:
                    left.append(Job(combination, found))
        left.sort(key=lambda job: job.combination.number)
    if left and not stop.asked:
        yield from run_jobs(subject, left, min(workers, len(left)), stop)


def _why_not(subject: Subject, combination: Combination) -> str:
    """Return why the loop cannot run this config; a combination that cannot be prepared says so when it runs."""
    try:
        return uncovered(subject.prepared(combination.values))
    except BacktesterError:
        return ""


def _in_pool(
    pool: Executor, runs: KernelRuns, todo: Iterable[Combination], workers: int, stop: Stopping
) -> Iterator[tuple[Combination, Outcome | str]]:
    def one(combination: Combination) -> tuple[Combination, Outcome | str]:
        return combination, runs.run(combination)

    yield from ended(pool, one, iter(todo), workers, stop)
