"""Work in a pool, a few pieces ahead of who takes the results."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Final, TypeVar

from backtester.engine.run import Stopping

_AHEAD: Final = 4  # pieces that wait for each worker
_LOOK_SECONDS: Final = 0.2
A = TypeVar("A")
B = TypeVar("B")


def ended(pool: Executor, work: Callable[[A], B], todo: Iterator[A], workers: int, stop: Stopping) -> Iterator[B]:
    """Yield the results of work in a pool as they come, a few pieces ahead; none after a wish to stop."""
    waiting: set[Future[B]] = set()
    try:
        while not stop.asked:
            while len(waiting) < workers * _AHEAD and (piece := next(todo, None)) is not None:
                waiting.add(pool.submit(work, piece))
            if not waiting:
                return
            done, waiting = wait(waiting, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    finally:
        for future in waiting:
            future.cancel()
