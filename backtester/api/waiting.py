"""Work that runs an event loop of its own, called where one may be running already: in a notebook."""

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Generic, TypeVar

from backtester.engine.run import StopRequest

T = TypeVar("T")


class _Work(threading.Thread, Generic[T]):
    """A thread that keeps what its work returned or raised."""

    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(name="backtest", daemon=True)  # a hook that never returns must not keep the process alive
        self._work = work
        self._context = copy_context()  # a notebook finds by it the cell that prints
        self.done: list[T] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.done.append(self._context.run(self._work))
        except BaseException as error:
            self.error = error


def waited_for(work: Callable[[StopRequest], T]) -> T:
    """Return what work returns; where an event loop runs, it does its own in a thread beside it.

    An interrupt asks the work to stop and waits for that, whatever the loop would do with it; a second one does not
    wait.
    """
    stop = StopRequest()
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work(stop)
    thread = _Work(lambda: work(stop))
    with stop:
        thread.start()
        thread.join()
    if thread.error is not None:
        raise thread.error
    return thread.done[0]
