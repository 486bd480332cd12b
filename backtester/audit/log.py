"""The log writer: taps publish, chains one line per event, and seals each tick to disk."""

import os
from pathlib import Path
from typing import IO, Any

from backtester.audit.chain import GENESIS, chained
from backtester.audit.encoding import event_writer
from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.errors import StorageError
from backtester.core.events import Event
from backtester.core.market import TickSettled
from backtester.core.topics import T_CLOCK, Topic

_WRITE_BYTES = 64 * 1024


class AuditLog:
    """An append-only file of chained lines. A line is made when its event is published, and written when its tick ends.

    The file holds whole ticks only: lines wait in memory until SETTLE, and reach the disk some 64 KiB at a time.
    Without a path nothing is logged: a trial of a sweep, which is run again where its log is wanted.
    """

    def __init__(self, path: Path | None, board: Board, bus: Bus) -> None:
        self._board = board
        self._lines: list[bytes] = []
        self._bytes = 0
        self._seq = 0
        self._digest = GENESIS
        self._file: IO[bytes] | None = None
        if path is None:
            return
        try:
            self._file = path.open("xb")
        except OSError as error:
            raise StorageError(f"the log {path} cannot be written: {error.strerror}") from None
        self._path = path
        bus.tap_log(self.write)
        self._settled = bus.subscribe(T_CLOCK, self.on_settled)
        self._settled.pause()  # until there is enough to write

    @property
    def digest(self) -> str:
        """The chain's last digest, hex: it names the whole log."""
        return self._digest.hex()

    @property
    def lines(self) -> int:
        """How many lines the log has."""
        return self._seq

    def write(self, topic: Topic[Any], event: Event) -> None:
        """Add an event's line to the current tick."""
        self._seq += 1
        body = (
            f'{{"seq":{self._seq},"tick":{self._board.now},"topic":"{topic.name}",'
            f'"event":{event_writer(event.__class__)(event)}'
        ).encode()
        self._digest = chained(self._digest, body)
        line = body + b',"h":"' + self._digest.hex().encode() + b'"}\n'
        self._lines.append(line)
        self._bytes += len(line)
        if self._bytes >= _WRITE_BYTES:
            self._settled.resume()

    def on_settled(self, _: TickSettled) -> None:
        """Seal the tick: its lines may now go to disk, and those of the ticks before it."""
        self.flush()
        self._settled.pause()

    def flush(self) -> None:
        """Write what is sealed.

        Raises:
            StorageError: the disk is full or gone.
        """
        if self._file is None:
            return
        lines, self._lines, self._bytes = self._lines, [], 0
        try:
            self._file.write(b"".join(lines))
            self._file.flush()
        except OSError as error:
            raise StorageError(f"the log {self._path} cannot be written: {error.strerror}") from None

    def close(self) -> None:
        """Write everything and make it durable."""
        if self._file is not None:
            self.flush()
            os.fsync(self._file.fileno())
            self._file.close()
