"""Tasks each in a new process, where processes cannot be forked: it comes to its task on the way that this one went."""

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class Reached(Exception):
    """The task of this process is done. result: what came of it."""

    def __init__(self, result: object) -> None:
        super().__init__()
        self.result = result


class Respawns:
    """Does tasks in processes that do all again up to their task, with the results of the earlier ones; see `Apart`.

    Tasks are known by two numbers: of the call, and within it.
    """

    def __init__(
        self, folder: Path, spawn: Callable[[tuple[int, int]], Any], only: tuple[int, int] | None = None
    ) -> None:
        """folder: where results of earlier calls lie. spawn: has a task done elsewhere. only: the one to do here."""
        self._folder = folder
        self._spawn = spawn
        self._only = only
        self._call = 0

    def __call__(self, tasks: Sequence[Callable[[], T]], enough: Callable[[T], bool] | None = None) -> list[T]:
        """Do them one after another.

        Raises:
            Reached: the one to do here is done.
        """
        call, self._call = self._call, self._call + 1
        known = self._folder / f"call-{call}.pickle"
        if self._only is not None:
            if call == self._only[0]:
                raise Reached(tasks[self._only[1]]())
            earlier: list[T] = pickle.loads(known.read_bytes())
            return earlier
        results: list[T] = []
        for number in range(len(tasks)):
            results.append(self._spawn((call, number)))
            if enough is not None and enough(results[-1]):
                break
        known.write_bytes(pickle.dumps(results))
        return results
