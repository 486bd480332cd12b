"""Columns computed before, in a folder that anybody may delete at any time: never needed, never trusted blindly."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

FOLDER: Final = "features"
_DIGEST_BYTES: Final = 16
_TO_SHRINK_TO: Final = 0.8  # of the bound, so that not every new column has to look for an old one


class FeatureCache:
    """Columns of float64 by key, each a file: a digest of its content, then the content.

    A file is written whole or not at all, and one that is damaged or of another length is as good as none. Once there
    is more than `max_bytes`, the columns that were not used for longest go. Where the folder cannot be written the
    cache keeps nothing. code: a digest of the sources that make the columns.
    """

    def __init__(self, root: Path, max_bytes: int, *, code: str) -> None:
        self.code = code
        self._folder = root / FOLDER
        self._max_bytes = max_bytes
        self._bytes: int | None = None

    def get(self, key: str, rows: int) -> NDArray[np.float64] | None:
        """Return the column of a key, or None when it is not here or has not so many rows."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        digest, values = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if len(values) != 8 * rows or digest != _digest(values):
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return np.frombuffer(values, dtype="<f8")

    def put(self, key: str, column: NDArray[np.float64]) -> None:
        """Keep a column, and let go of old ones where there are too many."""
        values = np.ascontiguousarray(column, dtype="<f8").tobytes()
        if len(values) + _DIGEST_BYTES > self._max_bytes:
            return
        path = self._path(key)
        with contextlib.suppress(OSError):  # a run does not fail because something could not be remembered
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_digest(values) + values)
                Path(name).replace(path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            self._grown(_DIGEST_BYTES + len(values))

    def _grown(self, by: int) -> None:
        """Count what is kept; beyond the bound remove what was used longest ago."""
        self._bytes = sum(size for _, size, _ in self._files()) if self._bytes is None else self._bytes + by
        if self._bytes <= self._max_bytes:
            return
        files = sorted(self._files())
        self._bytes = sum(size for _, size, _ in files)  # others may have written or removed some
        for _, size, name in files:
            if self._bytes <= self._max_bytes * _TO_SHRINK_TO:
                return
            with contextlib.suppress(OSError):
                Path(name).unlink()
            self._bytes -= size

    def _files(self) -> Iterator[tuple[int, int, str]]:
        """Yield when each file was last used (ns), its size and name; what a killed writer left counts, too."""
        for path in self._folder.glob("*/*"):
            with contextlib.suppress(OSError):
                found = path.stat()
                yield found.st_mtime_ns, found.st_size, str(path)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key.rstrip('.')}.column"


def _digest(values: bytes) -> bytes:
    return blake2b(values, digest_size=_DIGEST_BYTES).digest()
