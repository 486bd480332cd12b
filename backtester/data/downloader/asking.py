"""Whether what a source publishes under a key is still what was fetched; asked without fetching it again."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from backtester.data.downloader.archive_facts import ArchiveFacts
from backtester.data.downloader.bodies import Head
from backtester.data.downloader.transport import Transport
from backtester.data.downloader.unpacking import published_sha256

Status = Literal["unchanged", "changed", "withdrawn", "unknown"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source says of a key now, against what is known. had, now: the two values, in words.

    unknown: it says nothing that could be compared. published_sha256: the checksum that it states now, if any.
    """

    status: Status
    had: str
    now: str
    published_sha256: str | None = None


async def ask(
    transport: Transport, key: str, known: Collection[str], facts: ArchiveFacts | None, base_url: str
) -> Answer:
    """Compare a key of a source with the versions of it that are known.

    Whichever differs first decides: the published checksum, then (when `facts` are of this source) the ETag, or without
    one on both sides the length and the time of the last change. Local files are hashed.

    Args:
        known: SHA-256 of the versions that count as unchanged, at least one.
        facts: what was noted when it was fetched.

    Raises:
        DataError: the source cannot be asked, or its checksum is none.
    """
    had = f"SHA-256 {' or '.join(sorted(known))}"
    said = await transport.head(key)
    if said is None:
        return Answer("withdrawn", had, "not there (404)")
    text = await transport.text(f"{key}.CHECKSUM")
    published = None if text is None else published_sha256(PurePosixPath(key).name, text)
    other = next((one for one in (said.sha256, published) if one is not None and one not in known), None)
    if other is not None:
        return Answer("changed", had, f"SHA-256 {other}", published)
    noted = facts if facts is not None and facts.base_url == base_url and facts.sha256 in known else None
    differing = None if noted is None or said.sha256 is not None else _differing(noted, said)
    if differing is not None:
        return Answer("changed", *differing, published)
    if published is None and said.sha256 is None and (noted is None or not _is_sure(noted, said)):
        return Answer("unknown", had, "no checksum is published")
    return Answer("unchanged", had, had, published)


def _differing(facts: ArchiveFacts, said: Head) -> tuple[str, str] | None:
    """Return the first noted value that is not what the source says now, and what it says."""
    if facts.etag is not None and said.etag is not None:
        return None if facts.etag == said.etag else (f"ETag {facts.etag}", f"ETag {said.etag}")
    if said.size is not None and said.size != facts.size:
        return f"{facts.size} bytes", f"{said.size} bytes"
    if None not in {facts.last_modified, said.last_modified} and facts.last_modified != said.last_modified:
        return f"last modified {facts.last_modified}", f"last modified {said.last_modified}"
    return None


def _is_sure(facts: ArchiveFacts, said: Head) -> bool:
    """Say whether equal values are enough to call a file unchanged: a length alone is not."""
    return None not in {facts.etag, said.etag} or None not in {facts.last_modified, said.last_modified}
