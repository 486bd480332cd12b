"""Tasks that must not know of one another: who does them, and where, is handed in."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Apart(Protocol):
    """Does tasks and returns what came of them, in their order, up to the first that is enough."""

    def __call__(self, tasks: Sequence[Callable[[], T]], enough: Callable[[T], bool] | None = None) -> list[T]:
        """enough: says of a result that those after it need not be known."""


def in_turn(tasks: Sequence[Callable[[], T]], enough: Callable[[T], bool] | None = None) -> list[T]:
    """Do tasks one after another right here: what one leaves in a module or a class, the next one finds."""
    found: list[T] = []
    for task in tasks:
        found.append(task())
        if enough is not None and enough(found[-1]):
            break
    return found
