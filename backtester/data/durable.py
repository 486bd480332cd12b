"""Writing that survives a kill: whole lines, synced files, synced folders; and what a disk refuses, in words."""

import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from backtester.core.errors import StorageError


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn an OSError raised while writing below `path` into a StorageError that names it."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageError(
                f"the disk of {path} is full", hint="free some space and run the command again"
            ) from error
        reason = error.strerror or str(error)
        raise StorageError(
            f"{error.filename or path} cannot be written: {reason}", hint="check the path and its permissions"
        ) from error


def append_lines(fd: int, lines: Sequence[bytes]) -> None:
    """Append lines, each with its newline, to an open file, and wait until the disk has them."""
    rest = memoryview(b"".join(line + b"\n" for line in lines))
    while rest:
        rest = rest[os.write(fd, rest) :]
    os.fsync(fd)


def sync_file(path: Path) -> None:
    """Wait until the disk has the file's bytes."""
    fd = os.open(path, os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_folder(path: Path) -> None:
    """Wait until the disk has the folder's names; a no-op where folders cannot be opened."""
    if os.name == "nt":
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(path: Path) -> None:
    """Create a folder with its parents, each synced in its own parent."""
    missing = []
    folder = path
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def replace_file(temporary: Path, final: Path) -> None:
    """Rename a finished, synced file into place, over what may be there, and sync the folder."""
    make_folder(final.parent)
    temporary.replace(final)
    sync_folder(final.parent)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
