"""Errors in a notebook: the hint that the command line prints beside a message stands under the traceback."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from backtester.core.errors import BacktesterError

P = ParamSpec("P")
R = TypeVar("R")


def hinted(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function with the hints of its errors as notes."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except BacktesterError as error:
            note = f"hint: {error.hint}"
            if error.hint and note not in getattr(error, "__notes__", []):
                error.add_note(note)
            raise

    return called
