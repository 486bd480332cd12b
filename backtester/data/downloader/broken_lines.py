"""Lines of a table that would take others down with them, found before a CSV reader sees them."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Final

_QUOTE: Final = b'"'
_REFUSED: Final = b"broken"

Line = tuple[int, str]  # its number from 1, its text


def plain_line_ends(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a text in which every line, however it ended, ends with a line feed, so that all who count lines agree."""
    held = b""
    for chunk in chunks:
        text = held + chunk if held else chunk
        held = b"\r" if text.endswith(b"\r") else b""  # a line feed may follow in the next chunk
        if held:
            text = text[:-1]
        yield text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text
    if held:
        yield b"\n"


def without_open_quotes(text: bytes, delimiter: str) -> tuple[bytes, dict[int, str]]:
    """Return whole lines that close every quote that they open, and by their numbers those that did not.

    A reader takes what follows an open quote, line ends and good rows too, for one value. Such lines become one word,
    which cannot be split into columns, so the reader refuses them alone and the others keep their numbers.
    """
    if _QUOTE not in text:
        return text, {}
    lines, closed = text.split(b"\n"), _closed_line(delimiter)
    broken = [at for at, line in enumerate(lines) if _QUOTE in line and closed.fullmatch(line) is None]
    if not broken:
        return text, {}
    found = {at + 1: lines[at].decode("utf-8", errors="replace").strip() for at in broken}
    for at in broken:
        lines[at] = _REFUSED
    return b"\n".join(lines), found


@cache
def _closed_line(delimiter: str) -> "re.Pattern[bytes]":
    """Return what a line is that ends outside of quotes, by the reader's rules: a quote opens only at the start of a
    value, two of them inside are one, and after the closing one anything may follow.
    """
    other = f"[^{re.escape(delimiter)}]"
    value = f'(?:"(?:[^"]|"")*"(?!"){other}*|(?!"){other}*)'
    return re.compile(f"{value}(?:{re.escape(delimiter)}{value})*".encode(), re.DOTALL)


def rows_among(lines: Sequence[bytes]) -> list[Line]:
    """Return the lines that are not empty."""
    texts = [line.decode("utf-8", errors="replace").strip() for line in lines]
    return [(number, text) for number, text in enumerate(texts, start=1) if text]


def usual_columns(lines: Sequence[bytes]) -> int:
    """Return how many columns most lines have, so that a broken first line does not decide it."""
    counts = Counter(line.count(b",") + 1 for line in lines if line.strip())
    return counts.most_common(1)[0][0] if counts else 0
