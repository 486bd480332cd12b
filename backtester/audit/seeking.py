"""Looking things up in a log without reading it all: by number, by time, and by what its lines mention.

Both `seq` and `tick` only rise from line to line, so a line is found by bisection over the bytes of the file; no index
is kept. What is looked for by content is read in blocks of a fixed size: memory does not grow with the log. The chain
is not checked here; `read_log` does that.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from backtester.audit.reader import LogLine
from backtester.core.errors import CheckFailed, UsageError

_BLOCK_BYTES: Final = 4 * 1024 * 1024
_HEAD: Final = re.compile(rb'\{"seq":(\d+),"tick":(-?\d+),')
_decode = msgspec.json.Decoder(LogLine).decode


class LogFile:
    """A log on disk, read only. A last line without newline, as a killed run leaves it, is not there.

    Raises:
        UsageError: there is no log.
        CheckFailed: a line that was looked at is no log line; names where.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise UsageError(f"the log {path} cannot be read: {error.strerror}") from None
        self._end = self._whole_lines_end()

    def line(self, seq: int) -> LogLine | None:
        """Return the line with a number, or None."""
        found = next(self.lines(self.offset_of(seq)), None)
        return found if found is not None and found.seq == seq else None

    def offset_of(self, seq: int) -> int:
        """Return the offset of the line with a number; the end of the log when there is none."""
        return self._first(lambda number, _: number >= seq)

    def last(self) -> LogLine | None:
        """Return the last line; None when the log is empty."""
        begin = self._line_start(self._end - 1) if self._end else 0
        return next(self.lines(begin), None)

    def at(self, tick: int) -> int:
        """Return the offset of the first line whose tick is `tick` or later; the end of the log when there is none."""
        return self._first(lambda _, at: at >= tick)

    def before(self, offset: int) -> LogLine | None:
        """Return the line that ends at an offset of a line's beginning; None at the beginning of the log."""
        return next(self.lines(self._line_start(offset - 1)), None) if offset else None

    def lines(self, offset: int = 0) -> Iterator[LogLine]:
        """Yield the lines from the offset of a line's beginning on."""
        with self.path.open("rb") as file:
            file.seek(offset)
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                yield self._decoded(raw)

    def mentioning(self, needles: Sequence[bytes], offset: int = 0, end: int | None = None) -> Iterator[LogLine]:
        """Yield the lines in whose bytes any of the needles stands, from an offset on and before another."""
        rest = b""
        with self.path.open("rb") as file:
            file.seek(offset)
            left = (self._end if end is None else end) - offset
            while block := file.read(min(_BLOCK_BYTES, left)):
                left -= len(block)
                block = rest + block
                cut = block.rfind(b"\n") + 1
                block, rest = block[:cut], block[cut:]
                for start in sorted(_line_starts(block, needles)):
                    yield self._decoded(block[start : block.index(b"\n", start) + 1])

    # --- bisection -----------------------------------------------------------------------------------------------

    def _first(self, is_late: Callable[[int, int], bool]) -> int:
        """Return the offset of the first line that is late; is_late(seq, tick) rises once from false to true."""
        low, high = 0, self._end  # the answer is a line's beginning in [low, high]
        while low < high:
            begin = self._line_start((low + high) // 2)
            if is_late(*self._head(begin)):
                high = begin
            else:
                low = self._next_line(begin)
        return low

    def _head(self, begin: int) -> tuple[int, int]:
        self._file.seek(begin)
        head = _HEAD.match(self._file.read(64))
        if head is None:
            raise CheckFailed(f"{self.path}, byte {begin}: not a log line", hint="bt replay says which line it is")
        return int(head[1]), int(head[2])

    def _line_start(self, offset: int) -> int:
        """Return where the line begins in which an offset lies."""
        reach = 4096
        while True:
            begin = max(0, offset - reach)
            self._file.seek(begin)
            found = self._file.read(offset - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            if begin == 0:
                return 0
            reach *= 4

    def _next_line(self, begin: int) -> int:
        self._file.seek(begin)
        self._file.readline()
        return min(self._file.tell(), self._end)

    def _whole_lines_end(self) -> int:
        end = self._file.seek(0, 2)
        return self._line_start(end) if end else 0

    def _decoded(self, raw: bytes) -> LogLine:
        try:
            return _decode(raw)
        except msgspec.DecodeError as error:
            raise CheckFailed(
                f"{self.path}: a line is not a log line ({error})", hint="bt replay says which one"
            ) from None


def _line_starts(block: bytes, needles: Sequence[bytes]) -> set[int]:
    """Return where the lines of a block begin that hold a needle."""
    starts = set()
    for needle in needles:
        at = block.find(needle)
        while at >= 0:
            starts.add(block.rfind(b"\n", 0, at) + 1)
            at = block.find(needle, block.find(b"\n", at))
    return starts
