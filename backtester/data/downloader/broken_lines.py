"""Lines of a table that would take others down with them, found before a CSV reader sees them."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

_QUOTE: Final = b'"'
HEAD_BYTES: Final = 1 << 16

Line = tuple[int, str]  # its number from 1, its text


def without_open_quotes(data: bytes | memoryview) -> tuple[bytes | memoryview, list[Line]]:
    """Return whole lines of a table of which each closes every quote that it opens, and those that did not.

    A reader takes what follows an open quote, line ends and good rows too, for one value. Such lines become empty, so
    the others keep their numbers.
    """
    if not _has_quotes(data):
        return data, []
    lines = bytes(data).splitlines()  # of bytes: at \n, \r\n and \r, as the reader does
    broken = [at for at, line in enumerate(lines) if line.count(_QUOTE) % 2]
    if not broken:
        return data, []
    found = [(at + 1, _text(lines[at])) for at in broken]
    for at in broken:
        lines[at] = b""
    return b"\n".join([*lines, b""]), found


def head_lines(data: bytes) -> list[str]:
    """Return the lines at the beginning of a table, without their ends; the last may be cut."""
    return [line.decode("utf-8", errors="replace") for line in data[:HEAD_BYTES].splitlines()]


def rows_among(lines: Sequence[str]) -> list[Line]:
    """Return the lines that are not empty."""
    return [(at, line.strip()) for at, line in enumerate(lines, start=1) if line.strip()]


def usual_columns(lines: Sequence[str]) -> int:
    """Return how many columns most lines have, so that a broken first line does not decide it."""
    counts = Counter(text.count(",") + 1 for _, text in rows_among(lines))
    return counts.most_common(1)[0][0] if counts else 0


def _has_quotes(data: bytes | memoryview) -> bool:
    return len(data) > 0 and bool((np.frombuffer(data, dtype=np.uint8) == ord(_QUOTE)).any())


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace").strip()
