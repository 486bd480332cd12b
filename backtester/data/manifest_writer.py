"""Who may write to the lake: one process at a time, each partition before or after, never between."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from filelock import FileLock, Timeout

from backtester.core.errors import StorageError
from backtester.data.durable import append_line, make_folder, replace_file, storing, sync_file, sync_folder
from backtester.data.manifest import (
    MANIFEST_NAME,
    Commit,
    Journal,
    Line,
    Noted,
    Pending,
    Remove,
    Void,
    encode,
    fold,
    read_manifest_bytes,
)
from backtester.data.partition import Outage, Partition

LOCK_NAME: Final = "manifest.lock"
TEMPORARY_NAME: Final = ".tmp"


def now_us() -> int:
    """Return the wall clock in UTC µs: it dates records, nothing decides by it."""
    return time.time_ns() // 1000


@contextmanager
def lake_lock(root: Path, wait_seconds: float = 30.0) -> Iterator[None]:
    """Hold the lake's writing lock, creating the lake's folder when it is missing.

    Raises:
        StorageError: another process holds the lock for longer than that, or the folder cannot be written.
    """
    lock = FileLock(str(root / LOCK_NAME))
    with storing(root):
        make_folder(root)
        try:
            lock.acquire(timeout=wait_seconds)
        except Timeout:
            raise StorageError(
                f"another process is writing to {root}", hint="wait for it to end and run the command again"
            ) from None
    try:
        yield
    finally:
        lock.release()


class ManifestWriter:
    """The lake, locked for writing. Use as a context manager.

    Entering settles what a killed writer left: a torn last line is cut off, pending lines are committed or voided by
    the file's digest, files of removed partitions and leftover temporary files are deleted. Readers need no lock and
    never wait.

    Raises (on entering):
        StorageError: another process holds the lock for longer than `wait_seconds`, or the folder cannot be written.
        DataError: the manifest is damaged.
    """

    def __init__(self, root: Path, *, wait_seconds: float = 30.0) -> None:
        self.root = root
        self._lock = lake_lock(root, wait_seconds)
        self._journal = Journal()
        self._fd = -1
        self._temporaries = 0

    def __enter__(self) -> Self:
        self._lock.__enter__()
        try:
            with storing(self.root):
                self._open()
        except BaseException:
            self._close()
            self._lock.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self._lock.__exit__(None, None, None)

    @property
    def partitions(self) -> Mapping[str, Partition]:
        """What the lake holds now, by path."""
        return self._journal.partitions

    @property
    def outages(self) -> Sequence[Outage]:
        """The ranges that no source has, as recorded."""
        return self._journal.outages

    def temporary(self) -> Path:
        """Return a fresh path, on the lake's own file system, for a file that `put` will take."""
        folder = self.root / TEMPORARY_NAME
        with storing(folder):
            folder.mkdir(exist_ok=True)
        self._temporaries += 1
        return folder / f"{os.getpid()}-{self._temporaries}.parquet"

    def put(self, finished: Path, partition: Partition) -> None:
        """Make a finished temporary file the partition that the record describes, in place of what was there.

        Raises:
            StorageError: the disk refuses; the lake is then as it was before.
        """
        final = self.root / partition.path
        with storing(final):
            sync_file(finished)
            self._append(Pending(partition))
            replace_file(finished, final)
            self._append(Commit(partition.path, partition.sha256))

    def note(self, outage: Outage) -> None:
        """Record that no source has the rows of a range.

        Raises:
            StorageError: the disk refuses.
        """
        with storing(self.root):
            self._append(Noted(outage))

    def remove(self, paths: Iterable[str]) -> None:
        """Take partitions out of the lake and delete their files.

        Raises:
            StorageError: the disk refuses.
        """
        for path in paths:
            with storing(self.root / path):
                self._append(Remove(path, now_us()))
                self._delete(path)

    def _open(self) -> None:
        text = read_manifest_bytes(self.root)
        self._journal = fold(text)
        is_new = not (self.root / MANIFEST_NAME).exists()
        self._fd = os.open(self.root / MANIFEST_NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        if is_new:
            sync_folder(self.root)
        if len(text) > self._journal.length:
            os.ftruncate(self._fd, self._journal.length)
            os.fsync(self._fd)
        for path, done in self._journal.took_effect(self.root).items():
            sha256 = self._journal.pending[path].sha256
            self._append(Commit(path, sha256) if done else Void(path, sha256))
        for path in self._journal.removed:
            self._delete(path)
        self._clear_temporaries()

    def _append(self, line: Line) -> None:
        append_line(self._fd, encode(line))
        self._journal.apply(line)

    def _delete(self, path: str) -> None:
        file = self.root / path
        if not file.exists():
            return
        file.unlink()
        sync_folder(file.parent)
        folder = file.parent
        while folder != self.root and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent

    def _clear_temporaries(self) -> None:
        folder = self.root / TEMPORARY_NAME
        if folder.is_dir():
            for leftover in folder.iterdir():
                leftover.unlink()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            folder = self.root / TEMPORARY_NAME
            if folder.is_dir():
                self._clear_temporaries()
                folder.rmdir()
