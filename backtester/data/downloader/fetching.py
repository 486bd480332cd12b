"""Archives from their source into the lake's own store, each compared with its published checksum before it counts."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from msgspec import structs

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import DataError
from backtester.data.downloader.archive_facts import ArchiveFacts, read_archive_facts, write_archive_facts
from backtester.data.downloader.asking import ask
from backtester.data.downloader.bodies import Body
from backtester.data.downloader.download_log import DownloadLog
from backtester.data.downloader.patience import Patience
from backtester.data.downloader.planning import ArchiveFile, instead_of
from backtester.data.downloader.refusals import STORE_NAME
from backtester.data.downloader.transport import Transport, open_transport
from backtester.data.downloader.unpacking import published_sha256
from backtester.data.durable import file_sha256, is_file_with, make_folder, replace_file, storing
from backtester.data.manifest_writer import now_us

_ZIP: Final = b"PK"


@dataclass(frozen=True, slots=True)
class RawBytes:
    """An archive that lies in the store. published_sha256: what its publisher states; compared and equal, or None."""

    file: ArchiveFile
    path: Path
    sha256: str
    published_sha256: str | None

    @property
    def data(self) -> bytes:
        """The archive's bytes, read when they are asked for."""
        return self.path.read_bytes()


@dataclass(slots=True)
class Progress:
    """How far a download is: files settled of all, bytes received, and the name of the last file."""

    files: int
    settled: int = 0
    received: int = 0
    name: str = ""


OnProgress = Callable[[Progress], None]


@dataclass(slots=True)
class Fetched:
    """What became of the files of a plan: in the store, not published, or refused with a reason."""

    blobs: list[RawBytes] = field(default_factory=list)
    absent: list[ArchiveFile] = field(default_factory=list)
    refused: list[tuple[ArchiveFile, DataError]] = field(default_factory=list)
    kept: int = 0
    received: int = 0


async def fetch(
    files: Sequence[ArchiveFile],
    cfg: DownloaderConfig,
    context: RunContext,
    log: DownloadLog,
    on_progress: OnProgress | None = None,
) -> Fetched:
    """Bring files into the store, several at a time; a month that is not published is tried day by day.

    A file that is in the store with its checksum is not fetched again. A file that fails does not stop the others.

    Raises:
        UsageError: the base address cannot be used.
        StorageError: the store cannot be written.
    """
    patience = Patience(cfg, context.seed)
    result = Fetched()
    progress = Progress(len(files))
    async with open_transport(cfg.base_url, cfg, patience, allow_net=context.allow_net) as transport:
        store = _Store(cfg, transport, log, result, progress, on_progress)
        await store.bring(files)
        others = instead_of(result.absent)
        if others:
            replaced = {file for own in others.values() for file in own}
            result.absent = [file for file in result.absent if file not in replaced]
            progress.files += len(others)
            await store.bring(list(others))
    result.received = progress.received
    result.blobs.sort(key=lambda blob: _order(blob.file))
    result.absent.sort(key=_order)
    result.refused.sort(key=lambda pair: _order(pair[0]))
    return result


def stored(file: ArchiveFile, cfg: DownloaderConfig) -> RawBytes | None:
    """Return a file of the store if it is there and is the one that its checksum promises."""
    path = cfg.base_dir / STORE_NAME / file.key
    try:
        text = path.with_name(path.name + ".CHECKSUM").read_text(encoding="utf-8", errors="replace")
        expected = published_sha256(path.name, text)
        if file_sha256(path) == expected:
            return RawBytes(file, path, expected, expected)
    except (OSError, DataError):
        return None
    return None


def superseded_path(cfg: DownloaderConfig, key: str, sha256: str) -> Path:
    """Return where the store keeps a version of an archive that another one took the place of."""
    return cfg.base_dir / STORE_NAME / "superseded" / f"{key}.{sha256[:16]}"


