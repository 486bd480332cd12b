"""A file that is read more than once: each time it holds the bytes of its digest, or is refused."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from backtester.core.errors import DataError

_Stamp = tuple[int, int, int, int]


class HashedFile:
    """A file on the disk and the SHA-256 of its bytes, which is what the manifest says about rows that come of it.

    Each pass reads through one handle. What the handle shows of the file when it is opened and when the pass ends is
    compared with what it showed when the bytes were hashed; a file that only looks different is hashed again.
    """

    def __init__(self, path: Path, sha256: str | None = None) -> None:
        """Hash a file; one of which the digest is known is hashed when it is opened first.

        Raises:
            DataError: it cannot be read.
        """
        self.path = path
        self._hashed: _Stamp | None = None
        if sha256 is None:
            try:
                with path.open("rb") as file:
                    self._hashed = _stamp(file)
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise unreadable(path, error) from error
        self.sha256 = sha256

    @contextmanager
    def opened(self) -> Iterator[tuple[IO[bytes], int]]:
        """Open the file for one pass; gives its size in bytes, too.

        Raises:
            DataError: it cannot be read, or is not the file that was hashed: when it is opened, when the pass ends,
                or when its bytes turn out to be damaged.
        """
        try:
            with self.path.open("rb") as file:
                before = _stamp(file)
                if before != self._hashed:
                    if hashlib.file_digest(file, "sha256").hexdigest() != self.sha256:
                        raise _changed(self.path)
                    self._hashed = before
                    file.seek(0)
                try:
                    yield file, os.fstat(file.fileno()).st_size
                except DataError as error:
                    if _stamp(file) != before:
                        raise _changed(self.path) from error
                    raise
                if _stamp(file) != before:
                    raise _changed(self.path)
        except OSError as error:
            raise unreadable(self.path, error) from error


def unreadable(path: Path, error: OSError) -> DataError:
    """Return the error for a file that the system does not let us read."""
    return DataError(f"{path} cannot be read: {error.strerror}", hint="check the path and its permissions")


def _stamp(file: IO[bytes]) -> _Stamp:
    facts = os.fstat(file.fileno())
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _changed(path: Path) -> DataError:
    return DataError(
        f"{path} changed while it was read; nothing of it was written",
        hint="run the command again when nobody writes to the file",
    )
