"""The manifest: the one file that says what the lake holds, safe against a kill at any byte.

`manifest.jsonl` is a journal. A write appends `pending` (the whole record), renames the finished file into place and
appends `commit`; a removal appends `remove` and then deletes. Who reads the journal settles a pending line by the
file's digest: if the file is the promised one, the write took effect, else it never happened. A last line without a
newline is not there.

A lake may have many thousands of partitions, so its lines are decoded in one pass, into structs that the garbage
collector does not follow: they cannot hold a cycle.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from backtester.core.errors import DataError
from backtester.data.durable import file_sha256
from backtester.data.partition import Outage, Partition

MANIFEST_NAME: Final = "manifest.jsonl"


class Pending(msgspec.Struct, frozen=True, tag_field="op", tag="pending", gc=False):
    """A file with this digest is about to be renamed into place."""

    partition: Partition


class Commit(msgspec.Struct, frozen=True, tag_field="op", tag="commit", gc=False):
    """The last pending write of this path took effect."""

    path: str
    sha256: str


class Void(msgspec.Struct, frozen=True, tag_field="op", tag="void", gc=False):
    """The last pending write of this path never happened."""

    path: str
    sha256: str


class Remove(msgspec.Struct, frozen=True, tag_field="op", tag="remove", gc=False):
    """This path is no longer part of the lake; its file is about to be deleted."""

    path: str
    removed: int


class Noted(msgspec.Struct, frozen=True, tag_field="op", tag="outage"):
    """No source has the rows of this range."""

    outage: Outage


Line = Pending | Commit | Void | Remove | Noted
_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Line)


def encode(line: Line) -> bytes:
    """Return a journal line without its newline."""
    return _ENCODER.encode(line)


def decode_line(raw: bytes) -> Line:
    """Return the journal line of these bytes.

    Raises:
        msgspec.DecodeError: they are none.
    """
    line: Line = _DECODER.decode(raw)
    return line


@dataclass(slots=True)
class Journal:
    """The fold of all whole lines.

    partitions: by path, committed. pending: by path, not settled yet. removed: paths whose removal was the last word.
    outages: known gaps, in the order in which they were recorded.
    length: bytes up to and including the last newline; what follows is a torn line.
    lines: how many these are.
    """

    partitions: dict[str, Partition] = field(default_factory=dict)
    pending: dict[str, Partition] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    outages: list[Outage] = field(default_factory=list)
    length: int = 0
    lines: int = 0

    def apply(self, line: Line) -> None:
        """Take one line into account."""
        match line:
            case Pending(partition):
                self.pending[partition.path] = partition
            case Commit(path, sha256):
                waiting = self.pending.pop(path, None)
                if waiting is not None and waiting.sha256 == sha256:
                    self.partitions[path] = waiting
                    self.removed.discard(path)
            case Void(path, _):
                self.pending.pop(path, None)
            case Remove(path, _):
                self.partitions.pop(path, None)
                self.pending.pop(path, None)
                self.removed.add(path)
            case Noted(outage):
                self.outages.append(outage)

    def extend(self, text: bytes) -> None:
        """Take the bytes that follow those so far into account, up to the last newline.

        Raises:
            DataError: a whole line is not a line of a manifest.
        """
        whole = text.rfind(b"\n") + 1
        lines = _decoded(text[:whole], self.lines + 1)
        for line in lines:
            self.apply(line)
        self.lines += len(lines)
        self.length += whole

    def took_effect(self, root: Path) -> dict[str, bool]:
        """Return, per pending path, whether the promised file is in place."""
        return {path: _is_file_with(root / path, waiting.sha256) for path, waiting in self.pending.items()}


def fold(text: bytes) -> Journal:
    """Return the journal of a manifest's bytes.

    Raises:
        DataError: a whole line is not a line of a manifest.
    """
    journal = Journal()
    journal.extend(text)
    return journal


def _decoded(text: bytes, first: int) -> list[Line]:
    """Return the lines of whole lines of text, in one pass unless one is damaged."""
    try:
        lines: list[Line] = _DECODER.decode_lines(text)
        return lines
    except msgspec.DecodeError:
        pass
    lines = []
    for number, raw in enumerate(text.split(b"\n")[:-1], start=first):
        try:
            lines.append(decode_line(raw))
        except msgspec.DecodeError as error:
            raise DataError(
                f"{MANIFEST_NAME} line {number} is damaged: {error}",
                hint="recreate it from the files: bt data rebuild",
            ) from error
    return lines


def read_manifest_bytes(root: Path) -> bytes:
    """Return the manifest's bytes, empty when the lake has none yet.

    Raises:
        DataError: the file cannot be read.
    """
    path = root / MANIFEST_NAME
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}", hint="check the path and its permissions"
        ) from error


def read_journal(root: Path) -> Journal:
    """Return the fold of the manifest, pending lines settled; writes nothing and takes no lock.

    Raises:
        DataError: the manifest is damaged or cannot be read.
    """
    journal = fold(read_manifest_bytes(root))
    for path, done in journal.took_effect(root).items():
        if done:
            journal.partitions[path] = journal.pending[path]
    return journal


def read_manifest(root: Path) -> Mapping[str, Partition]:
    """Return what the lake holds, by path; see `read_journal`."""
    return read_journal(root).partitions


def _is_file_with(path: Path, sha256: str) -> bool:
    try:
        return file_sha256(path) == sha256
    except OSError:
        return False
