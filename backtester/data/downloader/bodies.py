"""What is received of a body: hashed and counted on its way to a file or to memory, and bounded."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from backtester.core.errors import DataError

OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Head:
    """What a source says of a key without sending it; None where it does not say.

    etag: as sent, without quotes. last_modified: as sent. sha256: only of local files, which are read for it.
    """

    size: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """What was received: its SHA-256, its length, its first bytes, and what the source said of it."""

    sha256: str
    size: int
    head: bytes
    said: Head = Head()


class Sink:
    """Takes a body chunk by chunk, to a file or to memory, and refuses one that is too large."""

    def __init__(self, key: str, file: IO[bytes] | None, most: int, on_bytes: OnBytes) -> None:
        self._key, self._file, self._most, self._on_bytes = key, file, most, on_bytes
        self._hash = hashlib.sha256()
        self._size = 0
        self._head = b""
        self.kept: list[bytes] = []

    def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            DataError: the body is too large.
        """
        self._size += len(chunk)
        if self._size > self._most:
            raise too_large(self._key, self._most)
        if len(self._head) < 16:
            self._head += chunk[:16]
        self._hash.update(chunk)
        if self._file is None:
            self.kept.append(chunk)
        else:
            self._file.write(chunk)
        self._on_bytes(len(chunk))

    def finish(self) -> Body:
        """Return what was received; a file is on the disk then."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
        return Body(self._hash.hexdigest(), self._size, self._head)


def too_large(key: str, most: int) -> DataError:
    """Return the error for a body of more bytes than are allowed."""
    return DataError(f"{key} has more than {most} bytes", hint="raise the downloader's file_bytes if that is right")
