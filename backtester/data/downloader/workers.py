"""A few threads for what releases the interpreter: unzipping, parsing, digests, Parquet."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final, Self, TypeVar

T = TypeVar("T")
U = TypeVar("U")
MOST_WORKERS: Final = 4  # each holds the rows of a file or of a partition


def worker_count() -> int:
    """Return how many threads are of use here."""
    return max(1, min(MOST_WORKERS, os.cpu_count() or 1))


class Workers:
    """Threads with a bound on what is under way, so that memory does not depend on how much there is to do.

    Use as a context manager; leaving waits for what is under way.
    """

    def __init__(self) -> None:
        self._count = worker_count()
        self._pool = ThreadPoolExecutor(self._count, thread_name_prefix="ingest")
        self._room = threading.BoundedSemaphore(self._count)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, work: Callable[..., T], *arguments: Any) -> "Future[T]":
        """Have work done by a thread; waits first while as much as there are threads is under way."""
        self._room.acquire()
        try:
            future = self._pool.submit(work, *arguments)
        except BaseException:
            self._room.release()
            raise
        future.add_done_callback(lambda _: self._room.release())
        return future

    def in_order(self, work: Callable[[T], U], items: Iterable[T]) -> Iterator[tuple[T, "Future[U]"]]:
        """Yield each item with its finished work, in order; a few items ahead are worked on meanwhile."""
        ahead: deque[tuple[T, Future[U]]] = deque()
        for item in items:
            ahead.append((item, self._pool.submit(work, item)))
            if len(ahead) > self._count:
                yield _finished(ahead.popleft())
        while ahead:
            yield _finished(ahead.popleft())


def _finished(pair: tuple[T, "Future[U]"]) -> tuple[T, "Future[U]"]:
    pair[1].exception()
    return pair


def one_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the items of an iterator, of which the next is made by a thread while one is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="ingest-ahead") as pool:
        ahead = pool.submit(next, items, None)
        while (item := ahead.result()) is not None:
            ahead = pool.submit(next, items, None)
            yield item
