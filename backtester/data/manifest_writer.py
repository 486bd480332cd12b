"""Who may write to the lake: one process at a time, each partition before or after, never between."""

import itertools
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from filelock import FileLock, Timeout

from backtester.core.errors import StorageError
from backtester.data.durable import append_lines, make_folder, storing, sync_folder
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
)
from backtester.data.partition import Outage, Partition

LOCK_NAME: Final = "manifest.lock"
TEMPORARY_NAME: Final = ".tmp"
TOGETHER: Final = 64  # files put in place between two waits; a reader beside the writer hashes so many at most


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

    reusable: it is entered again and again, and then reads only what others appended meanwhile; `close` it in the end.

    Raises (on entering):
        StorageError: another process holds the lock for longer than `wait_seconds`, or the folder cannot be written.
        DataError: the manifest is damaged.
    """

    def __init__(self, root: Path, *, wait_seconds: float = 30.0, reusable: bool = False) -> None:
        self.root = root
        self._wait_seconds = wait_seconds
        self._lock: AbstractContextManager[None] | None = None
        self._journal = Journal()
        self._reusable = reusable
        self._fd = -1
        self._temporaries = itertools.count(1)  # threads may share it

    def __enter__(self) -> Self:
        self._lock = lake_lock(self.root, self._wait_seconds)
        self._lock.__enter__()
        try:
            with storing(self.root):
                self._open()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    @property
    def partitions(self) -> Mapping[str, Partition]:
        """What the lake holds now, by path."""
        return self._journal.partitions

    def temporary(self) -> Path:
        """Return a fresh path, on the lake's own file system, for a file that `put` will take."""
        folder = self.root / TEMPORARY_NAME
        with storing(folder):
            folder.mkdir(exist_ok=True)
        return folder / f"{os.getpid()}-{next(self._temporaries)}.parquet"

    def put(self, finished: Path, partition: Partition) -> None:
        """Make a finished, synced temporary file the partition that the record describes, in place of what was there.

        Raises:
            StorageError: the disk refuses; the lake is then as it was before.
        """
        self.put_all([(finished, partition)])

    def put_all(self, finished: Sequence[tuple[Path, Partition]]) -> None:
        """Do as `put` with many files, for which the disk is waited for together: each of them is before or after.

        Raises:
            StorageError: the disk refuses; partitions put in place before that stay.
        """
        for at in range(0, len(finished), TOGETHER):
            group = finished[at : at + TOGETHER]
            with storing(self.root):
                self._append([Pending(partition) for _, partition in group])
                folders = set()
                for file, partition in group:
                    final = self.root / partition.path
                    make_folder(final.parent)
                    file.replace(final)
                    folders.add(final.parent)
                for folder in sorted(folders):
                    sync_folder(folder)
                self._append([Commit(partition.path, partition.sha256) for _, partition in group])

    def note(self, outage: Outage) -> None:
        """Record that no source has the rows of a range.

        Raises:
            StorageError: the disk refuses.
        """
        with storing(self.root):
            self._append([Noted(outage)])

    def remove(self, paths: Iterable[str]) -> None:
        """Take partitions out of the lake and delete their files.

        Raises:
            StorageError: the disk refuses.
        """
        for path in paths:
            with storing(self.root / path):
                self._append([Remove(path, now_us())])
                self._delete(path)

    def _open(self) -> None:
        self._read()
        if os.fstat(self._fd).st_size > self._journal.length:
            os.ftruncate(self._fd, self._journal.length)
            os.fsync(self._fd)
        for path, done in self._journal.took_effect(self.root).items():
            sha256 = self._journal.pending[path].sha256
            self._append([Commit(path, sha256) if done else Void(path, sha256)])
        for path in self._journal.removed:
            self._delete(path)
        self._clear_temporaries()

    def _read(self) -> None:
        """Open the manifest and read it; one that was kept open and is still in place, from where it was left."""
        path = self.root / MANIFEST_NAME
        if self._fd >= 0 and not (path.exists() and os.path.samestat(os.fstat(self._fd), path.stat())):
            self.close()
        if self._fd < 0:
            is_new = not path.exists()
            self._journal = Journal()
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            if is_new:
                sync_folder(self.root)
        with open(self._fd, "rb", closefd=False) as file:
            file.seek(self._journal.length)
            self._journal.extend(file.read())

    def _append(self, lines: Sequence[Line]) -> None:
        append_lines(self._fd, [encode(line) for line in lines])
        for line in lines:
            self._journal.apply(line)
        self._journal.length = os.fstat(self._fd).st_size
        self._journal.lines += len(lines)

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

    def _leave(self) -> None:
        if self._fd >= 0:
            folder = self.root / TEMPORARY_NAME
            if folder.is_dir():
                self._clear_temporaries()
                folder.rmdir()
        if not self._reusable:
            self.close()
        if self._lock is not None:
            self._lock.__exit__(None, None, None)
            self._lock = None

    def close(self) -> None:
        """Let go of the manifest's file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
