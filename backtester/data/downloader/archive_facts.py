"""What is known of an archive that was fetched, kept beside it as `<archive>.facts.json`.

It can be deleted with the archive: then a source that publishes no checksum can no longer be compared.
"""

import os
from pathlib import Path

import msgspec

from backtester.data.durable import replace_file, sync_file


class ArchiveFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """One archive as it was when it was fetched.

    base_url: where from. fetched: when, UTC µs. size: bytes. published_sha256: compared and equal, None when none was
    published. etag, last_modified: as the server sent them. in_lake: whether its rows have been written to the lake.
    """

    key: str
    base_url: str
    fetched: int
    size: int
    sha256: str
    published_sha256: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    in_lake: bool = False


def read_archive_facts(archive: Path) -> ArchiveFacts | None:
    """Return what is known of an archive; None when nothing is, or when what is there cannot be read."""
    try:
        return msgspec.json.decode(_beside(archive).read_bytes(), type=ArchiveFacts)
    except (OSError, msgspec.DecodeError):
        return None


def write_archive_facts(archive: Path, facts: ArchiveFacts) -> None:
    """Put facts beside an archive, in place of older ones, in one step.

    Raises:
        OSError: the disk refuses.
    """
    part = archive.with_name(f".{archive.name}.facts.{os.getpid()}.part")
    try:
        part.write_bytes(msgspec.json.encode(facts) + b"\n")
        sync_file(part)
        replace_file(part, _beside(archive))
    finally:
        part.unlink(missing_ok=True)


def _beside(archive: Path) -> Path:
    return archive.with_name(archive.name + ".facts.json")
