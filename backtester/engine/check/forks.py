"""Tasks each in a process forked from this one: what one of them learns, no other can know."""

import multiprocessing
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple, TypeVar

from backtester.core.errors import BacktesterError, StrategyError

T = TypeVar("T")

_SOON_S = 5.0  # a process that has told its result ends within that


class TaskFailed(StrategyError):
    """A task came to no result: it raised, its process ended, or it took too long."""


class _Running(NamedTuple):
    process: BaseProcess
    until: float
    number: int


class Forks:
    """Does tasks in forks of this process, some at once; see `Apart`. Results are pickled.

    Only where processes can be forked; elsewhere see `backtester.engine.check.respawns`.
    """

    def __init__(self, at_once: int, timeout_s: float) -> None:
        """timeout_s: how long one task may take."""
        self._at_once = at_once
        self._timeout_s = timeout_s

    def __call__(self, tasks: Sequence[Callable[[], T]], enough: Callable[[T], bool] | None = None) -> list[T]:
        """Do them, and stop when the results up to one that is enough are there.

        Raises:
            TaskFailed: the first that came to no result.
        """
        results: dict[int, T] = {}
        running: dict[Any, _Running] = {}
        begun, wanted = 0, len(tasks)
        try:
            while len(results) < wanted:
                while begun < wanted and len(running) < self._at_once:
                    end, one = self._begin(tasks[begun], begun)
                    running[end] = one
                    begun += 1
                for end in self._ended(running):
                    one = running.pop(end)
                    results[one.number] = found = _told(end)
                    one.process.join(_SOON_S)
                    if enough is not None and enough(found):
                        wanted = min(wanted, one.number + 1)
                results = {number: found for number, found in results.items() if number < wanted}
        finally:
            for one in running.values():
                one.process.kill()
                one.process.join()
        return [results[number] for number in range(wanted)]

    def _begin(self, task: Callable[[], Any], number: int) -> tuple[Connection, _Running]:
        forking: Any = multiprocessing.get_context("fork")
        here, there = forking.Pipe(duplex=False)
        process = forking.Process(target=_tell, args=(task, there))
        sys.stdout.flush()
        process.start()
        there.close()
        return here, _Running(process, time.monotonic() + self._timeout_s, number)

    def _ended(self, running: dict[Any, _Running]) -> list[Any]:
        patience = min(one.until for one in running.values()) - time.monotonic()
        ended = wait(list(running), max(0.0, patience))
        if not ended:
            raise TaskFailed(
                f"in a process of its own, the strategy had not ended after {self._timeout_s:.0f} s",
                hint="something in it waits: a sleep, a lock, a thread, an answer from elsewhere",
            )
        return sorted(ended, key=lambda end: running[end].number)


def _tell(task: Callable[[], Any], there: Connection) -> None:
    """Do a task and send what came of it; in the forked process."""
    try:
        there.send((True, task()))
    except BacktesterError as error:
        there.send((False, (error.message, error.hint)))
    except Exception:
        there.send((False, (f"in a process of its own, it failed: {traceback.format_exc()[-400:]}", "")))


def _told(end: Connection) -> Any:
    try:
        well, found = end.recv()
    except EOFError:
        raise TaskFailed(
            "in a process of its own, the run ended without a result", hint="a strategy must not end its process"
        ) from None
    finally:
        end.close()
    if not well:
        message, hint = found
        raise TaskFailed(message, hint=hint)
    return found