class _Store:
    """The lake's store of archives, while a download fills it."""

    def __init__(
        self,
        cfg: DownloaderConfig,
        transport: Transport,
        log: DownloadLog,
        result: Fetched,
        progress: Progress,
        on_progress: OnProgress | None,
    ) -> None:
        self._root = cfg.base_dir / STORE_NAME
        self._cfg, self._transport, self._log = cfg, transport, log
        self._result, self._progress, self._on_progress = result, progress, on_progress

    async def bring(self, files: Sequence[ArchiveFile]) -> None:
        """Settle all files, as many at a time as the config says; an error that is not a file's own stops all."""
        waiting = iter(files)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._cfg.connections, len(files))):
                    group.create_task(self._work(waiting))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _work(self, waiting: Iterator[ArchiveFile]) -> None:
        for file in waiting:
            self._progress.name = file.name
            try:
                await self._settle(file)
            except DataError as error:
                self._log.note("refused", key=file.key, reason=error.message)
                self._result.refused.append((file, error))
            self._progress.settled += 1
            self._tell()

    async def _settle(self, file: ArchiveFile) -> None:
        have = stored(file, self._cfg)
        if have is None or self._cfg.recheck:
            have = await self._still_published(file, have)
        if have is not None:
            self._log.note("kept", key=file.key, sha256=have.sha256)
            self._result.blobs.append(have)
            self._result.kept += 1
            return
        with storing(self._root):
            target = self._root / file.key
            make_folder(target.parent)
            part = target.with_name(f".{target.name}.{os.getpid()}.part")
            try:
                body = await self._transport.save(file.key, part, self._count)
                if body is None:
                    self._log.note("absent", key=file.key)
                    self._result.absent.append(file)
                    return
                self._result.blobs.append(await self._checked(file, part, body, target))
            finally:
                part.unlink(missing_ok=True)

    async def _still_published(self, file: ArchiveFile, have: RawBytes | None) -> RawBytes | None:
        """Ask the source whether a file of the store is what it publishes now; None when it is to be fetched.

        A file that was fetched without a published checksum is asked for each time, since one may have appeared. A file
        that is no longer published is kept.
        """
        path = self._root / file.key
        facts = read_archive_facts(path)
        if have is None and (facts is None or not is_file_with(path, facts.sha256)):
            return None
        sha256 = have.sha256 if have is not None else facts.sha256 if facts is not None else ""
        answer = await ask(self._transport, file.key, {sha256}, facts, self._cfg.base_url)
        if answer.status == "withdrawn":
            self._log.note("withdrawn", key=file.key, sha256=sha256)
            return have or RawBytes(file, path, sha256, None)
        if answer.status != "unchanged":
            return None
        if answer.published_sha256 is not None and have is None:
            with storing(path):
                _write_checksum(path, sha256)
        return RawBytes(file, path, sha256, answer.published_sha256)

    async def _checked(self, file: ArchiveFile, part: Path, body: Body, target: Path) -> RawBytes:
        if not body.head.startswith(_ZIP):
            what = "a web page" if body.head.lstrip().startswith(b"<") else "something else"
            raise DataError(
                f"{file.key}: {self._cfg.base_url} sent {what} instead of a zip ({body.size} bytes)",
                hint="check the base address: it serves data/spot/..., data/futures/... and data/option/...",
            )
        text = await self._transport.text(f"{file.key}.CHECKSUM")
        expected = None if text is None else published_sha256(file.name, text)
        if expected is not None and expected != body.sha256:
            self._quarantine(file, part, body.sha256, expected)
            raise DataError(
                f"{file.key} does not match its checksum: its SHA-256 is {body.sha256}, published is {expected}; "
                "it was put aside and not written",
                hint=f"run the command again later; the file is in {self._root / 'quarantine'}",
            )
        self._put_aside(file, target, body.sha256)
        target.with_name(target.name + ".CHECKSUM").unlink(missing_ok=True)  # it was that of an older version
        replace_file(part, target)
        facts = ArchiveFacts(file.key, self._cfg.base_url, now_us(), body.size, body.sha256, expected)
        write_archive_facts(target, structs.replace(facts, etag=body.said.etag, last_modified=body.said.last_modified))
        if expected is not None:
            _write_checksum(target, expected)
        self._log.note("fetched", key=file.key, bytes=body.size, sha256=body.sha256, published=expected)
        return RawBytes(file, target, body.sha256, expected)

    def _put_aside(self, file: ArchiveFile, target: Path, sha256: str) -> None:
        """Keep the version that was stored so far: the lake's rows may be of it."""
        if target.is_file() and (older := file_sha256(target)) != sha256:
            replace_file(target, superseded_path(self._cfg, file.key, older))
            self._log.note("superseded", key=file.key, sha256=older, by=sha256)

    def _quarantine(self, file: ArchiveFile, part: Path, found: str, published: str) -> None:
        folder = self._root / "quarantine"
        make_folder(folder)
        replace_file(part, folder / f"{file.name}.{found[:16]}")
        facts = {"key": file.key, "base_url": self._cfg.base_url, "sha256": found, "published_sha256": published}
        (folder / f"{file.name}.{found[:16]}.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")

    def _count(self, received: int) -> None:
        self._progress.received += received
        self._tell()

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._progress)


def note_in_lake(blobs: Sequence[RawBytes]) -> None:
    """Record beside archives that the lake holds their rows.

    Raises:
        StorageError: the store cannot be written.
    """
    for blob in blobs:
        facts = read_archive_facts(blob.path)
        if facts is not None and facts.sha256 == blob.sha256 and not facts.in_lake:
            with storing(blob.path):
                write_archive_facts(blob.path, structs.replace(facts, in_lake=True))


def _write_checksum(path: Path, sha256: str) -> None:
    note = path.with_name(f".{path.name}.CHECKSUM.{os.getpid()}.part")
    note.write_text(f"{sha256}  {path.name}\n", encoding="utf-8")
    replace_file(note, path.with_name(path.name + ".CHECKSUM"))


def _order(file: ArchiveFile) -> tuple[str, str, str, str, int, int]:
    return (file.market, file.kind, file.symbol, file.timeframe, file.start, file.end)
