"""What `run.explain` returns: the chain of causes as a tree, shown as text."""

from html import escape
from typing import Any

from backtester.engine.explain.told import Told, plain_lines


class Explanation:
    """A tree of sentences, each with the line of the log that it rests on."""

    def __init__(self, told: Told) -> None:
        self._told = told

    def as_object(self) -> dict[str, Any]:
        """Return the tree as plain values, as `bt explain --json` prints it."""
        return self._told.as_object()

    def __str__(self) -> str:
        return "\n".join(plain_lines(self._told))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f'<pre style="white-space: pre-wrap">{escape(str(self))}</pre>'
