"""Texts of others, as strategies write them, made fit to be shown: nothing in them steers a terminal or a reader."""

from typing import Final
from unicodedata import category

_STEERING: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # controls, directions, surrogates, breaks of lines


def printable(text: str) -> str:
    """Return a text with its control characters written out: an escape is shown as \\x1b."""
    if text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if category(c) in _STEERING else c for c in text)
