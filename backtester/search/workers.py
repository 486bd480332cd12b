"""Trials over processes. What they come to does not depend on how many there are."""

import multiprocessing
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import NamedTuple

from backtester.config.configs import BacktestConfig
from backtester.core.errors import BacktesterError, EngineError, Interrupted
from backtester.engine.run import Stopping
from backtester.search.grid import Combination
from backtester.search.outcome import Outcome
from backtester.search.pool import ended
from backtester.search.subject import Subject
from backtester.search.trial import run_trial

_OWN: dict[str, "_Worker"] = {}  # of a process that works for a sweep


class Job(NamedTuple):
    """A combination for the event engine. bail: why the kernel did not do it."""

    combination: Combination
    bail: str = ""


class _Asked:
    """A wish to stop that comes from another process."""

    def __init__(self, event: Event) -> None:
        self._event = event

    @property
    def asked(self) -> bool:
        return self._event.is_set()


class _Worker(NamedTuple):
    subject: Subject
    stop: _Asked


def _begin(config: str, relative_to: Path | None, event: Event) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the first process says what it means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _OWN["worker"] = _Worker(Subject(BacktestConfig.model_validate_json(config), relative_to), _Asked(event))


def _work(job: Job) -> Outcome:
    worker = _OWN["worker"]
    return one_trial(worker.subject, job, worker.stop)


def one_trial(subject: Subject, job: Job, stop: Stopping) -> Outcome:
    """Run one combination in this process; one that cannot be prepared is a failed one.

    Raises:
        Interrupted: it was told to stop.
    """
    combination = job.combination
    try:
        run = subject.prepared(combination.values)
    except BacktesterError as error:
        return Outcome(number=combination.number, values=combination.values, status="failed", why=error.message)
    return run_trial(run, combination, bail=job.bail, stop=stop)[0]


def run_jobs(subject: Subject, jobs: Iterable[Job], workers: int, stop: Stopping) -> Iterator[Outcome]:
    """Yield what each job came to, in the order in which they end; when told to stop, no more than those that ended.

    Raises:
        EngineError: a process died.
    """
    if workers == 1:
        for job in jobs:
            if stop.asked:
                return
            try:
                yield one_trial(subject, job, stop)
            except Interrupted:
                return
        return
    yield from _over_processes(subject, iter(jobs), workers, stop)


def _over_processes(subject: Subject, jobs: Iterator[Job], workers: int, stop: Stopping) -> Iterator[Outcome]:
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that threads hold
    event = context.Event()
    arguments = subject.config.model_dump_json(), subject.relative_to, event
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=arguments) as pool:
        try:
            yield from ended(pool, _work, jobs, workers, stop)
        except BrokenProcessPool:
            raise EngineError(
                "a process of the sweep died, perhaps for want of memory",
                hint="what is done is kept: --resume the sweep with fewer --workers",
            ) from None
        finally:
            event.set()
            pool.shutdown(wait=True, cancel_futures=True)
